from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltool.config import schema
from dltool.data.arrays.rows import coded
from dltool.data.split.at_random import Split, divide, divide_by_groups, divide_by_names, divide_in_order
from dltool.data.split.by_column import SplitColumns
from dltool.data.split.divide import divide_rows, named_parts
from dltool.data.split.sizes import PartSizes
from dltool.errors import DataError

PLACE = ("data", "split", "group")
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, int, int]:
    values = draw(st.lists(st.integers(0, 12), min_size=3, max_size=120))
    validation = draw(st.integers(0, len(values) - 1))
    return np.array(values, dtype=np.float32), validation, draw(st.integers(0, len(values) - 1 - validation))


def parts(split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return split.train, split.validation, split.test


def enough(values: np.ndarray, validation: int, test: int) -> bool:
    return len(np.unique(values)) > (validation > 0) + (test > 0)


def assert_divided(split: Split, values: np.ndarray, validation: int, test: int) -> None:
    """Disjoint, complete, no value in two parts, and rows in just the parts asked for."""
    assert sorted(np.concatenate(parts(split))) == list(range(len(values)))
    seen = [set(values[rows]) for rows in parts(split)]
    assert len(set.union(*seen)) == sum(map(len, seen))
    assert [len(rows) > 0 for rows in parts(split)] == [True, validation > 0, test > 0]
    for rows in parts(split):
        assert np.all(np.diff(rows) > 0)


@given(tables(), SEEDS, st.booleans())
def test_no_group_is_in_two_parts(table, seed, stratified):
    values, validation, test = table
    classes = np.arange(len(values)) % 3 if stratified else None
    if not enough(values, validation, test):
        with pytest.raises(DataError, match='the column "who" has'):
            divide_by_groups(values, validation, test, seed, "who", PLACE, classes)
        return
    split = divide_by_groups(values, validation, test, seed, "who", PLACE, classes)
    assert_divided(split, values, validation, test)
    again = divide_by_groups(values, validation, test, seed, "who", PLACE, classes)
    for one, other in zip(parts(split), parts(again), strict=True):
        np.testing.assert_array_equal(one, other)


@given(tables(), SEEDS)
def test_no_group_can_move_and_bring_the_sizes_nearer(table, seed):
    values, validation, test = table
    if not enough(values, validation, test):
        return
    split = divide_by_groups(values, validation, test, seed, "who", PLACE)
    sizes = np.array([len(rows) for rows in parts(split)])
    asked = np.array([len(values) - validation - test, validation, test])
    for one, rows in enumerate(parts(split)):
        groups, counts = np.unique(values[rows], return_counts=True)
        for other in range(3):
            if len(groups) > 1 and asked[other] > 0:
                moved = sizes[:, np.newaxis] + np.zeros(len(groups), dtype=int)
                moved[one] -= counts
                moved[other] += counts
                costs = ((moved - asked[:, np.newaxis]) ** 2).sum(axis=0)
                assert costs.min() >= ((sizes - asked) ** 2).sum()


def test_groups_of_equal_size_give_the_sizes_asked_for():
    groups = np.repeat(np.arange(100.0), 10)
    assert [len(rows) for rows in parts(divide_by_groups(groups, 100, 200, 1, "who", PLACE))] == [700, 100, 200]


def test_groups_exchange_places_where_no_single_move_helps():
    sizes = [6, 5, 4, 3, 2]
    groups = np.repeat(np.arange(5.0), sizes)
    for seed in range(20):
        assert len(divide_by_groups(groups, 0, 10, seed, "who", PLACE).test) == 10


def test_groups_are_chosen_so_that_classes_are_shared():
    # Each group has one class; at random a part of four groups would often have one class only.
    groups = np.repeat(np.arange(40.0), 10)
    classes = (groups % 2).astype(int)
    for seed in range(10):
        split = divide_by_groups(groups, 40, 80, seed, "who", PLACE, classes)
        assert [np.bincount(classes[rows]).tolist() for rows in parts(split)] == [[140, 140], [20, 20], [40, 40]]


def test_another_seed_chooses_other_groups():
    groups = np.arange(60.0)
    assert len({tuple(divide_by_groups(groups, 0, 6, seed, "who", PLACE).test) for seed in range(10)}) > 5


def test_a_group_as_large_as_all_others_leaves_every_part_a_group():
    groups = np.array([0.0] * 97 + [1, 2, 3])
    split = divide_by_groups(groups, 10, 10, 0, "who", PLACE)
    assert sorted(len(rows) for rows in parts(split)) in ([1, 1, 98], [1, 2, 97])
    assert len(split.train) > 90


def test_too_few_groups_are_refused_with_their_number():
    with pytest.raises(DataError) as error:
        divide_by_groups(coded(["a", "b", "a"]), 1, 1, 0, "speaker", PLACE)
    (problem,) = error.value.problems
    message = 'the column "speaker" has 2 distinct groups; training, validation and test need 3'
    assert (problem.place, problem.message) == (PLACE, message)


@given(tables())
def test_training_comes_before_validation_and_validation_before_the_test(table):
    values, validation, test = table
    if not enough(values, validation, test):
        with pytest.raises(DataError, match='the column "when" has'):
            divide_in_order(values, validation, test, "when", PLACE)
        return
    split = divide_in_order(values, validation, test, "when", PLACE)
    assert_divided(split, values, validation, test)
    some = [values[rows] for rows in parts(split) if len(rows)]
    for earlier, later in pairwise(some):
        assert earlier.max() < later.min()


@given(tables())
def test_distinct_values_in_order_give_the_sizes_asked_for(table):
    values, validation, test = table
    order = np.random.default_rng(0).permutation(len(values)).astype(np.float32)
    split = divide_in_order(order, validation, test, "when", PLACE)
    assert [len(rows) for rows in parts(split)] == [len(values) - validation - test, validation, test]


def test_a_boundary_lies_at_the_nearest_change_of_value():
    values = np.array([1, 1, 1, 2, 2, 2, 2, 3, 3, 4], dtype=np.float32)
    assert divide_in_order(values, 0, 2, "when", PLACE).test.tolist() == [9]
    assert divide_in_order(values, 0, 5, "when", PLACE).test.tolist() == [7, 8, 9]
    assert divide_in_order(values, 0, 6, "when", PLACE).test.tolist() == [3, 4, 5, 6, 7, 8, 9]


def test_text_is_ordered_as_text():
    split = divide_in_order(coded(["2024-03", "2024-01", "2024-02"]), 1, 1, "month", PLACE)
    assert [rows.tolist() for rows in parts(split)] == [[1], [2], [0]]


def test_one_distinct_value_cannot_be_divided():
    with pytest.raises(DataError, match='the column "when" has 1 distinct value; training and test need 2'):
        divide_in_order(np.zeros(5), 0, 2, "when", PLACE)


def test_a_column_names_the_parts_in_any_case():
    values = np.array(["Train", "VALID", "test ", "training", "val", "validation"], dtype=object)
    split = divide_by_names(values, "part", PLACE)
    assert [rows.tolist() for rows in parts(split)] == [[0, 3], [1, 4, 5], [2]]


def test_values_that_name_no_part_are_listed_with_their_counts():
    with pytest.raises(DataError) as error:
        divide_by_names(coded(["train", "pilot", "pilot", "holdout"]), "part", PLACE)
    (problem,) = error.value.problems
    message = 'the column "part" has values that are no split: "holdout" (1 row), "pilot" (2 rows)'
    assert problem.message == message
    names = "train, training, val, valid, validation, dev, test, testing, eval, evaluation"
    assert problem.hint == f"the splits are {names}"


def test_a_column_that_names_no_training_rows_is_refused():
    with pytest.raises(DataError, match='none says "train" in the column "part"'):
        divide_by_names(coded(["test", "val"]), "part", PLACE)


COLUMNS = SplitColumns(
    {
        "day": np.arange(10)[::-1].copy(),
        "who": coded(list("aabbccddee")),
        "part": coded(["train"] * 8 + ["val", "test"]),
    },
    ["day"],
)
SIZES = PartSizes(6, 2, 2, taken_validation=True, taken_test=True)


def divided(options: schema.SplitOptions, sizes: PartSizes = SIZES) -> list[list[int]]:
    return [rows.tolist() for rows in parts(divide_rows(options, 10, sizes, COLUMNS, 3))]


def test_the_config_says_by_which_rule_rows_are_divided():
    assert divided(schema.SplitOptions(order="day")) == [[4, 5, 6, 7, 8, 9], [2, 3], [0, 1]]
    assert divided(schema.SplitOptions(order="time")) == divided(schema.SplitOptions(order="day"))
    assert divided(schema.SplitOptions(column="part")) == [list(range(8)), [8], [9]]
    assert [len(rows) for rows in divided(schema.SplitOptions(group="who"))] == [6, 2, 2]
    assert divided(schema.SplitOptions()) == [rows.tolist() for rows in parts(divide(10, 2, 2, 3))]
    assert divided(schema.SplitOptions(seed=5)) == [rows.tolist() for rows in parts(divide(10, 2, 2, 5))]


def test_time_without_dates_is_the_order_of_the_rows():
    split = divide_rows(schema.SplitOptions(order="time"), 10, SIZES, SplitColumns(), 0)
    assert [rows.tolist() for rows in parts(split)] == [[0, 1, 2, 3, 4, 5], [6, 7], [8, 9]]


def test_parts_from_elsewhere_take_no_rows():
    sizes = PartSizes(8, 2, 50, taken_validation=True, taken_test=False)
    assert divided(schema.SplitOptions(order="day"), sizes) == [[2, 3, 4, 5, 6, 7, 8, 9], [0, 1], []]


def test_no_column_of_parts_names_none():
    assert named_parts(schema.SplitOptions(group="who"), COLUMNS) is None
