"""A table: typed columns with what there is to say of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dltool.config.columns import ColumnType
from dltool.data.arrays.rows import Rows
from dltool.data.tables.source import TableFile
from dltool.errors import ConfigPath

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
        """What messages call a row, counted from 0: "adult.csv, line 12". Reads the file up to there."""
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
