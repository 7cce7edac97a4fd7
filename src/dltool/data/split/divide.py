"""Applies the split of a config to the rows of a source: :func:`divide_rows`."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from dltool.config.schema import Data, SplitOptions
from dltool.config.tasks import TargetFacts
from dltool.data.examples import Examples, SourceExamples
from dltool.data.files.class_folders import PartName
from dltool.data.split.at_random import Folds, Split, divide, divide_by_groups, divide_by_names, divide_in_order
from dltool.data.split.by_column import SplitColumns, Values, column_named, is_missing, order_named
from dltool.data.split.folds import FoldRows, check_fold_classes, folds_of, rows_of_fold
from dltool.data.split.sizes import SPLIT, PartSizes, named_sizes, part_sizes
from dltool.data.split.window_folds import folds_of_windows, windows_of_fold
from dltool.errors import ConfigPath, DataError, Problem
from dltool.text import counted, listed

Strata = tuple[TargetFacts, np.ndarray]
"""A target with classes, and the class (rows,) of each example, for stratification."""
Use = Callable[[Split], Split]
"""Leaves out the training rows of a split that are not used."""


def named_parts(options: SplitOptions, columns: SplitColumns) -> Split | None:
    """Return the splits that `options.column` names; None if it is not set, or names folds. Raises DataError: no such
    column, missing or other values, or no training rows."""
    if options.column is None or options.folds is not None:
        return None
    place = (*SPLIT, "column")
    return divide_by_names(column_named(columns.values, options.column, place), options.column, place)


def divide_rows(
    options: SplitOptions,
    rows: int,
    sizes: PartSizes,
    columns: SplitColumns,
    seed: int,
    classes: np.ndarray | None = None,
) -> Split:
    """Divide the source's training rows, 0…rows-1, as the config says. Splits of other sources are empty.

    The config's `split.seed` overrides `seed`. `classes` (rows,) of class indices stratifies; with an order or a column
    of split names it has no effect. Raises DataError: a column is missing or incomplete, or has too few values for the
    splits."""
    validation = sizes.validation if sizes.taken_validation else 0
    test = sizes.test if sizes.taken_test else 0
    seed = seed if options.seed is None else options.seed
    named = named_parts(options, columns)
    if named is not None:
        return named
    if options.order is not None:
        name, values = values_in_order(options.order, rows, columns)
        return divide_in_order(values, validation, test, name, (*SPLIT, "order"))
    if options.group is not None:
        place = (*SPLIT, "group")
        groups = column_named(columns.values, options.group, place)
        return divide_by_groups(groups, validation, test, seed, options.group, place, classes)
    return divide(rows, validation, test, seed, classes)


def values_in_order(order: str, rows: int, columns: SplitColumns) -> tuple[str, Values]:
    """Return the name and the values of the column that orders the rows, or of their own order."""
    own_order = ("the rows' own order", np.arange(rows))
    return order_named(columns.values, columns.dates, order, (*SPLIT, "order")) or own_order


def sizes_of(data: Data, source: SourceExamples) -> PartSizes:
    rows, *given = (len(source.parts.get(name, ())) for name in ("training", "validation", "test"))
    if source.divided is not None:
        validation, test = given
        return PartSizes(rows, validation, test, taken_validation=not validation, taken_test=not test)
    named = named_parts(data.split, source.split_columns)
    if named is not None:
        return named_sizes(data, (len(named.train), len(named.validation), len(named.test)), *given)
    return part_sizes(data.split, rows, *given)


def ranges_of(parts: Mapping[PartName, Examples]) -> dict[str, tuple[int, int]]:
    """Return the first row and the end of each split, for splits that follow each other."""
    stops = np.cumsum([len(part) for part in parts.values()]).tolist()
    return dict(zip(parts, zip([0, *stops], stops, strict=False), strict=True))


def strata_of(described: Mapping[str, TargetFacts], targets: Mapping[str, np.ndarray]) -> Strata | None:
    """Return the classes of the first target with one class for each example."""
    found = ((each, targets[name]) for name, each in described.items() if each.is_one_class)
    return next(found, None)


def divide_parts(
    rule: SplitOptions,
    source: SourceExamples,
    sizes: PartSizes,
    ranges: Mapping[str, tuple[int, int]],
    strata: Strata | None,
    seed: int,
    use: Use,
) -> Split:
    """Divide the rows of the training split, by their classes if allowed; other splits keep theirs, and all that the
    source itself divides. `use` is for the sizes of folds."""
    own = {name: np.arange(*ends) for name, ends in ranges.items()}
    if source.divided is not None:
        split = divide_windows(rule, source.divided, source.spans, use)
        return replace(split, validation=own.get("validation", split.validation), test=own.get("test", split.test))
    _, rows = ranges["training"]
    classes = None
    if strata is not None and rule.may_be_stratified and rule.stratify is not False:
        classes = strata[1][:rows]
        if rule.group is None and (sizes.taken_validation or sizes.taken_test):
            check_class_sizes(classes, strata[0], source.training.place)
    split = divide_rows(rule, rows, sizes, source.split_columns, seed, classes)
    if rule.folds is not None:
        whole = FoldRows(np.arange(rows), source.split_columns, classes)
        given = whole.take(np.setdiff1d(np.arange(rows), split.test))
        if given.classes is not None and strata is not None and rule.group is None and rule.column is None:
            check_fold_classes(given.classes, strata[0], rule.folds, source.training.place)
        seed = seed if rule.seed is None else rule.seed
        folds = folds_of(rule, given, rows, seed)
        if rule.fold is not None:
            return divide_fold(rule, given, folds, own, seed)
        split = with_folds(rule, split, folds, lambda each: use(divide_fold(each, given, folds, own, seed)))
    return replace(split, validation=own.get("validation", split.validation), test=own.get("test", split.test))


def with_folds(rule: SplitOptions, split: Split, folds: Folds, divided: Callable[[SplitOptions], Split]) -> Split:
    """Return the split with the folds and their sizes. All of them are `divided`, so that an error in any fold appears
    before the first is trained."""
    every = [
        divided(rule.model_copy(update={"fold": fold, "repeat": repeat}))
        for repeat in range(1, len(folds.numbers) + 1)
        for fold in range(1, (rule.folds or 0) + 1)
    ]
    sizes = tuple((len(each.train), len(each.validation), len(each.test)) for each in every)
    return replace(split, folds=replace(folds, sizes=sizes))


def divide_windows(rule: SplitOptions, split: Split, spans: np.ndarray | None, use: Use) -> Split:
    """Return the split of windows, or that of the fold which the rule names. For `spans` see
    :class:`dltool.data.examples.SourceExamples`."""
    if spans is None:
        return split
    folds = folds_of_windows(rule, spans)
    if rule.fold is not None:
        return windows_of_fold(rule, spans, folds, split)
    return with_folds(rule, split, folds, lambda each: use(windows_of_fold(each, spans, folds, split)))


def divide_fold(rule: SplitOptions, given: FoldRows, folds: Folds, own: Mapping[str, np.ndarray], seed: int) -> Split:
    """Return the split of one fold: its test rows, and the others by the fraction `validation`."""
    outside, tested = rows_of_fold(rule, given, folds)
    rest = given.take(outside)
    plain = rule.model_copy(update={"column": None, "test": None, "folds": None, "seed": None})
    sizes = part_sizes(plain, len(rest.rows), 0, 0)
    split = divide_rows(plain, len(rest.rows), sizes, rest.columns, seed, rest.classes)
    validation = own.get("validation", rest.rows[split.validation])
    return Split(rest.rows[split.train], validation, given.rows[tested], folds=folds)


def order_warnings(rule: SplitOptions, source: SourceExamples, sizes: PartSizes) -> tuple[str, ...]:
    """Return a warning if a date orders the rows in the file, and they are divided at random; or if some lack it."""
    columns = source.split_columns
    if source.divided is not None:
        return ()
    if rule.order is not None:
        name, values = order_named(columns.values, columns.dates, rule.order, (*SPLIT, "order")) or ("", np.arange(0))
        lost = int(is_missing(values).sum())
        return (f'{counted(lost, "row")} without a "{name}" for training only',) * bool(lost)
    if rule.rules or not (sizes.taken_validation or sizes.taken_test):
        return ()
    steps = {name: np.diff(values) for name, values in columns.values.items() if name in columns.dates}
    ordered = [name for name, each in steps.items() if each.any() and ((each >= 0).all() or (each <= 0).all())]
    message = 'the rows are in the order of "{0}", and the split is at random: split: {{order: {0}}} tests later rows'
    return tuple(message.format(name) for name in ordered[:1])


def check_class_sizes(classes: np.ndarray, target: TargetFacts, place: ConfigPath) -> None:
    """Raise DataError for a class with a single example, which cannot be in two splits."""
    alone = [target.class_names[index] for index in np.flatnonzero(np.bincount(classes) == 1)]
    if not alone:
        return
    names = listed([f'"{name}"' for name in alone], 5)
    which = f"the class {names} has" if len(alone) == 1 else f"{len(alone)} classes ({names}) have"
    hint = "write split: {stratify: false}, or target: number if the labels are no classes"
    raise DataError(Problem(place, f"{which} one example only and cannot be stratified", hint))
