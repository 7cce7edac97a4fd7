"""What every table file gives: names of columns, and blocks of rows in file order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from dltool.data.tables.cells import Cells

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
