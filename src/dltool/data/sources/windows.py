"""Windows over tables as examples: rows are split in the order of time, and no window crosses two splits."""

from collections.abc import Collection, Mapping

import numpy as np

from dltool.config.columns import ONE_TARGET, ColumnType, Target
from dltool.config.schema import Data
from dltool.data.arrays.rows import Coded, stack
from dltool.data.arrays.window_rows import PLACE, make_windows, positions_in_series
from dltool.data.examples import Examples, SourceExamples
from dltool.data.sources.tables import as_values, class_labels, dates_of, read_tables
from dltool.data.split.at_random import TEST, TRAINING, VALIDATION, split_of
from dltool.data.split.by_column import SplitColumns, Values, is_missing, numbered, order_named
from dltool.data.split.divide import divide_rows
from dltool.data.split.sizes import part_sizes
from dltool.data.tables.typed_table import Table
from dltool.errors import ConfigError, DataError, Problem
from dltool.text import counted

NO_WINDOWS = ("image", "audio", "text")


def load_window_examples(data: Data) -> SourceExamples:
    """Load the windows of all tables of the config, and split them by their rows.

    Raises:
        ConfigError: a column that windows do not use, or a split that leaves a split empty.
        DataError: every problem of the tables; too few rows."""
    windows = data.windows
    assert windows is not None
    read = read_tables(data)
    refuse(read.types)
    problems = [problem for table in read.tables.values() for problem in read.problems(table)]
    if problems:
        raise DataError(problems)
    first, dates = read.first, dates_of(read.first)
    columns = {name: stack([table.columns[name].values for table in read.tables.values()]) for name in first.columns}
    values = as_values({name: columns[name] for name in {*dates, *dividing(data, first)}})
    series = series_of(values, windows.key, read.tables)
    order = None if windows.order is None else order_named(values, tuple(dates), windows.order, (*PLACE, "order"))
    goal = as_values({"goal": columns[windows.target]})["goal"]
    parts = parts_of_rows(data, read.tables, values, order, series)
    found = make_windows(windows, parts, ~is_missing(goal), series, order)
    examples = Examples(
        {name: found.of(columns[name]) for name in read.types},
        {ONE_TARGET: targets_of(goal, found.target_rows, read.targets[ONE_TARGET])},
        first.path.name,
        ("data", "source"),
        places=places_of(read.tables, found.target_rows, order, dates),
    )
    return SourceExamples(
        {"training": examples},
        types=read.types,
        divided=split_of(found.parts),
        settled=read.settled(data),
        warnings=(*found.warnings, *(out_of_order(values, dates, series) if order is None else ())),
        columns=tuple(first.columns.values()),
    )


def targets_of(goal: Values, rows: np.ndarray, target: Target) -> Values:
    found = goal.take(rows) if isinstance(goal, Coded) else goal[rows]
    is_number = target.type is not None and target.type.name == "number"
    return np.asarray(found) if is_number else class_labels(found)


def places_of(
    tables: Mapping[str, Table], rows: np.ndarray, order: tuple[str, Values] | None, dates: Collection[str]
) -> dict[str, np.ndarray]:
    """Return the locations of the targets of windows, for finding the `rows` of all tables again.

    They are the file, if there are several, the row in it, counted from 0, and the column that orders the rows."""
    firsts = np.cumsum([0, *(table.rows for table in tables.values())])
    number = np.searchsorted(firsts, rows, side="right") - 1
    places: dict[str, np.ndarray] = {}
    if len(tables) > 1:
        places["file"] = np.array([table.path.name for table in tables.values()], dtype=object)[number]
    places["target row"] = rows - firsts[number]
    if order is not None:
        name, moments = order
        found = moments[rows]
        places[f"target {name}"] = found.astype("datetime64[s]") if name in dates else found
    return places


def refuse(types: Mapping[str, ColumnType]) -> None:
    problems = [
        Problem(("data", "inputs", name), f"{kind.name} has no use in windows", f"declare it: {name}: ignore")
        for name, kind in types.items()
        if kind.name in NO_WINDOWS
    ]
    if problems:
        raise ConfigError(problems)


def dividing(data: Data, table: Table) -> set[str]:
    """Return the existing columns by which rows are divided, ordered and distinguished."""
    assert data.windows is not None
    names = (data.split.order, data.split.column, data.windows.key, data.windows.order)
    return {name for name in names if name is not None and name in table.columns}


def series_of(values: Mapping[str, Values], key: str | None, tables: Mapping[str, Table]) -> np.ndarray | None:
    """Return (rows,): the series of each row. Rows of two tables are of two series."""
    if key is None and len(tables) == 1:
        return None
    number = np.repeat(np.arange(len(tables)), [table.rows for table in tables.values()])
    if key is None:
        return number
    codes, distinct = numbered(values[key])
    return np.asarray(number * len(distinct) + codes)


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
) -> np.ndarray:
    """Return (rows,): TRAINING, VALIDATION or TEST. Only the rows of the source are divided."""
    rows = tables["source"].rows
    given = {role: table.rows for role, table in tables.items()}
    rule, times = data.split, {name: part(found, rows) for name, found in values.items()}
    if rule.column is None and rule.order is None:
        # The time of rows without one is their index in their series.
        name = "time" if order is None else order[0]
        own = np.arange(rows) if series is None else positions_in_series(series[:rows])
        times |= {name: own if order is None else part(order[1], rows)}
        rule = rule.model_copy(update={"order": name})
    fractions = rule if rule.column is None else rule.model_copy(update={"validation": 0.0, "test": None})
    sizes = part_sizes(fractions, rows, given.get("validation", 0), given.get("test", 0))
    split = divide_rows(rule, rows, sizes, SplitColumns(times), seed=0)
    parts = np.full(sum(given.values()), TRAINING)
    parts[split.validation], parts[split.test] = VALIDATION, TEST
    first = rows
    for role, number in (("validation", VALIDATION), ("test", TEST)):
        parts[first : first + given.get(role, 0)] = number
        first += given.get(role, 0)
    return parts


def part(values: Values, rows: int) -> Values:
    return Coded(values.codes[:rows], values.values) if isinstance(values, Coded) else values[:rows]
