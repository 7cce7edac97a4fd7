"""Reads a table file into typed columns.

:mod:`dltool.data.tables.inference` infers the kind of undeclared columns."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from dltool.config.choices import Choice
from dltool.config.columns import CategoryColumn, ColumnType, DateColumn
from dltool.config.table_sources import CsvSource, JsonLinesSource, ParquetSource
from dltool.data.tables.builders import BooleanBuilder, Builder, DateBuilder, NumberBuilder, TextBuilder
from dltool.data.tables.cell_problems import absent_problems, invalid_problem
from dltool.data.tables.csv_file import CsvFile
from dltool.data.tables.inference import Again, Decided, Guess
from dltool.data.tables.json_lines import JsonLinesFile
from dltool.data.tables.parquet import ParquetFile
from dltool.data.tables.stores import Stores
from dltool.data.tables.typed_table import Column, ColumnRequest, Kind, Table, TableFile
from dltool.errors import ConfigPath, DataError, Problem


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
        place = (*place, source.name, "path")
        source = open_table(source, place, wanted)
    return TableReader(source, place, wanted, Stores(budget, spill, place)).read()


def open_table(source: Choice, place: ConfigPath, wanted: ColumnRequest) -> TableFile:
    """Open a table file; `place` is the config path of its path. Raises DataError: no such file, or not a table."""
    options = source.options
    if isinstance(options, CsvSource):
        names = () if wanted.like is None else tuple(wanted.like.columns)
        without_optional = tuple(name for name in names if name not in wanted.optional)
        return CsvFile(options, place, list(dict.fromkeys([names, without_optional])) if names else [])
    if isinstance(options, JsonLinesSource):
        return JsonLinesFile(options, place)
    assert isinstance(options, ParquetSource)
    return ParquetFile(options, place)


class TableReader:
    """Reads one file, in as many passes as the inference of all kinds takes."""

    def __init__(self, file: TableFile, place: ConfigPath, wanted: ColumnRequest, stores: Stores) -> None:
        self.file, self.place, self.wanted, self.stores = file, place, wanted, stores
        self.rows: int | None = None

    def read(self) -> Table:
        problems = absent_problems(self.file, self.place, self.wanted)
        if problems:
            raise DataError(problems)
        kinds = self.known_kinds()
        known = {name: self.builder(*kind) for name, kind in kinds.items() if kind[0] != "ignore"}
        guesses = {name: self.guess(name) for name in self.file.names if name not in kinds and not self.wanted.like}
        self.build({**known, **guesses})
        problems = [
            invalid_problem(self.file, self.place, name, builder, self.wanted)
            for name, builder in known.items()
            if builder.invalid.count
        ]
        decided, doubts = self.settled(guesses)
        problems += doubts
        if problems:
            raise DataError(sorted(problems, key=lambda problem: problem.message))
        columns = {name: self.known_column(name, *kind, known.get(name)) for name, kind in kinds.items()}
        has_inputs = any(column.kind != "ignore" and name not in self.wanted.needed for name, column in columns.items())
        columns |= self.guessed_columns(decided, guesses, has_inputs=has_inputs)
        ordered = {name: columns[name] for name in self.file.names if name in columns}
        return Table(ordered, self.rows or 0, self.file.path, self.file)

    def known_kinds(self) -> dict[str, tuple[Kind, ColumnType | None]]:
        """Return the columns of the file whose kind is declared or comes from another table."""
        names, like = set(self.file.names), self.wanted.like
        kinds: dict[str, tuple[Kind, ColumnType | None]] = {}
        if like is not None:
            kinds = {name: (column.kind, column.declared) for name, column in like.columns.items() if name in names}
        for name, declared in self.wanted.declared.items():
            if name in names and (like is None or name in kinds):
                kinds[name] = (declared.name, declared)  # type: ignore[assignment]
        return kinds

    def builder(self, kind: Kind, declared: ColumnType | None) -> Builder:
        options = None if declared is None else declared.options
        match kind:
            case "number":
                return NumberBuilder(self.stores, self.file.decimal)
            case "boolean":
                return BooleanBuilder(self.stores)
            case "date":
                return DateBuilder(self.stores, options if isinstance(options, DateColumn) else None)
        return TextBuilder(self.stores, options if isinstance(options, CategoryColumn) else None)

    def guess(self, name: str) -> Guess:
        return Guess(self.stores, self.file.decimal, is_needed=name in self.wanted.needed)

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
        if self.rows is not None and self.rows != rows:
            raise DataError(Problem(self.place, f"{self.file.path} changed while it was read", "read it again"))
        self.rows = rows

    def settled(self, guesses: dict[str, Guess]) -> tuple[dict[str, Decided], list[Problem]]:
        """Infer the kind of each undeclared column. Wrong suggestions are read again, and replaced in `guesses`."""
        decided: dict[str, Decided] = {}
        problems = []
        unsettled = list(guesses)
        while unsettled:
            again: dict[str, Guess] = {}
            for name in unsettled:
                guess, outcome = guesses[name], guesses[name].outcome()
                if isinstance(outcome, Decided):
                    decided[name] = outcome
                elif isinstance(outcome, Again):
                    guess.drop()
                    again[name] = guess.read_as(outcome.suggestion)
                else:
                    assert guess.builder is not None
                    problems.append(invalid_problem(self.file, self.place, name, guess.builder, self.wanted))
            if again:
                self.build(again)
                guesses |= again
            unsettled = list(again)
        return decided, problems

    def guessed_columns(
        self, decided: Mapping[str, Decided], guesses: Mapping[str, Guess], *, has_inputs: bool
    ) -> Iterable[tuple[str, Column]]:
        """Return the undeclared columns. Numbers that count the rows are kept if there is no other input."""
        inputs = [outcome for name, outcome in decided.items() if name not in self.wanted.needed]
        counting_is_kept = not has_inputs and all(outcome.kind == "ignore" for outcome in inputs)
        for name, outcome in decided.items():
            kind, why, builder = outcome.kind, outcome.why, guesses[name].builder
            if outcome.is_counting and counting_is_kept:
                kind, why = "number", f"{why}, but there is no other input"
            if kind == "ignore" and builder is not None:
                self.stores.drop(builder.store)
            yield name, self.column(name, kind, builder, why, None)

    def known_column(self, name: str, kind: Kind, declared: ColumnType | None, builder: Builder | None) -> Column:
        like = self.wanted.like
        why = "declared" if declared is not None or like is None else f"as in {like.path.name}"
        return self.column(name, kind, builder, why, declared)

    def column(self, name: str, kind: Kind, builder: Builder | None, why: str, declared: ColumnType | None) -> Column:
        rows = self.rows or 0
        # All rows share one number in memory.
        values = (
            np.broadcast_to(np.float32(np.nan), (rows,)) if kind == "ignore" or builder is None else builder.finish()
        )
        if builder is None:
            return Column(name, kind, values, why, rows if declared is None else 0, declared=declared)
        low, high = builder.range
        return Column(name, kind, values, why, builder.missing, builder.distinct, low, high, declared)
