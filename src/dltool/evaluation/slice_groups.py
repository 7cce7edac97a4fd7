"""Groups of examples by the values of a column, which reports compare."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from dltool.config.schema import Data
from dltool.data.arrays.rows import Coded, Rows, coded
from dltool.data.examples import Examples
from dltool.data.split.by_column import is_missing
from dltool.text import data_number

MOST_VALUES, MOST_NAMED = 20, 100
"""Values up to which a column of text has a group for each; and if the config names the column."""
MOST_COLUMNS = 100
FEW_NUMBERS = 5
"""Distinct numbers up to which each is a group."""

Group = tuple[str, np.ndarray]
"""The name of a group, and whether examples belong to it, (examples,) of bool."""


def groups_of(data: Data, examples: Examples) -> Iterator[Group]:
    """Yield the groups of the config's slices; without these, of every column that has few values or holds numbers."""
    columns = {**examples.inputs, **examples.columns}
    for name in list(columns)[:MOST_COLUMNS] if data.slices is None else data.slice_bounds:
        if name in columns and len(columns[name].shape) == 1:
            kind = (data.inputs or {}).get(name)
            is_boolean = kind is not None and kind.name == "boolean"
            most = MOST_VALUES if data.slices is None else MOST_NAMED
            for value, inside in divided(columns[name], data.slice_bounds.get(name, ()), most, is_boolean):
                yield f"{name}: {value}", inside


def divided(column: Rows, bounds: Sequence[float], most: int, is_boolean: bool) -> Iterator[Group]:
    """Yield the groups of a column, (rows,): its `most` frequent values, the ranges between the `bounds`, or else each
    of a few numbers, or the quartiles; and missing values."""
    values = column if isinstance(column, Coded) else np.asarray(column[:])
    values = coded(values) if not isinstance(values, Coded) and values.dtype.kind in "OUS" else values
    missing = is_missing(values)
    if isinstance(values, Coded):
        codes = np.asarray(values.codes[:])
        counts = np.bincount(codes[~missing], minlength=len(values.values))
        frequent = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
        if most == MOST_NAMED or len(frequent) <= most:
            yield from ((str(values.values[code]), codes == code) for code in frequent[:most])
    elif not missing.all():
        yield from of_numbers(values, ~missing, bounds, is_boolean)
    if missing.any():
        yield "(missing)", missing


def of_numbers(values: np.ndarray, present: np.ndarray, bounds: Sequence[float], is_boolean: bool) -> Iterator[Group]:
    distinct = np.unique(values[present])

    def written(number: float) -> str:
        if values.dtype == np.int64:
            return str(np.datetime64(int(number), "s")).partition("T")[0]
        return str(bool(number)).lower() if is_boolean else data_number(float(number))

    if not bounds and len(distinct) <= FEW_NUMBERS:
        yield from ((written(number), values == number) for number in distinct)
        return
    quartiles = np.unique(np.quantile(values[present], [0.25, 0.5, 0.75]))
    # If most rows have the lowest value, it is a group.
    edges = np.array(bounds) if bounds else quartiles[quartiles > distinct[0]]
    edges = edges if len(edges) else distinct[1:2]
    names = [written(edge) for edge in edges]
    between = [f"{low} to below {high}" for low, high in pairwise(names)]
    numbers = np.searchsorted(edges, values, side="right")
    for number, name in enumerate([f"below {names[0]}", *between, f"{names[-1]} and above"]):
        yield name, present & (numbers == number)
