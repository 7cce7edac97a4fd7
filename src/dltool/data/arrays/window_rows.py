"""Windows over a time series: the rows and the split of each example."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dltool.config.schema import Windows
from dltool.data.arrays.rows import Coded, Rows, Taken
from dltool.data.arrays.time_steps import Step, steps_of
from dltool.data.split.at_random import PART_NAMES
from dltool.data.split.by_column import Values, is_missing, numbered
from dltool.errors import ConfigPath, DataError, Problem
from dltool.text import counted, listed

PLACE: ConfigPath = ("data", "windows")
LAST, SEASONAL = "last value", "last season"
BLOCK = 10_000
READ = 2**20


@dataclass(frozen=True)
class WindowTable:
    """`rows` (table rows,) of int64: the table's rows, one series after another, each in time order.

    Window i has the rows `rows[starts[i]]` … `rows[starts[i] + length - 1]`, and belongs to the split `parts[i]`
    (TRAINING, VALIDATION or TEST). `starts` (windows,) are ascending. `step` is the usual one between rows, if there is
    one. `warnings` are sentences for the user."""

    rows: np.ndarray
    starts: np.ndarray
    parts: np.ndarray
    options: Windows
    step: Step | None = None
    warnings: tuple[str, ...] = ()

    def rows_after(self, step: int) -> np.ndarray:
        """Return (windows,): the table's row that is so many rows after the last one of each window."""
        return np.asarray(self.rows[self.starts + self.options.length - 1 + step])

    def spans_of(self, numbers: np.ndarray) -> np.ndarray:
        """Return (windows, 2): the least and the greatest of `numbers` (table rows,) in each window, the rows of its
        target included."""
        found = np.repeat(numbers[self.rows[self.starts]][:, np.newaxis], 2, axis=1)
        for step in range(1, span_of(self.options)):
            each = numbers[self.rows[self.starts + step]]
            np.minimum(found[:, 0], each, out=found[:, 0])
            np.maximum(found[:, 1], each, out=found[:, 1])
        return found

    def input_of(self, name: str, base: Rows) -> Rows:
        """Return the input of one column of the table: (windows, length, …), taken on demand; longer for columns known
        in advance; (windows, …) for static ones. Text stays coded."""
        if isinstance(base, Coded):
            return Coded(self.input_of(name, base.codes), base.values)
        if name in self.options.static:
            return base[self.rows_after(0)]
        length = span_of(self.options) if name in self.options.known else self.options.length
        return Windowed(base, self.rows, self.starts, length)


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


def values_once(rows: Rows) -> np.ndarray:
    """Return the values in memory; each row of a time series once, however many windows hold it."""
    if isinstance(rows, Taken) and isinstance(rows.rows, Windowed):
        rows = rows.rows.distinct(rows.indices)
    return np.concatenate([rows[first : first + READ] for first in range(0, max(1, len(rows)), READ)])


def make_windows(
    options: Windows,
    parts: np.ndarray,
    has_target: np.ndarray,
    keys: Values | None = None,
    order: tuple[str, Values] | None = None,
    *,
    is_new: bool = False,
) -> WindowTable:
    """Make windows over a table.

    `parts` (rows,) holds the split of each row, TRAINING, VALIDATION, TEST, or -1 for none; `has_target` (rows,)
    whether its target is known. `keys` separate series. `order`, a name and its values, sorts the rows: numbers,
    int64 seconds or text; without it they stay in their order.

    No window has rows, its target's included, of two series or two splits, or across a gap. Gaps are those of
    :func:`steps_of`; without a usual step, rows are simply counted. In each stretch without a break, windows begin at
    its first row and then at every `stride`-th. Windows without a target are dropped, with a warning. If the data
    `is_new`, no row has to follow a window but those of `known` columns, and there is always one of the last rows of
    each stretch. Raises DataError: two rows of a series at the same time, or a split without a single window."""
    series = np.zeros(len(parts), dtype=np.int64) if keys is None else numbered(keys)[0]
    moments = np.arange(len(parts)) if order is None else numbered(order[1])[0]
    rows = np.lexsort((moments, series))
    is_new_series = np.diff(series[rows]) != 0
    warnings: list[str] = []
    step, is_gap = None, np.zeros(len(is_new_series), dtype=bool)
    if order is not None:
        name, times = order
        is_lost = is_missing(times)[rows]
        is_new_series |= is_lost[1:] | is_lost[:-1]  # each row without a time is on its own
        check_moments(moments[rows], is_new_series, name, has_key=keys is not None)
        if not isinstance(times, Coded) and times.dtype.kind in "iuf":
            step, is_gap = steps_of(times[rows], is_new_series)
        warnings += broken_by(name, int(is_lost.sum()), step, int(is_gap.sum()))
    span = span_of(options, is_new=is_new)
    starts = starts_between(is_new_series | is_gap | (np.diff(parts[rows]) != 0), span, options.stride, has_last=is_new)
    starts = starts[parts[rows[starts]] >= 0]
    table = WindowTable(rows, starts, parts[rows[starts]], options, step)
    if not is_new:
        has = np.all([has_target[table.rows_after(after)] for after in options.steps], axis=0)
        lost = f"{np.sum(~has):,} of {len(has):,} windows are left out: they have no target"
        warnings += [] if has.all() else [f'{lost} "{listed(options.targets, 3)}"']
        table = replace(table, starts=table.starts[has], parts=table.parts[has])
    check_parts_have_windows(parts, table)
    return replace(table, warnings=tuple(warnings))


