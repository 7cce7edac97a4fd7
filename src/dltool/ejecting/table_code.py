"""The part of an ejected script that reads a table and preprocesses its columns."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dltool.config.columns import UNIX, CategoryColumn, CategoryTarget, MultiLabelTarget, Target, WrittenNumber
from dltool.config.file_columns import FileColumn, ImageColumn
from dltool.config.schema import Data
from dltool.config.table_sources import WHITESPACE, CsvSource, JsonLinesSource
from dltool.ejecting.column_functions import OPTIONS, changed, column_functions, function
from dltool.ejecting.ejected_run import Block, EjectedRun
from dltool.ejecting.file_code import media_blocks
from dltool.ejecting.python_text import Code, call, flat, laid_out, mapping, sequence, text, value
from dltool.errors import ConfigError

PARTS = {"weekday": "dayofweek", "day_of_year": "dayofyear"}
"""Parts of dates that pandas calls by another name."""


def is_typed(ejected: EjectedRun) -> bool:
    """Return whether the file has types of columns, and cells are not all text."""
    return not isinstance(ejected.config.data.source.options, CsvSource)


def read_blocks(ejected: EjectedRun) -> list[Block]:
    """Return the code that reads the tables of all splits into `table`."""
    data, blocks = ejected.config.data, []
    kinds = {found.column.name for found in ejected.facts.inputs.values() if found.column is not None}
    kinds |= {found.kind for found in ejected.facts.targets.values()}
    if is_typed(ejected) and kinds & {"category", "text", "multi_label"}:
        blocks.append(function("as_text"))
    if "multi_label" in kinds:
        blocks.append(function("multi_hot"))
    if ejected.run.own_table is not None:
        return [*blocks, ['table = pd.read_parquet(HERE / "data.parquet")', *dropped_lines(data)]]
    files = [file for role in ("source", "validation", "test") for file in files_of(data, role)]
    if isinstance(data.source.options, CsvSource):
        blocks.append(csv_function(data.source.options))
        calls = [call("read_table", text(file)) for file in files]
    else:
        is_json = isinstance(data.source.options, JsonLinesSource)
        more = {"lines": "True", "dtype": "False", "convert_dates": "False"} if is_json else {}
        reader = f"pd.read_{'json' if is_json else data.source.name}"
        calls = [call(reader, text(file), **more) for file in files]
    read = calls[0] if len(calls) == 1 else call("pd.concat", sequence(calls), ignore_index="True")
    return [*blocks, [*laid_out(read, "table = "), *tidy_lines(data), *dropped_lines(data)]]


def files_of(data: Data, role: str) -> list[str]:
    """Return the files of a table. Raises ConfigError: they are found by a pattern, or lie in a folder or archive."""
    source = getattr(data, role)
    paths = () if source is None else source.options.path
    files = [Path(each) for each in ((paths,) if isinstance(paths, str) else paths)]
    for file in files:
        if not file.is_file() or file.suffix in (".zip", ".tar", ".tgz"):
            message = f"data.{role}.{source.name}.path cannot be ejected: {file} is not one file"
            raise ConfigError(message, "list the files in the config, or join them into one")
    return [str(file.absolute()) for file in files]


def csv_function(options: CsvSource) -> Block:
    """Return the function that reads a text file as cells of text."""
    delimiter = 'r"\\s+"' if options.delimiter == WHITESPACE else text(options.delimiter)
    skipped = options.skip_rows
    rows = skipped if isinstance(skipped, int) else [line - 1 for line in skipped]
    header = (0 if options.has_header else None) if options.names or not options.has_header else "infer"
    every: dict[str, tuple[bool, Code]] = {
        "sep": (options.delimiter != ",", delimiter),
        "header": (header != "infer", value(header)),
        "names": (bool(options.names), value(options.names)),
        "skiprows": (bool(skipped), value(rows)),
        "encoding": (options.encoding.lower() not in ("utf-8", "utf8"), text(options.encoding)),
        "quoting": (options.quote is None, "3"),
        "quotechar": (options.quote not in (None, '"'), value(options.quote)),
        "escapechar": (options.escape is not None, value(options.escape)),
    }
    given = {name: code for name, (is_needed, code) in every.items() if is_needed}
    marks = " and marked" * bool(options.missing)
    return [
        "def read_table(path):",
        f'    """Read all cells as text; empty{marks} ones are missing."""',
        *laid_out(call("pd.read_csv", "path", **given, dtype="str", keep_default_na="False"), "cells = ", indent=4),
        "    cells = cells.rename(columns=str.strip).apply(lambda cell: cell.str.strip())",
        *laid_out(call("cells.replace", value(["", *options.missing]), "np.nan"), "return ", indent=4),
    ]


def tidy_lines(data: Data) -> Block:
    """Return the code that cleans the values of categories and classes, and the marks of numbers."""
    lines: list[str] = []
    written = {name: kind.options for name, kind in (data.inputs or {}).items()}
    written |= {name: each.type.options for each in data.targets.values() if each.type for name in each.columns}
    for name, options in written.items():
        column, methods = f"table[{text(name)}]", []
        strip = getattr(options, "strip", "")
        methods += [f"str.strip({text(strip + ' ')})"] if strip else []
        if isinstance(options, CategoryColumn | CategoryTarget):
            methods += [f"str.{options.case}()"] if options.case != "keep" else []
            methods += ["\n".join(laid_out(call("replace", value(options.replace))))] if options.replace else []
        elif isinstance(options, WrittenNumber):
            usual = getattr(data.source.options, "decimal", ".")
            decimal = options.decimal or usual
            decimal = ("," if decimal == "." else ".") if options.thousands == decimal else decimal
            if options.thousands is not None:
                methods.append(f'str.replace({text(options.thousands)}, "", regex=False)')
            methods += [f'str.replace({text(decimal)}, ".", regex=False)'] if decimal != "." else []
        lines += [line for method in methods for line in f"{column} = {column}.{method}".split("\n")]
    return lines


def dropped_lines(data: Data) -> Block:
    """Return the code that leaves out rows without a target, unless they are rows of windows."""
    targets = data.targets.values() if data.windows is None else ()
    dropped = [
        name
        for each in targets
        if getattr(each.type and each.type.options, "missing", "") == "drop"
        for name in each.columns
    ]
    return [f"table = table.dropna(subset={flat(value(dropped))}).reset_index(drop=True)"] if dropped else []


def target_values(ejected: EjectedRun, name: str, target: Target, labels: str | None, classes: str) -> Code:
    """Return the targets in columns of the table, or in a column of `labels`; `classes` is the variable with the names
    of classes."""
    kind, column = ejected.facts.targets[name].kind, labels or f"table[{text(target.columns[0])}]"
    cells = f"{column}.map(as_text)" if labels is None and is_typed(ejected) else column
    if kind == "multi_label":
        options = target.type and target.type.options
        separator = options.separator if isinstance(options, MultiLabelTarget) else ","
        return call("multi_hot", f'{cells}.fillna("")', classes, text(separator))
    if kind == "category" and ejected.windowed is not None:
        # Rows without a class may lie inside a window.
        return f'pd.Categorical({cells}, {classes}).codes.astype("int32")'
    if kind == "category":
        return f'{cells}.map({classes}.index).to_numpy("int32")'
    several = f"table[{flat(value(target.columns))}]" if len(target.columns) > 1 else column
    dtype = "int32" if kind == "index" else "float32"
    return f'{several}.astype("float64").to_numpy("{dtype}")'


def column_blocks(ejected: EjectedRun) -> list[Block]:
    """Return the functions of the columns' types, and the code that makes `features` with them."""
    columns = {name: found.column for name, found in ejected.facts.inputs.items() if found.column is not None}
    wide = {name for name, found in ejected.facts.inputs.items() if found.dtype == "float64"}
    kinds: dict[str, list[Any]] = {}
    for column in columns.values():
        kinds.setdefault(column.name, []).append(column.options)
    are_so = {"typed": is_typed(ejected), "wide": bool(wide), "windows": ejected.windowed is not None}
    flags = {flag for flag, is_so in are_so.items() if is_so}
    files = [column.options for column in columns.values() if isinstance(column.options, FileColumn)]
    blocks = column_file_blocks(ejected.config.data, files) if files else []
    blocks += [
        block for kind, options in kinds.items() if kind in OPTIONS for block in column_functions(kind, options, flags)
    ]
    more: dict[str, dict[str, Code]] = {name: {"dtype": '"float64"'} for name in wide if columns[name].name == "number"}
    if len(ejected.embedded) < len(kinds.get("category", ())):
        more |= {name: {"is_embedded": "True"} for name in ejected.embedded}
    codes = {name: column_call(name, each.name, each.options, more.get(name, {})) for name, each in columns.items()}
    if ejected.are_several:
        return [*blocks, laid_out(mapping(codes), "features = ")]
    return [*blocks, laid_out(call("np.concatenate", sequence(codes.values()), axis="1"), "features = ")]


