"""New data for a finished model: files of the kind of its run's source, read as that was, without labels."""

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

from dltool.config.columns import CategoryColumn, ColumnType
from dltool.config.folder_sources import AudioSource, ImagesSource, TextSource
from dltool.config.schema import Data, Windows
from dltool.config.sources import TABLE_SOURCES, ArraysSource, Source
from dltool.config.table_sources import CsvSource
from dltool.data.arrays.cleaning import clean_inputs
from dltool.data.arrays.npz import npz_headers, read_npy, read_npz
from dltool.data.arrays.rows import Coded, Rows, coded, stack
from dltool.data.arrays.window_rows import PLACE, make_windows
from dltool.data.dataset import dtype_name
from dltool.data.facts import Facts, InputFacts
from dltool.data.files.class_folders import other_files, what_is_there
from dltool.data.files.file_tree import Access, Members, is_archive, open_members
from dltool.data.files.listing import Listing, Member
from dltool.data.files.paths import require
from dltool.data.media.audio import DEFAULT_BUDGET, load_sounds
from dltool.data.media.audio import EXTENSIONS as SOUNDS
from dltool.data.media.audio_rows import Recordings
from dltool.data.media.image_decode import EXTENSIONS as PICTURES
from dltool.data.media.image_decode import ImageForm
from dltool.data.media.images import load_pictures
from dltool.data.sources.tables import (
    as_values,
    dates_of,
    dividing_columns,
    input_rows,
    missing_problems,
    rows_named,
    table_in_reach,
)
from dltool.data.sources.texts import EXTENSIONS as TEXTS
from dltool.data.sources.texts import LINE_END, Reading
from dltool.data.split.by_column import order_named
from dltool.data.tables.typed_table import Column, ColumnRequest, Table
from dltool.durable_files import disk_errors
from dltool.errors import DataError, Problem

STDIN, STDIN_NAME = "-", "standard input"
IN_MEMORY = "the rows"
"""The name of what is in no file."""
SINGLE = {"images": PICTURES, "audio": SOUNDS}
"""The endings of files that are an example each."""
OF_NO_PART = 3
"""Of rows for windows: they are neither for training, nor validation, nor test, and need not have a window."""
SHOWN = 5
CONFIG_KEY = re.compile(r"\b[a-z_]+: [\w\[{\"]")
"""In a hint: what to write into a config."""


@dataclass(frozen=True)
class NewExamples:
    """`inputs` by name as in :class:`dltool.data.dataset.Dataset`, (examples, …).

    `files` (examples,) of str names the file of each, `rows` (examples,) of int64 its row there, counted from 1 (of a
    text its line, of a window its last row); None where each file is an example. `tables` are those that were read.
    """

    inputs: Mapping[str, Rows]
    files: np.ndarray
    rows: np.ndarray | None = None
    warnings: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()


def load_new(data: Data, facts: Facts, files: Sequence[str]) -> NewExamples:
    """The examples in `files`, in their order. `data` and `facts` are those of the run; "-" is standard input.

    Raises:
        DataError: with every problem of every file.
        MachineError: there is no room for what standard input holds.
    """
    problems: list[Problem] = []
    parts: list[NewExamples] = []
    with kept_input(files) as (paths, folder):
        for group in grouped(data, paths):
            try:
                part = read(data, facts, group)
                check_form(data, facts, part)
                parts.append(part)
            except DataError as error:
                problems += error.problems
    if problems:
        found = map(of_new_data, problems)
        raise DataError(replace(each, message=each.message.replace(f"{folder}{os.sep}", "")) for each in found)
    are_rows = any(part.rows is not None for part in parts)
    rows = [np.ones(len(part.files), np.int64) if part.rows is None else part.rows for part in parts]
    return NewExamples(
        {name: stack([part.inputs[name] for part in parts]) for name in facts.inputs},
        np.concatenate([part.files for part in parts]),
        np.concatenate(rows) if are_rows else None,
        tuple(warning for part in parts for warning in part.warnings),
        tuple(table for part in parts for table in part.tables),
    )


