"""The files of a table: one, the parts in a folder or a zip, and those for validation and test beside it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dltool.data.tables.several_files import is_table, names_in, parts_in, unpacked_name
from dltool.errors import DataError
from dltool.text import listed

KINDS = ("csv", "json_lines", "excel", "parquet", "feather", "orc")
ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".xlsx", ".xlsm", ".parquet", ".pq", ".feather", ".arrow", ".orc")
"""Endings that only tables have: texts and what describes images end otherwise."""
TRAINING = re.compile(r"(?i)(?:^|[^a-z])train(?:ing)?(?:$|[^a-z])")
ROLES: Mapping[str, re.Pattern[str]] = {
    "validation": re.compile(r"(?i)(?:^|[^a-z])(?:valid(?:ation)?|val|dev)(?:$|[^a-z])"),
    "test": re.compile(r"(?i)(?:^|[^a-z])test(?:ing)?(?:$|[^a-z])"),
}


@dataclass(frozen=True)
class TableFiles:
    """`path` is that of the source, and `first` one of its files; `others` are files by their key in `data`, which may
    lack the target."""

    path: Path
    first: Path
    others: Mapping[str, Path] = field(default_factory=dict)


def table_files(path: Path) -> TableFiles | None:
    """Return the files of a table, or None if those in the folder or the zip are no tables. Raises DataError: several
    kinds of tables, none of which is for training."""
    if path.is_file() and path.suffix.lower() != ".zip":
        return TableFiles(
            path, path, siblings(path, [*path.parent.iterdir()]) if TRAINING.search(stem_of(path)) else {}
        )
    tables = tables_in(path)
    if not tables:
        return None
    training = [table for table in tables if TRAINING.search(stem_of(table))]
    if len(training) == 1:
        return TableFiles(training[0], training[0], siblings(training[0], tables))
    kinds = [kind for kind in KINDS if any(is_table(table.name, kind) for table in tables)]
    if len(kinds) > 1 and not path.is_file():
        names = listed([table.name for table in tables], 6)
        raise DataError(f"{path} holds tables of several kinds: {names}", "name one of them: dltool init FILE")
    return TableFiles(path, parts_in(str(path), kinds[0], ())[0][0])


def tables_in(path: Path) -> list[Path]:
    """Return the tables in a folder or a zip; none if most files are something else."""
    kept = names_in(path, ())
    tables = [path / name for name in kept if unpacked_name(name).endswith(ENDINGS)]
    return tables if 2 * len(tables) > len(kept) else []


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
