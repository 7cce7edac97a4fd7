"""Several files of one table: lists, patterns, folders and zips of files with the same columns."""

import glob
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from dltool.data.files.archives import list_zip
from dltool.data.files.listing import NOT_DATA, natural_key
from dltool.data.files.paths import require
from dltool.data.tables.cells import Texts
from dltool.data.tables.decompression import PACKED, zip_of
from dltool.data.tables.typed_table import NoRows, RowBlock, TableFile, Want
from dltool.errors import ConfigPath, DataError, Problem
from dltool.text import did_you_mean, listed, near

ENDINGS: Mapping[str, tuple[str, ...]] = {
    "csv": (".csv", ".txt", ".dat", ".data", ".tsv"),
    "tsv": (".tsv", ".tab", ".txt"),
    "json_lines": (".jsonl", ".ndjson", ".json"),
    "excel": (".xlsx", ".xlsm"),
    "parquet": (".parquet", ".pq"),
    "feather": (".feather", ".arrow"),
    "orc": (".orc",),
}
"""The files that belong to the table, of those in a folder or a zip."""
NO_PART = re.compile(
    r"""(?:^|/)(?:_|(?:readme|licen[cs]e|copying|citation|changelog|notes?|about|index|description)(?:\.\w+)?$)
    |[-_](?:names|readme|info|description)\.txt$|\.(?:md|rst|names|html?|pdf|docx?|crc)$""",
    re.IGNORECASE | re.VERBOSE,
)
"""Files beside tables that describe them, or that programs leave there."""
PARTITION = re.compile(r"([^=/]+)=([^/]*)")
"""A folder that holds the rows with one value of a column, as Hive names it."""
MOST_SHOWN = 5

Part = tuple[Path, Mapping[str, str]]
"""A file, and the columns that its folders name with their value."""


def parts_of(path: str | Sequence[str], kind: str, place: ConfigPath) -> list[Part]:
    """Return the files that a path names, which may be a pattern, a folder, a zip, or a list of these.

    Raises DataError: there is no such file, or none of that kind in the folder."""
    if not isinstance(path, str):
        return [part for index, each in enumerate(path) for part in parts_of(each, kind, (*place, index))]
    if not glob.has_magic(path) or Path(path).exists():
        return parts_in(path, kind, place)
    matching = sorted(glob.glob(path, recursive=True), key=natural_key)
    if not matching:
        raise DataError(Problem(place, f"no file matches {path}"))
    return [part for each in matching for part in parts_in(each, kind, place)]


def parts_in(path: str, kind: str, place: ConfigPath) -> list[Part]:
    """Return the files of a folder or a zip, in natural order, or the file itself."""
    found = Path(path).expanduser().absolute()
    is_zip = found.suffix.lower() == ".zip" and found.is_file()
    if not is_zip and not found.is_dir():
        return [(table_path(path, place), {})]
    tables = [name for name in names_in(found, place) if is_table(name, kind)]
    if not tables:
        raise DataError(Problem(place, f"{found} holds no file that ends in {' or '.join(ENDINGS[kind])}"))
    return [
        (found / name, {key: value_of(text) for key, text in PARTITION.findall(name.rpartition("/")[0])})
        for name in sorted(tables, key=natural_key)
    ]


def value_of(text: str) -> str:
    """Return the value that the name of a folder has, empty if it is missing."""
    return "" if text == "__HIVE_DEFAULT_PARTITION__" else unquote(text)


def names_in(path: Path, place: ConfigPath) -> list[str]:
    """Return the files in a folder, at any depth, or in a zip, without hidden files and descriptions. Raises DataError:
    a damaged zip."""
    if path.is_dir():
        names = [each.relative_to(path).as_posix() for each in sorted(path.rglob("*")) if each.is_file()]
    else:
        names = [member.name for member in list_zip(path, place)[0]]
    return [name for name in names if not (NOT_DATA.search(name) or NO_PART.search(name))]


def is_table(name: str, kind: str) -> bool:
    return unpacked_name(name).endswith(ENDINGS[kind]) or (kind == "csv" and is_numbered_part(name))


def is_numbered_part(name: str) -> bool:
    """Return whether a file without an ending is one of those that Hadoop and Spark write, `part-00000`."""
    return re.fullmatch(r"part-[mr]?-?\d+", unpacked_name(name).rpartition("/")[2]) is not None


def unpacked_name(name: str) -> str:
    """Return the name in lower case, without the ending of a compressed file."""
    stem = name.lower()
    for packed in PACKED:
        stem = stem.removesuffix(packed)
    return stem