def of_new_data(problem: Problem) -> Problem:
    """The same mistake in data for a finished run, whose config is no place to go to, nor one to change."""
    hint = problem.hint
    if problem.place == (*PLACE, "length"):
        hint = "more rows make a window"
    elif CONFIG_KEY.search(hint):
        hint = f"{hint} (in the config of another training)"
    return Problem(None, problem.message, hint)


@contextmanager
def kept_input(files: Sequence[str]) -> Iterator[tuple[list[str], str]]:
    """The files, with standard input as one of them, and the folder that it is in.

    It may have to be read twice.
    """
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
    """What is read at once: files that are an example each, where several stand one after the other."""
    endings = SINGLE.get(data.source.name, ())
    for is_single, group in groupby(paths, lambda path: is_file_of(path, endings)):
        together = list(group)
        yield from [together] if is_single else ([path] for path in together)


def is_file_of(path: str, endings: tuple[str, ...]) -> bool:
    if is_stdin(path):
        return bool(endings) and not is_archive(Path(path))
    return bool(endings) and path.lower().endswith(endings) and not Path(path).is_dir()


def is_stdin(path: str) -> bool:
    """Whether it is where :func:`kept_input` has put what came by standard input."""
    return Path(path).name == STDIN_NAME


def shown(path: str) -> str:
    return STDIN_NAME if is_stdin(path) else path.rstrip("/")


def read(data: Data, facts: Facts, paths: Sequence[str]) -> NewExamples:
    options = data.source.options
    if data.source.name in TABLE_SOURCES:
        return read_rows(data, facts, paths[0])
    if isinstance(options, ImagesSource):
        members, names, warnings = single_files(paths, PICTURES, "picture")
        size = cast("tuple[int, int] | None", options.size)
        form = ImageForm(size, options.channels, options.resize)
        pictures = load_pictures(members.access, members.members, form, (), data.cache)
        return NewExamples({"image": pictures.rows}, names, warnings=(*warnings, *pictures.warnings))
    if isinstance(options, AudioSource):
        members, names, warnings = single_files(paths, SOUNDS, "recording")
        recordings = Recordings(members.reader(), members.path, ())
        asked = (options.rate, options.seconds)
        sounds = load_sounds(recordings, members.members, asked, DEFAULT_BUDGET, len(names))
        return NewExamples({"audio": sounds.rows}, names, warnings=warnings)
    if isinstance(options, TextSource):
        return read_texts(options.encoding, paths[0])
    return read_arrays(data, facts, paths[0])


def check_form(data: Data, facts: Facts, part: NewExamples) -> None:
    """Raises: DataError: the values are not of the shape or the kind that the model takes."""
    problems = []
    for name, found in facts.inputs.items():
        rows = part.inputs.get(name)
        if rows is None or rows.shape[1:] != found.shape or dtype_name(rows) != found.dtype:
            given = "nothing" if rows is None else f"{dtype_name(rows)} of shape {rows.shape[1:]}"
            message = f"{part.files[0]} gives {given} for the input {name}, and the model takes "
            problems.append(Problem(None, f"{message}{found.dtype} of shape {found.shape}"))
    if problems:
        raise DataError(problems)


# --- tables ---


def read_rows(data: Data, facts: Facts, path: str) -> NewExamples:
    """A table without its target: an example a row, or windows over them."""
    types = {name: kind for name, kind in (data.inputs or {}).items() if name in facts.inputs}
    for_windows = () if data.windows is None else (data.windows.key, data.windows.order)
    apart = {name for name in for_windows if name is not None and name not in types}
    used = types | {name: ColumnType("category", CategoryColumn()) for name in apart if name in dividing_columns(data)}
    like = training_table(data, used)
    source = Source(data.source.name, data.source.options.model_copy(update={"path": path}))
    table = table_in_reach(
        source, (), ColumnRequest(like=like, optional=[name for name in like.columns if name not in used])
    )
    if table.path.name in (STDIN_NAME, IN_MEMORY):
        # Pictures that it names are looked for from here.
        table = replace(table, path=Path.cwd() / table.path.name)
    problems = [problem for name, kind in types.items() for problem in missing_problems(table, name, kind)]
    if problems:
        raise DataError(problems)
    if data.windows is not None:
        return windows_over(data.windows, table, types, shown(path))
    inputs = {name: input_rows(data, table, name, kind, digests=False)[0] for name, kind in types.items()}
    return NewExamples(inputs, repeated(shown(path), table.rows), np.arange(1, table.rows + 1), tables=(table,))


