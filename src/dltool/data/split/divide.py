"""The split of a config, applied to the rows of a source: :func:`divide_rows`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from dltool.config import schema
from dltool.data.split.at_random import Split, divide, divide_by_names, divide_in_order
from dltool.data.split.by_column import Values, column_named, order_named
from dltool.data.split.by_group import divide_by_groups
from dltool.data.split.sizes import SPLIT, PartSizes


@dataclass(frozen=True)
class SplitColumns:
    """The columns (rows,) that a split may name, by name, and which of them are dates."""

    values: Mapping[str, Values] = field(default_factory=dict)
    dates: Collection[str] = ()


def named_parts(options: schema.SplitOptions, columns: SplitColumns) -> Split | None:
    """Return the splits that `options.column` names; None if it is not set.

    Raises DataError: no such column, missing or other values, or no training rows."""
    if options.column is None:
        return None
    place = (*SPLIT, "column")
    return divide_by_names(column_named(columns.values, options.column, place), options.column, place)


def divide_rows(
    options: schema.SplitOptions,
    rows: int,
    sizes: PartSizes,
    columns: SplitColumns,
    seed: int,
    classes: np.ndarray | None = None,
) -> Split:
    """Divide the source's training rows, 0…rows-1, as the config says. Splits that come from elsewhere are empty.

    `seed` counts unless the config has `split.seed`. `classes` (rows,) of class indices stratifies; with an order or a
    column of split names it has no effect.

    Raises DataError: a column is missing or incomplete, or has too few values for the splits."""
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
