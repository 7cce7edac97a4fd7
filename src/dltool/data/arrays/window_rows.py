"""Windows over a time series: the rows and the split of each example."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dltool.config.schema import Windows
from dltool.data.arrays.rows import Coded, Rows
from dltool.data.split.at_random import PART_NAMES
from dltool.data.split.by_column import Values, numbered
from dltool.errors import ConfigPath, DataError, Problem
from dltool.text import counted

PLACE: ConfigPath = ("data", "windows")
REGULAR = 0.9
"""If more than this share of the steps between rows are equal, another step is a gap."""
UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


@dataclass(frozen=True)
class WindowTable:
    """`rows` (table rows,) of int64: the table's rows, one series after another, each in time order.

    Window i has the rows `rows[starts[i]]` … `rows[starts[i] + length - 1]`, the target `horizon` rows later, and
    belongs to the split `parts[i]` (TRAINING, VALIDATION or TEST). `starts` (windows,) are ascending. `warnings` are
    sentences for the user."""

    rows: np.ndarray
    starts: np.ndarray
    parts: np.ndarray
    length: int
    horizon: int
    warnings: tuple[str, ...] = ()

    @property
    def target_rows(self) -> np.ndarray:
        """Return (windows,): the table's row that holds the target of each window."""
        return np.asarray(self.rows[self.starts + self.length - 1 + self.horizon])

    def windows_of(self, base: Rows) -> Rows:
        """Return windows over one column of the table: (windows, length, …), taken on demand. Text stays coded."""
        if isinstance(base, Coded):
            return Coded(self.windows_of(base.codes), base.values)
        return Windowed(base, self.rows, self.starts, self.length)


@dataclass(frozen=True)
class Windowed(Rows):
    """Windows over the rows `base` (table rows, …): (windows, length, …). Only requested windows are copied."""

    base: Rows
    rows: np.ndarray
    starts: np.ndarray
    length: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.starts), self.length, *self.base.shape[1:])

    @property
    def dtype(self) -> Any:
        return self.base.dtype

    def __getitem__(self, rows: Any) -> np.ndarray:
        starts = np.asarray(self.starts[rows])
        positions = starts[..., np.newaxis] + np.arange(self.length)
        values = np.asarray(self.base[self.rows[positions].ravel()])
        return values.reshape(*positions.shape, *self.base.shape[1:])

    def distinct(self, windows: np.ndarray) -> np.ndarray:
        """Return the distinct rows of these windows."""
        begins = np.bincount(self.starts[windows], minlength=len(self.rows) + 1)
        ends = np.bincount(self.starts[windows] + self.length, minlength=len(self.rows) + 1)
        return self.base[self.rows[np.cumsum(begins - ends)[:-1] > 0]]


def make_windows(
    options: Windows,
    parts: np.ndarray,
    has_target: np.ndarray,
    keys: Values | None = None,
    order: tuple[str, Values] | None = None,
) -> WindowTable:
    """Make windows over a table.

    `parts` (rows,) holds the split of each row, TRAINING, VALIDATION, TEST, or -1 for none; `has_target` (rows,)
    whether its target is known. `keys` separate series. `order`, a name and its values, sorts the rows: numbers,
    int64 seconds or text; without it they stay in their order.

    No window has rows, its target's included, of two series or two splits, or across a gap. A gap is an unusual step
    between two rows of a series, if more than 90 % of all steps are the usual one; months and trading days have no
    usual step, and rows are simply counted. In each stretch without a break, windows begin at its first row and then at
    every `stride`-th. Windows without a target are dropped, with a warning. A horizon of 0, which serves prediction and
    is not allowed in configs, always gives a window of the last rows of each stretch. Raises DataError: two rows of a
    series at the same time, or a split without a single window."""
    series = np.zeros(len(parts), dtype=np.int64) if keys is None else numbered(keys)[0]
    moments = np.arange(len(parts)) if order is None else numbered(order[1])[0]
    rows = np.lexsort((moments, series))
    is_new_series = np.diff(series[rows]) != 0
    warnings: list[str] = []
    is_gap = np.zeros(len(is_new_series), dtype=bool)
    if order is not None:
        name, times = order
        check_moments(moments[rows], is_new_series, name, has_key=keys is not None)
        is_gap, step = gaps(times, rows, is_new_series)
        if is_gap.any():
            steps = counted(is_gap.sum(), "step is", "steps are")
            warnings.append(f'{steps} not {step} in "{name}": no window goes across')
    starts = starts_between(is_new_series | is_gap | (np.diff(parts[rows]) != 0), options)
    starts = starts[parts[rows[starts]] >= 0]
    table = WindowTable(rows, starts, parts[rows[starts]], options.length, options.horizon)
    has = has_target[table.target_rows]
    if not has.all():
        lost = int(np.sum(~has))
        warnings.append(f'{lost:,} of {len(has):,} windows are left out: they have no target "{options.target}"')
        table = replace(table, starts=table.starts[has], parts=table.parts[has])
    check_parts_have_windows(parts, table, options)
    return replace(table, warnings=tuple(warnings))


