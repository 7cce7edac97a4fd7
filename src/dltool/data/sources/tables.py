"""Tables as examples: the columns that are inputs, targets, or divide the rows."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from dltool.config.columns import (
    COLUMN_TYPES,
    CategoryColumn,
    CategoryTarget,
    ColumnTarget,
    ColumnType,
    IndexTarget,
    MultiLabelTarget,
    NumberColumn,
    NumberTarget,
    Target,
    TargetType,
    WrittenNumber,
)
from dltool.config.file_columns import AudioColumn, FileColumn
from dltool.config.schema import Data
from dltool.config.sources import Source
from dltool.config.window_options import columns_in
from dltool.data.arrays.cleaning import WEIGHTS_ARE, weight_problem
from dltool.data.arrays.rows import Coded, Rows
from dltool.data.examples import Examples, SourceExamples, places_left
from dltool.data.facts import is_for_layers
from dltool.data.files.class_folders import PartName
from dltool.data.labels import index_problem, not_indices
from dltool.data.media.cache import cache_folder
from dltool.data.split.by_column import Values, is_missing
from dltool.data.tables.read import read_table
from dltool.data.tables.typed_table import Column, ColumnRequest, Table, TableFile
from dltool.errors import ConfigPath, DataError, Problem
from dltool.machine import usable_memory
from dltool.text import counted, listed

INPUTS: ConfigPath = ("data", "inputs")
WEIGHTS: ConfigPath = ("data", "weights")
MEMORY_SHARE = 4
"""Columns are kept in memory up to this share of it."""
MOST_NUMBERED_CLASSES = 20
"""Integers of a target are classes if they have at most this many distinct values."""
SHOWN = 5
PARTS: Mapping[str, PartName] = {"source": "training", "validation": "validation", "test": "test"}
"""The splits of the config's sources."""


@dataclass(frozen=True)
class Readable:
    """The tables of a config by their key, with the types of the inputs, and the targets."""

    tables: Mapping[str, Table]
    types: Mapping[str, ColumnType]
    targets: Mapping[str, Target]

    @property
    def first(self) -> Table:
        return self.tables["source"]

    def inferred(self, data: Data) -> dict[str, Any]:
        """Return the type of every column, as inferred by reading, which saves other commands doing so."""
        ignored = ColumnType("ignore", COLUMN_TYPES["ignore"].model_validate({}))
        names = [name for name in self.first.columns if name not in data.target_columns]
        names += data.target_columns if data.windows is not None else ()
        # It is neither an input nor ignored.
        names = [name for name in names if name != data.weights]
        aside = [name for name in dividing_columns(data) if name not in (data.inputs or {})]
        names = [name for name in names if name in self.types or name not in aside]
        inputs = {name: self.types.get(name, ignored) for name in names}
        given = tuple(self.targets.values())
        return {"inputs": inputs, "target": given if isinstance(data.target, tuple) else given[0]}


def read_tables(data: Data, reach: Callable[..., Table] | None = None) -> Readable:
    """Read the tables of the config. All have the types of the first.

    Raises:
        DataError: every problem of a file, its columns and cells; or no column is left as input.
        MachineError: there is no room for columns that do not fit in memory."""
    # A column that divides or orders rows is read, although it may be no input.
    dividing = {name for _, name in named_columns(data)}
    beside = set(columns_beside(data))
    needed, absent = (*data.target_columns, *sorted(dividing | beside)), dividing - {*dividing_columns(data)}
    read = dividing | beside
    declared = {name: kind for name, kind in (data.inputs or {}).items() if kind.name != "ignore" or name not in read}
    places: dict[str, ConfigPath] = {name: (*INPUTS, name) for name in data.inputs or {}}
    if data.weights is not None:
        needed += (data.weights,)
        declared[data.weights] = ColumnType("number", NumberColumn())
    for target, columns, kind in ((name, each.columns, each.type) for name, each in data.targets.items()):
        as_target = column_of(kind)
        if as_target is not None:
            declared |= {name: as_target for name in columns if data.windows is None or name not in declared}
        places |= dict.fromkeys(columns, target_place(data, target))
    places |= {name: ("data", *key) for key, name in named_columns(data)}
    places |= dict.fromkeys(beside - dividing, ("data", "slices"))
    places |= {} if data.weights is None else {data.weights: WEIGHTS}
    tables: dict[str, Table] = {}
    for role in PARTS:
        if (source := getattr(data, role)) is not None:
            # Tables after the first do without what is ignored.
            optional = [*absent, *(name for name, kind in declared.items() if tables and kind.name == "ignore")]
            wanted = ColumnRequest(declared, places, tables.get("source"), needed, optional)
            tables[role] = (reach or table_in_reach)(source, ("data", role), wanted)
    first = tables["source"]
    # Few distinct integers are classes.
    targets = {
        name: replace(target, type=target.type or type_of(first.columns[target.columns[0]], data))
        for name, target in data.targets.items()
    }
    return Readable(tables, input_types(data, first), targets)


