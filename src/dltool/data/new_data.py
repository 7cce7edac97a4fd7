"""New data for a finished model: without labels for prediction, or with labels as a test split."""

import math
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, cast

import numpy as np

from dltool.config.columns import COLUMN_TYPES, CategoryColumn, ColumnType
from dltool.config.schema import Data, SplitOptions
from dltool.config.sources import FOLDER_SOURCES, SOURCES, TABLE_SOURCES, ArraysSource, Source
from dltool.config.table_sources import RowsSource
from dltool.config.window_options import columns_in
from dltool.data.arrays.cleaning import clean_inputs
from dltool.data.arrays.rows import Coded, coded
from dltool.data.arrays.window_rows import PLACE
from dltool.data.dataset import Dataset, dtype_name, load_data
from dltool.data.examples import Examples, places_in, stacked
from dltool.data.facts import Facts
from dltool.data.sources.arrays import arrays_for, new_arrays
from dltool.data.sources.folders import MEDIA, STDIN_NAME, is_single, named_by, new_files
from dltool.data.sources.tables import dividing_columns, input_rows, missing_problems, rows_named, table_in_reach
from dltool.data.sources.windows import new_windows
from dltool.data.tables.json_lines import MemoryRecords
from dltool.data.tables.several_files import ENDINGS, is_table
from dltool.data.tables.typed_table import Column, ColumnRequest, Kind, Table
from dltool.durable_files import disk_errors
from dltool.errors import ConfigError, DataError, Problem

STDIN = "-"
TEXTS = ("csv", "tsv", "json_lines")
"""Tables that are texts, which may have any ending."""
IN_MEMORY = "the rows"
"""The name of data without a file."""
SHOWN = 5
CONFIG_KEY = re.compile(r"\b[a-z_]+: [\w\[{\"]")
"""Hint to edit a config."""


@dataclass(frozen=True)
class NewExamples:
    """`examples` with the places "file", the file name of each, and "row", its row there, counted from 1 (for texts the
    line, for windows the last row); only "file" if each file is an example. `tables` are those read."""

    examples: Examples
    warnings: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()


def load_new(data: Data, facts: Facts, files: Sequence[str]) -> NewExamples:
    """Load the examples in `files`, in their order. `data` and `facts` are those of the run; "-" is standard input.

    Raises:
        DataError: every problem of every file.
        MachineError: there is no room for the content of standard input."""
    problems: list[Problem] = []
    found: list[NewExamples] = []
    with kept_input(files) as (paths, folder):
        for group in grouped(data, paths):
            with DataError.collected(problems):
                found.append(read(data, facts, group))
    mended = map(of_new_data, problems)
    DataError.refuse(replace(each, message=each.message.replace(f"{folder}{os.sep}", "")) for each in mended)
    parts = [each.examples for each in found]
    if any("row" in part.places for part in parts):
        # A file of one example is its own first row.
        ones = [places_in("", len(part), np.ones(len(part), np.int64)) for part in parts]
        parts = [replace(part, places={**own, **part.places}) for part, own in zip(parts, ones, strict=True)]
    return NewExamples(
        stacked(parts, {}),
        tuple(warning for each in found for warning in each.warnings),
        tuple(table for each in found for table in each.tables),
    )


def load_rows(data: Data, facts: Facts, rows: Any) -> NewExamples:
    """Load the examples in `rows`: a pandas DataFrame or a list of mappings for tables, a list or an array of str for
    texts, else an array (examples, …) of raw inputs, or a mapping of input names to arrays. `data` and `facts` are the
    run's. Raises DataError: every problem of the rows."""
    if facts.has_columns:
        options = data.source.options
        blank = frozenset(getattr(options, "missing", ()))
        records = [{str(key): plain_cell(cell, blank) for key, cell in row.items()} for row in records_of(rows)]
        try:
            return checked(facts, read_rows(data, facts, MemoryRecords(records, Path(IN_MEMORY)), IN_MEMORY))
        except DataError as error:
            raise DataError(map(of_new_data, error.problems)) from None
    if data.source.name == "text":
        texts = [str(text).strip() for text in np.ravel(np.asarray(rows, dtype=object))]
        if not texts or not all(texts):
            raise DataError(Problem(None, "there is no text" if not texts else "some of the texts are blank"))
        return NewExamples(Examples({"text": coded(texts)}, places=places_in(IN_MEMORY, len(texts))))
    given = rows if isinstance(rows, Mapping) else dict.fromkeys(facts.inputs, rows)
    if missing := [name for name in facts.inputs if name not in given]:
        raise DataError(Problem(None, f"the model takes {', '.join(facts.inputs)}; {', '.join(missing)} is not given"))
    if len(facts.inputs) > 1 and not isinstance(rows, Mapping):
        names = ", ".join(facts.inputs)
        raise DataError(Problem(None, f"the model takes several arrays: {names}", "give a dict of them by name"))
    arrays = {}
    for name in facts.inputs:
        try:
            array = np.asarray(given[name])
        except ValueError:
            raise DataError(Problem(None, f"{name}: the examples have different shapes")) from None
        arrays[name] = clean_inputs(array.astype(str) if array.dtype == object else array, name, ())
    return checked(facts, NewExamples(arrays_for(facts, arrays, IN_MEMORY)))


