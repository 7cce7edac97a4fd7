"""The part of an ejected script that reads a table and preprocesses its columns."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dltool.config.columns import (
    UNIX,
    BooleanColumn,
    CategoryColumn,
    CategoryTarget,
    DateColumn,
    MultiLabelTarget,
    NumberColumn,
    Target,
    TextColumn,
    WrittenNumber,
)
from dltool.config.schema import Data
from dltool.config.sources import Source
from dltool.config.table_sources import WHITESPACE, ArrowSource, CsvSource, JsonLinesSource
from dltool.ejecting.column_functions import (
    PARTS,
    boolean_function,
    category_function,
    date_function,
    number_function,
    text_function,
)
from dltool.ejecting.ejected_run import Block, EjectedRun
from dltool.ejecting.python_text import Code, call, laid_out, mapping, sequence, text, value
from dltool.errors import ConfigError

AS_TEXT = [
    "def as_text(cell):",
    '    """Write a cell as text, whole numbers without a point."""',
    "    if isinstance(cell, float) and cell.is_integer():",
    "        cell = int(cell)",
    '    return "" if pd.isna(cell) else str(cell)',
]


def is_typed(ejected: EjectedRun) -> bool:
    """Return whether the file has types of columns, and cells are not all text."""
    return not isinstance(ejected.config.data.source.options, CsvSource)


def read_blocks(ejected: EjectedRun) -> list[Block]:
    """Return the code that reads the tables of all splits into `table`."""
    data = ejected.config.data
    own = ejected.run.own_table
    roles = [(role, source) for role in ("source", "validation", "test") if (source := getattr(data, role))]
    if own is not None:
        return [['table = pd.read_parquet(HERE / "data.parquet")'], *drop_blocks(data), *shared_functions(ejected)]
    files = [path for role, source in roles for path in files_of(role, source)]
    read: Code
    blocks: list[Block] = []
    if is_typed(ejected):
        kinds = {"json_lines": "json", "parquet": "parquet", "feather": "feather", "orc": "orc"}
        lines_too = {"lines": "True", "dtype": "False", "convert_dates": "False"}
        more = lines_too if isinstance(data.source.options, JsonLinesSource) else {}
        calls = [call(f"pd.read_{kinds[data.source.name]}", text(file), **more) for file in files]
    else:
        blocks.append(csv_function(data.source.options))
        calls = [call("read_table", text(file)) for file in files]
    read = calls[0] if len(calls) == 1 else call("pd.concat", sequence(calls), ignore_index="True")
    return [*blocks, [*laid_out(read, "table = "), *tidy_lines(data)], *drop_blocks(data), *shared_functions(ejected)]


def shared_functions(ejected: EjectedRun) -> list[Block]:
    kinds = {found.column.name for found in ejected.facts.inputs.values() if found.column is not None}
    kinds |= {"category" for target in ejected.facts.targets.values() if target.kind in ("category", "multi_label")}
    return [AS_TEXT] if is_typed(ejected) and kinds & {"category", "text"} else []


def files_of(role: str, source: Source) -> list[str]:
    """Return the files of a table. Raises ConfigError: they are found by a pattern or lie in a folder."""
    paths = source.options.path if isinstance(source.options, CsvSource | ArrowSource | JsonLinesSource) else ()
    files = [paths] if isinstance(paths, str) else list(paths)
    for file in files:
        if not Path(file).is_file() or file.endswith((".zip", ".tar", ".tgz")):
            message = f"data.{role}.{source.name}.path cannot be ejected: {file} is not one file"
            raise ConfigError(message, "list the files, or join them into one")
    return [str(Path(file).absolute()) for file in files]


def csv_function(options: Any) -> Block:
    """Return the function that reads a file of text as cells of text."""
    arguments: dict[str, Code] = {}
    if options.delimiter == WHITESPACE:
        arguments["sep"] = 'r"\\s+"'
    elif options.delimiter != ",":
        arguments["sep"] = text(options.delimiter)
    if not options.has_header or options.names:
        arguments["header"] = "0" if options.has_header else "None"
        arguments["names"] = sequence(map(text, options.names))
    if options.skip_rows:
        skipped = options.skip_rows
        arguments["skiprows"] = repr(skipped if isinstance(skipped, int) else [line - 1 for line in skipped])
    if options.encoding.lower() not in ("utf-8", "utf8"):
        arguments["encoding"] = text(options.encoding)
    if options.quote is None:
        arguments["quoting"] = "3"
    elif options.quote != '"':
        arguments["quotechar"] = text(options.quote)
    if options.escape is not None:
        arguments["escapechar"] = text(options.escape)
    arguments |= {"dtype": "str", "keep_default_na": "False"}
    missing = sequence(map(text, ("", *options.missing)))
    also = " and ".join(f'"{each}"' for each in options.missing)
    words = f"Read all cells as text; {also} and empty ones are missing." if also else "Read all cells as text; empty ones are missing."
    return [
        "def read_table(path):",
        f'    """{words}"""',
        *laid_out(call("pd.read_csv", "path", **arguments), "cells = ", indent=4),
        "    cells = cells.rename(columns=str.strip).apply(lambda cell: cell.str.strip())",
        *laid_out(missing, "return cells.replace(", ", np.nan)", indent=4),
    ]


def tidy_lines(data: Data) -> Block:
    """Return the code that cleans the values of categories and classes, and the marks of numbers."""
    lines: list[str] = []
    written = [(name, kind.options) for name, kind in (data.inputs or {}).items()]
    written += [(name, each.type.options) for each in data.targets.values() if each.type for name in each.columns]
    for name, options in written:
        column = f"table[{text(name)}]"
        if isinstance(options, CategoryColumn | CategoryTarget):
            lines += [f"{column} = {column}.str.strip({text(options.strip + ' ')})"] if options.strip else []
            lines += [f"{column} = {column}.str.{options.case}()"] if options.case != "keep" else []
            if options.replace:
                lines += laid_out(mapping({k: text(v) for k, v in options.replace.items()}), f"{column} = {column}.replace(", ")")
        elif isinstance(options, WrittenNumber):
            lines += number_lines(column, options, getattr(data.source.options, "decimal", "."))
    return lines


def number_lines(column: str, options: WrittenNumber, usual: str) -> Block:
    decimal = options.decimal or usual
    if options.thousands == decimal:
        decimal = "," if decimal == "." else "."
    lines = [f"{column} = {column}.str.strip({text(options.strip + ' ')})"] if options.strip else []
    if options.thousands is not None:
        lines.append(f'{column} = {column}.str.replace({text(options.thousands)}, "", regex=False)')
    if decimal != ".":
        lines.append(f'{column} = {column}.str.replace({text(decimal)}, ".", regex=False)')
    return lines


def drop_blocks(data: Data) -> list[Block]:
    """Return the code that leaves out rows without a target."""
    columns = [
        name
        for target in data.targets.values()
        if target.type is not None and getattr(target.type.options, "missing", "") == "drop"
        for name in target.columns
    ]
    found = ", ".join(map(text, columns))
    return [[f"table = table.dropna(subset=[{found}]).reset_index(drop=True)"]] if columns else []


def target_values(ejected: EjectedRun, name: str, target: Target, classes: str) -> Code:
    """Return the targets in columns of the table."""
    found = ejected.facts.targets[name]
    columns = [f"table[{text(column)}]" for column in target.columns]
    as_text = ".map(as_text)" if is_typed(ejected) else ""
    if found.kind == "multi_label":
        options = target.type.options if target.type else None
        separator = options.separator if isinstance(options, MultiLabelTarget) else ","
        filled = as_text or '.fillna("")'
        cells = f"{columns[0]}{filled}.str.split({text(separator)})"
        labels = f"[[label.strip() for label in cell] for cell in {cells}]"
        return call("np.array", f"[[name in cell for name in {classes}] for cell in {labels}]", dtype='"float32"')
    if found.kind == "category":
        return f'{columns[0]}{as_text}.map({classes}.index).to_numpy("int32")'
    if found.kind == "index":
        return f'{columns[0]}.astype("float64").to_numpy("int32")'
    if len(columns) > 1:
        names = ", ".join(map(text, target.columns))
        return f'table[[{names}]].astype("float64").to_numpy("float32")'
    return f'{columns[0]}.astype("float64").to_numpy("float32")'


def column_blocks(ejected: EjectedRun) -> list[Block]:
    """Return the functions of the columns' types, and the code that makes `features` with them."""
    columns = {name: found.column for name, found in ejected.facts.inputs.items() if found.column is not None}
    kinds: dict[str, list[Any]] = {}
    for column in columns.values():
        kinds.setdefault(column.name, []).append(column.options)
    typed = is_typed(ejected)
    wide = any(found.dtype == "float64" for found in ejected.facts.inputs.values())
    functions = {
        "number": lambda options: number_function(options, wide),
        "category": lambda options: category_function(options, typed),
        "boolean": boolean_function,
        "date": date_function,
        "text": lambda options: text_function(options, typed),
    }
    blocks: list[Block] = []
    for kind, options in kinds.items():
        blocks += functions[kind](options)
    codes = {
        name: column_call(name, column.name, column.options, ejected.facts.inputs[name].dtype == "float64")
        for name, column in columns.items()
    }
    if ejected.are_several:
        return [*blocks, laid_out(mapping(codes), "features = ")]
    return [*blocks, laid_out(call("np.concatenate", sequence(codes.values()), axis="1"), "features = ")]


