"""Parquet files in shards: row groups that are read alone, with rows divided by a hash of their numbers."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from dltool.data.arrays.row_keys import mixed
from dltool.data.arrays.rows import Coded
from dltool.data.split.at_random import TEST, TRAINING, VALIDATION
from dltool.data.tables.arrow_file import ArrowFile
from dltool.data.tables.builders import TextBuilder, builder_for
from dltool.data.tables.several_files import SeveralFiles, with_constants
from dltool.data.tables.stores import Stores
from dltool.data.tables.typed_table import RowBlock, Table, TableFile, Want
from dltool.errors import ConfigPath, DataError, Problem

TAIL = 8
"""A Parquet file ends with its footer, the footer's size in 4 bytes, and 4 other bytes."""


class Shard(TableFile):
    """One row group of a Parquet file; `constants` are columns that the file's folders name."""

    row_word = "row"

    def __init__(self, file: ArrowFile, group: int, constants: Mapping[str, str]) -> None:
        self.file, self.group, self.constants, self.path = file, group, constants, file.path
        self.first, self.rows, self.known = sum(file.groups[:group]), file.groups[group], file.identity()

    def blocks(self, wants: Mapping[str, Want]) -> Iterator[RowBlock]:
        """Raise DataError: the file is gone, damaged, or has changed since it was opened."""
        if self.file.identity() != self.known:
            raise self.changed("has changed since it was first read, or is gone")
        # One column counts the rows.
        own = [name for name in wants if name not in self.constants] or [self.file.names[0]]
        for block in self.file.blocks({name: wants.get(name, "text") for name in own}, self.group):
            yield with_constants(block, self.constants, wants)

    def changed(self, what: str) -> DataError:
        where = f"{self.path}, row group {self.group + 1} of {len(self.file.groups)}"
        return DataError(Problem(self.file.place, f"{where}: it {what}", "restore the file, or train a new run"))

    def numbers_of(self, rows: Sequence[int]) -> list[int]:
        return [self.first + row + 1 for row in rows]


def shards_of(file: TableFile, place: ConfigPath) -> tuple[Shard, ...]:
    """Return the shards of a table, in its order. Raises DataError: a file is compressed as a whole."""
    several = isinstance(file, SeveralFiles)
    pairs = list(zip(file.files, file.constants, strict=True)) if isinstance(file, SeveralFiles) else [(file, {})]
    files = [(each, named) for each, named in pairs if isinstance(each, ArrowFile)]
    assert len(files) == len(pairs), several
    if packed := [each.path for each, _ in files if each.is_packed]:
        message = f"{packed[0]} is compressed as a whole, or in a zip: its row groups cannot be read alone"
        raise DataError(Problem(place, message, "unpack it: Parquet compresses its columns by itself"))
    return tuple(Shard(each, n, named) for each, named in files for n, rows in enumerate(each.groups) if rows)


@dataclass(frozen=True)
class ShardedTable:
    """A table whose rows are read shard by shard. `whole` has the properties of its columns, but no values besides the
    distinct texts. `seed` divides the rows by the fractions `validation` and `test`."""

    whole: Table
    shards: Sequence[Shard]
    seed: int
    validation: float
    test: float

    @cached_property
    def firsts(self) -> np.ndarray:
        """Return the first row of each shard and the end, (shards + 1,) of int64."""
        return np.cumsum([0, *(shard.rows for shard in self.shards)])

    def places_of(self, rows: Sequence[int]) -> list[tuple[Path, int]]:
        numbers = np.searchsorted(self.firsts, rows, side="right") - 1
        found = [(self.shards[n], int(row - self.firsts[n])) for n, row in zip(numbers.tolist(), rows, strict=True)]
        return [(shard.path, shard.first + row + 1) for shard, row in found]

    def parts_of(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return TRAINING, VALIDATION or TEST for each row of a shard, (rows,), and the hashes from 0 to 1, (rows,), by
        which they are divided: the largest ones are for training."""
        rows = np.arange(self.firsts[number], self.firsts[number + 1]).astype(np.uint64)
        hashes = mixed(rows ^ mixed(np.array([self.seed], np.uint64))) / 2.0**64
        others = np.where(hashes < self.test, TEST, VALIDATION)
        return np.where(hashes < self.test + self.validation, others, TRAINING), hashes

    @cached_property
    def counts(self) -> np.ndarray:
        """Return the training rows of each shard, (shards,) of int64."""
        return np.array([np.count_nonzero(self.parts_of(n)[0] == TRAINING) for n in range(len(self.shards))])

    @cached_property
    def codes(self) -> Mapping[str, dict[str, int]]:
        """Return the code of every text of each column of texts."""
        texts = {
            name: each.values.values for name, each in self.whole.columns.items() if isinstance(each.values, Coded)
        }
        return {name: {str(text): code for code, text in enumerate(values)} for name, values in texts.items()}

    @cached_property
    def footers(self) -> dict[str, str]:
        """Return a sha256 of each file's footer, which has the sizes, places and ranges of all its columns."""
        return {"/".join(path.parts[-2:]): footer_digest(path) for path in dict.fromkeys(x.path for x in self.shards)}

    def read(self, number: int, names: Sequence[str]) -> Table:
        """Return these columns of a shard, with the codes of the whole table. Raises DataError as
        :meth:`Shard.blocks`."""
        shard, stores = self.shards[number], Stores(None, None, ())
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
            values, known = builder.store.finish(), columns[name].values
            if isinstance(known, Coded):
                values = Coded(values, known.values)
            is_new = isinstance(known, Coded) and len(self.codes[name]) > len(known.values)
            if builder.invalid.count or builder.rows != shard.rows or is_new:
                raise shard.changed("holds other values than when it was first read")
            found[name] = replace(columns[name], values=values, missing=builder.missing)
        # Else the stores and their columns are a cycle, which stays in memory until garbage is collected.
        stores.all.clear()
        return Table(found, shard.rows, shard.path, shard)


def footer_digest(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(-TAIL, 2)
        size = int.from_bytes(file.read(4), "little")
        file.seek(-TAIL - size, 2)
        return hashlib.sha256(file.read(size)).hexdigest()
