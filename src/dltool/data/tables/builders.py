"""Builders of columns, block by block: they convert cells to values and note invalid cells."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dltool.config.columns import CategoryColumn, ColumnType, DateColumn
from dltool.data.arrays.rows import Coded, Rows, text_array
from dltool.data.split.by_column import is_missing
from dltool.data.tables.cells import (
    NO_DATE,
    Cells,
    Texts,
    as_texts,
    boolean_of,
    date_text,
    is_prose,
    number_text,
    word_count,
)
from dltool.data.tables.date_format import date_of
from dltool.data.tables.number_format import PLAIN, NumberFormat, in_ascii
from dltool.data.tables.stores import Stores
from dltool.data.tables.typed_table import Want

MOST_INVALID = 10
MOST_DIGITS = 15
MOST_DISTINCT_NUMBERS = 50
STEPS = 2**16
"""The least steps of float32 in the range of a column, whose fractions are rounded to them."""
NUMBER_STARTS = frozenset("0123456789+-.,")


@dataclass
class InvalidCells:
    """Invalid cells of a column: how many, and the first row of each of the first few texts."""

    count: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    more_texts: bool = False

    def add(self, texts: Texts, is_invalid: np.ndarray, first_row: int) -> None:
        """Add the cells that `is_invalid` (rows,) marks in a block that begins at `first_row`."""
        where = np.flatnonzero(is_invalid)
        self.count += len(where)
        _, first = np.unique(texts.codes[where], return_index=True)
        for row in where[np.sort(first)].tolist():
            text = texts.values[texts.codes[row]]
            if text not in self.rows and len(self.rows) == MOST_INVALID:
                self.more_texts = True
                return
            self.rows.setdefault(text, first_row + row)


class Builder(ABC):
    """The base class: rows, missing cells, invalid cells; `ends` are the smallest and the largest value, if any.
    `distinct` is None once there are many."""

    want: Want = "text"
    noun = "text"
    dtype: type

    def __init__(self, stores: Stores) -> None:
        self.store = stores.new(self.dtype)
        self.rows = self.missing = 0
        self.invalid = InvalidCells()
        self.ends: tuple[Any, Any] | None = None
        self.distinct_values: set[float] | None = set()

    @property
    def distinct(self) -> int | None:
        return None if self.distinct_values is None else len(self.distinct_values)

    @property
    def range(self) -> tuple[str | None, str | None]:
        return (None, None) if self.ends is None else (self.shown(self.ends[0]), self.shown(self.ends[1]))

    def shown(self, value: Any) -> str:
        return str(value)

    @property
    def present(self) -> int:
        return self.rows - self.missing

    def append(self, cells: Cells) -> None:
        values, missing = self.values_of(cells)
        self.store.append(values)
        self.missing += missing
        self.rows += len(values)

    @abstractmethod
    def values_of(self, cells: Cells) -> tuple[np.ndarray, int]:
        """Return the values (rows,), and how many are missing."""

    def widen(self, values: np.ndarray) -> None:
        low, high = values.min().item(), values.max().item()
        self.ends = (low, high) if self.ends is None else (min(low, self.ends[0]), max(high, self.ends[1]))

    def count_distinct(self, values: np.ndarray) -> None:
        # A few values often suffice to exceed the limit.
        for some in (values[:1000], values):
            if self.distinct_values is not None:
                self.distinct_values.update(np.unique(some).tolist())
                if len(self.distinct_values) > MOST_DISTINCT_NUMBERS:
                    self.distinct_values = None

    def finish(self) -> Rows:
        return self.store.finish()

    def parsed(self, cells: Cells, parse: Callable[[str], float | int], dtype: type, missing: Any) -> np.ndarray:
        """Parse every cell; a cell with text for which `parse` returns `missing` is invalid."""
        texts = as_texts(cells)
        values: np.ndarray = np.array([*map(parse, texts.values), missing], dtype=dtype)[texts.codes]
        is_invalid = is_missing(values) & (texts.codes >= 0)
        if is_invalid.any():
            self.invalid.add(texts, is_invalid, self.rows)
        return values


class NumberBuilder(Builder):
    """float32, or float64 if it `is_exact`; NaN if missing. `is_counting`: integers, each one more than the last.
    `has_codes`: some cells that were read as text are codes (:func:`is_code`)."""

    noun = "number"
    dtype: type = np.float32
    has_codes = False

    def __init__(self, stores: Stores, written: NumberFormat = PLAIN, *, is_exact: bool = False) -> None:
        # Targets, groups and orders are compared: integers from 2**24 on are equal to others in float32.
        self.dtype = np.float64 if is_exact else np.float32
        super().__init__(stores)
        self.written = written
        # A parser of numbers knows no groups of digits, and would take "1.234" for a little more than one.
        self.want = "number" if written.is_plain else "text"
        self.is_whole = self.is_counting = True
        self.last: float | None = None

    def values_of(self, cells: Cells) -> tuple[np.ndarray, int]:
        if isinstance(cells, Texts):
            self.has_codes = self.has_codes or any(map(is_code, cells.values))
        if isinstance(cells, Texts) or cells.dtype != np.float64:
            cells = self.parsed(cells, self.written.number, np.float64, np.nan)
        # The sum is faster than a check of every cell.
        absent = int(np.count_nonzero(np.isnan(cells))) if np.isnan(cells.sum()) else 0
        self.note(cells[~np.isnan(cells)] if absent else cells)
        self.is_counting = self.is_counting and not absent
        return cells.astype(self.dtype), absent

    def note(self, numbers: np.ndarray) -> None:
        if not len(numbers):
            return
        self.widen(numbers)
        self.is_whole = self.is_whole and bool((numbers == np.trunc(numbers)).all())
        if self.is_counting:
            start = numbers[0] if self.last is None else self.last + 1
            self.is_counting = self.is_whole and bool((numbers == start + np.arange(len(numbers))).all())
            self.last = float(numbers[-1])
        self.count_distinct(numbers)

    @property
    def is_wide(self) -> bool:
        """Return whether float32 does not distinguish the numbers: large integers, or fractions that differ little."""
        if self.ends is None or self.ends[0] == self.ends[1]:
            return False
        low, high = self.ends
        largest = max(-low, high)
        step = float(np.spacing(np.float32(largest)))
        return bool(largest > 2**24) if self.is_whole else bool(high - low < STEPS * step)

    def shown(self, value: float) -> str:
        return number_text(value) if self.is_whole else f"{value:.6g}"


class BooleanBuilder(Builder):
    """float32 of 1 and 0, NaN if missing."""

    noun = "value"
    dtype = np.float32

    def values_of(self, cells: Cells) -> tuple[np.ndarray, int]:
        values = self.parsed(cells, boolean_of, np.float32, np.nan)
        present = values[~np.isnan(values)]
        self.count_distinct(present)
        return values, len(values) - len(present)


class DateBuilder(Builder):
    """int64 seconds since 1970-01-01T00:00, NO_DATE if missing."""

    noun = "date"
    dtype = np.int64

    def __init__(self, stores: Stores, written: str | None = None) -> None:
        super().__init__(stores)
        self.written = written

    def values_of(self, cells: Cells) -> tuple[np.ndarray, int]:
        if isinstance(cells, Texts) or cells.dtype != np.int64:
            cells = self.parsed(cells, lambda text: date_of(text, self.written), np.int64, NO_DATE)
        present = cells[cells != NO_DATE]
        if len(present):
            self.widen(present)
        return cells, len(cells) - len(present)

    @property
    def distinct(self) -> int | None:
        return 1 if self.ends is not None and self.ends[0] == self.ends[1] else None

    def shown(self, value: int) -> str:
        return date_text(value)


class TextBuilder(Builder):
    """Codes of distinct texts, the empty one if missing.

    With `most`, the texts are dropped once there are more, and cells are counted: `prose` have several words, `words`
    is the total number of words, `numeric` and `dated` could be numbers and ISO dates."""

    dtype = np.int32

    def __init__(
        self, stores: Stores, options: CategoryColumn | None = None, most: int | None = None, decimal: str = "."
    ) -> None:
        super().__init__(stores)
        self.options, self.most, self.written = options, most, NumberFormat(decimal)
        self.numbers: dict[str, int] = {}
        self.is_dropped = False
        self.prose = self.words = self.numeric = self.dated = 0
        self.has_codes = False

    def values_of(self, cells: Cells) -> tuple[np.ndarray, int]:
        texts = as_texts(cells)
        values = texts.values if self.options is None else [tidied(value, self.options) for value in texts.values]
        missing = int(np.count_nonzero(texts.codes < 0))
        if self.options is not None and "" in values:
            blank = np.array([not value for value in values] + [False])
            missing += int(blank[texts.codes].sum())
        if self.most is not None:
            self.note(texts)
        if self.is_dropped:
            return np.zeros(len(texts), np.int32), missing
        number = self.numbers.setdefault
        table = [number(value, len(self.numbers)) for value in values]
        table.append(number("", len(self.numbers)) if missing else 0)
        self.is_dropped = self.most is not None and len(self.numbers) > self.most
        return np.array(table, np.int32)[texts.codes], missing

    def finish(self) -> Rows:
        return Coded(self.store.finish(), text_array(self.numbers))

    def note(self, texts: Texts) -> None:
        counts = np.bincount(texts.codes + 1, minlength=len(texts.values) + 1)[1:].tolist()
        for value, count in zip(texts.values, counts, strict=True):
            words = word_count(value)
            self.words += count * words
            self.prose += count * is_prose(value)
            # Most texts do not even begin like a number or a date.
            start = value[:1] if value.isascii() else in_ascii(value[:2])[:1]
            is_number = start in NUMBER_STARTS and not np.isnan(self.written.number(value))
            self.numeric += count * is_number
            self.has_codes = self.has_codes or is_code(value)
            self.dated += count * (value[4:5] in ("-", "W") and date_of(value) != NO_DATE)

    @property
    def distinct(self) -> int | None:
        return None if self.is_dropped else len(self.numbers) - ("" in self.numbers)


def builder_for(
    kind: str, stores: Stores, decimal: str, declared: ColumnType | None = None, *, is_exact: bool = False
) -> Builder:
    """Return the builder for a kind of column, with the options of its declared type."""
    options = None if declared is None else declared.options
    match kind:
        case "number":
            return NumberBuilder(stores, NumberFormat.of(options, decimal), is_exact=is_exact)
        case "boolean":
            return BooleanBuilder(stores)
        case "date":
            return DateBuilder(stores, options.format if isinstance(options, DateColumn) else None)
    return TextBuilder(stores, options if isinstance(options, CategoryColumn) else None)


def is_code(text: str) -> bool:
    """Return whether the text is digits after a zero, such as a postal code, or an integer that float64 may not tell
    from others, such as an id of 19 digits: no quantity is written so."""
    if not text.isdecimal() or len(text) == 1:
        return False
    digits = in_ascii(text)
    return digits[0] == "0" or (len(digits) > MOST_DIGITS and int(digits) > 2**53)


def tidied(text: str, options: CategoryColumn) -> str:
    """Return the text without the characters to strip and surrounding spaces, in the case of the options, then
    replaced."""
    stripped = text.strip(options.strip + " ") if options.strip else text
    cased = stripped if options.case == "keep" else getattr(stripped, options.case)()
    return options.replace.get(cased, cased)
