"""Reads a table file into typed columns.

:mod:`dltool.data.tables.inference` infers the kind of undeclared columns."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dltool.config.choices import Choice
from dltool.config.columns import ColumnType
from dltool.config.section import Section
from dltool.config.table_sources import ArrowSource, CsvSource, ExcelSource, JsonLinesSource, SqlSource
from dltool.data.tables.arrow_file import ArrowFile
from dltool.data.tables.builders import BooleanBuilder, Builder, DateBuilder, NumberBuilder, TextBuilder, builder_for
from dltool.data.tables.csv_file import CsvFile
from dltool.data.tables.date_format import date_formats
from dltool.data.tables.excel_file import ExcelFile
from dltool.data.tables.inference import Decided, Guess, Suggestion
from dltool.data.tables.json_lines import JsonLinesFile
from dltool.data.tables.number_format import NUMBER, PLAIN, format_of
from dltool.data.tables.several_files import joined, parts_of
from dltool.data.tables.sql_file import SqlFile
from dltool.data.tables.stores import Stores
from dltool.data.tables.typed_table import Column, ColumnRequest, Kind, Table, TableFile
from dltool.errors import ConfigPath, DataError, Problem
from dltool.text import counted, did_you_mean, listed, near, plural, quoted

MOST_NAMES = 12
MOST_TEXTS = 3
ONLY_IGNORED = "numbers, texts, dates, true and false are read; a column of other values can only be ignored"
NOUNS: Mapping[type[Builder], str] = {NumberBuilder: "numbers", DateBuilder: "dates", BooleanBuilder: "true and false"}


def read_table(
    source: Choice | TableFile,
    place: ConfigPath,
    wanted: ColumnRequest | None = None,
    *,
    budget: int | None = None,
    spill: Path | None = None,
) -> Table:
    """Read the table that `source` names; `place` is the config path of the source.

    Columns of more than `budget` bytes together are written to unnamed files in the folder `spill`; only the distinct
    texts stay in memory.

    Raises:
        DataError: every problem of the file's form, or else of its columns and cells.
        MachineError: `spill` cannot be written."""
    wanted = wanted or ColumnRequest()
    if isinstance(source, Choice):
        place = (*place, source.name, "url" if isinstance(source.options, SqlSource) else "path")
        source = open_table(source, place, wanted)
    return TableReader(source, place, wanted, Stores(budget, spill, place)).read()


def open_table(source: Choice, place: ConfigPath, wanted: ColumnRequest) -> TableFile:
    """Open the files of a table; `place` is the config path of its path.

    Raises DataError: no such file, not a table, or files of different columns."""
    options: Any = source.options
    if isinstance(options, SqlSource):
        return SqlFile(options, place)
    parts = parts_of(options.path, source.name, place)
    return joined(parts, lambda path: open_file(options.model_copy(update={"path": str(path)}), place, wanted), place)


def open_file(options: Section, place: ConfigPath, wanted: ColumnRequest) -> TableFile:
    """Open one file. Raises DataError as :func:`open_table`."""
    if isinstance(options, CsvSource | ExcelSource):
        names = () if wanted.like is None else tuple(wanted.like.columns)
        without_optional = tuple(name for name in names if name not in wanted.optional)
        fallback = list(dict.fromkeys([names, without_optional])) if names else []
        if isinstance(options, ExcelSource):
            return ExcelFile(options, place, fallback)
        return CsvFile(options, place, fallback)
    if isinstance(options, JsonLinesSource):
        return JsonLinesFile(options, place)
    assert isinstance(options, ArrowSource)
    return ArrowFile(options, place)


class TableReader:
    """Reads one file, in as many passes as the inference of all kinds takes."""

    def __init__(self, file: TableFile, place: ConfigPath, wanted: ColumnRequest, stores: Stores) -> None:
        self.file, self.place, self.wanted, self.stores = file, place, wanted, stores
        self.rows: int | None = None
        self.identity = self.file.identity()

    def read(self) -> Table:
        DataError.refuse(self.absent_problems())
        kinds = self.known_kinds()
        known = {
            name: builder_for(
                kind,
                self.stores,
                self.file.decimal,
                declared,
                is_exact=name in self.wanted.needed or self.is_wide(name),
            )
            for name, (kind, declared) in kinds.items()
            if kind != "ignore"
        }
        DataError.refuse(self.unusable_problems(known))
        among = self.file.names if self.wanted.like is None else self.wanted.needed
        guesses = {name: self.guess(name) for name in among if name not in kinds and name in self.file.names}
        self.build({**known, **guesses})
        problems = [self.invalid_problem(name, builder) for name, builder in known.items() if builder.invalid.count]
        inferred, doubts = self.infer_kinds(guesses)
        problems += doubts
        DataError.refuse(sorted(problems, key=lambda problem: problem.message))
        builders: dict[str, Builder | None] = {**known, **{name: guess.builder for name, guess in guesses.items()}}
        self.read_wide(builders)
        like = "" if self.wanted.like is None else f"as in {self.wanted.like.path.name}"
        used = {*known, *(name for name, outcome in inferred.items() if outcome.kind != "ignore")}
        has_inputs = not used <= set(self.wanted.needed)
        columns: dict[str, Column] = {}
        for name in self.file.names:
            if name in kinds:
                kind, declared = kinds[name]
                why = "declared" if declared else like or f"holds {self.file.unusable[name]}"
                columns[name] = self.column(name, kind, builders.get(name), why, declared)
            elif outcome := inferred.get(name):
                if outcome.is_counting and not has_inputs:
                    outcome = Decided("number", f"{outcome.why}, but there is no other input")
                columns[name] = self.column(name, outcome.kind, builders[name], outcome.why, None)
        return Table(columns, self.rows or 0, self.file.path, self.file)

    def known_kinds(self) -> dict[str, tuple[Kind, ColumnType | None]]:
        """Return the columns of the file whose kind is declared or comes from another table."""
        kinds: dict[str, tuple[Any, ColumnType | None]]
        if self.wanted.like is None:
            kinds = {name: (declared.name, declared) for name, declared in self.wanted.declared.items()}
        else:
            kinds = {name: (column.kind, column.declared) for name, column in self.wanted.like.columns.items()}
        if self.wanted.like is None:
            kinds = {**dict.fromkeys(self.file.unusable, ("ignore", None)), **kinds}
        # Needed columns are never ignored.
        unknown = {name for name in self.wanted.needed if name in kinds and kinds[name][0] == "ignore"}
        return {name: kinds[name] for name in self.file.names if name in kinds and name not in unknown}

    def is_wide(self, name: str) -> bool:
        """Return whether the column is wide in the training table, if that is another one."""
        return (
            self.wanted.like is not None and name in self.wanted.like.columns and self.wanted.like.columns[name].is_wide
        )

    def guess(self, name: str, suggestion: Suggestion | None = None) -> Guess:
        is_needed = name in self.wanted.needed
        return Guess(self.stores, self.file.decimal, is_needed=is_needed, suggestion=suggestion)

    def build(self, columns: Mapping[str, Builder | Guess]) -> None:
        """Read the file once."""
        wants = {name: column.want for name, column in columns.items()}
        # One column counts the rows.
        asked = wants or {self.file.names[0]: "text"}
        rows = 0
        for block in self.file.blocks(asked):
            self.stores.expected_rows = max(self.stores.expected_rows, block.expected)
            for name, column in columns.items():
                column.append(block.columns[name])
                wants[name] = column.want
            rows += block.rows
        if self.identity != self.file.identity() or (self.rows is not None and self.rows != rows):
            raise DataError(Problem(self.place, f"{self.file.path} changed while it was read", "read it again"))
        self.rows = rows

    def infer_kinds(self, guesses: dict[str, Guess]) -> tuple[dict[str, Decided], list[Problem]]:
        """Infer the kind of each undeclared column. Wrong suggestions are read again, and replaced in `guesses`."""
        inferred: dict[str, Decided] = {}
        problems = []
        again = guesses
        while again:
            pending, again = again, {}
            for name, guess in pending.items():
                outcome = guess.outcome()
                if isinstance(outcome, Decided):
                    inferred[name] = outcome
                    continue
                assert guess.builder is not None
                if outcome is None and isinstance(guess.builder, TextBuilder):
                    problems.append(self.format_problem(name, guess.builder))
                elif outcome is None:
                    problems.append(self.invalid_problem(name, guess.builder))
                else:
                    self.stores.drop(guess.builder.store)
                    again[name] = self.guess(name, outcome)
            if again:
                self.build(again)
                guesses |= again
        return inferred, problems

    def read_wide(self, builders: dict[str, Builder | None]) -> None:
        """Read numbers that float32 does not distinguish again, as float64, and replace their builders. Another table
        follows the training table."""
        wide = {
            name: NumberBuilder(self.stores, builder.written, is_exact=True)
            for name, builder in builders.items()
            if isinstance(builder, NumberBuilder) and builder.is_wide and builder.dtype is np.float32
        }
        if wide and self.wanted.like is None:
            for name in wide:
                self.stores.drop(builders[name].store)  # type: ignore[union-attr]
            self.build(wide)
            builders |= wide

    def column(self, name: str, kind: Kind, builder: Builder | None, why: str, declared: ColumnType | None) -> Column:
        rows = self.rows or 0
        # All rows share one number in memory.
        nothing = np.broadcast_to(np.float32(np.nan), (rows,))
        if builder is None:
            return Column(name, kind, nothing, why, rows if declared is None else 0, declared=declared)
        if kind == "ignore":
            self.stores.drop(builder.store)
        values = nothing if kind == "ignore" else builder.finish()
        is_wide = getattr(builder, "is_wide", False) if self.wanted.like is None else self.is_wide(name)
        return Column(name, kind, values, why, builder.missing, builder.distinct, *builder.range, declared, is_wide)

    def unusable_problems(self, used: Collection[str]) -> Iterator[Problem]:
        """Yield a problem for each column of other values than single ones that is used, as an input or otherwise."""
        for name, what in self.file.unusable.items():
            if name in used or name in self.wanted.needed:
                place = self.wanted.places.get(name, self.place)
                yield Problem(place, f"{self.file.path}: {name} holds {what}", ONLY_IGNORED)

    def absent_problems(self) -> Iterator[Problem]:
        """Yield a problem for each missing required column."""
        like, why = self.wanted.like, ""
        due = dict.fromkeys((*self.wanted.declared, *self.wanted.needed))
        if like is not None:
            needed = self.wanted.needed
            due = dict.fromkeys(name for name, each in like.columns.items() if each.kind != "ignore" or name in needed)
            why = f", which {like.path.name} has"
        absent = [name for name in due if name not in self.file.names and name not in self.wanted.optional]
        if like is not None and len(absent) > 1 and len(absent) == len(due):
            message = f"{self.file.path}: none of the columns of {like.path.name} is there"
            header = "if its first line is a row and no names, write header: false"
            hint = (
                header
                if isinstance(self.file, CsvFile) and self.file.options.has_header
                else self.other_names(absent[0])
            )
            yield Problem(self.place, message, hint)
            return
        for name in absent:
            place = self.wanted.places.get(name, self.place) if like is None else self.place
            yield Problem(place, f'{self.file.path} has no column "{name}"{why}', self.other_names(name))

    def other_names(self, name: str) -> str:
        return did_you_mean(near(name, self.file.names, 3)) or f"it has {listed(self.file.names, MOST_NAMES)}"

    def invalid_problem(self, name: str, builder: Builder) -> Problem:
        """Return the problem of a column's invalid cells: the first by its line, the others by number and text."""
        invalid = builder.invalid
        texts = list(invalid.rows)[:MOST_TEXTS]
        word = self.file.row_word
        found = self.file.places_of([invalid.rows[text] for text in texts])
        path, line = found[0]
        where = [f"{word} {number:,}" if each == path else f"{each.name}, {word} {number:,}" for each, number in found]
        places = [f"{quoted(text)} ({each})" for text, each in zip(texts, where, strict=True)]
        first = f"{path}, {word} {line:,}: {name} is {quoted(texts[0])}"
        message = f"{first}, which is {complaint(builder, texts[0])}"
        if invalid.count > 1:
            others = invalid.count - 1
            message += f"; nor {plural(others, 'is', 'are')} {counted(others, 'other cell')} of the column"
        if len(texts) > 1:
            more = ", …" if len(invalid.rows) > len(texts) or invalid.more_texts else ""
            message += f": {', '.join(places)}{more}"
        declared_at = self.wanted.places.get(name)
        related = () if declared_at is None or name not in self.wanted.declared else ((declared_at, "declared here"),)
        return Problem(self.place, message, self.hint_for(name, builder), related=related)

    def format_problem(self, name: str, builder: TextBuilder) -> Problem:
        texts = [text for text in builder.numbers if text]
        what, declared = "numbers that are not written plainly", number_declaration(name, texts, self.file.decimal)
        if not declared:
            what, declared = "dates that are not in ISO 8601", date_declaration(name, texts)
        message = f"{self.file.path}: {name} holds {what}, such as {quoted(texts[0])}"
        hint = f"write {declared}; or, for categories, {yaml_key(name)}: category"
        return Problem(self.wanted.places.get(name, self.place), message, hint)

    def hint_for(self, name: str, builder: Builder) -> str:
        hints = []
        invalid = builder.invalid
        declaration = number_declaration(name, [*invalid.rows], self.file.decimal)
        if declaration and isinstance(builder, NumberBuilder) and builder.written.is_plain:
            return f"say how its numbers are written: {declaration}"
        is_marker = not invalid.more_texts and len(invalid.rows) <= MOST_TEXTS and builder.present
        if isinstance(self.file, CsvFile) and is_marker:
            markers = ", ".join(quoted(text) for text in (*self.file.options.missing, *invalid.rows))
            hints.append(f"if it stands for a missing value, write missing: [{markers}]")
        if self.wanted.like is not None:
            hints.append(f"{self.wanted.like.path.name} has {NOUNS[type(builder)]} there")
        elif isinstance(builder, DateBuilder) and builder.written is None:
            usual = f'{yaml_key(name)}: {{date: {{format: "%d.%m.%Y"}}}}'
            hints.append(f"say how its dates are written: {date_declaration(name, [*invalid.rows]) or usual}")
        elif name not in self.wanted.declared:
            hints.append(f"if the column holds categories, declare it: {yaml_key(name)}: category")
        return "; ".join(hints)