def target_place(data: Data, name: str) -> ConfigPath:
    """Return the config path that names a target."""
    if data.windows is not None:
        return ("data", "windows", "target")
    return ("data", "target", name) if isinstance(data.target, tuple) else ("data", "target")


def table_in_reach(source: Source | TableFile, place: ConfigPath, wanted: ColumnRequest) -> Table:
    """Return the table, in memory or in files that vanish with this process."""
    return read_table(source, place, wanted, budget=usable_memory() // MEMORY_SHARE, spill=cache_folder())


def column_of(target: TargetType | None) -> ColumnType | None:
    """Return the type of a target's column; None to infer it."""
    if target is None:
        return None
    if isinstance(target.options, CategoryTarget):
        written = target.options.model_dump(exclude={"positive", "missing"})
        return ColumnType("category", CategoryColumn.model_validate(written))
    if isinstance(target.options, MultiLabelTarget):
        return ColumnType("category", CategoryColumn())
    return ColumnType("number", NumberColumn(**target.options.model_dump(include={*WrittenNumber.model_fields})))


def named_columns(data: Data) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield the columns by which the config divides or orders rows, with the keys that name them."""
    for section, keys in (("split", ("group", "order", "column")), ("windows", ("key", "order"))):
        for key in keys:
            for name in columns_in(getattr(getattr(data, section), key, None)):
                yield (section, key), name


def dividing_columns(data: Data) -> tuple[str, ...]:
    """Return the required ones. `order: time` may mean another column."""
    return tuple(name for (_, key), name in named_columns(data) if not (key == "order" and name == "time"))


def columns_beside(data: Data) -> list[str]:
    """Return the columns of the slices that are read although they are no inputs."""
    return [name for name in data.slice_bounds if (kind := (data.inputs or {}).get(name)) and kind.name == "ignore"]


def load_table_examples(data: Data, reach: Callable[..., Table] | None = None) -> SourceExamples:
    """Return the examples of a table, one for each row. Raises as :func:`read_tables`."""
    read = read_tables(data, reach)
    problems: list[Problem] = []
    parts: dict[PartName, Examples] = {}
    warnings: list[str] = []
    for role, table in read.tables.items():
        problems += missing_problems(table, read.types)
        labels: dict[str, Values] = {}
        for name, target in read.targets.items():
            with DataError.collected(problems):
                labels[name] = labels_of(target, table, ("data", role), target_place(data, name))
        weights: np.ndarray | None = None
        if data.weights is not None:
            weights = np.asarray(in_memory(table.columns[data.weights].values), np.float32)
            problem = weight_problem(weights, partial(rows_named, table))
            problems += [] if problem is None else [Problem(WEIGHTS, f'"{data.weights}": {problem}', WEIGHTS_ARE)]
        if not problems:
            found = {name: input_rows(data, table, name, kind) for name, kind in read.types.items()}
            dividing = (name for name in (*dividing_columns(data), *columns_beside(data)) if name in table.columns)
            inputs = {name: rows for name, (rows, _) in found.items()}
            digests = {name: each for name, (_, each) in found.items() if each is not None}
            values = {**dates_of(table), **{name: in_memory(table.columns[name].values) for name in dividing}}
            examples = Examples(inputs, labels, table.path.name, ("data", role), values, digests, weights=weights)
            if any(map(is_dropped, read.targets.values())):
                examples = with_targets(examples, read.targets, table, warnings)
            parts[PARTS[role]] = examples
    DataError.refuse(problems)
    alone = len(read.types) == 1
    types = {name: kind for name, kind in read.types.items() if not (alone and is_for_layers(kind, data))}
    columns_read = tuple(read.first.columns.values())
    return SourceExamples(parts, (), tuple(warnings), types, inferred=read.inferred(data), columns=columns_read)


def is_dropped(target: Target) -> bool:
    """Return whether rows without this target are left out."""
    return getattr(target.type and target.type.options, "missing", "error") == "drop"


def with_targets(examples: Examples, targets: Mapping[str, Target], table: Table, warnings: list[str]) -> Examples:
    """Return the examples that have all targets, with their rows, and add a warning about the others."""
    columns = [name for target in targets.values() if is_dropped(target) for name in target.columns]
    absent = np.any([is_missing(in_memory(table.columns[name].values)) for name in columns], axis=0)
    rows = np.flatnonzero(~absent)
    if not len(rows):
        raise DataError(Problem(examples.place, f"{table.path.name} has no row with the target", "name another column"))
    if absent.any():
        named = " or ".join(f'"{name}"' for name in columns)
        warnings.append(f"{named} is missing in {rows_named(table, np.flatnonzero(absent))}, left out")
    return replace(examples.take(rows), name=examples.name, places=places_left(table.path.name, rows + 1))


def input_types(data: Data, table: Table) -> dict[str, ColumnType]:
    """Return the columns that are inputs: all but the target, undeclared ones that divide the rows, and ignored ones.
    Raises DataError: none is left."""
    declared = data.inputs or {}
    apart = set() if data.windows is not None else set(data.target_columns)
    aside = {name for (section, key), name in named_columns(data) if section == "split" or key == "key"}
    aside |= set() if data.weights is None else {data.weights}
    types = {}
    for name, column in table.columns.items():
        is_ignored = column.kind == "ignore" or (name in declared and declared[name].name == "ignore")
        if name in apart or (name in aside and name not in declared) or is_ignored:
            continue
        # In windows the target may be an input too, which is read like any other.
        given = None if name in data.target_columns and name not in declared else column.declared
        kind = given or ColumnType(column.kind, COLUMN_TYPES[column.kind].model_validate({}))
        types[name] = with_rate(table, name, kind)
    if not types:
        raise DataError(Problem(("data", "source"), f"{table.path} has no column left for the inputs"))
    return types


def dates_of(table: Table) -> dict[str, Values]:
    return {name: in_memory(column.values) for name, column in table.columns.items() if column.kind == "date"}


def in_memory(rows: Rows) -> Values:
    return rows if isinstance(rows, Coded) else np.asarray(rows[:])


def as_input(values: Rows, column: Column) -> Rows:
    """Return the values of an input: float32, although numbers that also divide the rows are float64 in the table,
    unless the column is wide."""
    return np.asarray(values[:], np.float32) if values.dtype == np.float64 and not column.is_wide else values


def input_rows(
    data: Data, table: Table, name: str, kind: ColumnType, *, digests: bool = True
) -> tuple[Rows, np.ndarray | None]:
    """Return the values of an input; for paths, the decoded files, and their `digests`."""
    column = table.columns[name]
    values = as_input(column.values, column)
    if kind.name not in ("image", "audio"):
        return values, None
    from dltool.data.media.audio import CLIPS
    from dltool.data.media.images import IMAGES
    from dltool.data.media.load import files_named

    medium = IMAGES if kind.name == "image" else CLIPS
    assert isinstance(kind.options, FileColumn)
    files = files_named(values[:], table.path.parent, kind.options, (*INPUTS, name), medium.noun)
    decoded = medium.decode(files, kind.options, len(files.members), data.cache, digests)
    return decoded.rows, decoded.digests


def with_rate(table: Table, name: str, kind: ColumnType) -> ColumnType:
    """Return the type of a column of audio clips with the rate of the first one, to which all others are resampled."""
    values = table.columns[name].values
    if not isinstance(kind.options, AudioColumn) or kind.options.rate is not None or not isinstance(values, Coded):
        return kind
    from dltool.data.media.audio import CLIPS, headers_of
    from dltool.data.media.load import files_named

    try:
        (header,) = headers_of(files_named(values[:1], table.path.parent, kind.options, (*INPUTS, name), CLIPS.noun))
    except DataError:
        # Read all of them, to report all errors.
        return kind
    return ColumnType(kind.name, kind.options.model_copy(update={"rate": header.rate}))


def missing_problems(table: Table, types: Mapping[str, ColumnType]) -> Iterator[Problem]:
    """Yield the problems of inputs with missing values that are not allowed."""
    for name, kind in types.items():
        if getattr(kind.options, "missing", None) == "error" and table.columns[name].missing:
            rows = np.flatnonzero(is_missing(in_memory(table.columns[name].values)))
            message = f'"{name}" is missing in {rows_named(table, rows)}'
            usual = type(kind.options).model_fields["missing"].default
            hint = f"fill these cells in, or let something stand for them, such as missing: {usual}"
            yield Problem((*INPUTS, name), message, hint)


def rows_named(table: Table, rows: np.ndarray) -> str:
    """Return "3 rows: adult.csv, line 5; …"."""
    return f"{counted(len(rows), 'row')}: {listed(table.names_of(rows[: SHOWN + 1].tolist()), SHOWN, '; ')}"


def type_of(column: Column, data: Data) -> TargetType:
    if column.kind == "number" and (data.windows is not None or not are_classes(column)):
        return TargetType("number", NumberTarget())
    return TargetType("category", CategoryTarget())


def are_classes(column: Column) -> bool:
    values = column.values[:]
    if column.distinct is None or column.distinct > MOST_NUMBERED_CLASSES:
        return False
    return bool(np.all((values == np.round(values)) | np.isnan(values)))


def labels_of(target: Target, table: Table, place: ConfigPath, target_place: ConfigPath) -> Values:
    """Return (rows,) of text or float32, or (rows, columns) of float32. Raises DataError: rows without a label, or a
    column that cannot be a target."""
    task = None if target.type is None else target.type.task
    problems = []
    labels = []
    for name in target.columns:
        column = table.columns[name]
        if column.kind == "date":
            message = f'"{name}" holds dates, which cannot be predicted'
            problems.append(Problem(target_place, message, "choose another column"))
            continue
        values = in_memory(column.values)
        rows = np.flatnonzero(is_missing(values))
        if len(rows) and not (task and task.takes_several) and not is_dropped(target):
            message = f'the target "{name}" is missing in {rows_named(table, rows)}'
            drop = "remove these rows"
            if target.type is not None and isinstance(target.type.options, ColumnTarget):
                drop = f"leave these rows out: target: {{{name}: {{{target.type.name}: {{missing: drop}}}}}}"
            problems.append(Problem(place, message, f"fill them in, or {drop}"))
        elif target.type is not None and isinstance(options := target.type.options, IndexTarget):
            numbers = np.asarray(values)
            wrong = np.flatnonzero(not_indices(numbers, options.classes))
            if len(wrong):
                fix = index_problem(numbers[wrong], rows_named(table, wrong), options.classes)
                problems.append(Problem(target_place, *fix))
        labels.append(values)
    DataError.refuse(problems)
    if len(labels) > 1:
        return np.stack([np.asarray(values, np.float32) for values in labels], axis=1)
    return class_labels(labels[0]) if task is None or task.has_classes else labels[0]


def class_labels(values: Values) -> Values:
    """Return classes as text or numbers; integral numbers become integers."""
    if isinstance(values, Coded):
        return values
    whole = values.astype(np.int64)
    return whole if (whole == values).all() else values