def load_labelled(data: Data, seed: int, path: Path) -> Dataset:
    """Load the data of a run with the examples in `path` as its test split.

    They are read like `data.test`: the same columns, types and classes. The source is read too. For a built-in source,
    `path` is an `.npz` with x and y.

    Raises:
        DataError: every problem; `path` may lack labels, or have labels that training does not have.
        MachineError: there is no room for it."""
    options = data.source.options
    if data.source.name in (*TABLE_SOURCES, *FOLDER_SOURCES) or isinstance(options, ArraysSource):
        source = source_of_file(data.source, str(path))
    else:
        source = Source("arrays", ArraysSource(path=str(path)))
    # The split of the source's rows is irrelevant here.
    changed = data.model_copy(update={"test": source, "validation": None, "split": SplitOptions()})
    if source.name in TABLE_SOURCES:
        # Columns that divided the rows are no inputs, and need not be in the file.
        dividing = set(dividing_columns(data)) - {*dividing_columns(changed), *(data.inputs or {})}
        ignored = dict.fromkeys(dividing, ColumnType("ignore", COLUMN_TYPES["ignore"].model_validate({})))
        changed = changed.model_copy(update={"inputs": {**(data.inputs or {}), **ignored}})
    try:
        return load_data(changed, seed)
    except (ConfigError, DataError) as error:
        raise DataError(map(of_new_data, error.problems)) from None


def source_of_file(source: Source, path: str) -> Source:
    """Return the source with another path; for a table of another kind, as its name says, one of that kind."""
    kinds = {kind for kind in ENDINGS if is_table(path, kind)} or {source.name if source.name in ENDINGS else "csv"}
    is_alike = source.name in kinds or (source.name in TEXTS and not kinds.isdisjoint(TEXTS))
    if is_alike or source.name not in TABLE_SOURCES:
        return Source(source.name, source.options.model_copy(update={"path": path}))
    kind = min(kinds)
    return Source(kind, SOURCES[kind].model_validate({"path": path}))


def of_new_data(problem: Problem) -> Problem:
    """Return the problem without its config path, for the data of a finished run."""
    hint = problem.hint
    if problem.place == (*PLACE, "length"):
        hint = "more rows make a window"
    elif CONFIG_KEY.search(hint):
        hint = f"{hint} (in the config of another run)"
    return Problem(None, problem.message, hint)


@contextmanager
def kept_input(files: Sequence[str]) -> Iterator[tuple[list[str], str]]:
    """Return the files, with standard input saved as a file, which may be read twice, and its folder."""
    if STDIN not in files:
        yield list(files), STDIN_NAME
        return
    if sys.stdin is None:
        raise DataError("standard input is closed")
    with tempfile.TemporaryDirectory(prefix="dltool-") as folder:
        kept = Path(folder, STDIN_NAME)
        with disk_errors(kept), kept.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield [str(kept) if name == STDIN else name for name in files], folder


def grouped(data: Data, paths: Sequence[str]) -> Iterator[list[str]]:
    """Group files that are read together: consecutive files of one example each."""
    medium = MEDIA.get(data.source.name)
    endings = medium.extensions if medium else ()
    for is_alone, group in groupby(paths, lambda path: is_single(path, endings)):
        together = list(group)
        yield from [together] if is_alone else ([path] for path in together)


def read(data: Data, facts: Facts, paths: Sequence[str]) -> NewExamples:
    """Read one group as its source does."""
    source, options = data.source, data.source.options
    if source.name in TABLE_SOURCES:
        table = source_of_file(source, paths[0])
        return checked(facts, read_rows(data, facts, table, named_by(paths[0])))
    if source.name in FOLDER_SOURCES:
        return checked(facts, NewExamples(*new_files(options, paths, data.cache)))
    return checked(facts, NewExamples(new_arrays(options, facts, paths[0])))


