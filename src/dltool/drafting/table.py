"""A config for a table: what each column is, which one to predict, and what would give the answer away."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dltool.config.columns import parse_column_type
from dltool.config.sources import Source
from dltool.config.table_sources import JsonLinesSource, ParquetSource
from dltool.data.arrays.rows import Coded
from dltool.data.arrays.window_rows import duration
from dltool.data.dates import SECONDS_A_DAY
from dltool.data.files.paths import require
from dltool.data.sources.tables import are_classes, as_values, table_in_reach
from dltool.data.split.by_column import Values, is_missing, numbered
from dltool.data.tables.typed_table import Column, ColumnRequest, Table
from dltool.drafting.draft import (
    Draft,
    Lines,
    in_comment,
    in_comments,
    scalar,
    split_line,
    training_lines,
)
from dltool.drafting.folder import CLASSES, LOSS, TEXT_LAYERS, text_training, words_of
from dltool.drafting.media_columns import may_be_paths, paths_in, unlike, with_paths
from dltool.drafting.sniff import Sniffed, sniff_csv
from dltool.errors import ConfigError
from dltool.text import counted, listed

TARGETS = (
    *("target", "label", "labels", "y", "outcome", "survived", "species", "income", "diagnosis", "churn", "churned"),
    *("default", "fraud", "is_fraud", "sentiment", "quality", "price", "medv", "class", "category"),
)
"""Names of columns that mostly are the target, in this order."""
JSON_LINES, PARQUET = (".jsonl", ".ndjson", ".json"), (".parquet", ".pq")
PACKED = (".gz", ".bz2", ".xz", ".zst")
IDENTIFIER = re.compile(r"(?:.*[_ .-])?(?:id|uuid|guid|key|index|idx|nr|rowid)|.*[a-z]I[Dd]|Unnamed: 0", re.ASCII)
MOST_LISTED = 100
"""Columns in a config that people still read."""
MOST_COMPARED = 100_000
SKEWED = 2.0
MUCH_MISSING = 0.05
MANY_VALUES = 30
FEW_ROWS_A_VALUE = 5
TELLING = 0.999
"""Of the correlation: another number that goes along so closely is the target in other words."""
PARTS_OF_TIME = ("year", "month", "day", "hour", "minute", "second")
LENGTHS = {1: 60, 60: 60, 3_600: 24, SECONDS_A_DAY: 14, 7 * SECONDS_A_DAY: 8}
"""How many rows windows have, by the seconds from row to row; 12 elsewhere, as of months."""
MONTH = range(28 * SECONDS_A_DAY, 31 * SECONDS_A_DAY + 1)


@dataclass(frozen=True)
class Use:
    """How a column is used: its type as YAML, and what was seen of it."""

    kind: str
    comment: str


@dataclass(frozen=True)
class TimeColumn:
    """When the rows were. `column` is the one of dates, or None where several columns of numbers say it."""

    column: str | None
    step: int | None
    """Seconds from row to row where that is regular, else None."""


def draft_table(path: Path, named: str, target: str | None) -> Draft:
    """`named` is the path as YAML; `target` the column to predict, if it is said.

    Raises:
        ConfigError: there is no such column, or it cannot be predicted.
        DataError: the table cannot be read, with every problem.
    """
    require(str(path), ())
    kind, sniffed = kind_of(path)
    table = read(kind, sniffed)
    name, why = chosen(table, target)
    of_target = [marker for marker, columns in sniffed.markers.items() if columns == [name]]
    if of_target and table.columns[name].kind != "number":
        # Where it stands in no other column it is a class.
        sniffed = sniffed.without_markers(of_target)
        table = read(kind, sniffed)
    paths = paths_in(table_of_texts(kind, sniffed, table))
    paths.pop(name, None)
    if paths:
        sniffed = sniffed.declaring({column: (each.declared, each.why) for column, each in paths.items()})
        table = read(kind, sniffed)
    column = table.columns[name]
    is_number = column.kind == "number" and not are_classes(column)
    times = times_of(table) if is_number and not paths else None
    declared = sniffed.columns
    uses = {other: use_of(table.columns[other], table.rows, declared) for other in table.columns if other != name}
    source = source_lines(kind, sniffed, named)
    title = f"{in_comment(path.name)[1:-1]}: {counted(table.rows, 'row')}, {counted(len(table.columns), 'column')}."
    said = (f'the target is "{name}": {why}',)
    if times is not None and times.step is not None:
        return Draft(title, *series_parts(source, table, name, uses, times), "mean_absolute_error", said, name)
    uses |= telling(table, uses, name)
    goal, seen = target_of(column, is_number=is_number)
    data = [
        *source,
        (f"target: {{{scalar(name, is_key=True)}: {goal}}}", f"{why}; {seen}"),
        *input_lines(uses, table),
        division(table, column, times, is_number=is_number),
    ]
    metric, loss = ("mean_absolute_error", "mean_absolute_error") if is_number else ("accuracy", LOSS)
    layers: Lines = dense_layers(table.rows)
    training: Lines = training_lines(table.rows, loss, metric)
    inputs = [other for other, use in uses.items() if use.kind != "ignore"]
    if paths:
        layers = [*with_paths(paths, [other for other in inputs if other not in paths]), *layers]
    if [table.columns[other].kind for other in inputs] == ["text"]:
        data += words_of(table.columns[inputs[0]].values)
        layers, training = TEXT_LAYERS, text_training(table.rows, metric, loss)
    if is_number:
        return Draft(title, data, [*layers, *number_layers(present(column), name)], training, metric, said)
    return Draft(title, data, [*layers, CLASSES], [*training, *imbalance(column)], metric, said)


# --- the file ---


def kind_of(path: Path) -> tuple[str, Sniffed]:
    """The source for the file, by its name, and how it is written."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in PACKED]
    ending = suffixes[-1] if suffixes else ""
    if ending in JSON_LINES:
        return "json_lines", Sniffed(JsonLinesSource(path=str(path)))
    if ending in PARQUET:
        return "parquet", Sniffed(ParquetSource(path=str(path)))
    sniffed = sniff_csv(path, ())
    return ("tsv" if getattr(sniffed.options, "delimiter", "") == "\t" else "csv"), sniffed