def table_path(path: str | Sequence[str], place: ConfigPath) -> Path:
    """Return the absolute path of one file, perhaps in a zip. Raises DataError: there is none."""
    assert isinstance(path, str)
    found = Path(path).expanduser().absolute()
    archive = zip_of(found)
    if archive is None:
        return require(path, place)
    name = found.relative_to(archive).as_posix()
    names = [member.name for member in list_zip(archive, place)[0]]
    if name not in names:
        hint = did_you_mean(near(name, names, MOST_SHOWN)) or f"it has {listed(names, MOST_SHOWN)}"
        raise DataError(Problem(place, f"{archive} has no file {name}", hint))
    return found


def joined(parts: Sequence[Part], opened: Callable[[Path], TableFile], place: ConfigPath) -> TableFile:
    """Open the parts of a table. Raises DataError: their columns differ, or the errors of opening them."""
    if len(parts) == 1 and not parts[0][1]:
        return opened(parts[0][0])
    found = [(opened_if_any(path, opened, parts[0][0]), constants) for path, constants in parts]
    # Programs that write parts write empty ones too; without any rows, the first says so.
    files = [file for file, _ in found if file is not None] or [opened(parts[0][0])]
    parts = [part for part, (file, _) in zip(parts, found, strict=True) if file is not None]
    first = {*files[0].names, *parts[0][1]}
    for file, (_, constants) in zip(files, parts, strict=True):
        if first != {*file.names, *constants}:
            others = sorted(first ^ {*file.names, *constants})
            message = f"{file.path} has other columns than {files[0].path.name}: {listed(others, MOST_SHOWN)}"
            hint = "the files of one table have the same columns: name one of them instead of the folder, or a list"
            raise DataError(Problem(place, message, hint))
    return SeveralFiles(files, [constants for _, constants in parts])


def opened_if_any(path: Path, opened: Callable[[Path], TableFile], first: Path) -> TableFile | None:
    """Return the file, or None if it has no rows. Raises DataError: unlike the first, it cannot be read."""
    try:
        return opened(path)
    except NoRows:
        return None
    except DataError as error:
        hint = (
            f"{first.name} is read without errors; the files of one table are written alike: correct it, or remove it"
        )
        raise DataError(error.problems if path == first else [replace(p, hint=hint) for p in error.problems]) from None


@dataclass(frozen=True)
class Others(Mapping[str, Want]):
    """The columns of `wants`, which changes from block to block, less the `constants`; `usual` if none is left."""

    wants: Mapping[str, Want]
    constants: Collection[str]
    usual: str

    def __getitem__(self, name: str) -> Want:
        return self.wants.get(name, "text")

    def __iter__(self) -> Iterator[str]:
        own = [name for name in self.wants if name not in self.constants]
        # One column counts the rows.
        return iter(own or [self.usual])

    def __len__(self) -> int:
        return len(list(iter(self)))


class SeveralFiles(TableFile):
    """The rows of `files`, one after another; `constants` are further columns of each, with one value."""

    def __init__(self, files: Sequence[TableFile], constants: Sequence[Mapping[str, str]]) -> None:
        self.files, self.constants = files, constants
        self.path, self.decimal, self.row_word = files[0].path, files[0].decimal, files[0].row_word
        self.names = tuple(dict.fromkeys((*files[0].names, *constants[0])))
        self.unusable = {name: what for file in files for name, what in file.unusable.items()}
        self.rows = [0] * len(files)

    def identity(self) -> tuple[int, ...] | None:
        return tuple(chain.from_iterable(file.identity() or () for file in self.files))

    def blocks(self, wants: Mapping[str, Want]) -> Iterator[RowBlock]:
        for index, (file, constants) in enumerate(zip(self.files, self.constants, strict=True)):
            self.rows[index] = 0
            for block in file.blocks(Others(wants, constants, file.names[0])):
                self.rows[index] += block.rows
                yield with_constants(block, constants, wants)

    def places_of(self, rows: Sequence[int]) -> list[tuple[Path, int]]:
        ends = np.cumsum(self.rows)
        found: dict[int, tuple[Path, int]] = {}
        for index in np.unique(np.searchsorted(ends, rows, side="right")).tolist():
            first = int(ends[index]) - self.rows[index]
            own = sorted({row for row in rows if first <= row < ends[index]})
            places = self.files[index].places_of([row - first for row in own])
            found |= dict(zip(own, places, strict=True))
        return [found[row] for row in rows]


def with_constants(block: RowBlock, constants: Mapping[str, str], wants: Collection[str]) -> RowBlock:
    """Return the block with those of the `constants` that are wanted, columns with one value each."""
    values = {
        name: Texts(np.full(block.rows, 0 if value else -1, np.int32), [value])
        for name, value in constants.items()
        if name in wants
    }
    return RowBlock(block.rows, {**block.columns, **values})
