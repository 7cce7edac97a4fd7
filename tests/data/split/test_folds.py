from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.model_selection import TimeSeriesSplit

from dltool.config.schema import SplitOptions
from dltool.data.arrays.rows import coded
from dltool.data.split.by_column import SplitColumns
from dltool.data.split.folds import FoldRows, folds_of, rows_of_fold
from dltool.errors import DataError

SEEDS = st.integers(0, 2**32 - 1)


def given_rows(count: int, classes: np.ndarray | None = None, **columns: Any) -> FoldRows:
    return FoldRows(np.arange(count), SplitColumns(columns), classes)


def numbers(given: FoldRows, seed: int = 0, **options: Any) -> np.ndarray:
    """(repeats, rows) of folds."""
    return folds_of(SplitOptions.model_validate(options), given, len(given.rows), seed).numbers


@given(st.lists(st.integers(0, 3), min_size=7, max_size=80), st.integers(2, 7), SEEDS)
def test_each_row_is_in_one_fold_and_each_fold_has_its_share_of_rows_and_classes_to_one_row(labels, folds, seed):
    classes = np.array(labels)
    (found,) = numbers(given_rows(len(labels), classes), seed, folds=folds)
    assert set(found) <= set(range(1, folds + 1))
    for each in (np.zeros_like(classes), classes):
        for label in np.unique(each):
            counts = np.bincount(found[each == label], minlength=folds + 1)[1:]
            assert counts.max() - counts.min() <= 1


@given(st.lists(st.integers(0, 12), min_size=20, max_size=80), st.integers(2, 5), SEEDS, st.booleans())
def test_groups_stay_whole_and_no_fold_is_empty(groups, folds, seed, is_stratified):
    values = np.array(groups)
    if len(np.unique(values)) < folds:
        return
    classes = values % 3 if is_stratified else None
    (found,) = numbers(given_rows(len(values), classes, patient=values), seed, folds=folds, group="patient")
    assert set(found) == set(range(1, folds + 1))
    assert all(len(set(found[values == each])) == 1 for each in values)


def test_groups_of_many_sizes_are_balanced():
    values = np.repeat(np.arange(40), np.random.default_rng(0).integers(1, 30, 40))
    (found,) = numbers(given_rows(len(values), None, patient=values), folds=5, group="patient")
    sizes = np.bincount(found)[1:]
    assert sizes.max() - sizes.min() <= 0.05 * sizes.mean()


@pytest.mark.parametrize("is_stratified", [False, True])
def test_repeats_and_seeds_divide_groups_of_any_sizes_differently(is_stratified):
    values = np.repeat(np.arange(30), np.arange(4, 34))
    given = given_rows(len(values), values % 2 if is_stratified else None, patient=values)
    found = [*numbers(given, folds=3, repeats=5, group="patient"), *numbers(given, 1, folds=3, group="patient")]
    folds = {frozenset(frozenset(values[each == fold]) for fold in (1, 2, 3)) for each in found}
    assert len(folds) == len(found)


@given(st.integers(8, 60), st.integers(2, 5), st.integers(0, 2), st.one_of(st.none(), st.integers(1, 9)), SEEDS)
def test_folds_in_order_are_those_of_scikit_learn(rows, folds, gap, window, seed):
    assume(rows - folds * (rows // (folds + 1)) > gap)
    time = np.random.default_rng(seed).permutation(rows)
    options = {"folds": folds, "order": "day", "gap": gap, "window": window}
    given = given_rows(rows, None, day=time.astype(float))
    whole = folds_of(SplitOptions.model_validate(options), given, rows, 0)
    expected = TimeSeriesSplit(folds, max_train_size=window, gap=gap).split(np.arange(rows))
    for fold, (train, test) in enumerate(expected, 1):
        trains, tests = rows_of_fold(SplitOptions.model_validate({**options, "fold": fold}), given, whole)
        assert sorted(time[trains]) == list(train)
        assert sorted(time[tests]) == list(test)


def test_rows_of_one_time_are_never_in_two_folds():
    day = np.repeat(np.arange(12.0), 5)
    options = {"folds": 3, "order": "day", "gap": 1, "fold": 2}
    given = given_rows(len(day), None, day=day)
    split = SplitOptions.model_validate(options)
    trains, tests = rows_of_fold(split, given, folds_of(split, given, len(day), 0))
    assert set(day[trains]) == {0, 1, 2, 3, 4}
    assert set(day[tests]) == {6, 7, 8}


@given(st.integers(0, 2**32 - 1))
def test_folds_follow_from_seed_and_repeat_alone(seed):
    given = given_rows(40, np.arange(40) % 2)
    first = numbers(given, seed, folds=4, repeats=3)
    assert np.array_equal(first, numbers(given, seed, folds=4, repeats=3))
    assert np.array_equal(first[:1], numbers(given, seed, folds=4))
    assert not np.array_equal(first[0], first[1])


def test_a_column_names_the_folds():
    named = np.array([2, 1, 3, 3, 1, 2])
    for values in (named, named.astype(float), coded(np.array([f" {each}" for each in named], dtype=object))):
        (found,) = numbers(given_rows(6, None, fold=values), folds=3, column="fold")
        assert found.tolist() == named.tolist()


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({}, {"folds": 9}, "there are 8 examples; 9 folds need 9"),
        ({"a": np.arange(8) // 4}, {"folds": 3, "group": "a"}, 'the column "a" has 2 distinct groups; 3 folds need 3'),
        (
            {"a": np.repeat(np.arange(3), [1, 3, 4])},
            {"folds": 3, "repeats": 2, "group": "a"},
            "two of the 2 repeats have the same folds",
        ),
        (
            {"a": np.arange(8) // 4},
            {"folds": 2, "order": "a"},
            'the column "a" has 2 distinct values; 2 folds need 3',
        ),
        (
            {"a": np.arange(8)},
            {"folds": 3, "order": "a", "gap": 2},
            "no row is left for training: 2 values lie before the test of the first fold",
        ),
        (
            {"a": np.arange(8) // 2},
            {"folds": 4, "column": "a"},
            'the column "a" has values that are no fold: "0" (2 rows)',
        ),
        (
            {"a": np.arange(8) // 4 + 1},
            {"folds": 3, "column": "a"},
            'the column "a" has no row of the fold 3',
        ),
    ],
)
def test_too_few_rows_groups_and_values_are_refused(columns, options, message):
    with pytest.raises(DataError) as error:
        numbers(given_rows(8, None, **columns), **options)
    assert str(error.value) == message
