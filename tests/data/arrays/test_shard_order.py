"""The order of rows in shards: every row once an epoch, near its window, and a pure function of seed and epoch."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltool.data.arrays.shard_order import ShardOrder, equal_shards, width_of
from dltool.training.steps import epoch_order
from dltool.training.worker_steps import WorkerOrder

SIZES = st.lists(st.integers(0, 30), min_size=1, max_size=12).filter(any)


def taken(order: ShardOrder, batch: int, rank: int, workers: int, chunk: int) -> tuple[np.ndarray, list[set[int]]]:
    """Return the rows that a worker takes, `chunk` batches at once, and the shards that are announced for each."""
    announced: list[set[int]] = []
    order.announce = lambda shards: announced.append({*shards})
    own = WorkerOrder(order, batch, rank, workers)
    size = batch // workers * chunk
    return np.concatenate([own[first : first + size] for first in range(0, len(own), size)]), announced


@given(SIZES, st.integers(1, 15), st.integers(1, 12), st.integers(1, 5), st.integers(0, 99), st.integers(0, 99))
def test_every_row_comes_once_an_epoch_whatever_the_batches_and_their_workers(
    sizes, window, part, workers, seed, epoch
) -> None:
    batch = part * workers
    order = ShardOrder(np.array(sizes), window, batch, seed, epoch)
    assert len(order) == sum(sizes)
    whole = order[:]
    assert np.sort(whole).tolist() == list(range(sum(sizes)))
    rest = len(whole) // batch * batch
    parts = [taken(order, batch, rank, workers, 2)[0] for rank in range(workers)]
    # The rows of a batch do not depend on the number of workers.
    for step in range(len(whole) // batch):
        found = np.concatenate([rows[step * part : (step + 1) * part] for rows in parts])
        np.testing.assert_array_equal(found, whole[step * batch : (step + 1) * batch])
    last = np.concatenate([rows[rest // workers :] for rows in parts])
    assert {*last.tolist()} == {*whole[rest:].tolist()}


@given(SIZES, st.integers(1, 15), st.integers(1, 40), st.integers(0, 400), st.integers(0, 400))
def test_a_slice_is_that_of_the_whole_order_and_announces_its_shards(sizes, window, batch, first, length) -> None:
    announced: list[int] = []
    whole = ShardOrder(np.array(sizes), window, batch, 3, 1)[:]
    np.testing.assert_array_equal(
        ShardOrder(np.array(sizes), window, batch, 3, 1, announced.extend)[first : first + length],
        whole[first : first + length],
    )
    shard_of = np.repeat(np.arange(len(sizes)), sizes)
    used = {*shard_of[whole[first : first + length]].tolist()}
    assert used <= {*announced}


@pytest.mark.parametrize(
    ("workers", "window", "batch"), [(1, 16, 96), (2, 16, 96), (4, 16, 96), (3, 16, 96), (4, 9, 8)]
)
def test_a_worker_reads_the_shards_of_its_lanes_once(workers, window, batch) -> None:
    sizes = np.random.default_rng(0).integers(40, 60, 240)
    for rank in range(workers):
        order = ShardOrder(sizes, window, batch, 5, 1)
        rows, announced = taken(order, batch, rank, workers, 1)
        used = {*np.repeat(np.arange(240), sizes)[rows].tolist()}
        reads = sum(len(after - before) for before, after in pairwise([set(), *announced]))
        # Shards at the edges belong to two workers; so do whole lanes if the workers cannot divide them.
        most = 240 / workers + (3 if order.lanes % workers == 0 else 240 / order.lanes)
        assert len(used) <= reads <= most
        assert max(map(len, announced)) <= 2 * (window / workers + 2) + 2


def test_the_rows_of_a_batch_come_from_a_window_of_shards_new_in_every_epoch() -> None:
    sizes, together = np.full(40, 100), []
    for epoch in range(2):
        order = ShardOrder(sizes, 8, 16, 5, epoch)
        assert (order.lanes, len(order.windows)) == (8, 40)
        shards = order[:].reshape(250, 16) // 100
        assert {len({*batch}) for batch in shards.tolist()} <= {7, 8}
        together.append([{*batch} for batch in shards.tolist()])
        # A shard is trained on as long as it is in memory, and not again.
        for shard in range(40):
            steps = np.flatnonzero((shards == shard).any(axis=1))
            assert np.ptp(steps) <= 50
    assert together[0] != together[1]


@pytest.mark.parametrize(
    ("window", "batch", "lanes"), [(64, 4096, 64), (64, 48, 32), (64, 32, 32), (5, 1, 1), (100, 8, 1)]
)
def test_lanes_have_places_in_a_batch_and_fill_the_window(window, batch, lanes) -> None:
    order = ShardOrder(np.full(100, 3), window, batch, 1, 0)
    assert order.lanes == lanes
    assert lanes * len(order.windows[0]) > window - window / lanes


@pytest.mark.parametrize("window", [3, 100])
def test_one_window_is_the_order_without_shards(window) -> None:
    order = ShardOrder(np.array([7, 0, 13]), window, 6, 42, 3)
    np.testing.assert_array_equal(order[:], epoch_order(42, 3, 20))


def test_the_width_is_that_of_the_largest_shards() -> None:
    assert width_of(np.array([5, 1, 9]), 2) == 14
    assert equal_shards(2_500).tolist() == [1_000, 1_000, 500]