def training_table(data: Data, used: Mapping[str, ColumnType]) -> Table:
    """What is known of the table that the run was trained on: names and kinds of its columns, `used` ones by type."""
    options = data.source.options
    names = list(dict.fromkeys((*(data.inputs or {}), *data.target_columns, *dividing_columns(data))))
    if isinstance(options, CsvSource) and options.names:
        names = list(options.names)
    elif isinstance(options, CsvSource) and not options.has_header:
        names = [f"column_{number}" for number in range(1, len(names) + 1)]
    columns = {
        name: Column(
            name, cast("Any", used[name].name) if name in used else "ignore", np.empty(0), "", declared=used.get(name)
        )
        for name in names
    }
    # Nothing reads from it.
    return Table(columns, 0, Path("the training table"), cast("Any", None))


def windows_over(windows: Windows, table: Table, types: Mapping[str, ColumnType], name: str) -> NewExamples:
    """Every window of the table, and in any case the one that ends with the last row of each series."""
    dates = tuple(dates_of(table))
    dividing = {name for name in (*dates, windows.key, windows.order) if name is not None and name in table.columns}
    values = as_values({name: table.columns[name].values for name in dividing})
    order = None if windows.order is None else order_named(values, dates, windows.order, (*PLACE, "order"))
    found = make_windows(
        # Nothing need come after a window.
        windows.model_copy(update={"horizon": 0}),
        np.full(table.rows, OF_NO_PART),
        np.ones(table.rows, bool),
        None if windows.key is None else values[windows.key],
        None if order is None else order[1],
        "" if order is None else order[0],
    )
    if not len(found.starts):
        message = f"{name} has {table.rows:,} rows, and a window takes {windows.length:,} of one series without a gap"
        raise DataError(Problem(None, message))
    inputs = {name: found.of(table.columns[name].values) for name in types}
    return NewExamples(inputs, repeated(name, len(found.starts)), found.target_rows + 1, found.warnings, (table,))


def unseen_problems(
    tables: Sequence[Table], types: Mapping[str, ColumnType], known: Mapping[str, Collection[str]]
) -> list[Problem]:
    """Values that are not among the `known` ones of their column, where that is an error."""
    problems = []
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
                message = f'"{name}" is "{values.values[code]}" in {where}: training has not seen it'
                problems.append(Problem(None, message))
    return problems


# --- files ---


def single_files(
    paths: Sequence[str], endings: tuple[str, ...], noun: str
) -> tuple[Members, np.ndarray, tuple[str, ...]]:
    """The files that `paths` name, or those of the only one, a folder or an archive; their names, and warnings.

    Raises:
        DataError: naming all the files that are not there; a folder without any.
    """
    if is_file_of(paths[0], endings):
        members = named_files(paths)
        return members, texts_of([shown(path) for path in paths]), ()
    (path,) = paths
    found = open_members(path, ())
    files = [member for member in found.members if member.name.lower().endswith(endings)]
    if not files:
        raise DataError(Problem(None, f"{path} holds no {noun}s", what_is_there(found)))
    members = Members(found.access, Listing(tuple(files), found.folders), ())
    names = texts_of([f"{shown(path)}/{member.name}" for member in files])
    return members, names, tuple(other_files(found, len(files), endings, noun))


def named_files(paths: Sequence[str]) -> Members:
    """Raises: DataError: naming all the files that are not there."""
    members: list[Member] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            status = require(path, ()).stat()
        except DataError as error:
            problems += error.problems
        else:
            members.append(Member(path, status.st_size, str(status.st_mtime_ns)))
    if problems:
        raise DataError(problems)
    return Members(Access(os.getcwd(), "folder"), Listing(tuple(members), ()), ())


