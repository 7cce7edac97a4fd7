import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dltool.training.steps import epoch_order

SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS, st.integers(0, 10**6), st.integers(0, 500))
def test_every_example_comes_once_an_epoch(seed, epoch, examples):
    order = epoch_order(seed, epoch, examples)
    assert order.dtype == np.int32
    assert sorted(order) == list(range(examples))


@given(SEEDS, st.integers(0, 10**6))
def test_the_order_is_a_pure_function_of_seed_and_epoch(seed, epoch):
    np.testing.assert_array_equal(epoch_order(seed, epoch, 50), epoch_order(seed, epoch, 50))


def test_another_epoch_or_seed_has_another_order():
    orders = {tuple(epoch_order(seed, epoch, 50)) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


def test_the_order_stays_what_it_is_across_versions():
    assert epoch_order(42, 3, 10).tolist() == [8, 4, 7, 1, 6, 3, 0, 2, 9, 5]
