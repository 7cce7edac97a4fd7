"""Applies the split of a config to the rows of a source: :func:`divide_rows`."""

from collections.abc import Mapping

import numpy as np

from dltool.config.schema import Data, SplitOptions
from dltool.config.tasks import TargetFacts
from dltool.data.examples import Examples, SourceExamples
from dltool.data.files.class_folders import PartName
from dltool.data.split.at_random import Split, divide, divide_by_groups, divide_by_names, divide_in_order
from dltool.data.split.by_column import SplitColumns, column_named, is_missing, order_named
from dltool.data.split.sizes import SPLIT, PartSizes, named_sizes, part_sizes
from dltool.errors import ConfigPath, DataError, Problem
from dltool.text import counted, listed

Strata = tuple[TargetFacts, np.ndarray]
"""A target with classes, and the class (rows,) of each example, for stratification."""


def named_parts(options: SplitOptions, columns: SplitColumns) -> Split | None:
    """Return the splits that `options.column` names; None if it is not set. Raises DataError: no such column, missing
    or other values, or no training rows."""
    if options.column is None:
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
        place = (*SPLIT, "order")
        own_order = ("the rows' own order", np.arange(rows))
        name, values = order_named(columns.values, columns.dates, options.order, place) or own_order
        return divide_in_order(values, validation, test, name, place)
    if options.group is not None:
        place = (*SPLIT, "group")
        groups = column_named(columns.values, options.group, place)
        return divide_by_groups(groups, validation, test, seed, options.group, place, classes)
    return divide(rows, validation, test, seed, classes)


def sizes_of(data: Data, source: SourceExamples) -> PartSizes:
    rows, *given = (len(source.parts.get(name, ())) for name in ("training", "validation", "test"))
    named = named_parts(data.split, source.split_columns)
    if named is not None:
        return named_sizes(data, (len(named.train), len(named.validation), len(named.test)), *given)
    if source.divided is not None:
        return PartSizes(rows, 0, 0, taken_validation=True, taken_test=True)
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
) -> Split:
    """Divide the rows of the training split, by their classes if allowed; other splits keep theirs."""
    _, rows = ranges["training"]
    classes = None
    if strata is not None and rule.may_be_stratified and rule.stratify is not False:
        classes = strata[1][:rows]
        if rule.group is None and (sizes.taken_validation or sizes.taken_test):
            check_class_sizes(classes, strata[0], source.training.place)
    split = divide_rows(rule, rows, sizes, source.split_columns, seed, classes)
    own = {name: np.arange(*ends) for name, ends in ranges.items()}
    return Split(split.train, own.get("validation", split.validation), own.get("test", split.test))


def order_warnings(rule: SplitOptions, source: SourceExamples, sizes: PartSizes) -> tuple[str, ...]:
    """Return a warning if a date orders the rows in the file, and they are divided at random; or if some lack it."""
    columns = source.split_columns
    if rule.order is not None:
        name, values = order_named(columns.values, columns.dates, rule.order, (*SPLIT, "order")) or ("", np.arange(0))
        lost = int(is_missing(values).sum())
        return (f'{counted(lost, "row")} without a "{name}" for training only',) * bool(lost)
    if rule.rules or source.divided is not None or not (sizes.taken_validation or sizes.taken_test):
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
