"""Parquet files in shards: their row groups, each read alone into the typed columns of the whole table."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from dltool.data.arrays.rows import Coded, Rows
from dltool.data.tables.arrow_file import ArrowFile
from dltool.data.tables.builders import TextBuilder, builder_for
from dltool.data.tables.several_files import SeveralFiles, with_constants
from dltool.data.tables.stores import Stores
from dltool.data.tables.typed_table import RowBlock, Table, TableFile, Want
from dltool.errors import ConfigPath, DataError, Problem


class Shard(TableFile):
    """One row group of a Parquet file. `first` is its first row in the file, counted from 0; `constants` are columns
    that the folders of the file name."""

    row_word = "row"

    def __init__(self, file: ArrowFile, group: int, constants: Mapping[str, str]) -> None:
        self.file, self.group, self.constants, self.path = file, group, constants, file.path
        self.names = (*file.names, *constants)
        self.first, self.rows = sum(file.groups[:group]), file.groups[group]
        self.known = file.identity()

    def blocks(self, wants: Mapping[str, Want]) -> Iterator[RowBlock]:
        """Raise DataError: the file is missing, damaged, or has changed since it was opened."""
        if self.file.identity() != self.known:
            raise self.changed("has changed since it was first read, or is gone")
        # One column counts the rows.
        own = [name for name in wants if name not in self.constants] or [self.file.names[0]]
        for block in self.file.group_blocks({name: wants.get(name, "text") for name in own}, self.group):
            yield with_constants(block, self.constants, wants)

    def changed(self, what: str) -> DataError:
        where = f"{self.path}, row group {self.group + 1} of {len(self.file.groups)}"
        return DataError(Problem(self.file.place, f"{where}: it {what}", "restore the file, or train a new run"))

    def numbers_of(self, rows: Sequence[int]) -> list[int]:
        return [self.first + row + 1 for row in rows]


def shards_of(file: TableFile, place: ConfigPath) -> tuple[Shard, ...]:
    """Return the shards of a table, in its order. Raises DataError: a file is compressed as a whole."""
    several = isinstance(file, SeveralFiles)
    files = list(file.files) if isinstance(file, SeveralFiles) else [file]
    constants = file.constants if isinstance(file, SeveralFiles) else [{}]
    assert all(isinstance(each, ArrowFile) for each in files), several
    packed = [each.path for each in files if isinstance(each, ArrowFile) and each.is_packed]
    if packed:
        message = f"{packed[0]} is compressed as a whole, or in a zip: its row groups cannot be read alone"
        raise DataError(Problem(place, message, "unpack it: Parquet compresses its columns by itself"))
    return tuple(
        Shard(each, group, named)
        for each, named in zip(files, constants, strict=True)
        if isinstance(each, ArrowFile)
        for group, rows in enumerate(each.groups)
        if rows
    )


class ShardedTable:
    """A table whose rows are read shard by shard. `whole` has the kinds of its columns, and no values but the distinct
    ones of texts."""

    def __init__(self, whole: Table, shards: Sequence[Shard]) -> None:
        self.whole, self.shards = whole, shards
        self.names = [name for name, column in whole.columns.items() if column.kind != "ignore"]
        self.firsts = np.cumsum([0, *(shard.rows for shard in shards)])

    @cached_property
    def codes(self) -> Mapping[str, dict[str, int]]:
        """Return the code of every text of each column of texts."""
        values = {name: column.values for name, column in self.whole.columns.items()}
        return {
            name: {str(text): code for code, text in enumerate(rows.values)}
            for name, rows in values.items()
            if isinstance(rows, Coded)
        }

    def read(self, number: int, names: Collection[str]) -> Table:
        """Return these columns of a shard, with the codes of the whole table. Raises DataError as
        :meth:`Shard.blocks`."""
        shard, stores = self.shards[number], Stores(None, None, ())
        stores.expected_rows = shard.rows
        columns = {name: self.whole.columns[name] for name in names}
        builders = {
            name: builder_for(each.kind, stores, shard.decimal, each.declared, is_exact=each.values.dtype == np.float64)
            for name, each in columns.items()
        }
        for name, builder in builders.items():
            if isinstance(builder, TextBuilder):
                builder.numbers = self.codes[name]
        for block in shard.blocks({name: builder.want for name, builder in builders.items()}):
            for name, builder in builders.items():
                builder.append(block.columns[name])
        found = {}
        for name, builder in builders.items():
            values: Rows = builder.store.finish()
            known = columns[name].values
            if isinstance(known, Coded):
                values = Coded(values, known.values)
            is_known = not isinstance(known, Coded) or len(self.codes[name]) == len(known.values)
            if builder.invalid.count or builder.rows != shard.rows or not is_known:
                raise shard.changed("holds other values than when it was first read")
            found[name] = replace(columns[name], values=values, missing=builder.missing)
        # Else the stores and their columns are a cycle, which stays in memory until garbage is collected.
        stores.all.clear()
        return Table(found, shard.rows, shard.path, shard)


class KeptRows(TableFile):
    """Some rows of a sharded table: row `rows[i]` of the shard `numbers[i]`, for messages."""

    row_word = "row"

    def __init__(self, table: ShardedTable, numbers: np.ndarray, rows: np.ndarray) -> None:
        self.table, self.numbers, self.rows = table, numbers, rows
        self.path, self.names = table.whole.path, table.whole.file.names

    def blocks(self, wants: Mapping[str, Want]) -> Iterator[RowBlock]:
        raise NotImplementedError

    def places_of(self, rows: Sequence[int]) -> list[tuple[Path, int]]:
        shards = [self.table.shards[number] for number in self.numbers[rows]]
        return [(each.path, each.first + row + 1) for each, row in zip(shards, self.rows[rows].tolist(), strict=True)]