def checked(facts: Facts, new: NewExamples) -> NewExamples:
    """Return the examples. Raises DataError: values of another shape or kind than the model takes."""
    problems = []
    for name, found in facts.inputs.items():
        rows = new.examples.inputs.get(name)
        if rows is None or rows.shape[1:] != found.shape or dtype_name(rows) != found.dtype:
            given = "nothing" if rows is None else f"{dtype_name(rows)} of shape {rows.shape[1:]}"
            message = f"{new.examples.places['file'][0]}: {given} for the input {name}, and the model takes "
            problems.append(Problem(None, f"{message}{found.dtype} of shape {found.shape}"))
    DataError.refuse(problems)
    inputs = {name: new.examples.inputs[name] for name in facts.inputs}
    return replace(new, examples=replace(new.examples, inputs=inputs))


def read_rows(data: Data, facts: Facts, source: Source | MemoryRecords, name: str) -> NewExamples:
    """Read a table without its target, called `name`: an example a row, or windows over the rows."""
    types = {name: kind for name, kind in (data.inputs or {}).items() if name in facts.inputs}
    wide = {name for name, found in facts.inputs.items() if found.dtype == "float64"}
    like = training_table(data, types, wide, source)
    # What separates and orders the rows of windows is exact, also where it is an input.
    for_windows = () if data.windows is None else (*data.windows.keys, *columns_in(data.windows.order))
    needed = [name for name in for_windows if name in like.columns]
    optional = [name for name in like.columns if name not in types and name not in needed]
    wanted = ColumnRequest(like=like, needed=needed, optional=optional)
    table = table_in_reach(source, (), wanted)
    if table.path.name in (STDIN_NAME, IN_MEMORY):
        # Paths of images are relative to it.
        table = replace(table, path=Path.cwd() / table.path.name)
    DataError.refuse(missing_problems(table, types))
    if data.windows is not None:
        return NewExamples(*new_windows(data.windows, table, types, name), (table,))
    inputs = {name: input_rows(data, table, name, kind, digests=False)[0] for name, kind in types.items()}
    return NewExamples(Examples(inputs, places=places_in(name, table.rows)), tables=(table,))


def training_table(
    data: Data, used: Mapping[str, ColumnType], wide: Collection[str], source: Source | MemoryRecords
) -> Table:
    """Return the known properties of the training table: names and kinds of its columns, `used` ones by type, and which
    of them are `wide` numbers."""
    options = None if isinstance(source, MemoryRecords) else source.options
    names = list(dict.fromkeys((*(data.inputs or {}), *data.target_columns, *dividing_columns(data))))
    if isinstance(options, RowsSource) and options.names:
        names = list(options.names)
    elif isinstance(options, RowsSource) and not options.has_header:
        names = [f"column_{number}" for number in range(1, len(names) + 1)]
    kinds = {name: cast("Kind", used[name].name) if name in used else "ignore" for name in names}
    columns = {
        name: Column(name, kind, np.empty(0), "", declared=used.get(name), is_wide=name in wide)
        for name, kind in kinds.items()
    }
    # Nothing reads from it.
    return Table(columns, 0, Path("the training table"), cast("Any", None))


def unseen_problems(
    tables: Sequence[Table], types: Mapping[str, ColumnType], known: Mapping[str, Collection[str]]
) -> Iterator[Problem]:
    """Yield the problems of values that are not `known` in their column."""
    for name, kind in types.items():
        if not (isinstance(kind.options, CategoryColumn) and kind.options.unknown == "error"):
            continue
        for table in tables:
            values = table.columns[name].values
            assert isinstance(values, Coded)
            is_unseen = np.array([bool(text) and text not in known[name] for text in values.values])
            rows = np.flatnonzero(is_unseen[values.codes[:]])
            for code in dict.fromkeys(values.codes[rows].tolist()[: 100 * SHOWN]):
                where = rows_named(table, rows[values.codes[rows] == code])
                yield Problem(None, f'"{name}" is "{values.values[code]}" in {where}: training has not seen it')


def records_of(rows: Any) -> list[Mapping[str, Any]]:
    """Return a mapping for each row."""
    if hasattr(rows, "to_dict"):
        rows = rows.to_dict("records")
    records = list(rows)
    if not all(isinstance(record, Mapping) for record in records):
        message = "the model takes rows of a table, whose values have names"
        raise DataError(Problem(None, message, "give a pandas DataFrame or a list of dicts"))
    if not records:
        raise DataError(Problem(None, "there are no rows"))
    return records


def plain_cell(value: Any, missing: frozenset[str]) -> Any:
    """Return a value for JSON: NumPy's numbers as Python's, dates in ISO 8601, NaN, NaT and NA as null."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            return None if math.isnan(value) else str(value)
        # pandas stores integers with missing values as floats.
        return int(value) if value.is_integer() else value
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return None if text.strip() in missing or text in ("NaT", "<NA>") else text