def column_file_blocks(data: Data, columns: Sequence[FileColumn]) -> list[Block]:
    """Return the code that reads the files that columns name. Raises ConfigError: it would be several."""
    tables = [Path(file) for role in ("source", "validation", "test") for file in files_of(data, role)]
    folders = {str(table.parent / each.folder) for table in tables for each in columns}
    kinds = {repr(each.model_copy(update={"ending": "", "remove": ""})): each for each in columns}
    if len(folders) > 1 or len({*map(type, kinds.values())}) < len(kinds):
        raise ConfigError("columns of files cannot be ejected: they are read in several ways, or from several folders")
    blocks = [block for each in kinds.values() for block in media_blocks(each, ())]
    return [[f"FOLDER = Path({text(*folders)})"], function("read_folder"), *blocks]


def files_of_column(name: str, options: FileColumn) -> Code:
    """Return the code that reads the files of a column."""
    removed = f".removeprefix({text(options.remove)})" if options.remove else ""
    path = f"name{removed}" + (f" + {text(options.ending)}" if options.ending else "")
    made = "pixels" if isinstance(options, ImageColumn) else "clip"
    return call("np.stack", f"[{made}(read({path})) for name in table[{text(name)}]]")


def column_call(name: str, kind: str, options: Any, more: Mapping[str, Code]) -> Code:
    """Return the call that makes a column an input, with the options that are not the defaults, and `more`."""
    if isinstance(options, FileColumn):
        return files_of_column(name, options)
    given = {
        "fill" if key == "missing" and kind != "category" else key: value(own)
        for key, own in changed(kind, options).items()
    }
    if kind == "date":
        given["parts"] = sequence(text(PARTS.get(part, part)) for part in options.parts)
        if options.format in UNIX:
            given["unit"] = text({"unix": "s"}.get(options.format, options.format.removeprefix("unix_")))
        elif options.format is not None:
            given["format"] = text(options.format)
    if kind == "text":
        given["max_tokens"] = repr(options.max_tokens)
        given["output_mode"] = text("int" if options.length is not None else options.output_mode)
        given |= {} if options.length is None else {"output_sequence_length": repr(options.length)}
    return call(kind, text(name), **given, **more)
