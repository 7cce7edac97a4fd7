"""Rows of databases: the results of queries."""

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dltool.config.table_sources import SQLITE, CsvSource, SqlSource
from dltool.data.files.paths import require
from dltool.data.tables.records_file import RecordsFile
from dltool.errors import ConfigPath, DataError, MachineError, Problem
from dltool.installation import install_extra

URL = re.compile(r"\w[\w+.-]*://")
NOT_SINGLE = (bytes, bytearray, memoryview, list, tuple, dict, set)
QUERY = Path("the query")

Result = tuple[Sequence[str], Iterable[Sequence[Any]]]
"""The names of the columns, and the rows, fetched as they are taken."""


class SqlFile(RecordsFile):
    """The result of a query, in its order. It is fetched once, so that changes of the database do not matter."""

    def __init__(self, options: SqlSource, place: ConfigPath) -> None:
        """Run the query; `place` is the config path of the URL. Raises DataError: the database refuses it, or the
        result is no table; MachineError: a package is not installed."""
        query_place = (*place[:-1], "query")
        is_file = options.url.startswith(SQLITE)
        path = file_of(options.url, place) if is_file else QUERY
        result = file_result(path, options.query) if is_file else server_result(options.url, options.query, place)
        try:
            with result as (names, rows):
                if len({*names}) < len(names) or not all(names):
                    message = f"{path}: columns of the result have no name, or one in common: {', '.join(names)}"
                    raise DataError(Problem(query_place, message, "name them in the query: SELECT a.id AS other_id"))
                text = CsvSource(path=str(path), names=tuple(names), missing=options.missing)
                super().__init__(single_values(rows, names, query_place), text, query_place, path)
        except (sqlite3.Error, UnicodeError) as error:
            raise DataError(Problem(query_place, f"{path}: {error}")) from None


def file_of(url: str, place: ConfigPath) -> Path:
    """Return the path of the file of SQLite. Raises DataError: there is none."""
    path = Path(url.removeprefix(SQLITE)).expanduser()
    if not path.is_absolute():
        hint = f"write an absolute one, with four slashes: {SQLITE}/home/…"
        raise DataError(Problem(place, "the URL from the environment has a relative path", hint))
    return require(str(path), place)


@contextmanager
def file_result(path: Path, query: str) -> Iterator[Result]:
    # No query can change the file.
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        cursor = connection.execute(query)
        yield [name for name, *_ in cursor.description or ()], cursor


@contextmanager
def server_result(url: str, query: str, place: ConfigPath) -> Iterator[Result]:
    """Run a query by SQLAlchemy. Raises as :class:`SqlFile`."""
    if not URL.match(url):
        raise DataError(Problem(place, "expected a URL such as postgresql://localhost/name or sqlite:///file.sqlite"))
    if find_spec("sqlalchemy") is None:
        raise MachineError(
            Problem(place, "reading databases needs a package that is not installed", install_extra("sql"))
        )
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            place = (*place[:-1], "query")
            streamed = connection.execution_options(stream_results=True, no_parameters=True)
            result = streamed.exec_driver_sql(query)
            yield ([*result.keys()], result) if result.returns_rows else ((), ())
    except ImportError as error:
        hint = "install it, or name another one in the URL, such as postgresql+psycopg://…"
        raise MachineError(Problem(place, f"the driver of the database is not installed: {error.name}", hint)) from None
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        raise DataError(Problem(place, f"the database reports: {reason}")) from None


def single_values(rows: Iterable[Sequence[Any]], names: Sequence[str], place: ConfigPath) -> Iterator[Sequence[Any]]:
    """Yield the rows. Raises DataError: a value is none that a table can have."""
    for number, row in enumerate(rows, 1):
        for name, value in zip(names, row, strict=True):
            if isinstance(value, NOT_SINGLE):
                message = f"row {number:,} of the query: {name} is a value of the type {type(value).__name__}"
                hint = "name the other columns in the query: SELECT a, b FROM …"
                raise DataError(Problem(place, message, hint))
        yield row