def read_texts(encoding: str, path: str) -> NewExamples:
    """A text in each file of a folder or an archive, or on each line of a file. Blank ones are left out."""
    if require(path, (), allow_folder=True).is_dir() or is_archive(Path(path)):
        members, names, warnings = single_files([path], TEXTS, "text")
        texts = [text.strip() for text in Reading(members, encoding, ()).texts(members.members)]
        rows = None
    else:
        members, warnings = named_files([path]), ()
        (content,) = Reading(members, encoding, ()).texts(members.members)
        texts = [line.strip() for line in LINE_END.split(content.rstrip("\r\n"))]
        names = repeated(shown(path), len(texts))
        rows = np.arange(1, len(texts) + 1)
    kept = np.array([bool(text) for text in texts])
    if not kept.any():
        raise DataError(Problem(None, f"{path} has no text", "it is empty, or all blank"))
    if not kept.all():
        blank = int(np.sum(~kept))
        warnings = (*warnings, f"{path}: {blank:,} blank {'text is' if blank == 1 else 'texts are'} left out")
    inputs = {"text": coded([text for text in texts if text])}
    return NewExamples(inputs, names[kept], None if rows is None else rows[kept], warnings)


def texts_of(texts: Sequence[str]) -> np.ndarray:
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array


def repeated(text: str, count: int) -> np.ndarray:
    return np.full(count, text, dtype=object)


# --- arrays ---


def read_arrays(data: Data, facts: Facts, path: str) -> NewExamples:
    """The array of an `.npy`, or those of the inputs in an `.npz`, as the values that the model takes."""
    options = data.source.options
    named = options.x if isinstance(options, ArraysSource) and isinstance(options.x, dict) else {}
    names = {name: named.get(name, "x") for name in facts.inputs}
    file = require(path, ())
    if file.suffix.lower() == ".npy":
        if len(names) > 1:
            message = f"{path} is one array, and the model takes {len(names)}: {', '.join(names)}"
            raise DataError(Problem(None, message, "np.savez writes an .npz with all of them"))
        found = dict.fromkeys(names, clean_inputs(read_npy(file, path, ()), path, ()))
    else:
        headers = npz_headers(file, path, ())
        keys = {name: key for name in names if (key := array_in(headers, names[name])) is not None}
        problems = [
            Problem(None, f"{path} has neither {key} nor {key}_test", f"it holds {', '.join(sorted(headers))}")
            for name, key in names.items()
            if name not in keys
        ]
        if problems:
            raise DataError(problems)
        arrays = read_npz(file, list(dict.fromkeys(keys.values())), headers, path, ())
        found = {name: clean_inputs(arrays[key], f"{key} of {path}", ()) for name, key in keys.items()}
    return of_arrays({name: like_input(array, facts.inputs[name]) for name, array in found.items()}, path)


def of_arrays(inputs: Mapping[str, np.ndarray], path: str) -> NewExamples:
    """Raises: DataError: the arrays have different numbers of rows."""
    rows = {len(array) for array in inputs.values()}
    if len(rows) > 1:
        sizes = ", ".join(f"{name} has {len(array):,} rows" for name, array in inputs.items())
        raise DataError(Problem(None, f"{path}: {sizes}", "each example needs all inputs"))
    (count,) = rows
    return NewExamples(dict(inputs), repeated(path, count), np.arange(1, count + 1))


def array_in(headers: Mapping[str, object], name: str) -> str | None:
    return next((key for key in (name, f"{name}_test") if key in headers), None)


def like_input(array: np.ndarray, wanted: InputFacts) -> np.ndarray:
    """The array in the form of the input. Whole numbers may be saved in any dtype."""
    if (*array.shape[1:], 1) == wanted.shape:
        array = array[..., np.newaxis]
    if wanted.dtype == "string" or array.dtype.kind not in "iuf":
        return array
    same = array.astype(wanted.dtype)
    return same if wanted.dtype == "float32" or np.array_equal(same, array) else array
