"""A table: typed columns with their properties."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from dltool.config.columns import ColumnType
from dltool.data.arrays.rows import Rows
from dltool.data.tables.cells import Cells
from dltool.data.tables.decompression import zip_of
from dltool.errors import ConfigPath, DataError

Want = Literal["number", "text"]


class NoRows(DataError):
    """A table without rows."""


@dataclass(frozen=True)
class RowBlock:
    """Some rows. All columns have as many cells.

    `expected` is the approximate number of rows of the whole file, or 0 if unknown."""

    rows: int
    columns: Mapping[str, Cells]
    expected: int = 0


class TableFile(ABC):
    """A table in a file; `row_word` is the noun for a row in messages, "line" or "row". `unusable` are the columns that
    are no single values, each with what it holds: they can only be ignored."""

    path: Path
    names: tuple[str, ...]
    unusable: Mapping[str, str] = MappingProxyType({})
    decimal = "."
    row_word = "line"

    @abstractmethod
    def blocks(self, wants: Mapping[str, Want]) -> Iterator[RowBlock]:
        """Yield the columns that `wants` names, which is called for every block. A column wanted as numbers is text if
        some of its cells are no finite numbers."""

    def numbers_of(self, rows: Sequence[int]) -> list[int]:
        """Return the lines (or rows, counted from 1) of some rows, counted from 0."""
        return [row + 1 for row in rows]

    def identity(self) -> tuple[int, ...] | None:
        """Return what changes when the file is written to or replaced; None for rows in memory."""
        try:
            status = (zip_of(self.path) or self.path).stat()
        except OSError:
            return None
        return status.st_size, status.st_mtime_ns, status.st_ino

    def places_of(self, rows: Sequence[int]) -> list[tuple[Path, int]]:
        """Return the file and the line of some rows, which have been read."""
        return [(self.path, number) for number in self.numbers_of(rows)]


def lines_at(records: Iterable[tuple[int, Any]], rows: Sequence[int]) -> list[int]:
    """Return the lines of some rows of the (line, content) of every row, read up to the last of them."""
    wanted = set(rows)
    first = enumerate(islice(records, max(rows, default=-1) + 1))
    lines = {row: line for row, (line, _) in first if row in wanted}
    return [lines[row] for row in rows]


Kind = Literal["number", "category", "boolean", "date", "text", "image", "audio", "ignore"]


@dataclass(frozen=True)
class Column:
    """A typed column, and the properties that `check` reports.

    `values`, by kind: number and boolean (1 and 0) are float32 with NaN if missing; date is int64 seconds since
    1970-01-01T00:00 with the lowest int64 if missing; category, text, image and audio (paths) are Coded with the empty
    text if missing; ignored ones are NaN that take no memory. `why` is the reason for the kind. `distinct` is None if
    there are many. `low` and `high` are the range of numbers and dates, as text. `declared` are the options in the
    config, if any. Numbers that are `is_wide` are float64: float32 does not distinguish them."""

    name: str
    kind: Kind
    values: Rows
    why: str
    missing: int = 0
    distinct: int | None = None
    low: str | None = None
    high: str | None = None
    declared: ColumnType | None = None
    is_wide: bool = False


@dataclass(frozen=True)
class Table:
    """The columns, in the order of the file, each of `rows` rows."""

    columns: Mapping[str, Column]
    rows: int
    path: Path
    file: TableFile = field(repr=False, compare=False)

    def names_of(self, rows: Sequence[int]) -> list[str]:
        """Return the names of rows, counted from 0, for messages: "adult.csv, line 12". Reads the file up to there."""
        return [f"{path.name}, {self.file.row_word} {number:,}" for path, number in self.file.places_of(rows)]


@dataclass(frozen=True)
class ColumnRequest:
    """The columns that a table must have.

    `declared` gives the types of some columns, `places` their config paths. `like` is the training table, whose kinds
    are used, and whose names if this one has none of its own; further columns are dropped. `needed` columns, such as
    targets and groups, are never ignored, and boolean words in them stay text. `optional` columns may be absent."""

    declared: Mapping[str, ColumnType] = field(default_factory=dict)
    places: Mapping[str, ConfigPath] = field(default_factory=dict)
    like: Table | None = None
    needed: Collection[str] = ()
    optional: Collection[str] = ()
