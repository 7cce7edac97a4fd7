"""Infers the kind of an undeclared column from all of its rows.

The first rows only suggest a kind, as which the column is then read. At the end the counts over all rows decide, and
after a wrong suggestion the column is read again. In this order:

- No value at all: ignored.
- Only true/false, yes/no, t/f, y/n, in any case: boolean. A column with a use, such as a target, stays text: the words
are its classes.
- Integers with leading zeros: codes, which are texts as below.
- Numbers: a number, even with few distinct integers. Ignored if all are equal, or if they count the rows (1, 2, 3, …
from any start, ten rows or more), unless there would be no other input.
- Dates in ISO 8601: a date.
- Numbers (or dates) for at least half: an error that names the other texts, if they are ten distinct ones at most or
one in a hundred cells, for they may stand for missing values. There is no error, and the column holds categories, if at
most ten distinct numbers come five times each and more than one in a hundred cells is none: 0, 1, 2, 3+.
- The same text in every row: ignored.
- Numbers with marks of thousands, a currency or a unit, or dates in another format: an error that names how to declare
them.
- A category, unless most rows have a text of their own: half as many distinct texts as rows, and these are more than 50
or of four words each; or more than 100,000 distinct texts. Such a column is text if at least half of its cells have
several words of letters, which codes such as "AB 123 C" have not, and else ignored, as an identifier or as
numbers in several units."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dltool.data.tables.builders import BooleanBuilder, Builder, DateBuilder, NumberBuilder, TextBuilder, builder_for
from dltool.data.tables.cells import BOOLEAN_WORDS, Cells, Texts, texts_of
from dltool.data.tables.date_format import date_formats
from dltool.data.tables.number_format import format_of, number_in
from dltool.data.tables.stores import Stores
from dltool.data.tables.typed_table import Want

Suggestion = Literal["number", "boolean", "date", "text", "whole text"]
Verdict = Literal["number", "boolean", "date", "category", "text", "ignore"]
SUGGESTING = 500
FEW_ROWS = 10
FEW_CATEGORIES = 50
MOST_CATEGORIES = 100_000
MOST_UNITS = 4
ROW_NUMBERS = "row numbers"


@dataclass(frozen=True)
class Decided:
    """The inferred kind. `is_counting`: the column's numbers count the rows."""

    kind: Verdict
    why: str
    is_counting: bool = False