def read(kind: str, sniffed: Sniffed, needed: Sequence[str] = ()) -> Table:
    types = {name: parse_column_type(value) for name, (value, _) in sniffed.columns.items()}
    return table_in_reach(Source(kind, sniffed.options), (), ColumnRequest(declared=types, needed=needed))


def table_of_texts(kind: str, sniffed: Sniffed, table: Table) -> Table:
    """The table with the texts of columns that would be ignored as identifiers, where there are some."""
    hidden = [column.name for column in table.columns.values() if column.kind == "ignore" and may_be_paths(column)]
    return read(kind, sniffed, hidden) if hidden else table


def source_lines(kind: str, sniffed: Sniffed, named: str) -> Lines:
    given = sniffed.options.model_dump(exclude_defaults=True, exclude={"path"})
    if kind == "tsv":
        given.pop("delimiter", None)
    written = [f"path: {named}", *(f"{key}: {value_of(value)}" for key, value in given.items())]
    remarks = []
    if "header" in given:
        remarks.append("the first line has names" if given["header"] else "the first line is a row")
    remarks += [
        f"{in_comment(marker)} stands in {in_comments(columns, 3)}" for marker, columns in sniffed.markers.items()
    ]
    if sum(map(len, written)) < 80:
        return [(f"source: {{{kind}: {{{', '.join(written)}}}}}", "; ".join(remarks[:3]))]
    return [("source:", "; ".join(remarks[:3])), (f"  {kind}:", ""), *((f"    {line}", "") for line in written)]


def value_of(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(scalar, value))}]"
    return scalar(value) if isinstance(value, str) else json.dumps(value)


# --- the target ---


def chosen(table: Table, target: str | None) -> tuple[str, str]:
    """The column to predict, and why that one."""
    if target is not None:
        if target not in table.columns:
            names = ", ".join(list(table.columns)[:12])
            raise ConfigError(f'{table.path.name} has no column "{target}"', f"its columns are {names}")
        if not can_be_target(table.columns[target], table.rows):
            column = table.columns[target]
            message = f'"{target}" cannot be predicted: {column.kind}, {column.why}'
            raise ConfigError(message, "choose another column")
        return target, "as --target says"
    able = [name for name, column in table.columns.items() if can_be_target(column, table.rows)]
    if not able:
        raise ConfigError(f"no column of {table.path.name} can be predicted", "name one: --target COLUMN")
    by_name = {name.lower().strip(): name for name in reversed(able)}
    known = next((by_name[name] for name in TARGETS if name in by_name), None)
    if known is not None:
        return known, "chosen by its name"
    last = "the last column" if able[-1] == list(table.columns)[-1] else "the last column that can be predicted"
    return able[-1], f"chosen as {last}"


