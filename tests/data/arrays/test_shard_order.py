"""The order of rows in shards: every row once an epoch, near its window, and a pure function of seed and epoch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltool.data.arrays.shard_order import ShardOrder, equal_shards, width_of
from dltool.training.steps import epoch_order

SIZES = st.lists(st.integers(0, 30), min_size=1, max_size=12).filter(any)


@given(SIZES, st.integers(1, 15), st.integers(1, 40), st.integers(1, 5), st.integers(0, 99), st.integers(0, 99))
def test_every_row_comes_once_an_epoch_whatever_the_batches_and_their_workers(
    sizes, window, batch, workers, seed, epoch
) -> None:
    order = ShardOrder(np.array(sizes), window, seed, epoch)
    assert len(order) == sum(sizes)
    parts = [
        order[np.arange(first, min(len(order), first + batch))[worker::workers]]
        for first in range(0, len(order), batch)
        for worker in range(workers)
    ]
    assert np.sort(np.concatenate(parts)).tolist() == list(range(sum(sizes)))


@given(SIZES, st.integers(1, 15), st.integers(0, 400), st.integers(0, 400))
def test_a_slice_is_that_of_the_whole_order_and_announces_its_shards(sizes, window, first, length) -> None:
    announced: list[int] = []
    whole = ShardOrder(np.array(sizes), window, 3, 1)[:]
    np.testing.assert_array_equal(
        ShardOrder(np.array(sizes), window, 3, 1, announced.extend)[first : first + length],
        whole[first : first + length],
    )
    shard_of = np.repeat(np.arange(len(sizes)), sizes)
    used = {*shard_of[whole[first : first + length]].tolist()}
    assert used <= {*announced}


def test_rows_stay_within_windows_of_shards_that_are_new_in_every_epoch() -> None:
    sizes = np.full(20, 10)
    windows = []
    for epoch in range(3):
        shards = ShardOrder(sizes, 4, 5, epoch)[:] // 10
        parts = shards.reshape(5, 40)
        assert [len({*part}) for part in parts.tolist()] == [4] * 5
        windows.append([sorted({*part}) for part in parts.tolist()])
    assert windows[0] != windows[1] != windows[2]


@pytest.mark.parametrize("window", [3, 100])
def test_one_window_is_the_order_without_shards(window) -> None:
    order = ShardOrder(np.array([7, 0, 13]), window, 42, 3)
    np.testing.assert_array_equal(order[:], epoch_order(42, 3, 20))


def test_the_width_is_that_of_the_largest_shards() -> None:
    assert width_of(np.array([5, 1, 9]), 2) == 14
    assert equal_shards(2_500).tolist() == [1_000, 1_000, 500]
