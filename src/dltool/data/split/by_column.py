"""The columns by which rows are grouped, ordered or divided: looked up, complete, and numbered."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from dltool.data.arrays.rows import Coded
from dltool.errors import ConfigPath, DataError, Problem
from dltool.text import counted, did_you_mean, near

Values = np.ndarray | Coded
"""One value a row: (rows,) of numbers (NaN is missing), of int64 seconds (the smallest int64 is missing), or of text
("" is missing)."""


@dataclass(frozen=True)
class SplitColumns:
    """The columns (rows,) that a split may name, by name, and the names of dates among them."""

    values: Mapping[str, Values] = field(default_factory=dict)
    dates: Collection[str] = ()


def column_named(columns: Mapping[str, Values], name: str, place: ConfigPath) -> Values:
    """Return the values of a column. Raises DataError: no such column, or rows without a value."""
    if name not in columns:
        known = f"the columns are {', '.join(columns)}" if columns else "this source has no columns"
        raise DataError(Problem(place, f'there is no column "{name}"', did_you_mean(near(name, columns)) or known))
    values = columns[name]
    rows = np.flatnonzero(is_missing(values))
    if len(rows):
        message = f'{counted(len(rows), "row has", "rows have")} no value in the column "{name}"'
        raise DataError(Problem(place, message, f"the first is row {rows[0]}, counted from 0"))
    return values


def order_named(
    columns: Mapping[str, Values], dates: Collection[str], name: str, place: ConfigPath
) -> tuple[str, Values] | None:
    """Return the column that `name` means as an order, with its name; None is the rows' own order.

    If no column is called `time`, it means the only one of `dates`, the columns of dates. Missing dates come first.
    Raises DataError: no such column, other rows without a value, or several columns that `time` may mean."""
    if name == "time" and name not in columns:
        if not dates:
            return None
        if len(dates) > 1:
            shown = ", ".join(f'"{date}"' for date in dates)
            message = f'"time" may be any of the {len(dates)} columns of dates: {shown}'
            raise DataError(Problem(place, message, "name one of them"))
        (name,) = dates
    values = columns.get(name)
    is_date = isinstance(values, np.ndarray) and values.dtype == np.int64
    return name, values if values is not None and is_date else column_named(columns, name, place)


def is_missing(values: Values) -> np.ndarray:
    """Return (rows,) of bool, true for missing values."""
    if isinstance(values, Coded):
        return np.asarray(is_missing(values.values)[values.codes[:]])
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype == np.int64:
        return np.asarray(values == np.iinfo(np.int64).min)
    return np.asarray(values == "") if values.dtype.kind in "OU" else np.zeros(len(values), bool)


def distinct(values: Values) -> np.ndarray:
    """Return the distinct values in ascending order."""
    if isinstance(values, Coded):
        return np.unique(values.values[np.bincount(np.ravel(values.codes[:]), minlength=len(values.values)) > 0])
    return np.unique(values)


def positions(codes: np.ndarray) -> np.ndarray:
    """Return (rows,) of int64: the number of rows before each that have the same code, an integer from 0 on."""
    counts = np.bincount(codes)
    found = np.empty(len(codes), dtype=np.int64)
    found[np.argsort(codes, kind="stable")] = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    return found


def numbered(values: Values) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each row's value, (rows,) of int64, and the distinct values in ascending order."""
    if isinstance(values, Coded):
        distinct, numbers = np.unique(values.values.astype(object), return_inverse=True)
        used = np.bincount(numbers[values.codes[:]], minlength=len(distinct)) > 0
        renumbered = np.cumsum(used) - 1
        return renumbered[numbers[values.codes[:]]], distinct[used]
    distinct, numbers = np.unique(values, return_inverse=True)
    return numbers.astype(np.int64), distinct