def can_be_target(column: Column, rows: int) -> bool:
    """Numbers, and texts that come more than once."""
    few = column.distinct is not None and 2 * column.distinct <= rows
    return column.kind in ("number", "boolean") or (column.kind == "category" and few)


def target_of(column: Column, *, is_number: bool) -> tuple[str, str]:
    """Its type, and what was seen of it."""
    if is_number:
        values = present(column)
        return "number", f"{column.low} to {column.high}, {np.median(values):.4g} in the middle"
    names, counts = classes_of(column)
    frequent = [f"{in_comment(names[index])} {counts[index]:,}" for index in np.argsort(-counts, kind="stable")]
    return "category", f"{len(names)} classes: {listed(frequent, 4)}"


def classes_of(column: Column) -> tuple[np.ndarray, np.ndarray]:
    """The classes and their rows."""
    values = as_values({"": column.values})[""]
    numbers, names = numbered(values)
    counts = np.bincount(numbers, minlength=len(names))
    if names.dtype.kind == "f":
        whole = ~np.isnan(names)
        names, counts = names[whole].astype(int), counts[whole]
    return names, counts


def present(column: Column, order: np.ndarray | None = None) -> np.ndarray:
    """The numbers that there are, of all rows or of those in `order`."""
    values = np.asarray(column.values[:] if order is None else column.values[order])
    return np.asarray(values[~np.isnan(values)], np.float64)


# --- the other columns ---


def use_of(column: Column, rows: int, declared: Mapping[str, tuple[Any, str]]) -> Use:
    if column.kind == "ignore":
        why = declared[column.name][1] if column.name in declared else column.why
        return Use("ignore", why)
    missing = f"missing in {counted(column.missing, 'row')}" if column.missing else ""
    if column.name in declared:
        ((kind, options),) = declared[column.name][0].items()
        inner = ", ".join(
            f"{key}: {scalar(value) if isinstance(value, str) else value}" for key, value in options.items()
        )
        return Use(f"{{{kind}: {{{inner}}}}}", joined(declared[column.name][1], missing))
    if column.kind == "number":
        return number_use(column, rows, missing)
    if column.kind == "category":
        return category_use(column, missing)
    if column.kind == "text":
        return Use("{text: {max_tokens: 1000}}", joined(column.why, missing))
    if column.kind == "date":
        times = np.asarray(column.values[:])
        has_hours = bool((times[times != np.iinfo(np.int64).min] % SECONDS_A_DAY).any())
        parts = "[year, month, weekday, hour]" if has_hours else "[year, month, day, weekday]"
        return Use(f"{{date: {{parts: {parts}}}}}", joined(f"{column.low} to {column.high}", missing))
    return Use(column.kind, joined(column.why, missing))


def joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def number_use(column: Column, rows: int, missing: str) -> Use:
    values = present(column)[:MOST_COMPARED]
    is_whole = bool((values == np.round(values)).all())
    if is_whole and IDENTIFIER.fullmatch(column.name) and len(np.unique(values)) == len(values) and rows > 1:
        return Use("ignore", "an identifier: another number in every row")
    seen = f"{column.low} to {column.high}" + (f", {column.distinct} distinct" if column.distinct else "")
    options = {}
    deviation = values.std()
    if values.min() >= 0 and deviation > 0 and np.mean(((values - values.mean()) / deviation) ** 3) > SKEWED:
        options["scale"] = "log"
        seen += ", most of them small"
    if column.missing > MUCH_MISSING * rows:
        options["indicator"] = "true"
    inner = ", ".join(f"{key}: {value}" for key, value in options.items())
    return Use(f"{{number: {{{inner}}}}}" if options else "number", joined(seen, missing))


