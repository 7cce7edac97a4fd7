"""The cells of one column in one block of rows, and their values as numbers, dates and booleans."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

NO_DATE = np.iinfo(np.int64).min
TRUE, FALSE = ("true", "yes", "t", "y"), ("false", "no", "f", "n")
BOOLEAN_WORDS = frozenset((*TRUE, *FALSE))
BOOLEANS: Mapping[str, float] = {**dict.fromkeys((*TRUE, "1", "1.0"), 1.0), **dict.fromkeys((*FALSE, "0", "0.0"), 0.0)}
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\u2600-\u27bf\U0001f300-\U0001faff]"
)
"""Characters of Thai, Lao, Burmese, Khmer, Japanese and Chinese, and emoji."""
WORD = re.compile(
    r"(?<!\S)[^\w\s]*(?![A-Z]{1,3}[^\w\s]*(?!\S))(?![^\W\d_][^\w\s]*(?!\S))[^\W\d_][^\s\d_@/\\=|<>+]*(?!\S)"
)
"""A word of letters, which neither one letter nor three capitals are: codes have them too."""
SEQUENCE = 20
"""The fewest letters of a sequence, longer than nearly all words."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
FIRST_DATE = (datetime(1, 1, 1, tzinfo=UTC) - EPOCH) // SECOND
LAST_DATE = (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - EPOCH) // SECOND
"""The years 1 to 9999, in seconds since 1970."""


@dataclass(frozen=True)
class Texts:
    """Cells as text. `codes` (rows,) of int32 index `values`, which may hold a text twice; -1 is missing."""

    codes: np.ndarray
    values: Sequence[str]

    def __len__(self) -> int:
        return len(self.codes)


Cells = Texts | np.ndarray
"""Texts, or (rows,) of float64 numbers (NaN is missing), or of int64 dates in seconds since 1970 (NO_DATE is)."""


def texts_of(cells: Sequence[str | None]) -> Texts:
    """Return texts with each distinct value stored once; None and the empty text are missing."""
    numbers: dict[str | None, int] = {None: -1, "": -1}
    codes = np.fromiter((numbers.setdefault(cell, len(numbers) - 2) for cell in cells), np.int32, len(cells))
    return Texts(codes, list(numbers)[2:])  # type: ignore[arg-type]


def as_texts(cells: Cells) -> Texts:
    """Format numbers and dates: integers without a point, dates in ISO 8601."""
    if isinstance(cells, Texts):
        return cells
    is_date = cells.dtype == np.int64
    present = cells != NO_DATE if is_date else ~np.isnan(cells)
    values, inverse = np.unique(cells[present], return_inverse=True)
    codes = np.full(len(cells), -1, np.int32)
    codes[present] = inverse
    return Texts(codes, [date_text(value) if is_date else number_text(value) for value in values.tolist()])


def number_text(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e16 else repr(float(value))


def date_text(seconds: int) -> str:
    moment = EPOCH + timedelta(seconds=seconds)
    return moment.date().isoformat() if seconds % 86_400 == 0 else moment.replace(tzinfo=None).isoformat(" ")


def word_count(text: str) -> int:
    """Return the number of words; of scripts without spaces between words, and of emoji, each character is one."""
    return len(text.split()) if text.isascii() else max(len(text.split()), len(UNSPACED.findall(text)))


def is_unspaced(text: str) -> bool:
    """Return whether its characters rather than its words mean something: of a script without spaces, or a sequence."""
    parts = len(text.split())
    return word_count(text) > 2 * parts or len(text) > SEQUENCE * parts


def is_prose(text: str) -> bool:
    """Return whether the text has two words at least, which codes such as "AB 123 C" and "SKU 12" have not, or is a
    sequence of letters, as of DNA and proteins: identifiers of so many characters have digits."""
    if len(text) >= SEQUENCE and text.isalpha():
        return True
    # Most codes have no space.
    words = len([*islice(WORD.finditer(text), 2)]) if " " in text else 0
    return words > 1 or (not text.isascii() and len([*islice(UNSPACED.finditer(text), 2)]) > 1)


def boolean_of(text: str) -> float:
    return BOOLEANS.get(text.lower(), np.nan)


# --- Arrow arrays by their buffers: pyarrow's own way imports pandas wherever that is installed ---


def values_of(array: "pa.Array", dtype: type, missing: float) -> np.ndarray:
    """Return (rows,) of the array's values, which are of `dtype`, with `missing` for nulls."""
    rows, offset = len(array), array.offset
    if array.null_count == rows:
        return np.full(rows, missing, dtype)
    data = array.buffers()[1]
    values: np.ndarray = np.frombuffer(data, dtype, rows, offset * np.dtype(dtype).itemsize)
    if not array.null_count:
        return values
    return np.where(is_valid(array), values, np.dtype(dtype).type(missing))


def is_valid(array: "pa.Array") -> np.ndarray:
    """Return (rows,) of bool, false for the array's nulls."""
    bits = np.frombuffer(array.buffers()[0], np.uint8)
    return np.unpackbits(bits, count=array.offset + len(array), bitorder="little")[array.offset :].astype(bool)


def texts_of_dictionary(array: "pa.DictionaryArray", is_missing: Callable[[str], bool]) -> Texts:
    """Return the texts without surrounding spaces. `is_missing` is true for texts that stand for missing values."""
    codes = values_of(array.indices, np.int32, -1)
    values = ["" if value is None else value.strip() for value in array.dictionary.to_pylist()]
    absent = [not value or is_missing(value) for value in values]
    if any(absent):
        codes = np.where(np.array([*absent, True])[codes], np.int32(-1), codes)
    return Texts(codes, values)
