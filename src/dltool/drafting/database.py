"""A query for the largest table of a file of SQLite."""

import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

from dltool.config.table_sources import SQLITE, SqlSource
from dltool.errors import DataError
from dltool.text import listed

MOST_SHOWN = 5
ROW_NUMBERS = ("rowid", "oid", "_rowid_")
"""What SQLite calls the number of a row, unless a column has that name."""


def query_of(path: Path) -> tuple[SqlSource, tuple[str, ...]]:
    """Return a source with all columns but binary ones of the table with the most rows, and what was seen. Raises
    DataError: the file has no tables, or is damaged."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            kinds = dict(
                database.execute(
                    "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
                )
            )
            tables = [name for name, kind in kinds.items() if kind == "table"] or [*kinds]
            rows = {name: database.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()[0] for name in tables}
            if not any(rows.values()):
                raise DataError(f"{path} has no tables" if not rows else f"{path} has no rows: its tables are empty")
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
    number = next((each for each in ROW_NUMBERS if each not in map(str.lower, names)), "")
    # A view has no numbers of rows.
    order = [number] if number and kinds[table] == "table" and not key else map(quoted, key or names)
    others = [name for name in kinds if name != table]
    remarks = []
    if others:
        other = f"data.source.sql.query=SELECT * FROM {quoted(others[0])} ORDER BY 1"
        remarks.append(f"others are {listed(others, MOST_SHOWN)}: init --set {shlex.quote(other)}")
    query = f"SELECT {selected} FROM {quoted(table)} ORDER BY {', '.join(order)}"
    remarks += [f"without the binary values of {listed(binary, MOST_SHOWN)}"] if binary else []
    return SqlSource(url=f"{SQLITE}{path}", query=query), tuple(remarks)


def quoted(name: str) -> str:
    """Return the name, which may be a keyword, in the quotes of SQLite that YAML leaves alone."""
    return f"`{name.replace('`', '``')}`"