def starts_between(breaks: np.ndarray, options: Windows) -> np.ndarray:
    """Return the positions at which windows begin; no window extends over `breaks` (rows - 1,) between rows."""
    bounds = np.concatenate([[0], np.flatnonzero(breaks) + 1, [len(breaks) + 1]])
    room = np.diff(bounds) - options.length - options.horizon
    counts = np.maximum(room // options.stride + 1, 0)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = np.repeat(bounds[:-1], counts) + within * options.stride
    if options.horizon == 0:
        starts = np.union1d(starts, (bounds[1:] - options.length)[counts > 0])
    return np.asarray(starts)


def check_moments(moments: np.ndarray, is_new_series: np.ndarray, name: str, *, has_key: bool) -> None:
    """Raise DataError for two rows of one series at the same time."""
    same = int(np.sum((np.diff(moments) == 0) & ~is_new_series))
    if same:
        message = f'{counted(same, "row")} have the same "{name}" as the row before in the series'
        hint = "a series has one row at a time" if has_key else "if there are several series, name the column: key"
        raise DataError(Problem((*PLACE, "order"), message, hint))


def gaps(order: Values, rows: np.ndarray, is_new_series: np.ndarray) -> tuple[np.ndarray, str]:
    """Return a mask (rows - 1,) of the unusual steps between rows of a series, and a description of the usual step."""
    none = np.zeros(len(is_new_series), dtype=bool)
    if isinstance(order, Coded) or order.dtype.kind not in "iuf":
        return none, ""
    steps = np.diff(order[rows].astype(np.float64 if order.dtype.kind == "f" else np.int64))
    inside = np.sort(steps[~is_new_series])
    if not len(inside):
        return none, ""
    # The usual one makes up more than half, so it is the median.
    usual = inside[len(inside) // 2]
    differs = (np.abs(steps - usual) > 1e-3 * usual) & ~is_new_series
    if differs.sum() >= (1 - REGULAR) * len(inside):
        return none, ""
    return differs, duration(int(usual)) if order.dtype == np.int64 else f"{usual:g}"


def duration(seconds: int) -> str:
    size, unit = next((size, unit) for size, unit in UNITS if seconds % size == 0)
    return f"{seconds // size:,} {unit}{'s' if seconds != size else ''}"


def check_parts_have_windows(parts: np.ndarray, table: WindowTable, options: Windows) -> None:
    """Raise DataError naming every split that has rows but no window."""
    span = options.length + options.horizon
    DataError.refuse(
        Problem(
            (*PLACE, "length"),
            f"none of the {counted(int(np.sum(parts == part)), 'row')} for {name} begins a window: it takes {span:,} "
            "rows of one series without a gap, and a target",
            "write a smaller length or horizon, or a larger split",
        )
        for part, name in enumerate(PART_NAMES)
        if (parts == part).any() and not (table.parts == part).any()
    )


def last_known(windows: np.ndarray) -> np.ndarray:
    """Return the last finite number of each row, (examples,), NaN if there is none."""
    known = np.isfinite(windows)
    from_end = known[:, ::-1].argmax(axis=1)
    return np.where(known.any(axis=1), windows[np.arange(len(windows)), windows.shape[1] - 1 - from_end], np.nan)
