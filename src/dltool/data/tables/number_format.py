"""How the numbers of a column are written: with marks of thousands, a currency, a unit, parentheses for negatives.

`NumberFormat` reads them; `Writing` finds the format of a column from all of its texts."""

import re
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dltool.config.columns import WrittenNumber

LARGEST = float(np.finfo(np.float32).max)
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
PRINTED = str.maketrans(
    "\u00a0\u2002\u2007\u2009\u200a\u202f\u3000\u2019\u066c\u2010\u2011\u2013\u2212\uff0d\uff0b\u066b\uff0e\uff0c\uff05",
    "       ''-----+..,%",
    "\u200b\u200e\u200f\ufeff",
)
"""Spaces, apostrophes, signs and marks of typesetters and other scripts, and characters without a width."""
OTHER = {".": ",", ",": "."}
MARKS = (" ", "'", "_")
CODES = re.compile(
    r"AED|ARS|AUD|BDT|BGN|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|EGP|EUR|GBP|HKD|HUF|IDR|ILS|INR|JPY|KES|KRW|MXN|MYR|NGN|NOK|NZD"
    r"|PEN|PHP|PKR|PLN|RMB|RON|RUB|SAR|SEK|SGD|THB|TRY|TWD|UAH|USD|VND|ZAR|US\$|Rs\.?|R\$|kr\.?|Fr\.?|zł|Kč",
    re.ASCII,
)
"""Currencies in letters, before a number; behind it any word is a unit."""
WRITTEN = re.compile(
    r"\(?[+-]? ?(?P<before>(?:[^\d\s.,()'+-]{1,4}\.?)?) ?\(?[+-]?"
    r"(?P<number>(?:\d(?:[\d.,'_ ]*\d)?|[.,]\d+)(?:[eE][+-]?\d+)?)(?P<after>.*?)\)?"
)
DIGITS = "0123456789"
UNIT = re.compile(r"%|‰|/(?:5|10|20|100)|/?[^\W\d_][\w/²³°·]{0,11}( [^\W\d_][\w/²³°·]{0,11})?|°[CF]?")
FEW_VALUES = 10
"""Numbers with a unit are categories, such as sizes, if no more of them are distinct."""
USUAL_SHARE = 0.95
MOST_ODD = 10
SAMPLE = 100
"""Texts with more odd ones than that among the first so many are no numbers."""


@dataclass(frozen=True)
class NumberFormat:
    """`thousands` stands between groups of digits; `strip` are characters around the number; with parentheses in it, a
    number in parentheses is negative, as in accounts, and with a hyphen one with a minus sign behind it."""

    decimal: str = "."
    thousands: str = ""
    strip: str = ""

    @classmethod
    def of(cls, options: Any, decimal: str) -> "NumberFormat":
        """Return the format that the options of a column declare in a file with that decimal mark."""
        if not isinstance(options, WrittenNumber):
            return cls(decimal)
        thousands = options.thousands or ""
        usual = OTHER[thousands] if thousands == decimal else decimal
        return cls(options.decimal or usual, thousands, options.strip)

    @property
    def is_plain(self) -> bool:
        return not (self.thousands or self.strip)

    @cached_property
    def grouped(self) -> re.Pattern[str]:
        """Groups of three digits, or of two before the last one as in India."""
        mark = re.escape(self.thousands)
        return re.compile(rf"([+-]?[1-9]\d{{0,2}}(?:{mark}\d{{2,3}})*{mark}\d{{3}})(?!\d)", re.ASCII)

    def number(self, text: str) -> float:
        """Return the number that `text` represents, or NaN: also for "nan", "inf" and numbers too large for float32."""
        text = in_ascii(text)
        if not self.is_plain:
            text = self.bare(text)
        if self.decimal != ".":
            text = text.translate({ord("."): "x", ord(self.decimal): "."})
        value = float(text) if NUMBER.fullmatch(text) else np.nan
        return value if abs(value) <= LARGEST else np.nan

    def bare(self, text: str) -> str:
        """Return the text without what is around the number and between its groups of digits."""
        marks = self.strip.replace("-", "") + " "
        text = without_marks(text, marks.translate({ord("("): None, ord(")"): None}))
        is_behind = "-" in self.strip and text.endswith("-")
        is_negative = is_behind or ("(" in self.strip and text.startswith("(") and text.endswith(")"))
        text = without_marks(text[: len(text) - is_behind], marks)
        sign = text[:1] if text[:1] in ("+", "-") else ""
        text = sign + without_marks(text[len(sign) :], marks)
        if self.thousands and (match := self.grouped.match(text)):
            text = match[1].replace(self.thousands, "") + text[match.end() :]
        return text if not is_negative else f"-{text}"


def without_marks(text: str, marks: str) -> str:
    """Return the text without marks around it; digits among them are those behind a letter or slash: of m2, of /5."""
    digits = "".join({*marks} & {*DIGITS})
    others = marks.translate(dict.fromkeys(map(ord, DIGITS)))
    text = text.rstrip(others)
    while digits and (unit := text.rstrip(digits)) != text and (unit[-1:].isalpha() or unit[-1:] == "/"):
        if (rest := unit.rstrip(others)) == unit:
            break
        text = rest
    return text.lstrip(others)


