"""Windows over tables as examples: rows are split in the order of time, and no window crosses two splits."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from dltool.config.columns import ONE_TARGET, Target
from dltool.config.schema import Data, Windows
from dltool.config.window_options import columns_in
from dltool.data.arrays.rows import Coded, stack
from dltool.data.arrays.time_steps import moments_of
from dltool.data.arrays.window_rows import PLACE, WindowTable, check_parts_have_windows, make_windows, span_of
from dltool.data.examples import Examples, SourceExamples, places_in
from dltool.data.sources.tables import (
    as_input,
    class_labels,
    dates_of,
    in_memory,
    missing_problems,
    named_columns,
    read_tables,
)
from dltool.data.split.at_random import TEST, TRAINING, VALIDATION, split_of
from dltool.data.split.by_column import SplitColumns, Values, column_named, is_missing, numbered, order_named, positions
from dltool.data.split.divide import divide_rows, values_in_order
from dltool.data.split.folds import taken
from dltool.data.split.sizes import part_sizes
from dltool.data.tables.typed_table import Table
from dltool.errors import ConfigError, DataError, Problem
from dltool.text import counted, did_you_mean, listed, near

NO_WINDOWS = ("image", "audio", "text")
OF_NO_PART = 3
"""Marks rows for windows that belong to no split and need not have a window."""


def load_window_examples(data: Data) -> SourceExamples:
    """Load the windows of all tables of the config, and split them by their rows.

    Raises:
        ConfigError: a column that windows do not use, or a split that leaves a split empty.
        DataError: every problem of the tables; too few rows."""
    windows = data.windows
    assert windows is not None
    read = read_tables(data)
    ConfigError.refuse(
        Problem(("data", "inputs", name), f"{kind.name} has no use in windows", f"declare it: {name}: ignore")
        for name, kind in read.types.items()
        if kind.name in NO_WINDOWS
    )
    DataError.refuse(problem for table in read.tables.values() for problem in missing_problems(table, read.types))
    first, dates = read.first, dates_of(read.first)
    columns = {name: stack([table.columns[name].values for table in read.tables.values()]) for name in first.columns}
    dividing = {name for _, name in named_columns(data) if name in columns}
    values = {name: in_memory(columns[name]) for name in {*dates, *dividing}}
    series = series_of(values, windows.keys, [table.rows for table in read.tables.values()])
    order = order_of(values, tuple(dates), windows.order)
    values |= {} if order is None else dict([order])
    goals = [in_memory(columns[name]) for name in windows.targets]
    static = {name: in_memory(columns[name]) for name in windows.static if name in read.types}
    check_inputs(windows, read.types, static, series)
    parts, numbers = parts_of_rows(data, read.tables, values, order, series)
    found = divided_windows(windows, parts, numbers, np.all([~is_missing(x) for x in goals], axis=0), series, order)
    after = [found.rows_after(step) for step in windows.steps]
    labels = [goal.take(rows) if isinstance(goal, Coded) else goal[rows] for goal in goals for rows in after]
    targets = {ONE_TARGET: labels_of_windows(labels, read.targets[ONE_TARGET])}
    inputs = {name: found.input_of(name, as_input(columns[name], first.columns[name])) for name in read.types}
    places = places_of(read.tables, after[0], order)
    own_order = np.arange(len(after[0])) if series is None else positions(series[after[0]])
    times = {"time": own_order if order is None else order[1].take(after[0])}
    examples = Examples(inputs, targets, first.path.name, ("data", "source"), times, places=places)
    return SourceExamples(
        {"training": examples},
        types=read.types,
        divided=split_of(found.parts),
        spans=None if data.split.folds is None else found.spans_of(numbers),
        inferred=read.inferred(data),
        warnings=(*found.warnings, *(out_of_order(values, dates, series) if order is None else ())),
        columns=tuple(first.columns.values()),
        season=None if found.step is None else found.step.season,
    )


def divided_windows(
    windows: Windows,
    parts: np.ndarray,
    numbers: np.ndarray,
    has_target: np.ndarray,
    series: np.ndarray | None,
    order: tuple[str, Values] | None,
) -> WindowTable:
    """Return the windows inside the `parts`. Folds divide the rows that have `numbers`, and all windows of these: one
    that lies in two parts belongs to none. See :func:`make_windows` and :func:`parts_of_rows`."""
    found = make_windows(windows, np.where(numbers >= 0, TRAINING, parts), has_target, series, order)
    if (numbers < 0).all():
        return found
    begins, ends = found.spans_of(parts).T
    found = replace(found, parts=np.where(begins == ends, begins, OF_NO_PART))
    check_parts_have_windows(parts, found)
    return found


def labels_of_windows(labels: Sequence[Values], target: Target) -> Values:
    """Return (windows,), or (windows, numbers) of several labels, each of (windows,)."""
    if len(labels) > 1:
        return np.stack([np.asarray(each) for each in labels], axis=1)
    is_number = target.type is not None and not target.type.task.has_classes
    return labels[0] if is_number else class_labels(labels[0])


def order_of(
    values: Mapping[str, Values], dates: Collection[str], order: str | tuple[str, ...] | None
) -> tuple[str, Values] | None:
    """Return the column `order`, or what several columns say, with its name. Raises DataError as :func:`order_named`;
    or the columns are no time."""
    if not isinstance(order, tuple):
        return None if order is None else order_named(values, dates, order, (*PLACE, "order"))
    columns = {name: column_named(values, name, (*PLACE, "order")) for name in order}
    moments = moments_of(columns)
    if moments is None:
        message = f"{listed(order, 6)} are no time together"
        hint = "expected a date and a time such as 18:30 or hour, or year, month, day and so on by their names"
        raise DataError(Problem((*PLACE, "order"), message, hint))
    return ", ".join(order), moments


def places_of(tables: Mapping[str, Table], rows: np.ndarray, order: tuple[str, Values] | None) -> dict[str, np.ndarray]:
    """Return the locations of the targets of windows, for finding the `rows` of all tables again. They are the file, if
    there are several, the row in it, counted from 0, and the column that orders the rows."""
    firsts = np.cumsum([0, *(table.rows for table in tables.values())])
    number = np.searchsorted(firsts, rows, side="right") - 1
    places: dict[str, np.ndarray] = {}
    if len(tables) > 1:
        places["file"] = np.array([table.path.name for table in tables.values()], dtype=object)[number]
    places["target row"] = rows - firsts[number]
    if order is not None:
        name, moments = order
        found = moments[rows]
        places[f"target {name}"] = found.astype("datetime64[s]") if found.dtype == np.int64 else found
    return places


def series_of(values: Mapping[str, Values], keys: Sequence[str], rows: Sequence[int]) -> np.ndarray | None:
    """Return (rows,) of int64: the series of each row, None if there is one. Rows of two tables, which have so many
    `rows`, are of two series. Raises DataError: rows without a key."""
    if not keys and len(rows) == 1:
        return None
    series = np.repeat(np.arange(len(rows)), rows)
    for key in keys:
        codes, distinct = numbered(column_named(values, key, (*PLACE, "key")))
        series = numbered(series * len(distinct) + codes)[0]
    return series


def out_of_order(values: Mapping[str, Values], dates: Collection[str], series: np.ndarray | None) -> tuple[str, ...]:
    """Return a warning if windows follow the order of the file, and the only column of dates contradicts it."""
    if len(dates) != 1:
        return ()
    (name,) = dates
    moments = np.asarray(values[name])
    rows = np.arange(len(moments)) if series is None else np.argsort(series, kind="stable")
    is_earlier = np.diff(moments[rows]) < 0
    if series is not None:
        is_earlier &= np.diff(series[rows]) == 0
    if not is_earlier.any():
        return ()
    rows_are = counted(is_earlier.sum(), "row is", "rows are")
    return (f'{rows_are} earlier in "{name}" than the row before: windows: {{order: {name}}} sorts them',)


def parts_of_rows(
    data: Data,
    tables: Mapping[str, Table],
    values: Mapping[str, Values],
    order: tuple[str, Values] | None,
    series: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return (rows,): TRAINING, VALIDATION or TEST; and the number of each row's time among those that folds divide, -1
    for the test. Only the rows of the source are divided."""
    rows = tables["source"].rows
    given = {role: table.rows for role, table in tables.items()}
    times: dict[str, Values] = {
        name: Coded(found.codes[:rows], found.values) if isinstance(found, Coded) else found[:rows]
        for name, found in values.items()
    }
    rule = data.split
    is_own = rule.order is None or (rule.order == "time" and "time" not in times)
    if rule.column is None and is_own:
        if order is None:
            # The time of rows without one is their index in their series.
            times["time"] = np.arange(rows) if series is None else positions(series[:rows])
        rule = rule.model_copy(update={"order": "time" if order is None else order[0]})
    fractions = rule if rule.column is None else rule.model_copy(update={"validation": 0.0, "test": None})
    sizes = part_sizes(fractions, rows, given.get("validation", 0), given.get("test", 0))
    split = divide_rows(rule, rows, sizes, SplitColumns(times), seed=0)
    parts = np.full(sum(given.values()), TRAINING)
    parts[split.validation], parts[split.test] = VALIDATION, TEST
    numbers = np.full(len(parts), -1)
    if rule.folds is not None and rule.order is not None:
        inside = np.setdiff1d(np.arange(rows), split.test)
        numbers[inside] = numbered(taken(values_in_order(rule.order, rows, SplitColumns(times))[1], inside))[0]
    # The rows of other tables follow.
    for number, role in ((VALIDATION, "validation"), (TEST, "test")):
        parts[rows : rows + given.get(role, 0)] = number
        rows += given.get(role, 0)
    return parts, numbers


