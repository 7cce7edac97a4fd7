"""Drafts for rows in the order of time: windows over a series, and the split by time."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import prod
from typing import Any

import numpy as np

from dltool.data.arrays.rows import Coded
from dltool.data.arrays.time_steps import PARTS_OF_TIME, Step, clock_of, moments_of, steps_of
from dltool.data.dates import SECONDS_A_DAY
from dltool.data.sources.tables import in_memory
from dltool.data.split.by_column import Values, is_missing, numbered
from dltool.data.tables.typed_table import Column, Table
from dltool.drafting.column_uses import Use, as_written, input_lines, present, scale_for, value_of, with_options
from dltool.drafting.draft import Lines, scalar, training_lines
from dltool.drafting.media_columns import unlike
from dltool.errors import ConfigError
from dltool.text import counted

Declared = Mapping[str, tuple[Any, str]]
"""Columns that must be declared: how, and why."""
HOURS = ("hour", "hr")
DAY = PARTS_OF_TIME[:3]
YEAR = 365 * SECONDS_A_DAY
YEARS = ("year", "years", "yr", "date", "time")
"""Names of columns whose integers may be years."""
PRICES = ("open", "high", "low", "close")
LENGTHS = {"1 second": 60, "1 minute": 60, "1 hour": 24, "1 day": 14, "7 days": 8, "1 business day": 20}
"""How many rows windows have, by the step from row to row; a season, or 12, elsewhere."""
LONGEST = 100
SPLIT, TRAINING = "split: {validation: 0.15, test: 0.2}", 0.65
CORRELATED, CERTAIN = 0.2, 3.0
"""The least correlation of changes that is a pattern, and the least in its standard errors."""
FEWEST_ROWS = 20
"""The fewest rows of a time series, or on average of each of several."""
SPLITS = 3
MOST_UNORDERED = 0.1
"""If the time goes back at no more than this share of the rows, it orders them."""
MOST_KEYS = 30
MOST_KEY_COLUMNS = 12
"""The most columns of which two are tried as the key of several series."""


@dataclass(frozen=True)
class TimeColumn:
    """When the rows were. One of the `columns` says it, or several together. The columns `keys` separate several
    series, if there are several. `rows` are the table's rows, one series after another, each in order of time;
    `is_new_series` (rows - 1,) marks the steps between series, and `is_early` (rows,) those for training. `step` is the
    usual one, if they have one. `repeated` are the rows at the time of another one of their series. The rows of the
    file `are_ordered` if they never go back."""

    columns: tuple[str, ...]
    keys: tuple[str, ...]
    rows: np.ndarray
    is_new_series: np.ndarray
    is_early: np.ndarray
    step: Step | None
    repeated: int
    are_ordered: bool

    @property
    def column(self) -> str | None:
        """Return the only column that says when the rows were, None if there are several."""
        return self.columns[0] if len(self.columns) == 1 else None

    @property
    def season(self) -> int | None:
        return self.step.season if self.step else None

    def may_be_windows(self, table: Table) -> bool:
        """Return whether rows can be predicted by those before them: in regular steps, or prices of trading."""
        return not self.repeated and (self.step is not None or is_of_prices(table))

    def notes(self) -> tuple[str, ...]:
        """Return a message if rows in regular steps would be windows but for a few."""
        if not self.repeated or self.step is None:
            return ()
        rows = counted(self.repeated, "row has", "rows have")
        return (f"{rows} the time of another: without them, the next value could be predicted from those before it",)


def times_of(table: Table, target: str) -> TimeColumn | None:
    """Return the moments of the rows, if they order them: no two of one series are the same, or the rows are mostly in
    their order, or they have a time of day, as what happens has."""
    dates = {name: np.asarray(column.values[:]) for name, column in table.columns.items() if column.kind == "date"}
    found = dates or {name: years for name in table.columns if (years := years_in(table, name)) is not None}
    able = [name for name in found if len(found) == 1 or are_ordered(found[name])]
    able += [name for name in dates if have_hours(dates[name])]
    names = tuple(able[:1])
    names, moments = parts_of_time(table, names) or (names, found[able[0]] if able else None)
    known = np.flatnonzero(~is_missing(moments)) if moments is not None else np.arange(0)
    if moments is None or len(known) < max(FEWEST_ROWS, (1 - MOST_UNORDERED) * len(moments)):
        return None
    moments = moments[known]
    if len(np.unique(moments)) < SPLITS:
        return None
    keys, series = keys_of(table, known, moments, {target, *names})
    rows = np.lexsort((moments, series))
    is_new_series = np.diff(series[rows]) != 0
    repeated = int(np.sum((np.diff(moments[rows]) == 0) & ~is_new_series))
    happened = len(names) == 1 and have_hours(moments)
    if repeated and not happened and not (len(names) == 1 and are_ordered(moments)):
        return None
    step = steps_of(moments[rows], is_new_series)[0]
    is_early = moments[rows] <= np.quantile(moments, TRAINING)
    is_ordered = bool((np.diff(moments) >= 0).all())
    return TimeColumn(names, keys, known[rows], is_new_series, is_early, step, repeated, is_ordered)


def is_static(table: Table, name: str) -> bool:
    """Return whether numbers are constant within each of several time series."""
    times = times_of(table, name) if table.columns[name].kind == "number" else None
    if times is None or not times.keys:
        return False
    steps = np.diff(np.asarray(table.columns[name].values[times.rows]))
    return bool(((steps == 0) | np.isnan(steps) | times.is_new_series).all())


def have_hours(moments: np.ndarray) -> bool:
    return bool((moments[~is_missing(moments)] % SECONDS_A_DAY).any())


def parts_of_time(table: Table, dates: tuple[str, ...]) -> tuple[tuple[str, ...], np.ndarray] | None:
    """Return the columns that say together when the rows were, with the moments: one of days in `dates` and the column
    of hours or of times; without a date, a year, a month, a day and so on."""
    wanted = HOURS if dates else (*PARTS_OF_TIME, *HOURS)
    values: dict[str, Values] = {name: np.asarray(table.columns[name].values[:]) for name in dates}
    if any(have_hours(days) or is_missing(days).any() for days in map(np.asarray, values.values())):
        return None
    for name, column in table.columns.items():
        texts = in_memory(column.values) if dates and column.kind in ("category", "text") else None
        if isinstance(texts, Coded) and clock_of(texts) is not None:
            values[name] = texts
        elif name.lower() in wanted and column.kind == "number":
            values[name] = np.asarray(column.values[:])
        elif name.lower() in wanted and column.kind == "ignore":
            # It has the same number in every row, and no values any more.
            values[name] = np.full(table.rows, 2000.0 if name.lower() == "year" else 1.0)
    moments = moments_of(values) if dates or len(values) >= len(DAY) else None
    return None if moments is None else (tuple(values), moments)


def are_ordered(moments: np.ndarray) -> bool:
    """Return whether moments mostly ascend, or mostly descend."""
    steps = np.diff(moments)
    return bool(min(np.mean(steps < 0), np.mean(steps > 0)) <= MOST_UNORDERED)


def years_in(table: Table, name: str) -> np.ndarray | None:
    """Return (rows,) of int64 seconds if the column holds years, and no other one months."""
    column = table.columns[name]
    if column.kind != "number" or name.lower() not in YEARS or "month" in map(str.lower, table.columns):
        return None
    years = np.asarray(column.values[:], np.float64)
    if not ((years >= 1000) & (years <= 2999) & (years == np.round(years))).all():
        return None
    return np.asarray((years.astype(np.int64) - 1970).astype("datetime64[Y]").astype("datetime64[s]").astype(np.int64))


def keys_of(
    table: Table, known: np.ndarray, moments: np.ndarray, others: Collection[str]
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the columns that separate rows of the same moment into series, one or else two, and the number of the
    series of each of the rows `known` of `moments`. They hold categories or else integers, and have the fewest."""
    _, times = np.unique(moments, return_inverse=True)
    rows = len(known)
    one = np.zeros(rows, dtype=np.int64)
    if times.max() + 1 == rows:
        return (), one
    # Most columns fail at one moment already.
    busiest = np.flatnonzero(times == np.bincount(times).argmax())
    able: dict[str, tuple[str, np.ndarray, int]] = {}
    for name, column in table.columns.items():
        if name in others or column.kind not in ("category", "number") or name.lower() in (*PARTS_OF_TIME, *HOURS):
            continue
        values = in_memory(column.values)
        if isinstance(values, np.ndarray) and not (values == np.round(values)).all():
            continue
        codes, distinct = numbered(values)
        if FEWEST_ROWS * len(distinct) <= rows:
            able[name] = (column.kind, codes[known], len(distinct))
    for count in (1, 2):
        found = []
        for names in combinations([*able][:MOST_KEY_COLUMNS], count):
            kinds, codes, sizes = zip(*(able[name] for name in names), strict=True)
            if len({*zip(*(code[busiest].tolist() for code in codes), strict=True)}) < len(busiest):
                continue
            series, distinct = numbered(sum(code * prod(sizes[:place]) for place, code in enumerate(codes)))
            are_long = FEWEST_ROWS * len(distinct) <= rows
            if are_long and len(np.unique(series * rows + times)) == rows:
                found.append((kinds, len(distinct), names, series))
        if found:
            return min(found, key=lambda each: each[:3])[2:]
    return (), one


