"""Divides rows into folds, and the rows outside a fold into training and validation."""

import math
from dataclasses import dataclass

import numpy as np

from dltool.config.schema import SplitOptions
from dltool.config.tasks import TargetFacts
from dltool.data.arrays.rows import Coded
from dltool.data.split.at_random import Folds, group_features
from dltool.data.split.by_column import SplitColumns, Values, column_named, numbered, order_named
from dltool.data.split.sizes import SPLIT
from dltool.errors import ConfigPath, DataError, Problem
from dltool.text import and_more, counted, listed

PLACE = (*SPLIT, "folds")


@dataclass(frozen=True)
class FoldRows:
    """The rows to divide, ascending (rows,) of int64, with their columns and, to stratify them, their classes."""

    rows: np.ndarray
    columns: SplitColumns
    classes: np.ndarray | None

    def take(self, rows: np.ndarray) -> "FoldRows":
        """Return some of the rows, by their positions."""
        values = {name: taken(each, rows) for name, each in self.columns.values.items()}
        classes = None if self.classes is None else self.classes[rows]
        return FoldRows(self.rows[rows], SplitColumns(values, self.columns.dates), classes)

    def order(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the number of each row's value in the column of `order`, and the distinct values."""
        found = order_named(self.columns.values, self.columns.dates, name, (*SPLIT, "order"))
        return numbered(np.arange(len(self.rows)) if found is None else found[1])


def taken(values: Values, rows: np.ndarray) -> Values:
    return values.take(rows) if isinstance(values, Coded) else values[rows]


def folds_of(options: SplitOptions, given: FoldRows, rows: int, seed: int) -> Folds:
    """Divide the rows into folds, once for each repeat; `rows` is the number of all rows. A pure function.

    Raises DataError: too few rows, classes, groups or values for the folds, or a column does not name them."""
    assert options.folds is not None
    numbers = np.zeros((options.repeats or 1, rows), dtype=np.int16)
    for repeat, found in enumerate(numbers, 1):
        found[given.rows] = fold_numbers(options, given, seed, repeat)
    if len({partition(found) for found in numbers}) < len(numbers):
        message = f"two of the {len(numbers)} repeats have the same folds"
        raise DataError(Problem((*SPLIT, "repeats"), message, "use fewer repeats, or another data.split.seed"))
    clusters = None
    if options.group is not None:
        clusters = numbered(column_named(given.columns.values, options.group, (*SPLIT, "group")))[0]
    elif options.order is not None:
        values, distinct = given.order(options.order)
        clusters = values // block_length(len(distinct))
    if clusters is None:
        return Folds(numbers, None)
    whole = np.full(rows, -1, dtype=np.int64)
    whole[given.rows] = clusters
    return Folds(numbers, whole)


def partition(numbers: np.ndarray) -> bytes:
    """Return what is equal for the same folds in another order. `numbers` are (rows,)."""
    _, first, folds = np.unique(numbers, return_index=True, return_inverse=True)
    return first[folds].tobytes()


def fold_numbers(options: SplitOptions, given: FoldRows, seed: int, repeat: int) -> np.ndarray:
    """Return (rows,): the fold, from 1 on, in which each row is tested; 0 if it is tested in none."""
    count = options.folds or 0
    if options.column is not None:
        values = column_named(given.columns.values, options.column, (*SPLIT, "column"))
        return named_folds(values, count, options.column, (*SPLIT, "column"))
    if options.order is not None:
        return folds_in_order(given.order(options.order)[0], count, options)
    if len(given.rows) < count:
        raise too_few(f"there {'is' if len(given.rows) == 1 else 'are'} {counted(len(given.rows), 'example')}", count)
    generator = fold_generator(seed, repeat)
    if options.group is not None:
        values = column_named(given.columns.values, options.group, (*SPLIT, "group"))
        return folds_of_groups(values, options.group, given.classes, count, generator)
    order = generator.permutation(len(given.rows))
    if given.classes is not None:
        order = order[np.argsort(given.classes[order], kind="stable")]
    # Dealt in turn, so that each fold has its exact share of the rows and of every class.
    dealt = np.empty(len(order), dtype=np.int64)
    dealt[order] = np.arange(len(order)) % count + 1
    return dealt


def fold_generator(seed: int, repeat: int) -> np.random.Generator:
    # Beside the stream of the split: no epoch's order uses these.
    return np.random.Generator(np.random.Philox(key=np.array([seed, 2**64 - 1 - repeat], dtype=np.uint64)))


def folds_of_groups(
    values: Values, name: str, classes: np.ndarray | None, count: int, generator: np.random.Generator
) -> np.ndarray:
    """Divide whole groups: the larger ones first, each into the fold that lacks most of its rows and classes. Those
    whose sizes are within a factor of about √2 are in random order, so that repeats have other folds."""
    numbers, distinct = numbered(values)
    if len(distinct) < count:
        raise too_few(f'the column "{name}" has {counted(len(distinct), "distinct group")}', count)
    features = group_features(numbers, len(distinct), classes)
    order = generator.permutation(len(distinct))
    order = order[np.argsort(-np.floor(2 * np.log2(features[order, 0])), kind="stable")]
    lacking = np.tile(features.sum(axis=0) / count, (count, 1))
    found = np.empty(len(distinct), dtype=np.int64)
    for group in order:
        # The sum of the squared deficits becomes smallest. An empty fold lacks most.
        found[group] = np.argmax(lacking @ features[group])
        lacking[found[group]] -= features[group]
    return np.asarray(found[numbers] + 1)


def folds_in_order(numbers: np.ndarray, count: int, options: SplitOptions) -> np.ndarray:
    """Return the folds of rows by the number of their value: blocks of values, and before them those that only train
    (0), as scikit-learn's TimeSeriesSplit has them."""
    distinct = int(numbers.max(initial=-1)) + 1
    size = distinct // (count + 1)
    if not size:
        name = "the rows' own order" if options.order == "time" else f'the column "{options.order}"'
        raise too_few(f"{name} has {counted(distinct, 'distinct value')}", count, count + 1)
    first = distinct - count * size
    if first <= (options.gap or 0):
        message = f"no row is left for training: {first} values lie before the test of the first fold"
        raise DataError(Problem((*SPLIT, "gap"), message, "use a smaller gap, or fewer folds"))
    return np.asarray(np.maximum((numbers - first) // size + 1, 0))


def named_folds(values: Values, count: int, name: str, place: ConfigPath) -> np.ndarray:
    """Return the folds that a column names: 1 to `count`."""
    numbers, distinct = numbered(values)
    known = {str(number): number for number in range(1, count + 1)}
    names = [str(value).strip().removesuffix(".0") for value in distinct]
    counts = np.bincount(numbers, minlength=len(distinct))
    others = [
        f'"{each}" ({counted(rows, "row")})' for each, rows in zip(names, counts, strict=True) if each not in known
    ]
    if others:
        message = f'the column "{name}" has values that are no fold: {and_more(others, 10)}'
        raise DataError(Problem(place, message, f"the folds are 1 to {count}"))
    if missing := [each for each in known if each not in names]:
        message = f'the column "{name}" has no row of the {"fold" if len(missing) == 1 else "folds"}'
        raise DataError(
            Problem(place, f"{message} {listed(missing, 10)}", f"folds: {len(set(names))}, or another column")
        )
    return np.asarray(np.array([known[each] for each in names], dtype=np.int64)[numbers])


def too_few(found: str, count: int, needed: int | None = None) -> DataError:
    return DataError(Problem(PLACE, f"{found}; {count} folds need {needed or count}", "use fewer folds"))


def check_fold_classes(classes: np.ndarray, target: TargetFacts, count: int, place: ConfigPath) -> None:
    """Raise DataError for a class with fewer examples than folds, which would be missing in the test of some."""
    counts = np.bincount(classes, minlength=len(target.class_names))
    few = [(target.class_names[index], int(counts[index])) for index in np.flatnonzero((counts > 0) & (counts < count))]
    if few:
        shown = listed([f'"{name}" ({rows})' for name, rows in few], 5)
        message = f"{counted(len(few), 'class', 'classes')} with fewer examples than the {count} folds: {shown}"
        raise DataError(Problem(place, message, "use fewer folds, or split: {stratify: false}"))


def rows_of_fold(options: SplitOptions, given: FoldRows, folds: Folds) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the rows that fold `options.fold` trains on, and of those that it tests."""
    numbers = folds.numbers[(options.repeat or 1) - 1][given.rows]
    tested = np.flatnonzero(numbers == options.fold)
    if options.order is None:
        return np.flatnonzero(numbers != options.fold), tested
    values, _ = given.order(options.order)
    end = values[tested].min() - (options.gap or 0)
    begin = 0 if options.window is None else end - options.window
    return np.flatnonzero((values >= begin) & (values < end)), tested


def block_length(values: int) -> int:
    """Return the length of blocks of neighbours that is best for a mean of so many values in order.

    Source: H. R. Künsch, The Jackknife and the Bootstrap for General Stationary Observations, Annals of Statistics 17,
    1989."""
    return max(1, round(math.cbrt(values)))
