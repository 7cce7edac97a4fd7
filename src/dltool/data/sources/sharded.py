"""Parquet tables in shards as examples: validation, test and a sample of the training rows; others stay in files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dltool.config.schema import Data
from dltool.config.shuffle_options import STREAMABLE
from dltool.config.sources import Source
from dltool.data.arrays.rows import Coded
from dltool.data.examples import FILE_ROW, SourceExamples, places_left
from dltool.data.media.cache import cache_folder
from dltool.data.sources.tables import MEMORY_SHARE, load_table_examples, table_in_reach
from dltool.data.split.at_random import PART_NAMES, TRAINING, split_of
from dltool.data.split.sizes import SPLIT, part_sizes
from dltool.data.tables.read import TableReader, open_table
from dltool.data.tables.shards import ShardedTable, shards_of
from dltool.data.tables.stores import Stores
from dltool.data.tables.typed_table import Column, ColumnRequest, RowBlock, Table, TableFile, Want
from dltool.errors import ConfigPath, DataError, Problem
from dltool.machine import usable_memory
from dltool.text import counted

SAMPLE = 2**16
"""About how many training rows are kept for baselines, figures and the report. Fewer rows are kept whole."""
MOST_VALUES = 1_000
"""Distinct numbers of a target of which each has a row in the sample, so that every class is known."""


class KeptRows(TableFile):
    """Some `rows` of a sharded table, for messages."""

    row_word = "row"

    def __init__(self, table: ShardedTable, rows: np.ndarray) -> None:
        self.table, self.rows, self.path = table, rows, table.whole.path

    def blocks(self, wants: Mapping[str, Want]) -> Iterator[RowBlock]:
        return self.table.whole.file.blocks(wants)

    def places_of(self, rows: Sequence[int]) -> list[tuple[Path, int]]:
        return self.table.places_of(self.rows[rows].tolist())


def load_sharded_examples(data: Data, seed: int) -> SourceExamples:
    """Return the rows of the table that are kept, with the split that they have in the shards. `seed` divides the rows
    unless the config has a seed of its own.

    Raises DataError: as :func:`dltool.data.sources.tables.read_tables`; a column that cannot be read in shards; a
    split without rows."""
    found: list[tuple[ShardedTable, Table, np.ndarray]] = []

    def reach(source: Source | TableFile, place: ConfigPath, wanted: ColumnRequest) -> Table:
        if place != ("data", "source") or not isinstance(source, Source):
            return table_in_reach(source, place, wanted)
        table = sharded_table(data, source, seed, wanted)
        found.append((table, *kept_rows(table, data.target_columns)))
        return found[0][1]

    examples = load_table_examples(data, reach)
    ((table, kept, parts),) = found
    for number, share in enumerate((1.0, table.validation, table.test)):
        if share and number not in parts:
            message = f"no row of {kept.path} is for {PART_NAMES[number]}"
            raise DataError(Problem(SPLIT, message, "write another fraction, or another seed"))
    files, rows = zip(*kept.file.places_of(range(kept.rows)), strict=True)
    named = {
        name: replace(part, places=places_left(part.name, np.arange(1, len(part) + 1)))
        for name, part in examples.parts.items()
    }
    places = {"file": np.array([path.name for path in files], object), FILE_ROW: np.array(rows)}
    named["training"] = replace(examples.training, places=places)
    return replace(examples, parts=named, divided=split_of(parts), sharded=table)


def sharded_table(data: Data, source: Source, seed: int, wanted: ColumnRequest) -> ShardedTable:
    """Infer the kinds of all columns from all rows, of which none is kept."""
    place = ("data", "source", source.name, "path")
    file = open_table(source, place, wanted)
    shards = shards_of(file, place)
    whole = TableReader(file, place, wanted, Stores(None, None, place, keeps=False)).read()
    problems = []
    for name, column in whole.columns.items():
        if column.kind not in STREAMABLE and name not in wanted.needed:
            message = f'"{name}" is {column.kind}, which is not read in shards'
            problems.append(Problem(place, message, f"data.inputs: {{{name}: ignore}}"))
        if column.missing and getattr(column.declared and column.declared.options, "missing", "") == "error":
            message = f'"{name}" is missing in {counted(column.missing, "row")}'
            problems.append(Problem(("data", "inputs", name), message, "fill these cells in, or remove missing: error"))
    DataError.refuse(problems)
    split = data.split
    part_sizes(split, whole.rows, 0, 0)
    seed = seed if split.seed is None else split.seed
    return ShardedTable(whole, shards, seed, split.validation, split.test or 0.0)


def kept_rows(table: ShardedTable, targets: Sequence[str]) -> tuple[Table, np.ndarray]:
    """Return the rows of validation, test and the sample, with the split of each, (rows,) of TRAINING, …."""
    stores = Stores(usable_memory() // MEMORY_SHARE, cache_folder(), ("data", "source"))
    columns = {name: column for name, column in table.whole.columns.items() if column.kind != "ignore"}
    kept = {
        name: stores.new((x.values.codes if isinstance(x.values, Coded) else x.values).dtype.type)
        for name, x in columns.items()
    }
    numbers, parts, seen = [], [], {name: set[float]() for name in targets}
    for number in range(len(table.shards)):
        read = {name: x.values for name, x in table.read(number, [*columns]).columns.items()}
        values = {name: np.asarray(x.codes[:] if isinstance(x, Coded) else x[:]) for name, x in read.items()}
        part, hashes = table.parts_of(number)
        is_kept = (part != TRAINING) | (hashes >= 1 - SAMPLE / table.whole.rows)
        for name in targets:
            is_kept[witnesses(values[name], seen[name])] = True
        rows = np.flatnonzero(is_kept)
        for name, each in values.items():
            kept[name].append(each[rows])
        numbers.append(rows + table.firsts[number])
        parts.append(part[rows])
    rows = np.concatenate(numbers)
    ignored = np.broadcast_to(np.float32(np.nan), (len(rows),))

    def of_kept(name: str, column: Column) -> Column:
        values = kept[name].finish() if name in kept else ignored
        return replace(
            column, values=Coded(values, column.values.values) if isinstance(column.values, Coded) else values
        )

    found = {name: of_kept(name, column) for name, column in table.whole.columns.items()}
    return Table(found, len(rows), table.whole.path, KeptRows(table, rows)), np.concatenate(parts)


def witnesses(values: np.ndarray, seen: set[float]) -> list[int]:
    """Return rows that show the range of a target, and every value that is not among the few `seen`, which grow."""
    distinct, rows = np.unique(values, return_index=True)
    new = np.flatnonzero([value not in seen for value in distinct.tolist()])
    # Codes of texts may be classes, however many there are.
    new = new if values.dtype == np.int32 else new[: MOST_VALUES - len(seen)]
    seen.update(distinct[new].tolist())
    return [int(rows[0]), int(rows[-1]), *rows[new].tolist()]
