"""Drafts for rows in the order of time: windows over a series, and the split by time."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dltool.data.arrays.window_rows import duration
from dltool.data.dates import SECONDS_A_DAY
from dltool.data.tables.typed_table import Column, Table
from dltool.drafting.column_uses import Use, as_written, input_lines, present, with_options
from dltool.drafting.draft import Lines, scalar, training_lines
from dltool.drafting.media_columns import unlike
from dltool.errors import ConfigError
from dltool.text import counted

Declared = Mapping[str, tuple[Any, str]]
"""Columns that must be declared: how, and why."""
PARTS_OF_TIME = ("year", "month", "day", "hour", "minute", "second")
LENGTHS = {1: 60, 60: 60, 3_600: 24, SECONDS_A_DAY: 14, 7 * SECONDS_A_DAY: 8}
"""How many rows windows have, by the seconds from row to row; 12 elsewhere, as of months."""
MONTH = range(28 * SECONDS_A_DAY, 31 * SECONDS_A_DAY + 1)


@dataclass(frozen=True)
class TimeColumn:
    """When the rows were. `column` is the one of dates, or None where several columns of numbers say it. `step` is the
    seconds from row to row where that is regular, else None."""

    column: str | None
    step: int | None


def times_of(table: Table) -> TimeColumn | None:
    """Return the moments of the rows, if no two are the same; without a column that sorts them, they must ascend."""
    dates = [name for name, column in table.columns.items() if column.kind == "date"]
    name = dates[0] if len(dates) == 1 else None
    moments = np.sort(table.columns[name].values[:]) if name is not None else moments_of_parts(table)
    if moments is None or len(moments) < 20 or (moments == np.iinfo(np.int64).min).any():
        return None
    steps = np.diff(moments)
    if (steps <= 0).any():
        return None
    usual = int(np.median(steps))
    is_monthly = usual in MONTH and steps.min() in MONTH and steps.max() in MONTH
    return TimeColumn(name, usual if is_monthly or np.mean(steps == usual) >= 0.9 else None)


def moments_of_parts(table: Table) -> np.ndarray | None:
    """Return (rows,) of seconds, from columns called year, month, day and so on."""
    by_name = {name.lower(): column for name, column in table.columns.items() if column.kind in ("number", "ignore")}
    names = [name for name in PARTS_OF_TIME if name in by_name]
    if len(names) < 3 or names != list(PARTS_OF_TIME[: len(names)]):
        return None
    # An ignored column has the same number in every row, and no values any more.
    values = [
        np.full(table.rows, 2000.0 if name == "year" else 1.0)
        if by_name[name].kind == "ignore"
        else np.asarray(by_name[name].values[:])
        for name in names
    ]
    if any(np.isnan(part).any() for part in values) or not 1 <= values[0].min() <= values[0].max() <= 9999:
        return None
    year, month, day, *clock = (part.astype(np.int64) for part in values)
    months = (year - 1970).astype("datetime64[Y]").astype("datetime64[M]") + (month - 1)
    seconds = (months.astype("datetime64[D]") + (day - 1)).astype("datetime64[s]").astype(np.int64)
    for part, unit in zip(clock, (3_600, 60, 1), strict=False):
        seconds = seconds + unit * part
    return np.asarray(seconds)


def series_parts(
    source: Lines, table: Table, target: str, declared: Declared, uses: dict[str, Use], times: TimeColumn
) -> tuple[Lines, Lines, Lines]:
    """Data, layers and training of windows that say by how much the next value of the target differs from the last."""
    assert times.step is not None
    length = min(LENGTHS.get(times.step, 12), max(1, table.rows // 10))
    column = table.columns[target]
    values = present(column, None if times.column is None else np.argsort(table.columns[times.column].values[:]))
    lost = f"; missing in {counted(column.missing, 'row')}, which are no targets" if column.missing else ""
    written = as_written(declared.get(target), "number")
    uses |= {target: Use(with_options("number", {"scale": "none", **written}), f"{column.low} to {column.high}{lost}")}
    uses = {name: in_windows(table.columns[name], uses[name], declared, times) for name in table.columns}
    order = "" if times.column is None else f", order: {scalar(times.column)}"
    every = "month" if times.step in MONTH else duration(times.step)
    own = scalar(target)
    data = [
        *source,
        (f"windows: {{length: {length}, target: {own}{order}}}", f"a row every {every}, in order"),
        *input_lines(uses, table),
        ("split: {validation: 0.15, test: 0.2}", "by time: the last rows are the test"),
    ]
    scaled, change, last = (unlike(table.columns, name) for name in ("scaled", "change", "last"))
    others = [scalar(name) for name, use in uses.items() if use.kind != "ignore" and name != target]
    deviation = spread(values, target)
    shift, step = -values.mean() / deviation, np.abs(np.diff(values)).mean() or 1.0
    layers = [
        (f"- Rescaling: {{name: {scaled}, from: {own}, scale: {1 / deviation:.3g}, offset: {shift:.3g}}}", ""),
        *([(f"- Concatenate: {{from: [{', '.join([scaled, *others])}]}}", "all columns")] if others else []),
        ("- Flatten", "all rows of the window"),
        ("- Dense: {units: 64, activation: relu}", ""),
        ("- Dense: {units: 32, activation: relu}", ""),
        ("- Dense: {units: 1, kernel_initializer: zeros}", "training begins with the last value as the answer"),
        (f"- Rescaling: {{name: {change}, scale: {step:.3g}}}", "in units of the target"),
        (f"- Cropping1D: {{from: {own}, cropping: [{length - 1}, 0]}}", "the last row"),
        (f"- Flatten: {{name: {last}}}", ""),
        (f"- Add: {{from: [{last}, {change}]}}", ""),
    ]
    return data, layers, training_lines(table.rows, "mean_absolute_error", "mean_absolute_error")


def in_windows(column: Column, use: Use, declared: Declared, times: TimeColumn) -> Use:
    name = column.name
    if use.kind != "ignore" and column.kind == "text":
        return Use("ignore", "text has no use in windows")
    if use.kind != "ignore" and name.lower() == "year":
        return Use("ignore", "the years of the test are not among those of the training")
    if name == times.column:
        step = times.step or 0
        parts = ("month", *["weekday"] * (step <= SECONDS_A_DAY), *["hour"] * (step < SECONDS_A_DAY))
        return replace(use, kind=with_options("date", {**as_written(declared.get(name), "date"), "parts": parts}))
    return use


def spread(values: np.ndarray, target: str) -> float:
    """Return the standard deviation. Raises ConfigError: all values are the same."""
    deviation = float(values.std()) if len(values) else 0.0
    if deviation == 0:
        raise ConfigError(f'"{target}" is the same in every row', "choose another column: --target COLUMN")
    return deviation