def category_use(column: Column, missing: str) -> Use:
    values = column.values
    assert isinstance(values, Coded)
    names = [str(value) for value in values.values if value]
    seen = f"{counted(len(names), 'value')}: {in_comments(names, 3)}"
    if len(names) <= MANY_VALUES:
        return Use("category", joined(seen, missing))
    return Use("{category: {min_count: 5, embedding: 8}}", joined(seen, missing))


def telling(table: Table, uses: dict[str, Use], target: str) -> dict[str, Use]:
    """The columns that say what the target is, unless there are no others: they would not be known in time."""
    goal = as_values({"": table.columns[target].values})[""]
    found = {}
    for name, use in uses.items():
        column = table.columns[name]
        if use.kind == "ignore" or column.kind in ("text", "date", "image", "audio"):
            continue
        why = tells(as_values({"": column.values})[""], goal, is_number=table.columns[target].kind == "number")
        if why:
            found[name] = Use("ignore", f"tells the target: {why}")
    left = [name for name, use in uses.items() if use.kind != "ignore" and name not in found]
    return found if left else {}


def tells(values: Values, goal: Values, *, is_number: bool) -> str:
    rows = np.flatnonzero(~is_missing(goal))[:MOST_COMPARED]
    codes, _ = numbered(values)
    aims, classes = numbered(goal)
    pairs = np.unique(codes[rows] * len(classes) + aims[rows])
    used, aimed = np.unique(codes[rows]), np.unique(aims[rows])
    if len(pairs) == len(used) and len(rows) >= FEW_ROWS_A_VALUE * len(used) and len(aimed) > 1:
        return "each of its values goes with one of the target"
    if is_number and isinstance(values, np.ndarray) and isinstance(goal, np.ndarray):
        both = rows[~np.isnan(values[rows])]
        if len(both) > 10 and np.std(values[both]) > 0 and np.std(goal[both]) > 0:
            correlation = float(np.corrcoef(values[both].astype(float), goal[both].astype(float))[0, 1])
            return f"the correlation is {correlation:.4f}" if abs(correlation) >= TELLING else ""
    return ""


def input_lines(uses: dict[str, Use], table: Table) -> Iterator[tuple[str, str]]:
    """All columns; of a wide table those that are not what they seem."""
    is_wide = len(uses) > MOST_LISTED
    listed = {name: use for name, use in uses.items() if not is_wide or use.kind != table.columns[name].kind}
    if listed:
        yield "inputs:", ""
    for name, use in listed.items():
        yield f"  {scalar(name, is_key=True)}: {use.kind}", use.comment
    if is_wide:
        yield "", f"{len(uses) - len(listed):,} columns are what they seem: dltool check --data shows them"


# --- time ---


def times_of(table: Table) -> TimeColumn | None:
    """The moments of the rows, if no two are the same; without a column that sorts them, each later than the one
    before."""
    dates = [name for name, column in table.columns.items() if column.kind == "date"]
    name = dates[0] if len(dates) == 1 else None
    moments = np.sort(table.columns[name].values[:]) if name is not None else moments_of_parts(table)
    if moments is None or len(moments) < 20 or (moments == np.iinfo(np.int64).min).any():
        return None
    steps = np.diff(moments)
    if (steps <= 0).any():
        return None
    usual = int(np.median(steps))
    if usual in MONTH and all(step in MONTH for step in (steps.min(), steps.max())):
        return TimeColumn(name, usual)
    return TimeColumn(name, usual if np.mean(steps == usual) >= 0.9 else None)


