"""Parquet tables in shards as examples: validation, test and a sample of the training rows, the rest left in files."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from dltool.config.schema import Data
from dltool.config.sources import Source
from dltool.data.arrays.cleaning import WEIGHTS_ARE, weight_problem
from dltool.data.arrays.fingerprint import RowDigest, comparable
from dltool.data.arrays.row_keys import mixed
from dltool.data.arrays.rows import Coded
from dltool.data.examples import SourceExamples, places_in
from dltool.data.media.cache import cache_folder
from dltool.data.sources.tables import (
    MEMORY_SHARE,
    WEIGHTS,
    as_input,
    load_table_examples,
    missing_problems,
    rows_named,
    table_in_reach,
)
from dltool.data.split.at_random import TEST, TRAINING, VALIDATION, named_splits, split_of
from dltool.data.split.by_column import column_named
from dltool.data.split.sizes import SPLIT, part_sizes
from dltool.data.tables.read import TableReader, open_table
from dltool.data.tables.shards import KeptRows, ShardedTable, shards_of
from dltool.data.tables.stores import Stores
from dltool.data.tables.typed_table import Column, ColumnRequest, Table, TableFile
from dltool.errors import ConfigPath, DataError, Problem
from dltool.machine import usable_memory

SAMPLE = 2**16
"""About how many training rows are kept for baselines, figures and the report. Fewer rows are kept whole."""
MOST_VALUES = 1_000
"""Distinct numbers of a target of which each has a row in the sample, so that every class is known."""
UNSEEN = ("text", "image", "audio")


@dataclass(frozen=True)
class ShardSplit:
    """Which split a row belongs to: as the column of that name says, or by a hash of the row's number in the table.
    `sample` is the fraction of the training rows that is kept in memory."""

    seed: int
    validation: float
    test: float
    column: str | None
    sample: float

    def of(self, table: Table, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (rows,) of TRAINING, VALIDATION or TEST, and (rows,) of bool: whether the row is in the sample. The
        `table` is a shard that begins at the row `first`. Raises DataError: the column names no splits."""
        rows = np.arange(first, first + table.rows, dtype=np.uint64)
        shares = mixed(rows ^ mixed(np.array([self.seed], np.uint64))) / 2.0**64
        if self.column is not None:
            place = (*SPLIT, "column")
            column = column_named({self.column: table.columns[self.column].values}, self.column, place)  # type: ignore[dict-item]
            parts = named_splits(column, self.column, place)
        else:
            parts = np.where(
                shares < self.test, TEST, np.where(shares < self.test + self.validation, VALIDATION, TRAINING)
            )
        return parts, shares >= 1 - self.sample


@dataclass(frozen=True)
class Sharded:
    """A table in shards: how its rows are split, and what one pass over it found.

    `counts` (shards,) of int64 are the training rows of each shard. `digests` are those of all rows of each column as
    an input. `kept` are the rows in memory, with their splits (rows,)."""

    table: ShardedTable
    rule: ShardSplit
    counts: np.ndarray
    digests: Mapping[str, str]
    kept: Table
    parts: np.ndarray


def load_sharded_examples(data: Data, seed: int) -> SourceExamples:
    """Return the rows of the table that are kept, with the split that the shards have. `seed` divides the rows unless
    the config has a seed of its own.

    Raises DataError: as :func:`dltool.data.sources.tables.read_tables`; a column that cannot be read in shards; a
    split without rows."""
    found: list[Sharded] = []

    def reach(source: Source | TableFile, place: ConfigPath, wanted: ColumnRequest) -> Table:
        if place != ("data", "source") or not isinstance(source, Source):
            return table_in_reach(source, place, wanted)
        found.append(collected(data, sharded_table(source, place, wanted), seed))
        return found[0].kept

    examples = load_table_examples(data, reach)
    (sharded,) = found
    places = sharded.kept.file.places_of(range(sharded.kept.rows))
    files, rows = np.array([path.name for path, _ in places], object), np.array([row for _, row in places])
    parts = {name: replace(part, places=places_in(part.name, len(part))) for name, part in examples.parts.items()}
    parts["training"] = replace(examples.training, places={"file": files, "row": rows})
    return replace(examples, parts=parts, divided=split_of(sharded.parts), sharded=sharded)


def sharded_table(source: Source, place: ConfigPath, wanted: ColumnRequest) -> ShardedTable:
    """Infer the kinds of all columns from all rows, of which none is kept."""
    place = (*place, source.name, "path")
    file = open_table(source, place, wanted)
    shards = shards_of(file, place)
    whole = TableReader(file, place, wanted, Stores(None, None, place, keeps=False)).read()
    used = [column for column in whole.columns.values() if column.name not in wanted.needed]
    DataError.refuse(
        Problem(
            place,
            f'"{column.name}" is {column.kind}, which is not read in shards',
            f"declare it: {column.name}: ignore",
        )
        for column in used
        if column.kind in UNSEEN
    )
    return ShardedTable(whole, shards)


