"""The files of a table: one, the parts in a folder or a zip, and those for validation and test beside it."""

import glob
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from dltool.data.files.file_tree import open_members
from dltool.data.tables.several_files import is_numbered_part, is_table, names_in, parts_in, unpacked_name
from dltool.drafting.content import kind_of_content
from dltool.errors import DataError
from dltool.text import listed

KINDS = ("csv", "json_lines", "excel", "parquet", "feather", "orc")
ENDINGS = (
    ".csv",
    ".tsv",
    ".data",
    ".jsonl",
    ".ndjson",
    ".xlsx",
    ".xlsm",
    ".parquet",
    ".pq",
    ".feather",
    ".arrow",
    ".orc",
)
"""Endings that only tables have: texts and what describes images end otherwise."""
ARCHIVES = ("zip", "tar")
MOST_SHOWN = 6
TRAINING = re.compile(r"(?i)(?:^|[^a-z])train(?:ing)?(?:$|[^a-z])")
ROLES: Mapping[str, re.Pattern[str]] = {
    "validation": re.compile(r"(?i)(?:^|[^a-z])(?:valid(?:ation)?|val|dev)(?:$|[^a-z])"),
    "test": re.compile(r"(?i)(?:^|[^a-z])test(?:ing)?(?:$|[^a-z])"),
}


@dataclass(frozen=True)
class TableFiles:
    """`path` is that of the source, `first` one of its files, and `kind` what its content is, if that says it; `others`
    are files by their key in `data`, which may lack the target."""

    path: Path
    first: Path
    kind: str = ""
    others: Mapping[str, Path] = field(default_factory=dict)


def table_files(path: Path, kind: str) -> TableFiles | None:
    """Return the files of a table, or None if those in the folder or the archive are no tables. `kind` is what the
    content of the file is. Raises DataError: several kinds of tables, none of which is for training, or a tar of
    tables."""
    if path.is_file() and kind not in ARCHIVES:
        is_training = TRAINING.search(stem_of(path))
        return TableFiles(path, path, kind, siblings(path, [*path.parent.iterdir()]) if is_training else {})
    tables = tables_in(path, kind)
    if not tables:
        return None
    if kind == "tar":
        way = f"mkdir tables; tar -xf {shlex.quote(path.name)} -C tables; dltool init tables"
        raise DataError(f"{path.name} is a tar archive of tables, which are read from folders and zips", way)
    if kind == "zip" and path.suffix.lower() != ".zip":
        name = shlex.quote(path.name)
        raise DataError(f"{path.name} is a zip archive", f"mv {name} {name}.zip; dltool init {name}.zip")
    roles = {role: [table for table in tables if role_of(table, path) == role] for role in ("training", *ROLES)}
    training = roles.pop("training")
    if len(training) == 1:
        return of_one(training[0], siblings(training[0], tables))
    if training and any(roles.values()):
        others = {role: together(files, tables, path) for role, files in roles.items() if files}
        return TableFiles(together(training, tables, path), training[0], kind_of_content(training[0]), others)
    if len(tables) == 1:
        return of_one(tables[0], {})
    kinds = [kind for kind in KINDS if any(is_table(table.name, kind) for table in tables)]
    if len(kinds) > 1 and not path.is_file():
        names = listed([table.name for table in tables], MOST_SHOWN)
        raise DataError(f"{path} holds tables of several kinds: {names}", "name one of them: dltool init FILE")
    first = parts_in(str(path), kinds[0], ())[0][0]
    return TableFiles(path, first, kind_of_content(first))


def of_one(file: Path, others: Mapping[str, Path]) -> TableFiles:
    return TableFiles(file, file, kind_of_content(file), others)


def tables_in(path: Path, kind: str) -> list[Path]:
    """Return the tables in a folder or an archive; none if most files are others. Raises DataError: it is empty."""
    names = [member.name for member in open_members(str(path), ()).members] if kind == "tar" else names_in(path, ())
    tables = [path / name for name in names if unpacked_name(name).endswith(ENDINGS) or is_numbered_part(name)]
    if not names:
        raise DataError(f"{path.name} holds no files with data", "put some in it, or name another folder or file")
    return tables if 2 * len(tables) >= len(names) else []


def role_of(table: Path, root: Path) -> str:
    """Return "training", "validation" or "test" if the name of a table, or of a folder in `root`, has such a word."""
    names = (stem_of(table), *reversed(table.relative_to(root).parent.parts))
    patterns = {"training": TRAINING, **ROLES}
    return next((role for name in names for role, pattern in patterns.items() if pattern.search(name)), "")


def together(files: Sequence[Path], tables: Sequence[Path], root: Path) -> Path:
    """Return the folder or the pattern that names these files and no others of the `tables` in the folder `root`.
    Raises DataError: there is none."""
    folder = Path(os.path.commonpath([file.parent for file in files]))
    stems = zip(*(file.name for file in files), strict=False)
    begin = "".join(letters[0] for letters in takewhile(lambda letters: len({*letters}) == 1, stems))
    pattern = folder / f"{begin.rstrip('0123456789')}*{''.join(files[0].suffixes)}"
    for path in (files[0], folder, pattern) if root.is_dir() and not glob.has_magic(str(folder)) else ():
        named = [each for each in tables if each == path or path in each.parents or each.match(str(path))]
        if named == files:
            return path
    names = listed([file.relative_to(root).as_posix() for file in files], MOST_SHOWN)
    way = "put those of each split in a folder" if root.is_dir() else "unpack it, and name the folder"
    raise DataError(f"{root.name} holds several tables for one split: {names}", way)


def siblings(training: Path, files: list[Path]) -> dict[str, Path]:
    """Return the files that differ from that for training in this word of their name alone."""
    word = TRAINING.search(stem_of(training))
    if word is None:
        return {}
    rest = stem_of(training)[: word.start()], stem_of(training)[word.end() :]
    found: dict[str, Path] = {}
    for file in files:
        for role, pattern in ROLES.items():
            stem, other = stem_of(file), pattern.search(stem_of(file))
            is_alike = other and rest == (stem[: other.start()], stem[other.end() :])
            if is_alike and file.suffixes == training.suffixes:
                found.setdefault(role, file)
    return found


def stem_of(path: Path) -> str:
    return path.name.partition(".")[0]
