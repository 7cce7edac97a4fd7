"""Windows over a time series."""

from typing import Annotated

from pydantic import Field

from dltool.config.section import Section

Count = Annotated[int, Field(ge=1)]


class Windows(Section):
    """Examples that are some rows of a table, one after the other, with a later value of one column as the target."""

    length: Count
    """How many rows a window has."""
    target: str
    """The column to predict."""
    horizon: Count = 1
    """How many rows after the last one of the window the target is."""
    stride: Count = 1
    """How many rows after a window the next one begins."""
    key: str | None = None
    """A column that tells several series apart; no window has rows of two of them."""
    order: str | None = None
    """A column by which the rows are sorted; unless given, the order is that of the file. `time` means, where no column
    has that name, the table's date column."""