def collected(data: Data, table: ShardedTable, seed: int) -> Sharded:
    """Read all shards once: check and digest every row, and keep those of validation, test and the sample."""
    options, rows = data.split, table.whole.rows
    seed = seed if options.seed is None else options.seed
    rule = ShardSplit(seed, options.validation, options.test or 0.0, options.column, min(1.0, SAMPLE / rows))
    if options.column is None:
        part_sizes(options, rows, 0, 0)
    keeper = Keeper(data, table)
    counts, parts_kept = np.zeros(len(table.shards), np.int64), []
    for number in range(len(table.shards)):
        shard = table.read(number, table.names)
        refuse_unusable(data, shard)
        parts, is_sampled = rule.of(shard, int(table.firsts[number]))
        counts[number] = np.count_nonzero(parts == TRAINING)
        is_kept = (parts != TRAINING) | is_sampled
        is_kept[keeper.witnesses(shard)] = True
        parts_kept.append(parts[is_kept])
        keeper.keep(shard, number, np.flatnonzero(is_kept))
    found = np.concatenate(parts_kept)
    asked = {"validation": options.validation, "test": options.test, "training": 1}
    for part, name in ((VALIDATION, "validation"), (TEST, "test"), (TRAINING, "training")):
        if asked[name] and not (found == part).any():
            raise DataError(Problem(SPLIT, f"no row of {table.whole.path} is for {name}", "write another fraction"))
    digests = {name: digest.hexadecimal for name, digest in keeper.digests.items()}
    return Sharded(table, rule, counts, digests, keeper.table(), found)


def refuse_unusable(data: Data, shard: Table) -> None:
    """Raise DataError for missing values where they are an error, and for weights that are none."""
    problems = [
        *missing_problems(shard, {name: kind for name, kind in (data.inputs or {}).items() if name in shard.columns})
    ]
    if data.weights is not None:
        weights = np.asarray(shard.columns[data.weights].values[:], np.float32)
        problem = weight_problem(weights, lambda rows: rows_named(shard, rows))
        problems += [] if problem is None else [Problem(WEIGHTS, f'"{data.weights}": {problem}', WEIGHTS_ARE)]
    DataError.refuse(problems)


class Keeper:
    """Keeps some rows of a sharded table, in memory up to a budget and then in files, and digests all of them."""

    def __init__(self, data: Data, table: ShardedTable) -> None:
        self.sharded, self.targets = table, data.target_columns
        self.columns = {name: table.whole.columns[name] for name in table.names}
        stores = Stores(usable_memory() // MEMORY_SHARE, cache_folder(), ("data", "source"))
        self.stores = {
            name: stores.new(np.int32 if isinstance(column.values, Coded) else column.values.dtype.type)
            for name, column in self.columns.items()
        }
        self.digests = {name: RowDigest() for name in table.names}
        self.values: dict[str, set[Any]] = {name: set() for name in self.targets}
        self.numbers: list[np.ndarray] = []
        self.rows: list[np.ndarray] = []

    @cached_property
    def words(self) -> dict[str, np.ndarray]:
        """Return the digests of the distinct texts of each column of texts."""
        texts = {name: column.values for name, column in self.columns.items() if isinstance(column.values, Coded)}
        return {name: comparable(values).values for name, values in texts.items()}  # type: ignore[attr-defined]

    def witnesses(self, shard: Table) -> Collection[int]:
        """Return rows that show all classes and the range of the targets: the first of every value, of few, and those
        of the extremes."""
        rows: set[int] = set()
        for name in self.targets:
            values = shard.columns[name].values
            array = np.asarray(values.codes[:] if isinstance(values, Coded) else values[:])
            distinct, first = np.unique(array, return_index=True)
            rows |= (
                {int(first[0]), int(np.nanargmax(array))}
                if array.dtype.kind == "f" and not np.isnan(array).all()
                else set()
            )
            known = self.values[name]
            for value, row in zip(distinct.tolist(), first.tolist(), strict=True):
                if value not in known and (isinstance(values, Coded) or len(known) < MOST_VALUES):
                    known.add(value)
                    rows.add(row)
        return [*rows]

    def keep(self, shard: Table, number: int, rows: np.ndarray) -> None:
        for name, column in shard.columns.items():
            if isinstance(column.values, Coded):
                codes = np.asarray(column.values.codes[:])
                self.digests[name].add(Coded(codes, self.words[name]))
                self.stores[name].append(codes[rows])
            else:
                self.digests[name].add(as_input(column.values, column))
                self.stores[name].append(np.asarray(column.values[:])[rows])
        self.numbers.append(np.full(len(rows), number))
        self.rows.append(rows)

    def table(self) -> Table:
        """Return the rows kept, in columns that have the properties of all rows."""

        def kept(name: str, column: Column) -> Column:
            values = self.stores[name].finish()
            return replace(
                column, values=Coded(values, column.values.values) if isinstance(column.values, Coded) else values
            )

        whole = self.sharded.whole
        rows = sum(map(len, self.rows))
        ignored = np.broadcast_to(np.float32(np.nan), (rows,))
        columns = {
            name: kept(name, column) if name in self.columns else replace(column, values=ignored)
            for name, column in whole.columns.items()
        }
        file = KeptRows(self.sharded, np.concatenate(self.numbers), np.concatenate(self.rows))
        return Table(columns, rows, whole.path, file)
