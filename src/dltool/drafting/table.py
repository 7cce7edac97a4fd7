"""Draft a config for a table: read it, choose the target, and write the sections of the config."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dltool.config.columns import parse_column_type
from dltool.config.sources import SOURCES, Source
from dltool.config.table_sources import SQLITE, SqlSource
from dltool.data.arrays.rows import Coded
from dltool.data.sources.tables import are_classes, table_in_reach
from dltool.data.split.at_random import PART_NAMES, SPELLINGS
from dltool.data.tables.json_lines import ONE_OBJECT, JsonLinesFile, conversion
from dltool.data.tables.read import open_table
from dltool.data.tables.several_files import ENDINGS, is_table, parts_in
from dltool.data.tables.typed_table import Column, ColumnRequest, Table
from dltool.drafting.arff import sniff_arff
from dltool.drafting.column_uses import MOST_LISTED, Use, input_lines, repeated_ids, telling, use_of, value_of
from dltool.drafting.database import query_of
from dltool.drafting.draft import RANDOM, Draft, Lines, in_comment, in_comments, scalar, split_line, training_lines
from dltool.drafting.folder import TEXT_LAYERS, TEXTS, words_of
from dltool.drafting.goal import Goal, chosen, goal_of
from dltool.drafting.media_columns import Paths, lost_files, may_be_names, media_places, paths_in, with_paths
from dltool.drafting.segmentation import refuse_masks
from dltool.drafting.series import SPLIT, YEARS, TimeColumn, are_random, series_parts, times_of, years_in
from dltool.drafting.settings import GivenSettings
from dltool.drafting.sniff import Sniffed, sniff_csv, sniff_sheet, surveyed
from dltool.drafting.table_files import ROLES, TableFiles
from dltool.errors import ConfigError, DataError
from dltool.text import counted, listed

QUOTE = '"'
SPLIT_OF_ROWS = "names the split of each row"
PREDICTED = ": dltool predict takes it after training"
DELIMITED = ("csv", "tsv")
ONE_COLUMN = (
    "add columns to predict it from; or, if its lines have several fields, say what separates them: "
    "--set data.source.csv.delimiter=CHARACTER; if these have fixed widths, in Python: import pandas; "
    'pandas.read_fwf("{}", widths=[…], header=None).to_csv("data.csv", index=False)'
)
FLATTEN = "make columns of single values of it, in Python: pandas.json_normalize"
FEWEST_MOMENTS = 3
"""A split by time needs one for each part."""
PIECES = 16
PATIENCE = 8
DENSE = (6_000, 200)
"""The length of a training: steps in all, roughly, and the most epochs."""
MANY_ROWS = 4_000
"""Fewer rows are fitted better without pieces, and below FEW_ROWS by more weight decay: measured within the training
rows of 25 tables."""
FEW_ROWS = 1_000


def draft_table(files: TableFiles, named: Callable[[Path], str], target: str | None, given: GivenSettings) -> Draft:
    """Draft a config for a table. `named` gives a path as YAML; `target` is the column to predict, if it is `given`.

    Raises:
        ConfigError: no such column, or it cannot be predicted.
        DataError: the table cannot be read, with every problem."""
    sniffed, table, paths, name, why = read_with_target(sniffed_file(files, given), target)
    goal = goal_of(as_target(sniffed, table, name), sniffed.columns.get(name))
    times = None if paths else times_of(table, name)
    is_series = times is not None and goal.is_number and times.may_be_windows(table)
    is_long = table.rows >= MANY_ROWS and len(table.columns) <= MOST_LISTED
    uses = uses_of(table, sniffed, name, PIECES if is_long and not is_series else None) | said_uses(given, name)
    size = f"{counted(table.rows, 'row')}, {counted(len(table.columns), 'column')}"
    title = f"{in_comment(files.path.name)[1:-1]}: {size}."
    others, unlike_it = other_files(sniffed, table, files, "" if is_series else PREDICTED)
    notes = (f'the target is "{name}": {why}', *unlike_it, *folders_of_no_column(files, sniffed.kind))
    sources = [
        *source_lines(sniffed, named(files.path)),
        *(line for role in others for line in source_lines(others[role], named(files.others[role]), role)),
    ]
    if times is not None and is_series:
        fewest = min([table.rows, *(read(other).rows for other in others.values())])
        data, layers, training = series_parts(sources, table, name, sniffed.columns, uses, times, fewest)
        data = [*data, *division(others, SPLIT, "", "by time: the last rows are the test")]
        doubt = RANDOM if are_random(table, name, times) else ""
        return Draft(title, data, layers, training, goal.metric, notes, doubt)
    notes += times.notes() if times is not None and goal.is_number else ()
    by_name = split_columns(table, name)
    uses |= repeated_ids(table, uses) | telling(table, uses, name)
    uses = checked(table, uses | by_name | said_uses(given, name), name)
    data = [
        *sources,
        (f"target: {{{scalar(name, is_key=True)}: {goal.type}}}", f"{why}; {goal.seen}"),
        *input_lines(uses, table),
        *(named_split(by_name) or division(others, split_line(table.rows), *split_options(table, goal, times, uses))),
    ]
    layers, monitored = dense_layers(goal), None if goal.is_number else "loss"
    training = training_lines(table.rows, goal.loss, goal.metric, DENSE, monitored, decaying(table.rows), PATIENCE)
    used = [other for other, use in uses.items() if use.kind != "ignore"]
    if paths:
        layers = [*with_paths(paths, [other for other in used if other not in paths]), *layers]
    if [table.columns[other].kind for other in used] == ["text"]:
        data += words_of(table.columns[used[0]].values)
        layers, training = TEXT_LAYERS, training_lines(table.rows, goal.loss, goal.metric, TEXTS, patience=PATIENCE)
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
    if table.rows == 1 and isinstance(table.file, JsonLinesFile) and table.file.unusable:
        (_, text), *_ = table.file.texts()
        raise DataError(f"{table.path.name}{ONE_OBJECT}", conversion(json.loads(text), table.path.name))
    if len(table.columns) == 1:
        hint = ONE_COLUMN if sniffed.kind in DELIMITED else "add columns to predict it from"
        raise DataError(
            f'{table.path.name} has one column, "{next(iter(table.columns))}"', hint.format(table.path.name)
        )
    # Years, one after the other, are ignored as row numbers.
    hidden = [
        column.name for column in table.columns.values() if column.kind == "ignore" and column.name.lower() in YEARS
    ]
    complete = read(sniffed, hidden) if hidden else table
    table = complete if any(years_in(complete, each) is not None for each in hidden) else table
    places = media_places(table.path.parent)
    names = [column.name for column in table.columns.values() if may_be_names(column)]
    texts: Table | None = None
    if (places or lost_files(table)) and names:
        as_texts = replace(sniffed, columns={**sniffed.columns, **dict.fromkeys(names, ("category", ""))})
        texts = read(as_texts, names)
        refuse_masks(texts)
    name, why = chosen(table, target)
    if table.columns[name].kind != "number" and [name] in sniffed.markers.values():
        # A marker that stands in no other column is a class.
        markers = {marker: columns for marker, columns in sniffed.markers.items() if columns != [name]}
        options = sniffed.options.model_copy(update={"missing": tuple(markers)})
        sniffed = replace(sniffed, options=options, markers=markers)
        table = read(sniffed)
    paths = {} if texts is None else paths_in(texts, places, name)
    lost = {column: why for column, why in lost_files(table).items() if column not in (name, *paths)}
    if paths or lost:
        declared = lost | {column: (each.declared, each.why) for column, each in paths.items()}
        sniffed = replace(sniffed, columns={**sniffed.columns, **declared})
        table = read(sniffed)
    return sniffed, table, paths, name, why


def sniffed_file(files: TableFiles, given: GivenSettings) -> Sniffed:
    """Return how the files are written: by their content or their name, and as `--set` says."""
    kind = files.kind or next((kind for kind in ENDINGS if is_table(files.first.name, kind)), "csv")
    is_delimited = kind in DELIMITED
    if given.kind and given.kind != kind and not (is_delimited and given.kind in DELIMITED):
        known = ", ".join(name for name in SOURCES[kind].model_fields if name not in ("path", "url"))
        hint = f"its options are --set data.source.{kind}.OPTION=VALUE: {known}" if known else "omit --set"
        raise ConfigError(f"{files.path.name} is read as {kind}, not {given.kind}", hint)
    if kind == "sql":
        source, remarks = query_of(files.path)
        sniffed = replace(surveyed("sql", source.model_copy(update=given.options), ()), remarks=remarks)
    elif kind == "excel":
        sniffed = sniff_sheet(files.first, (), files.path, given.options)
    elif is_delimited:
        sniffed = sniff_arff(files.first, (), files.path) or sniff_csv(files.first, (), files.path, given.options)
    else:
        options: Any = SOURCES[kind].model_validate({"path": str(files.path)})
        sniffed = Sniffed(kind, options)
    said = {name: (value, "as --set says") for name, value in given.columns.items()}
    return replace(sniffed, columns={**sniffed.columns, **said})


def other_files(sniffed: Sniffed, table: Table, files: TableFiles, remark: str) -> tuple[dict[str, Sniffed], list[str]]:
    """Return the files for validation and test that have all columns of the table, and messages about the others;
    `remark` ends those about files that lack columns."""
    found: dict[str, Sniffed] = {}
    remarks: list[str] = []
    if isinstance(sniffed.options, SqlSource):
        return found, remarks
    for role, path in files.others.items():
        options = sniffed.options.model_copy(update={"path": str(path)})
        try:
            names = open_table(Source(sniffed.kind, options), (), ColumnRequest()).names
        except DataError as error:
            remarks.append(f"{path.name} is not used: {error.problems[0].message}")
            continue
        absent = [name for name in table.columns if name not in names]
        if absent:
            remarks.append(f"{path.name} is not used, it has no {listed(absent, 3)}{remark}")
        else:
            found[role] = replace(sniffed, options=options)
    return found, remarks


def folders_of_no_column(files: TableFiles, kind: str) -> list[str]:
    """Return a message about the folders of a table, which may be classes."""
    if not (files.path.is_dir() or (files.path.is_file() and files.path.suffix.lower() == ".zip")):
        return []
    parts = parts_in(str(files.path), kind, ())
    folders = {part.parent for part, values in parts if not values} - {files.path.absolute()}
    names = sorted(folder.name for folder in folders)
    way = "rename each, such as {0} to class={0}, to have one"
    return (
        [f"no column has the names of the folders {listed(names, 3)}: {way.format(*names)}"] if len(names) > 1 else []
    )


def read(sniffed: Sniffed, needed: Sequence[str] = ()) -> Table:
    types = {name: parse_column_type(value) for name, (value, _) in sniffed.columns.items()}
    return table_in_reach(Source(sniffed.kind, sniffed.options), (), ColumnRequest(declared=types, needed=needed))


def source_lines(sniffed: Sniffed, named: str, role: str = "source") -> Lines:
    kind = sniffed.kind
    unsaid = {"path", "url", "delimiter"} if kind == "tsv" else {"path", "url"}
    given = sniffed.options.model_dump(exclude_defaults=True, exclude=unsaid)
    # A path in quotes is YAML within them.
    where = f'url: "{SQLITE}{named[1:-1] if named[0] == QUOTE else named}"' if kind == "sql" else f"path: {named}"
    written = [where, *(f"{key}: {value_of(value)}" for key, value in given.items())]
    remarks = [*sniffed.remarks]
    if "header" in given:
        remarks.append("the first line has names" if given["header"] else "the first line is a row")
    for marker, columns in sniffed.markers.items():
        remarks.append(f"{in_comment(marker)} stands in {in_comments(columns, 3)}")
    if sum(map(len, written)) < 80:
        return [(f"{role}: {{{kind}: {{{', '.join(written)}}}}}", "; ".join(remarks[:3]))]
    return [(f"{role}:", "; ".join(remarks[:3])), (f"  {kind}:", ""), *((f"    {line}", "") for line in written)]


def said_uses(given: GivenSettings, target: str) -> dict[str, Use]:
    """Return the uses of the columns whose type `--set` gives."""
    return {name: Use(value_of(value), "as --set says") for name, value in given.columns.items() if name != target}


def uses_of(table: Table, sniffed: Sniffed, target: str, pieces: int | None) -> dict[str, Use]:
    return {
        name: use_of(column, table.rows, sniffed.columns.get(name), pieces)
        for name, column in table.columns.items()
        if name != target
    }


def checked(table: Table, uses: dict[str, Use], target: str) -> dict[str, Use]:
    """Return the uses. Raises DataError: no column is used."""
    if all(use.kind == "ignore" for use in uses.values()):
        others = [f"{name} is ignored: {use.comment}" for name, use in uses.items()]
        message = f'{table.path.name} has no column to predict "{target}" from: {listed(others, 5, "; ")}'
        way = "choose another target, --target COLUMN, or use a column: --set data.inputs.COLUMN=TYPE"
        raise DataError(message, FLATTEN if table.file.unusable.keys() >= uses.keys() else way)
    return uses


def split_columns(table: Table, target: str) -> dict[str, Use]:
    """Return the uses of the columns whose values are names of splits."""
    found: dict[str, Use] = {}
    for name, column in table.columns.items():
        if name != target and column.kind == "category" and isinstance(column.values, Coded):
            parts = {SPELLINGS.get(str(value).strip().lower()) for value in column.values.values}
            if len(parts) > 1 and None not in parts:
                found[name] = Use("ignore", SPLIT_OF_ROWS if len(parts) == len(PART_NAMES) else "names two splits")
    return found


def named_split(by_name: Mapping[str, Use]) -> Lines:
    """Return the line of the split by a column that names all splits, if there is one."""
    names = [name for name, use in by_name.items() if use.comment == SPLIT_OF_ROWS]
    return [(f"split: {{column: {scalar(name)}}}", "") for name in names[:1]]


def division(others: Collection[str], whole: str, options: str, comment: str) -> Lines:
    """Return the line of the split with its `options`, unless all splits have files of their own; `whole` is that of
    one file."""
    if len(others) == len(ROLES):
        return []
    if others:
        (role,) = ROLES.keys() - others
        own = f"{listed([*others], 2)} has a file of its own"
        return [(f"split: {{{role}: 0.15{options}}}", f"{comment}; {own}" if options else own)]
    return [(whole.replace("}", f"{options}}}"), comment)]


def split_options(table: Table, goal: Goal, times: TimeColumn | None, uses: Mapping[str, Use]) -> tuple[str, str]:
    """Return the options of the split besides its sizes, and a comment on them."""
    moments = table.columns[times.column].distinct if times is not None and times.column is not None else None
    if times is not None and moments is not None and moments < FEWEST_MOMENTS:
        return "", f"at random: {in_comment(times.column)} has too few values to divide the rows by it"
    if times is not None and (times.column is not None or (times.are_ordered and "time" not in table.columns)):
        order = scalar(times.column) if times.column is not None else "time"
        return f", order: {order}", "by time, not at random: the last rows are the test"
    if ids := [*repeated_ids(table, uses)]:
        return f", group: {scalar(ids[0])}", "rows of one are never in two splits"
    if goal.fewest == 1:
        return ", stratify: false", "a class has one row only, and cannot be in every split"
    return "", ""


def decaying(rows: int) -> tuple[str, str]:
    """Return an optimizer that keeps the weights small: without that, a few rows are learned by heart."""
    decay = 1.0 if rows < FEW_ROWS else 0.3
    return f"AdamW: {{learning_rate: 1e-3, weight_decay: {decay}}}", "small weights, so that no row is learned by heart"


def dense_layers(goal: Goal) -> Lines:
    return [
        ("- Dense: {units: 64, activation: relu}", "all columns come as one vector"),
        # The mean of what units give is shifted by Dropout, which classes bear and numbers do not.
        *([] if goal.is_number else [("- Dropout: 0.2", "")]),
        ("- Dense: {units: 32, activation: relu}", ""),
    ]