def number_declaration(name: str, texts: Sequence[str], decimal: str) -> str:
    """Return how to declare a column whose numbers are not written plainly; empty if they are something else."""
    options = format_of(texts, decimal)
    written = ", ".join(f"{key}: {quoted(value.replace(chr(36), 2 * chr(36)))}" for key, value in options.items())
    return f"{yaml_key(name)}: {{number: {{{written}}}}}" if options else ""


def yaml_key(name: str) -> str:
    """Return a name as a key within braces."""
    return name if re.fullmatch(r"[^\W\d][\w .-]*", name) else json.dumps(name, ensure_ascii=False)


def date_declaration(name: str, texts: Sequence[str]) -> str:
    """Return how to declare a column of dates, and how else if its cells do not say it; empty if they are no dates."""
    declared = [f"{yaml_key(name)}: {{date: {{format: {quoted(each)}}}}}" for each in date_formats(texts)]
    return " or ".join(declared[:2])


def complaint(builder: Builder, text: str) -> str:
    if isinstance(builder, NumberBuilder):
        return "too large for float32" if NUMBER.fullmatch(text) and builder.written == PLAIN else "no number"
    if isinstance(builder, DateBuilder):
        return "no date" if builder.written is None else f'no date written as "{builder.written}"'
    return "neither true nor false"