def broken_by(name: str, lost: int, step: Step | None, gaps: int) -> list[str]:
    """Return warnings of rows that lack the column `name` of their order, and of gaps in it."""
    warnings = [f'{counted(lost, "row")} without a "{name}" left out of the windows'] if lost else []
    if step is not None and gaps:
        warnings.append(f'{counted(gaps, "step is", "steps are")} not {step.name} in "{name}": no window goes across')
    return warnings


def span_of(options: Windows, *, is_new: bool = False) -> int:
    """Return the rows that a window takes with its target; new data needs no target, but the columns known in
    advance."""
    return options.length + (0 if is_new and not options.known else options.steps[-1])


def starts_between(breaks: np.ndarray, span: int, stride: int, *, has_last: bool) -> np.ndarray:
    """Return the positions at which windows begin that take `span` rows; none extends over `breaks` (rows - 1,) between
    rows. `has_last`: there is one of the last rows before each break."""
    bounds = np.concatenate([[0], np.flatnonzero(breaks) + 1, [len(breaks) + 1]])
    counts = np.maximum((np.diff(bounds) - span) // stride + 1, 0)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = np.repeat(bounds[:-1], counts) + within * stride
    if has_last:
        starts = np.union1d(starts, (bounds[1:] - span)[counts > 0])
    return np.asarray(starts)


def check_moments(moments: np.ndarray, is_new_series: np.ndarray, name: str, *, has_key: bool) -> None:
    """Raise DataError for two rows of one series at the same time."""
    same = int(np.sum((np.diff(moments) == 0) & ~is_new_series))
    if same:
        message = f'{counted(same, "row")} have the same "{name}" as the row before in the series'
        hint = "a series has one row at a time" if has_key else "if there are several series, name the column: key"
        raise DataError(Problem((*PLACE, "order"), message, hint))


def check_parts_have_windows(parts: np.ndarray, table: WindowTable) -> None:
    """Raise DataError naming every split that has rows but no window."""
    takes = f"{span_of(table.options):,} rows of one series without a gap, and a target"
    DataError.refuse(
        Problem(
            (*PLACE, "length"),
            f"none of the {counted(int(np.sum(parts == part)), 'row')} for {name} begins a window: it takes {takes}",
            "write a smaller length or horizon, or a larger split",
        )
        for part, name in enumerate(PART_NAMES)
        if (parts == part).any() and not (table.parts == part).any()
    )


def repeated_values(options: Windows, season: int | None, inputs: Mapping[str, Rows]) -> dict[str, np.ndarray]:
    """Return the predictions (windows, numbers) of the rules that repeat values of the target, by their names: the last
    known one, and the one a `season` of rows before, NaN where it is missing. There are none without the target among
    the `inputs`, and no second one if windows are too short."""
    if not inputs.keys() >= {*options.targets}:
        return {}
    rules: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        LAST: lambda values: np.repeat(last_known(values)[:, np.newaxis], len(options.steps), axis=1)
    }
    # Whole seasons before the target, of which one or more lie in the horizon.
    before = (
        [] if season is None else [options.length - 1 + step - season * -(-step // season) for step in options.steps]
    )
    if before and min(before) >= 0:
        rules[SEASONAL] = lambda values: values[:, before]
    series = [inputs[name] for name in options.targets]
    return {
        name: np.concatenate(
            [
                np.concatenate([rule(np.asarray(each[first : first + BLOCK], float)) for each in series], axis=1)
                for first in range(0, len(series[0]), BLOCK)
            ]
        )
        for name, rule in rules.items()
    }


def last_known(windows: np.ndarray) -> np.ndarray:
    """Return the last finite number of each row, (examples,), NaN if there is none."""
    known = np.isfinite(windows)
    from_end = known[:, ::-1].argmax(axis=1)
    return np.where(known.any(axis=1), windows[np.arange(len(windows)), windows.shape[1] - 1 - from_end], np.nan)