def series_parts(
    source: Lines,
    table: Table,
    target: str,
    declared: Declared,
    uses: Mapping[str, Use],
    times: TimeColumn,
    fewest: int,
) -> tuple[Lines, Lines, Lines]:
    """Data without its split, layers and training of windows that say by how much the next value of the target differs
    from the last one, or from the one a season before where that is closer to it. `fewest` are the rows of the smallest
    file."""
    step, season = times.step, times.season
    series = 1 + int(times.is_new_series.sum())
    wished = LENGTHS.get(step.name if step else "", season if season and 12 < season <= LONGEST else 12)
    length = max(1, min(wished, table.rows // series // 10, fewest // series - 1))
    column = table.columns[target]
    lost = f"; missing in {counted(column.missing, 'row')}, which are no targets" if column.missing else ""
    scale = {"scale": scale_for(present(column, times.rows[times.is_early]))}
    kind = with_options("number", {**as_written(declared.get(target), "number"), **scale})
    uses = {**uses, target: Use(kind, f"{column.low} to {column.high}{lost}")}
    uses |= {name: in_windows(table.columns[name], uses[name], declared, times) for name in uses if name != target}
    named = [("key", times.keys), ("order", times.columns)]
    options = "".join(f", {option}: {names_of(names)}" for option, names in named if names)
    every = "" if step is None else f"a row every {step.name.removeprefix('1 ')}, "
    data = [
        *source,
        (f"windows: {{length: {length}, target: {scalar(target)}{options}}}", f"{every}in order"),
        (f"target: {{{scalar(target, is_key=True)}: {with_options('number', scale)}}}", "in one scale with the input"),
        *input_lines(uses, table),
    ]
    others = [scalar(name) for name, use in uses.items() if use.kind != "ignore" and name != target]
    changes = {lag: changes_after(lag, column, times) for lag in (1, season) if lag is not None and lag <= length}
    lag = min(changes, key=lambda lag: float(np.abs(changes[lag]).mean()) if len(changes[lag]) else np.inf)
    training = training_lines(table.rows, "mean_absolute_error", "mean_absolute_error")
    return data, change_layers(table, target, others, length, lag), training


def change_layers(table: Table, target: str, others: Sequence[str], length: int, lag: int) -> Lines:
    """Return the layers that add a change to the value of the target `lag` rows before."""
    row, value = ("the last row", "last") if lag == 1 else (f"the row {lag} before the target", "seasonal")
    base, relative, change, last = (unlike(table.columns, name) for name in ("base", "relative", "change", value))
    own = scalar(target)
    return [
        (f"- Cropping1D: {{name: {base}, from: {own}, cropping: [{length - lag}, {lag - 1}]}}", row),
        (f"- Subtract: {{name: {relative}, from: [{own}, {base}]}}", "the rows compared with it"),
        (f"- Concatenate: {{from: [{', '.join([relative, own, *others])}]}}", "all columns" if others else ""),
        ("- Flatten", "all rows of the window"),
        ("- Dense: {units: 64, activation: relu}", ""),
        ("- Dense: {units: 32, activation: relu}", ""),
        (f"- Dense: {{name: {change}, units: 1, kernel_initializer: zeros}}", f"begins with the {value} value"),
        (f"- Flatten: {{name: {last}, from: {base}}}", ""),
        (f"- Add: {{from: [{last}, {change}]}}", "in the scale of the target"),
    ]


def changes_after(lag: int, column: Column, times: TimeColumn) -> np.ndarray:
    """Return the differences of the values of a series `lag` rows apart, (changes,) of float64, among the rows for
    training."""
    values = np.where(times.is_early, np.asarray(column.values[times.rows], np.float64), np.nan)
    series = np.concatenate([[0], np.cumsum(times.is_new_series)])
    differences = (values[lag:] - values[:-lag])[series[lag:] == series[:-lag]]
    return np.asarray(differences[~np.isnan(differences)])


def are_random(table: Table, target: str, times: TimeColumn) -> bool:
    """Return whether the changes of the target are those of prices, or correlate neither with the ones before nor with
    those a season before."""
    changes = changes_after(1, table.columns[target], times)
    lags = [lag for lag in (1, times.season) if lag is not None and 2 * lag < len(changes)]
    if is_of_prices(table) or not lags:
        return is_of_prices(table)
    centred = changes - changes.mean()
    least = max(CORRELATED, CERTAIN / np.sqrt(len(changes))) * np.sum(centred**2)
    return all(abs(np.sum(centred[lag:] * centred[:-lag])) < least for lag in lags)


def is_of_prices(table: Table) -> bool:
    return {*PRICES} <= {*map(str.lower, table.columns)}


def in_windows(column: Column, use: Use, declared: Declared, times: TimeColumn) -> Use:
    name = column.name
    if name in times.keys or (name in times.columns and column.kind in ("category", "text")):
        are_few = len(numbered(in_memory(column.values))[1]) <= MOST_KEYS
        return replace(use, kind="category") if are_few else Use("ignore", "separates or orders the rows")
    if use.kind != "ignore" and column.kind == "text":
        return Use("ignore", "text has no use in windows")
    if use.kind != "ignore" and column.kind == "number" and is_counter(column, times):
        return Use("ignore", "a counter: its values in the test are beyond those of the training")
    if use.kind != "ignore" and (name.lower() == "year" or (name == times.column and column.kind == "number")):
        return Use("ignore", "the years of the test are not among those of the training")
    if use.kind != "ignore" and column.kind == "date" and times.column in (name, None):
        seconds = times.step.size if times.step and times.step.unit == "second" else SECONDS_A_DAY
        is_long = times.step is not None and times.step.unit == "month"
        of_training = np.asarray(column.values[times.rows[times.is_early]])
        wanted = {
            # Otherwise the months of the test would be new.
            "month": np.ptp(of_training) >= YEAR,
            "weekday": seconds <= SECONDS_A_DAY and not is_long,
            "hour": seconds < SECONDS_A_DAY and name == times.column,
        }
        parts = tuple(part for part, is_wanted in wanted.items() if is_wanted)
        if not parts:
            return Use("ignore", "the months of the test are not among those of the training")
        return replace(use, kind=with_options("date", {**as_written(declared.get(name), "date"), "parts": parts}))
    return use


def is_counter(column: Column, times: TimeColumn) -> bool:
    """Return whether the values of each series only rise, or only fall."""
    steps = np.diff(np.asarray(column.values[times.rows]))[~times.is_new_series]
    return bool((steps > 0).all() or (steps < 0).all())


def names_of(names: tuple[str, ...]) -> str:
    """Return one column, or a list of several, as YAML."""
    return scalar(names[0]) if len(names) == 1 else value_of(names)


def spread(values: np.ndarray, target: str) -> float:
    """Return the standard deviation. Raises ConfigError: all values are the same."""
    deviation = float(values.std()) if len(values) else 0.0
    if deviation == 0:
        raise ConfigError(f'"{target}" is the same in every row', "choose another column: --target COLUMN")
    return deviation