def column_call(name: str, kind: str, options: Any, is_wide: bool) -> Code:
    """Return the call that makes a column an input, with the options that are not the defaults."""
    given: dict[str, Code] = {}
    if isinstance(options, NumberColumn):
        plain = {"missing": "median", "scale": "standard", "pieces": None, "indicator": False}
        given = changed(options, plain)
        given = {("fill" if key == "missing" else key): each for key, each in given.items() if each != '"error"'}
        given |= {"dtype": '"float64"'} if is_wide else {}
    elif isinstance(options, CategoryColumn):
        given = changed(options, {"min_count": 1, "missing": "as_category", "unknown": "as_category"})
        given |= {"is_embedded": "True"} if options.embedding is not None else {}
    elif isinstance(options, BooleanColumn):
        given = changed(options, {"missing": "most_frequent", "indicator": False})
        given = {("fill" if key == "missing" else key): each for key, each in given.items() if each != '"error"'}
    elif isinstance(options, DateColumn):
        given = {"parts": sequence(text(PARTS.get(part, part)) for part in options.parts)}
        if options.format in UNIX:
            given["unit"] = text({"unix": "s"}.get(options.format, options.format.removeprefix("unix_")))
        elif options.format is not None:
            given["format"] = text(options.format)
    elif isinstance(options, TextColumn):
        given = {
            "max_tokens": repr(options.max_tokens),
            "output_mode": text("int" if options.length is not None else options.output_mode),
        }
        given |= {} if options.length is None else {"output_sequence_length": repr(options.length)}
        given |= {"split": text(options.split)} if options.split != "whitespace" else {}
        given |= {} if options.ngrams is None else {"ngrams": repr(options.ngrams)}
        if options.standardize != "lower_and_strip_punctuation":
            given["standardize"] = value(options.standardize)
    return call(kind, text(name), **given)


def changed(options: Any, defaults: Mapping[str, Any]) -> dict[str, Code]:
    """Return the options that differ from these."""
    return {key: value(getattr(options, key)) for key, each in defaults.items() if getattr(options, key) != each}