class Guess:
    """An undeclared column while it is read. `is_final` suggestions have been made with all rows known."""

    def __init__(self, stores: Stores, decimal: str, *, is_needed: bool, suggestion: Suggestion | None = None) -> None:
        self.stores, self.decimal, self.is_needed = stores, decimal, is_needed
        self.is_final = suggestion is not None
        self.empty_rows = 0
        self.builder: Builder | None = None if suggestion is None else self.build(suggestion)

    @property
    def want(self) -> Want:
        return "text" if self.builder is None else self.builder.want

    def build(self, suggestion: Suggestion) -> Builder:
        if suggestion == "text":
            return TextBuilder(self.stores, most=MOST_CATEGORIES, decimal=self.decimal)
        return builder_for(suggestion, self.stores, self.decimal, is_exact=self.is_needed)

    def append(self, cells: Cells) -> None:
        if self.builder is None:
            suggestion = suggested(cells, self.decimal, self.is_needed)
            if suggestion is None:
                self.empty_rows += len(cells)
                return
            self.builder = self.build(suggestion)
            if self.empty_rows:
                self.builder.append(texts_of([None] * self.empty_rows))
        self.builder.append(cells)

    def outcome(self) -> Decided | Suggestion | None:
        """Return the kind, or another suggestion with which to read the column again; None if the kind of most cells is
        clear, but not what the few invalid ones mean."""
        builder = self.builder
        if builder is None or not (builder.present or builder.invalid.count):
            return Decided("ignore", "no value at all")
        if builder.invalid.count:
            return None if is_doubtful(builder) else "text"
        if isinstance(builder, TextBuilder):
            texts = [text for text in builder.numbers if text]
            is_written = format_of(texts, self.decimal) or date_formats(texts)
            return None if is_written else self.text_outcome(builder)
        if self.is_constant(builder):
            return Decided("ignore", f"the same {builder.noun} in every row")
        if isinstance(builder, NumberBuilder):
            return self.number_outcome(builder)
        if isinstance(builder, DateBuilder):
            return Decided("date", "dates in ISO 8601")
        return Decided("boolean", "true or false in every row" if not builder.missing else "true, false or missing")

    def is_constant(self, builder: Builder) -> bool:
        return builder.distinct == 1 and not builder.missing and builder.rows > 1 and not self.is_needed

    def number_outcome(self, builder: NumberBuilder) -> Decided | Suggestion:
        if builder.has_codes:
            return "text"
        if builder.is_counting and builder.rows >= FEW_ROWS and not self.is_needed:
            return Decided("ignore", ROW_NUMBERS, is_counting=True)
        if not builder.is_whole:
            return Decided("number", "numbers")
        few = "" if builder.distinct is None else f", {builder.distinct} distinct"
        return Decided("number", f"integers{few}")

    def text_outcome(self, builder: TextBuilder) -> Decided | Suggestion:
        if builder.most is None:
            return Decided("text", "distinct texts of several words")
        if not self.is_final and not builder.has_codes and 2 * builder.numeric >= builder.present:
            return "number"
        if not self.is_final and 2 * builder.dated >= builder.present:
            return "date"
        if self.is_constant(builder):
            return Decided("ignore", f"the same {builder.noun} in every row")
        distinct, present = builder.distinct, builder.present
        are_own = distinct is None or (
            2 * distinct > present and (distinct > FEW_CATEGORIES or builder.words >= 4 * present)
        )
        shown = f"{distinct:,}" if distinct is not None else f"more than {MOST_CATEGORIES:,}"
        are_words = 2 * builder.prose >= present
        if are_own and distinct is None and (are_words or self.is_needed):
            return "whole text"
        if are_own and are_words:
            return Decided("text", f"{shown} distinct texts of several words")
        if are_own and not self.is_needed:
            parts = [number_in(text) for text in [*builder.numbers][:SUGGESTING] if text]
            units = sorted({each[2] for each in parts if each} - {""})
            in_units = f"numbers in several units, {' and '.join(units)}: write them in one"
            why = f"an identifier: {shown} distinct texts in {present:,} rows"
            return Decided("ignore", in_units if all(parts) and 1 < len(units) <= MOST_UNITS else why)
        return Decided("category", f"{shown} distinct texts")


def is_doubtful(builder: Builder) -> bool:
    """Return whether so few cells are invalid that the user should declare the kind, number or date."""
    if isinstance(builder, BooleanBuilder):
        return False
    bad, good = builder.invalid.count, builder.present
    distinct = builder.distinct if isinstance(builder, NumberBuilder) else None
    are_rare = 100 * bad <= good + bad
    are_codes = distinct is not None and distinct <= 10 and good >= 5 * distinct
    if good < bad or (are_codes and not are_rare):
        return False
    return are_rare or not builder.invalid.more_texts


def suggested(cells: Cells, decimal: str, is_needed: bool) -> Suggestion | None:
    """Suggest a kind for some cells; None if all are missing."""
    if not isinstance(cells, Texts):
        return "date" if cells.dtype == np.int64 else "number" if not np.isnan(cells).all() else None
    values = cells.values[:SUGGESTING]
    counts = np.bincount(cells.codes[cells.codes >= 0], minlength=len(cells.values))[: len(values)]
    if not counts.any():
        return None
    used = [value for value, count in zip(values, counts.tolist(), strict=True) if count]
    if all(value.lower() in BOOLEAN_WORDS for value in used):
        return "text" if is_needed else "boolean"
    reader = TextBuilder(Stores(None, None, ()), most=0, decimal=decimal)
    reader.note(texts_of(used))
    if 2 * reader.numeric >= len(used):
        return "text" if reader.has_codes else "number"
    return "date" if 2 * reader.dated >= len(used) else "text"
