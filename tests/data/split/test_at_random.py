import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dltool.data.split.at_random import Split, class_shares, divide, first_of_each_class

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def divisions(draw: st.DrawFn) -> tuple[int, int, int]:
    rows = draw(st.integers(1, 300))
    validation = draw(st.integers(0, rows - 1))
    return rows, validation, draw(st.integers(0, rows - 1 - validation))


@st.composite
def class_divisions(draw: st.DrawFn) -> tuple[np.ndarray, int, int]:
    rows, validation, test = draw(divisions())
    classes = draw(st.lists(st.integers(0, 7), min_size=rows, max_size=rows))
    return np.array(classes), validation, test


def parts(split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return split.train, split.validation, split.test


@given(divisions(), SEEDS)
def test_the_parts_are_disjoint_complete_and_of_the_sizes_asked_for(division, seed):
    rows, validation, test = division
    split = divide(rows, validation, test, seed)
    assert sorted(np.concatenate(parts(split))) == list(range(rows))
    assert [len(part) for part in parts(split)] == [rows - validation - test, validation, test]


@given(class_divisions(), SEEDS)
def test_stratified_parts_are_disjoint_complete_and_of_the_sizes_asked_for(division, seed):
    classes, validation, test = division
    split = divide(len(classes), validation, test, seed, classes)
    assert sorted(np.concatenate(parts(split))) == list(range(len(classes)))
    assert [len(part) for part in parts(split)] == [len(classes) - validation - test, validation, test]


@given(class_divisions(), SEEDS)
def test_each_part_has_the_exact_share_of_each_class_rounded_up_or_down(division, seed):
    classes, validation, test = division
    for part in parts(divide(len(classes), validation, test, seed, classes)):
        for index in range(8):
            exact = np.sum(classes == index) * len(part) / len(classes)
            assert abs(np.sum(classes[part] == index) - exact) < 1


@given(class_divisions(), SEEDS)
def test_the_split_is_a_pure_function_of_its_arguments(division, seed):
    classes, validation, test = division
    first, again = (divide(len(classes), validation, test, seed, classes) for _ in range(2))
    for one, other in zip(parts(first), parts(again), strict=True):
        np.testing.assert_array_equal(one, other)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=200), st.floats(0, 0.49), st.floats(0, 0.49))
def test_class_shares_have_the_given_sums_both_ways(counts, validation, test):
    total = sum(counts)
    taken = [round(validation * total), round(test * total)]
    sizes = np.array([total - sum(taken), *taken])
    if total == 0:
        return
    shares = class_shares(np.array(counts), sizes)
    np.testing.assert_array_equal(shares.sum(axis=1), counts)
    np.testing.assert_array_equal(shares.sum(axis=0), sizes)
    assert np.all(np.abs(shares * total - np.multiply.outer(np.array(counts), sizes)) < total)


def test_two_seeds_give_two_splits():
    assert not np.array_equal(divide(100, 10, 10, 1).test, divide(100, 10, 10, 2).test)


def test_a_split_stays_what_it_is_across_versions():
    classes = np.arange(20) % 3
    split = divide(20, 4, 3, 42, classes)
    assert split.validation.tolist() == [5, 7, 15, 18]
    assert split.test.tolist() == [0, 14, 19]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(1, 30))
def test_a_few_rows_hold_every_class_while_there_is_room(classes, most):
    classes = np.array(classes)
    rows = first_of_each_class(np.arange(len(classes)), classes, most)
    assert len(rows) == min(most, len(classes))
    assert len(set(classes[rows])) == min(most, len(set(classes)))
    assert np.all(np.diff(rows) > 0)