def new_windows(windows: Windows, table: Table, inputs: Collection[str], name: str) -> tuple[Examples, tuple[str, ...]]:
    """Return every window over the columns `inputs` of a table called `name`, always also the one that ends with the
    last row of each series; and warnings."""
    dates = tuple(dates_of(table))
    dividing = {*dates, *windows.keys, *columns_in(windows.order)} & table.columns.keys()
    values = {name: in_memory(table.columns[name].values) for name in dividing}
    order, series = order_of(values, dates, windows.order), series_of(values, windows.keys, [table.rows])
    parts = np.full(table.rows, OF_NO_PART)
    found = make_windows(windows, parts, np.ones(table.rows, bool), series, order, is_new=True)
    if not len(found.starts):
        span = span_of(windows, is_new=True)
        message = f"{name} has {table.rows:,} rows, and a window takes {span:,} of one series without a gap"
        raise DataError(Problem(None, message))
    places = places_in(name, len(found.starts), found.rows_after(0) + 1)
    windowed = {key: found.input_of(key, as_input(table.columns[key].values, table.columns[key])) for key in inputs}
    return Examples(windowed, places=places), found.warnings


def check_inputs(
    windows: Windows, inputs: Collection[str], values: Mapping[str, Values], series: np.ndarray | None
) -> None:
    """Raise ConfigError for columns under `known` or `static` that are not among the `inputs`, and DataError for
    `values` of static columns that change in a series."""
    ConfigError.refuse(
        Problem((*PLACE, key), f'"{name}" is not among the inputs', did_you_mean(near(name, inputs)))
        for key in ("known", "static")
        for name in getattr(windows, key)
        if name not in inputs
    )
    for name, column in values.items():
        codes, distinct = numbered(column)
        each = np.zeros(len(codes), dtype=np.int64) if series is None else numbered(series)[0]
        if len(np.unique(each * len(distinct) + codes)) > each.max(initial=0) + 1:
            hint = "remove it from static" if windows.key else "name the column that separates the series: key"
            raise DataError(Problem((*PLACE, "static"), f'"{name}" has several values in one series', hint))