def moments_of_parts(table: Table) -> np.ndarray | None:
    """(rows,) of seconds, by columns called year, month, day and so on."""
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
    source: Lines, table: Table, target: str, uses: dict[str, Use], times: TimeColumn
) -> tuple[Lines, Lines, Lines]:
    """Data, layers and training of windows that say by how much the next value of the target differs from the last."""
    assert times.step is not None
    length = min(LENGTHS.get(times.step, 12), max(1, table.rows // 10))
    column = table.columns[target]
    values = present(column, None if times.column is None else np.argsort(table.columns[times.column].values[:]))
    lost = f"missing in {counted(column.missing, 'row')}, which are no targets" if column.missing else ""
    uses |= {target: Use("{number: {scale: none}}", joined(f"{column.low} to {column.high}", lost))}
    uses = {name: in_windows(name, table.columns[name], uses[name], times) for name in table.columns}
    order = "" if times.column is None else f", order: {scalar(times.column)}"
    data = [
        *source,
        (
            f"windows: {{length: {length}, target: {scalar(target)}{order}}}",
            f"a row every {'month' if times.step in MONTH else duration(times.step)}, in order",
        ),
        *input_lines(uses, table),
        ("split: {validation: 0.15, test: 0.2}", "by time: the last rows are the test"),
    ]
    scaled, change, last = (unlike(table.columns, name) for name in ("scaled", "change", "last"))
    others = [scalar(name) for name, use in uses.items() if use.kind != "ignore" and name != target]
    deviation = spread(values, target)
    shift, step = -values.mean() / deviation, np.abs(np.diff(values)).mean() or 1.0
    layers = [
        (
            f"- Rescaling: {{name: {scaled}, from: {scalar(target)}, scale: {1 / deviation:.3g}, offset: {shift:.3g}}}",
            "",
        ),
        *([(f"- Concatenate: {{from: [{', '.join([scaled, *others])}]}}", "all columns")] if others else []),
        ("- Flatten", "all rows of the window"),
        ("- Dense: {units: 64, activation: relu}", ""),
        ("- Dense: {units: 32, activation: relu}", ""),
        ("- Dense: {units: 1, kernel_initializer: zeros}", "training begins with the last value as the answer"),
        (f"- Rescaling: {{name: {change}, scale: {step:.3g}}}", "in units of the target"),
        (f"- Cropping1D: {{from: {scalar(target)}, cropping: [{length - 1}, 0]}}", "the last row"),
        (f"- Flatten: {{name: {last}}}", ""),
        (f"- Add: {{from: [{last}, {change}]}}", ""),
    ]
    return data, layers, training_lines(table.rows, "mean_absolute_error", "mean_absolute_error")


def in_windows(name: str, column: Column, use: Use, times: TimeColumn) -> Use:
    if use.kind != "ignore" and column.kind == "text":
        return Use("ignore", "text has no use in windows")
    if use.kind != "ignore" and name.lower() == "year":
        return Use("ignore", "the years of the test are not among those of the training")
    if name == times.column:
        step = times.step or 0
        parts = ["month", *["weekday"] * (step <= SECONDS_A_DAY), *["hour"] * (step < SECONDS_A_DAY)]
        return replace(use, kind=f"{{date: {{parts: [{', '.join(parts)}]}}}}")
    return use


def division(table: Table, column: Column, times: TimeColumn | None, *, is_number: bool) -> tuple[str, str]:
    line = split_line(table.rows)
    if times is not None and (times.column is not None or "time" not in table.columns):
        order = scalar(times.column) if times.column is not None else "time"
        return line.replace("}", f", order: {order}}}"), "by time: the last rows are the test"
    if not is_number and (classes_of(column)[1] == 1).any():
        return line.replace("}", ", stratify: false}"), "a class has one row only, and cannot be in every part"
    return line, ""


# --- the model ---


def dense_layers(rows: int) -> Lines:
    wide = 32 if rows < 1_000 else 64
    return [
        (f"- Dense: {{units: {wide}, activation: relu}}", "all columns come as one vector"),
        ("- Dropout: 0.2", ""),
        (f"- Dense: {{units: {wide // 2}, activation: relu}}", ""),
    ]


def number_layers(values: np.ndarray, target: str) -> Lines:
    """The output, in units of the target."""
    scale, offset = spread(values, target), np.median(values)
    return [
        ("- Dense: 1", ""),
        (f"- Rescaling: {{scale: {scale:.3g}, offset: {offset:.3g}}}", "to the units of the target"),
    ]


def spread(values: np.ndarray, target: str) -> float:
    """Raises: ConfigError: all values are the same."""
    deviation = float(values.std()) if len(values) else 0.0
    if deviation == 0:
        raise ConfigError(f'"{target}" is the same in every row', "choose another column: --target COLUMN")
    return deviation


def imbalance(column: Column) -> Lines:
    names, counts = classes_of(column)
    if counts.min() * 3 > counts.max():
        return []
    rare = in_comment(names[np.argmin(counts)])
    return [
        ("", f"class_weights: balanced would make {rare}, {counts.min() / counts.sum():.1%} of the rows, count more")
    ]
