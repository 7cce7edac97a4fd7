"""A table: typed columns with what there is to say of them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from dltool.config.columns import ColumnType
from dltool.data.arrays.rows import Rows
from dltool.data.tables.cells import Cells
from dltool.errors import ConfigPath

Want = Literal["number", "text"]


@dataclass(frozen=True)
class RowBlock:
    """Some rows. The columns hold as many cells each.

    `expected` is about how many rows the whole file has, or 0 where that is not known.
    """

    rows: int
    columns: Mapping[str, Cells]
    expected: int = 0


class TableFile(Protocol):
    """A table in a file; `row_word` is what messages call a row of it, "line" or "row"."""

    path: Path
    row_word: str

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def decimal(self) -> str: ...

    def blocks(self, wants: Mapping[str, Want]) -> Iterator[RowBlock]:
        """The columns that `wants` names.

        `wants` is asked anew for every block. A column wanted as numbers may still come as text, which it does where
        some of its cells are no finite numbers.
        """

    def numbers_of(self, rows: Sequence[int]) -> list[int]:
        """The lines (or rows, counted from 1) of some rows, counted from 0."""


Kind = Literal["number", "category", "boolean", "date", "text", "image", "audio", "ignore"]


@dataclass(frozen=True)
class Column:
    """A typed column, and what `check` reports of it.

    `values`, by kind: number and boolean (1 and 0) are float32 with NaN where missing; date is int64 seconds since
    1970-01-01T00:00 with the lowest int64 where missing; category, text, image and audio (paths) are Coded with the
    empty text where missing; ignored ones are NaN that take no memory.
    `why` says how the kind was found. `distinct` is None where there are many. `low` and `high` are the range, written
    out, of numbers and dates. `declared` has the options, if the config gave some.
    """

    name: str
    kind: Kind
    values: Rows
    why: str
    missing: int = 0
    distinct: int | None = None
    low: str | None = None
    high: str | None = None
    declared: ColumnType | None = None


@dataclass(frozen=True)
class Table:
    """The columns, in the order of the file, each of `rows` rows."""

    columns: Mapping[str, Column]
    rows: int
    path: Path
    file: TableFile = field(repr=False, compare=False)

    def name_of(self, row: int) -> str:
        """Return what messages call a row, counted from 0: "adult.csv, line 12". Reads the file up to there."""
        return self.names_of([row])[0]

    def names_of(self, rows: Sequence[int]) -> list[str]:
        return [f"{self.path.name}, {self.file.row_word} {number:,}" for number in self.file.numbers_of(rows)]


@dataclass(frozen=True)
class ColumnRequest:
    """What a table must have.

    `declared` gives the types of some columns, `places` where the config does so. `like` is the training table: this
    one gets its kinds, and its names if it has none of its own; further columns are left out. `needed` columns, such as
    targets and groups, are never ignored, and words of truth in them stay text. `optional` columns may be absent.
    """

    declared: Mapping[str, ColumnType] = field(default_factory=dict)
    places: Mapping[str, ConfigPath] = field(default_factory=dict)
    like: Table | None = None
    needed: Collection[str] = ()
    optional: Collection[str] = ()
