"""A query for the largest table of a file of SQLite."""

import sqlite3
from contextlib import closing
from pathlib import Path

from dltool.config.table_sources import SQLITE, SqlSource
from dltool.errors import DataError
from dltool.text import listed

MAGIC = b"SQLite format 3\0"
MOST_SHOWN = 5


def is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def query_of(path: Path) -> tuple[SqlSource, tuple[str, ...]]:
    """Return a source with all columns but binary ones of the table with the most rows, and what was seen. Raises
    DataError: the file has no tables, or is damaged."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
            rows = {name: database.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()[0] for (name,) in found}
            if not rows:
                raise DataError(f"{path} has no tables")
            table = max(rows, key=rows.__getitem__)
            columns = [*database.execute(f"PRAGMA table_info({quoted(table)})")]
            names = [name for _, name, *_ in columns]
            any_binary = "SELECT 1 FROM {} WHERE typeof({}) = 'blob' LIMIT 1"
            binary = [
                name
                for name in names
                if database.execute(any_binary.format(quoted(table), quoted(name))).fetchone() is not None
            ]
    except (sqlite3.Error, UnicodeError) as error:
        raise DataError(f"{path}: {error}") from None
    key = [name for _, name in sorted((place, name) for _, name, *_, place in columns if place)]
    selected = ", ".join(quoted(name) for name in names if name not in binary) if binary else "*"
    ordered = ", ".join(map(quoted, key)) or "rowid"
    query = f"SELECT {selected} FROM {quoted(table)} ORDER BY {ordered}"
    others = [name for name in rows if name != table]
    remarks = [f"other tables are {listed(others, MOST_SHOWN)}"] if others else []
    remarks += [f"without the binary values of {listed(binary, MOST_SHOWN)}"] if binary else []
    return SqlSource(url=f"{SQLITE}{path}", query=query), tuple(remarks)


def quoted(name: str) -> str:
    """Return the name, which may be a keyword, in the quotes of SQLite that YAML leaves alone."""
    return f"`{name.replace('`', '``')}`"
