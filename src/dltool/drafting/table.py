"""Draft a config for a table: read it, choose the target, and write the sections of the config."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from dltool.config.columns import parse_column_type
from dltool.config.sources import Source
from dltool.config.table_sources import JsonLinesSource, ParquetSource
from dltool.data.sources.tables import are_classes, table_in_reach
from dltool.data.tables.read import open_table
from dltool.data.tables.several_files import is_table
from dltool.data.tables.typed_table import Column, ColumnRequest, Table
from dltool.drafting.column_uses import as_written, input_lines, telling, use_of, value_of
from dltool.drafting.draft import Draft, Lines, in_comment, in_comments, scalar, split_line, training_lines
from dltool.drafting.folder import TEXT_LAYERS, TEXTS, words_of
from dltool.drafting.goal import Goal, chosen, goal_of
from dltool.drafting.media_columns import Paths, may_be_paths, paths_in, with_paths
from dltool.drafting.series import TimeColumn, series_parts, times_of
from dltool.drafting.sniff import Sniffed, sniff_csv
from dltool.drafting.table_files import ROLES, TableFiles
from dltool.text import counted, listed


def draft_table(files: TableFiles, named: Callable[[Path], str], target: str | None) -> Draft:
    """Draft a config for a table. `named` gives a path as YAML; `target` is the column to predict, if it is given.

    Raises:
        ConfigError: no such column, or it cannot be predicted.
        DataError: the table cannot be read, with every problem."""
    sniffed, table, paths, name, why = read_with_target(sniffed_file(files), target)
    goal = goal_of(as_target(sniffed, table, name), as_written(sniffed.columns.get(name), "number"))
    times = times_of(table) if goal.is_number and not paths else None
    inputs = [other for other in table.columns.values() if other.name != name]
    uses = {other.name: use_of(other, table.rows, sniffed.columns.get(other.name)) for other in inputs}
    source = source_lines(sniffed, named(files.path))
    title = (
        f"{in_comment(files.path.name)[1:-1]}: {counted(table.rows, 'row')}, {counted(len(table.columns), 'column')}."
    )
    others, unlike_it = other_files(sniffed, table, files)
    notes = (f'the target is "{name}": {why}', *unlike_it)
    if times is not None and times.step is not None:
        parts = series_parts(source, table, name, sniffed.columns, uses, times)
        return Draft(title, *parts, "mean_absolute_error", notes, name)
    uses |= telling(table, uses, name)
    data = [
        *source,
        *(line for role in others for line in source_lines(others[role], named(files.others[role]), role)),
        (f"target: {{{scalar(name, is_key=True)}: {goal.type}}}", f"{why}; {goal.seen}"),
        *input_lines(uses, table),
        *division(table, goal, times, others),
    ]
    layers: Lines = dense_layers(table.rows, goal)
    training = training_lines(table.rows, goal.loss, goal.metric, monitored=None if goal.is_number else "loss")
    used = [other for other, use in uses.items() if use.kind != "ignore"]
    if paths:
        layers = [*with_paths(paths, [other for other in used if other not in paths]), *layers]
    if [table.columns[other].kind for other in used] == ["text"]:
        data += words_of(table.columns[used[0]].values)
        layers, training = TEXT_LAYERS, training_lines(table.rows, goal.loss, goal.metric, TEXTS)
    return Draft(title, data, [*layers, *goal.layers], [*training, *goal.remarks], goal.metric, notes)


def as_target(sniffed: Sniffed, table: Table, name: str) -> Column:
    """Return the column as the run reads it: a class is called "yes" or "01" as in the file, not 1."""
    column = table.columns[name]
    if column.kind in ("category", "text") or (column.kind == "number" and not are_classes(column)):
        return column
    as_classes = {**sniffed.columns, name: ({"category": {}}, "")}
    return read(replace(sniffed, columns=as_classes)).columns[name]


def read_with_target(sniffed: Sniffed, target: str | None) -> tuple[Sniffed, Table, dict[str, Paths], str, str]:
    """Read the table, choose its target, and read it again where that or columns of paths change how cells are read.
    Returns how it was read, the table, its columns of paths, the target, and why that one."""
    table = read(sniffed)
    name, why = chosen(table, target)
    if table.columns[name].kind != "number" and [name] in sniffed.markers.values():
        # A marker that stands in no other column is a class.
        markers = {marker: columns for marker, columns in sniffed.markers.items() if columns != [name]}
        options = sniffed.options.model_copy(update={"missing": tuple(markers)})
        sniffed = replace(sniffed, options=options, markers=markers)
        table = read(sniffed)
    # Columns that would be ignored as identifiers may hold paths.
    hidden = [column.name for column in table.columns.values() if column.kind == "ignore" and may_be_paths(column)]
    paths = paths_in(read(sniffed, hidden) if hidden else table)
    paths.pop(name, None)
    if paths:
        declared = {column: (each.declared, each.why) for column, each in paths.items()}
        sniffed = replace(sniffed, columns={**sniffed.columns, **declared})
        table = read(sniffed)
    return sniffed, table, paths, name, why


def sniffed_file(files: TableFiles) -> Sniffed:
    """Return how the files are written: by their name, and as delimited text by their content."""
    if is_table(files.first.name, "json_lines"):
        return Sniffed("json_lines", JsonLinesSource(path=str(files.path)))
    if is_table(files.first.name, "parquet"):
        return Sniffed("parquet", ParquetSource(path=str(files.path)))
    return sniff_csv(files.first, (), files.path)


def other_files(sniffed: Sniffed, table: Table, files: TableFiles) -> tuple[dict[str, Sniffed], list[str]]:
    """Return the files for validation and test that have all columns of the table, and remarks on the others."""
    found: dict[str, Sniffed] = {}
    remarks = []
    for role, path in files.others.items():
        options = sniffed.options.model_copy(update={"path": str(path)})
        names = open_table(Source(sniffed.kind, options), (), ColumnRequest()).names
        absent = [name for name in table.columns if name not in names]
        if absent:
            lacking = f"has no {listed(absent, 3)}: dltool predict takes it after training"
            remarks.append(f"{path.name} is not used, it {lacking}")
        else:
            found[role] = replace(sniffed, options=options)
    return found, remarks


def read(sniffed: Sniffed, needed: Sequence[str] = ()) -> Table:
    types = {name: parse_column_type(value) for name, (value, _) in sniffed.columns.items()}
    return table_in_reach(Source(sniffed.kind, sniffed.options), (), ColumnRequest(declared=types, needed=needed))


def source_lines(sniffed: Sniffed, named: str, role: str = "source") -> Lines:
    kind = sniffed.kind
    unsaid = {"path", "delimiter"} if kind == "tsv" else {"path"}
    given = sniffed.options.model_dump(exclude_defaults=True, exclude=unsaid)
    written = [f"path: {named}", *(f"{key}: {value_of(value)}" for key, value in given.items())]
    remarks = [*sniffed.remarks]
    if "header" in given:
        remarks.append("the first line has names" if given["header"] else "the first line is a row")
    for marker, columns in sniffed.markers.items():
        remarks.append(f"{in_comment(marker)} stands in {in_comments(columns, 3)}")
    if sum(map(len, written)) < 80:
        return [(f"{role}: {{{kind}: {{{', '.join(written)}}}}}", "; ".join(remarks[:3]))]
    return [(f"{role}:", "; ".join(remarks[:3])), (f"  {kind}:", ""), *((f"    {line}", "") for line in written)]


def division(table: Table, goal: Goal, times: TimeColumn | None, others: Collection[str]) -> Lines:
    """Return the line of the split, unless all splits have files of their own."""
    if len(others) == len(ROLES):
        return []
    if others:
        (role,) = ROLES.keys() - others
        return [(f"split: {{{role}: 0.15}}", f"{listed([*others], 2)} has a file of its own")]
    return [whole_division(table, goal, times)]


def whole_division(table: Table, goal: Goal, times: TimeColumn | None) -> tuple[str, str]:
    line = split_line(table.rows)
    if times is not None and (times.column is not None or "time" not in table.columns):
        order = scalar(times.column) if times.column is not None else "time"
        return line.replace("}", f", order: {order}}}"), "by time: the last rows are the test"
    if goal.fewest == 1:
        return line.replace("}", ", stratify: false}"), "a class has one row only, and cannot be in every split"
    return line, ""


def dense_layers(rows: int, goal: Goal) -> Lines:
    wide = 32 if rows < 1_000 else 64
    return [
        (f"- Dense: {{units: {wide}, activation: relu}}", "all columns come as one vector"),
        # The mean of what units give is shifted by Dropout, which classes bear and numbers do not.
        *([] if goal.is_number else [("- Dropout: 0.2", "")]),
        (f"- Dense: {{units: {wide // 2}, activation: relu}}", ""),
    ]