PLAIN = NumberFormat()


class TextSurvey(ABC):
    """What the texts of a column, in `cells` cells, say about how its values are written; `example` is the first that
    is a value. `odd` are texts that no format reads, each with its count, until there are more than `MOST_ODD`."""

    def __init__(self) -> None:
        self.cells = 0
        self.odd: Counter[str] = Counter()
        self.example = ""

    @abstractmethod
    def add(self, text: str, count: int = 1) -> None:
        """Look at a text of `count` cells."""

    def add_odd(self, text: str, count: int) -> None:
        if text in self.odd or len(self.odd) <= MOST_ODD:
            self.odd[text] += count

    def add_likely(self, texts: Iterable[str]) -> bool:
        """Look at each text once. Return false, and leave the rest, if the first of them are mostly odd."""
        for number, text in enumerate(texts, 1):
            self.add(text)
            if number == SAMPLE and len(self.odd) > MOST_ODD:
                return False
        return True


class Writing(TextSurvey):
    """What the texts of a column say about how its numbers are written; `decimal` is the mark of the file."""

    def __init__(self, decimal: str) -> None:
        super().__init__()
        other = OTHER[decimal]
        pairs = ((decimal, other), (other, decimal))
        self.decimal = decimal
        self.read = {NumberFormat(mark, each): 0 for mark, foreign in pairs for each in ("", foreign, *MARKS)}
        self.around: set[tuple[str, str]] = set()
        self.few: set[str] = set()
        self.negatives: set[str] = set()

    def add(self, text: str, count: int = 1) -> None:
        self.cells += count
        parts = number_in(text)
        if parts is None:
            self.add_odd(text, count)
            return
        before, number, after = parts
        self.example = self.example or text
        self.around.add((before, after.removesuffix("-")))
        self.negatives |= {"()"} if text.endswith(")") else {"-"} if after == "-" else set()
        if len(self.few) <= FEW_VALUES:
            self.few.add(text)
        for candidate in self.read:
            self.read[candidate] += count * (not np.isnan(candidate.number(number)))

    def options(self) -> dict[str, str]:
        """Return how to declare the column: nothing if its numbers are plain, are of several units, or are none.

        "1,234" is read as 1234: a decimal comma would be that of the file, or show in another cell."""
        best = max(self.read, key=self.read.__getitem__)
        pairs = self.around - {("", "")}
        marks = {mark for pair in pairs for mark in pair if mark}
        units = {mark for mark in marks if not is_currency(mark)}
        are_several = len(marks) > 1 and len(pairs) > 1
        if self.read[best] < USUAL_SHARE * self.cells or are_several or (units and pairs != self.around):
            return {}
        # Sizes, and grades such as 2-.
        if (units - {"%"} or "-" in self.negatives) and len(self.few) <= FEW_VALUES:
            return {}
        strip = dict.fromkeys("".join([*next(iter(pairs), ()), *sorted(self.negatives)]))
        implied = OTHER[best.thousands] if best.thousands == self.decimal else self.decimal
        decimal = best.decimal if best.decimal != implied else ""
        options = {"thousands": best.thousands, "decimal": decimal, "strip": "".join(strip)}
        return {key: value for key, value in options.items() if value}

    @property
    def is_ambiguous(self) -> bool:
        """Return whether the decimal marks may as well separate thousands: each has three digits behind it."""
        other = OTHER[self.decimal]
        plain, grouped = self.read[NumberFormat(self.decimal)], self.read[NumberFormat(other, self.decimal)]
        return plain == grouped == self.cells > self.read[NumberFormat(other)]


def in_ascii(text: str) -> str:
    """Return the text of a number with the digits, signs and marks of ASCII."""
    if text.isascii():
        return text
    return re.sub(r"\d", lambda digit: str(unicodedata.decimal(digit[0])), text.translate(PRINTED)).strip()


def number_in(text: str) -> tuple[str, str, str] | None:
    """Return what stands before a number, the number, and what stands behind, a minus sign perhaps; None if it is no
    number with a currency or a unit."""
    match = WRITTEN.fullmatch(in_ascii(text))
    if match is None:
        return None
    before, after = match["before"], match["after"].strip()
    is_number = (not before or is_currency(before)) and (
        after in ("", "-") or is_currency(after) or UNIT.fullmatch(after)
    )
    return (before, match["number"].strip(), after) if is_number else None


def is_currency(mark: str) -> bool:
    return any(unicodedata.category(character) == "Sc" for character in mark) or bool(CODES.fullmatch(mark))


def format_of(texts: Iterable[str], decimal: str) -> dict[str, str]:
    """Return how to declare a column of these texts: :meth:`Writing.options`."""
    writing = Writing(decimal)
    return writing.options() if writing.add_likely(texts) else {}
