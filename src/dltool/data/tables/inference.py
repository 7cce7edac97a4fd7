"""Infers the kind of an undeclared column from all of its rows.

The first rows only suggest a kind, as which the column is then read. At the end the counts over all rows decide, and
after a wrong suggestion the column is read again. In this order:

- No value at all: ignored.
- Only true/false, yes/no, t/f, y/n, in any case: boolean. A column with a use, such as a target, stays text: the words
are its classes.
- Numbers: a number, even with few distinct integers. Ignored if all are equal, or if they count the rows (1, 2, 3, …
from any start, ten rows or more), unless there would be no other input.
- Dates in ISO 8601: a date.
- Numbers (or dates) for at least half: an error that names the other texts, if they are ten distinct ones at most or
one in a hundred cells, for they may stand for missing values. There is no error, and the column holds categories, if at
most ten distinct numbers come five times each and more than one in a hundred cells is none: 0, 1, 2, 3+.
- The same text in every row: ignored.
- A category, unless most rows have a text of their own: half as many distinct texts as rows, and these are more than 50
or of four words each; or more than 100,000 distinct texts. Such a column is text if at least half of its cells have
several words, and else ignored as an identifier."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dltool.data.tables.builders import (
    MOST_CATEGORIES,
    BooleanBuilder,
    Builder,
    DateBuilder,
    NumberBuilder,
    TextBuilder,
)
from dltool.data.tables.cells import Cells, Texts, is_boolean_word, texts_of
from dltool.data.tables.stores import Stores

Suggestion = Literal["number", "boolean", "date", "text", "whole text"]
Verdict = Literal["number", "boolean", "date", "category", "text", "ignore"]
SUGGESTING = 500
FEW_ROWS = 10
FEW_CATEGORIES = 50


@dataclass(frozen=True)
class Decided:
    """The inferred kind. `is_counting`: the column's numbers count the rows."""

    kind: Verdict
    why: str
    is_counting: bool = False


@dataclass(frozen=True)
class Again:
    """The kind as which the column must be read again."""

    suggestion: Suggestion


@dataclass(frozen=True)
class Doubtful:
    """The kind of most cells; the builder has the invalid ones."""

    kind: Literal["number", "date"]


Outcome = Decided | Again | Doubtful


class Guess:
    """An undeclared column while it is read. `is_final` suggestions have been made with all rows known."""

    def __init__(self, stores: Stores, decimal: str, *, is_needed: bool, suggestion: Suggestion | None = None) -> None:
        self.stores, self.decimal, self.is_needed = stores, decimal, is_needed
        self.is_final = suggestion is not None
        self.empty_rows = 0
        self.builder: Builder | None = None if suggestion is None else self.build(suggestion)

    @property
    def want(self) -> Literal["number", "text"]:
        return "number" if isinstance(self.builder, NumberBuilder) else "text"

    def build(self, suggestion: Suggestion) -> Builder:
        match suggestion:
            case "number":
                return NumberBuilder(self.stores, self.decimal)
            case "boolean":
                return BooleanBuilder(self.stores)
            case "date":
                return DateBuilder(self.stores)
            case "text":
                return TextBuilder(self.stores, most=MOST_CATEGORIES, decimal=self.decimal)
            case "whole text":
                return TextBuilder(self.stores)

    def read_as(self, suggestion: Suggestion) -> "Guess":
        return Guess(self.stores, self.decimal, is_needed=self.is_needed, suggestion=suggestion)

    def drop(self) -> None:
        if self.builder is not None:
            self.stores.drop(self.builder.store)

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

    def outcome(self) -> Outcome:
        builder = self.builder
        if builder is None or not (builder.present or builder.invalid.count):
            return Decided("ignore", "no value at all")
        if isinstance(builder, NumberBuilder):
            return self.number_outcome(builder)
        if isinstance(builder, BooleanBuilder):
            return Again("text") if builder.invalid.count else self.boolean_outcome(builder)
        if isinstance(builder, DateBuilder):
            return self.date_outcome(builder)
        assert isinstance(builder, TextBuilder)
        return self.text_outcome(builder)

    def is_constant(self, builder: Builder, distinct: int | None) -> bool:
        return distinct == 1 and not builder.missing and builder.rows > 1 and not self.is_needed

    def number_outcome(self, builder: NumberBuilder) -> Outcome:
        if builder.invalid.count:
            return Doubtful("number") if is_doubtful(builder, builder.distinct) else Again("text")
        if self.is_constant(builder, builder.distinct):
            return Decided("ignore", "the same number in every row")
        if builder.is_counting and builder.rows >= FEW_ROWS and not self.is_needed:
            return Decided("ignore", "row numbers", is_counting=True)
        if not builder.is_whole:
            return Decided("number", "numbers")
        few = "" if builder.distinct is None else f", {builder.distinct} distinct"
        return Decided("number", f"integers{few}")

    def boolean_outcome(self, builder: BooleanBuilder) -> Outcome:
        if self.is_constant(builder, builder.distinct):
            return Decided("ignore", "the same value in every row")
        return Decided("boolean", "true or false in every row" if not builder.missing else "true, false or missing")

    def date_outcome(self, builder: DateBuilder) -> Outcome:
        if builder.invalid.count:
            return Doubtful("date") if is_doubtful(builder, None) else Again("text")
        if self.is_constant(builder, builder.distinct):
            return Decided("ignore", "the same date in every row")
        return Decided("date", "dates in ISO 8601")

    def text_outcome(self, builder: TextBuilder) -> Outcome:
        if builder.most is None:
            return Decided("text", "distinct texts of several words")
        if not self.is_final and 2 * builder.numeric >= builder.present:
            return Again("number")
        if not self.is_final and 2 * builder.dated >= builder.present:
            return Again("date")
        if self.is_constant(builder, builder.distinct):
            return Decided("ignore", "the same text in every row")
        distinct, present = builder.distinct, builder.present
        are_own = distinct is None or (
            2 * distinct > present and (distinct > FEW_CATEGORIES or builder.words >= 4 * present)
        )
        shown = f"{distinct:,}" if distinct is not None else f"more than {MOST_CATEGORIES:,}"
        if not are_own:
            return Decided("category", f"{shown} distinct texts")
        if 2 * builder.spaced >= present:
            return (
                Again("whole text") if distinct is None else Decided("text", f"{shown} distinct texts of several words")
            )
        if self.is_needed:
            return Again("whole text") if distinct is None else Decided("category", f"{shown} distinct texts")
        return Decided("ignore", f"an identifier: {shown} distinct texts in {present:,} rows")


def is_doubtful(builder: Builder, distinct: int | None) -> bool:
    """Return whether so few cells are invalid that the user should declare the kind."""
    bad, good = builder.invalid.count, builder.present
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
    if all(map(is_boolean_word, used)):
        return "text" if is_needed else "boolean"
    reader = TextBuilder(Stores(None, None, ()), most=0, decimal=decimal)
    reader.note(texts_of(used))
    if 2 * reader.numeric >= len(used):
        return "number"
    return "date" if 2 * reader.dated >= len(used) else "text"
