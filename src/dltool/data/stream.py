"""Training rows that stay in the shards of a table, and are read as an epoch needs them."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from dltool.config.schema import Data
from dltool.data.arrays.fingerprint import PartDigests
from dltool.data.arrays.rows import Coded, Rows
from dltool.data.arrays.shard_order import ShardOrder, width_of
from dltool.data.examples import Examples
from dltool.data.labels import Labels
from dltool.data.sources.tables import as_input, labels_of, target_place
from dltool.data.split.at_random import TRAINING
from dltool.data.tables.shards import ShardedTable
from dltool.errors import MachineError, Problem
from dltool.machine import usable_memory

if TYPE_CHECKING:
    from dltool.data.dataset import Dataset

Key = tuple[str, str]
""""input" or "target", and a name."""
MOST_SHARE = 2
"""The windows in memory may take this share of it at most."""


@dataclass(frozen=True)
class StreamColumn(Rows):
    """One column of all training rows, with a last axis of one if it `has_axis`."""

    stream: "TrainingStream"
    key: Key
    has_axis: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.stream), *self.stream.forms[self.key][1], *(1,) * self.has_axis)

    @property
    def dtype(self) -> Any:
        return self.stream.forms[self.key][0]

    def __getitem__(self, rows: Any) -> Any:
        """Return some rows, or as of an array with `[..., None]` the column with a last axis."""
        if isinstance(rows, tuple):
            return replace(self, has_axis=True)
        values = self.stream.values(self.key, np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else rows)
        return values[..., np.newaxis] if self.has_axis else values


class TrainingStream:
    """The training rows of a table in shards, numbered in its order from 0 on. `sample` has some of its examples.

    An epoch's :meth:`order` announces the shards that are needed now and next: a thread reads them, and others are
    dropped. What is returned never depends on when it was read."""

    def __init__(self, data: Data, table: ShardedTable, labels: Sequence[Labels], sample: "Dataset") -> None:
        assert data.shuffle is not None
        self.data = data.model_copy(update=dict(sample.inferred))
        self.table, self.labels, self.sample = table, labels, sample
        self.window, self.ends = data.shuffle.window, np.cumsum(table.counts)
        codes = {name: rows.codes if isinstance(rows, Coded) else rows for name, rows in sample.inputs.items()}
        columns = {("input", name): rows for name, rows in codes.items()}
        columns |= {("target", name): values for name, values in sample.targets.items()}
        self.forms = {key: (np.dtype(rows.dtype), rows.shape[1:]) for key, rows in columns.items()}
        self.width = width_of(table.counts, self.window)
        needed = 2 * self.width * sum(dtype.itemsize * prod(shape) for dtype, shape in self.forms.values())
        if needed > (most := usable_memory() // MOST_SHARE):
            message = f"two windows of {self.window:,} shards, {self.width:,} rows each, take {needed / 1e9:.1f} GB"
            hint = f"window: {max(1, self.window * most // needed)}, or write smaller row groups"
            raise MachineError(Problem(("data", "shuffle", "window"), message, hint))
        self.reader, self.lock = ThreadPoolExecutor(1, thread_name_prefix="reading shards"), Lock()
        self.shards: dict[int, Future[dict[Key, np.ndarray]]] = {}
        self.located: tuple[Any, list[tuple[int, np.ndarray, np.ndarray]]] = (None, [])
        # Reads all targets, so that a row without one is found before training.
        assert self.class_counts is not None

    def __len__(self) -> int:
        return int(self.ends[-1])

    @property
    def inputs(self) -> dict[str, Rows]:
        columns = {name: StreamColumn(self, ("input", name)) for name in self.sample.inputs}
        texts = {name: rows.values for name, rows in self.sample.inputs.items() if isinstance(rows, Coded)}
        return {name: Coded(each, texts[name]) if name in texts else each for name, each in columns.items()}

    @property
    def targets(self) -> dict[str, StreamColumn]:
        return {name: StreamColumn(self, ("target", name)) for name in self.sample.targets}

    def order(self, seed: int, epoch: int, batch: int) -> ShardOrder:
        return ShardOrder(self.table.counts, self.window, batch, seed, epoch, self.announce)

    def announce(self, numbers: Sequence[int]) -> None:
        """Read these shards, and drop others."""
        with self.lock:
            for number in self.shards.keys() - {*numbers}:
                self.shards.pop(number).cancel()
            for number in numbers:
                self.held(number)

    def held(self, number: int) -> Future[dict[Key, np.ndarray]]:
        if number not in self.shards:
            self.shards[number] = self.reader.submit(self.shard, number, [*self.forms])
        return self.shards[number]

    def values(self, key: Key, rows: np.ndarray) -> np.ndarray:
        """Return the values of some training rows, in any order."""
        dtype, shape = self.forms[key]
        found = np.empty((len(rows), *shape), dtype)
        with self.lock:
            # All columns are asked for the same rows.
            if self.located[0] is not rows:
                self.located = (rows, self.locate(rows))
            for number, inside, places in self.located[1]:
                found[inside] = self.held(number).result()[key][places]
        return found

    def locate(self, rows: np.ndarray) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """Return the shards of the rows, each with the positions of its rows in `rows`, and in the shard."""
        shards = np.searchsorted(self.ends, rows, side="right")
        by_shard = np.argsort(shards, kind="stable")
        numbers, firsts = np.unique(shards[by_shard], return_index=True)
        starts = self.ends - self.table.counts
        pieces = zip(numbers.tolist(), np.split(by_shard, firsts[1:]), strict=True)
        return [(number, inside, rows[inside] - starts[number]) for number, inside in pieces]

    def shard(self, number: int, keys: Sequence[Key]) -> dict[Key, np.ndarray]:
        """Return the training rows of one shard. Raises DataError: its file is gone, damaged or has changed, or a row
        has no target."""
        inputs = [name for kind, name in keys if kind == "input"]
        targets = self.data.target_columns if len(inputs) < len(keys) else ()
        read = self.table.read(number, [*inputs, *targets])
        rows = np.flatnonzero(self.table.parts_of(number)[0] == TRAINING)
        columns = [read.columns[name] for name in inputs]
        values = [x.values.codes if isinstance(x.values, Coded) else as_input(x.values, x) for x in columns]
        found = {("input", name): np.asarray(each[:])[rows] for name, each in zip(inputs, values, strict=True)}
        if targets:
            place, given = ("data", "source"), self.data.targets.items()
            labels = {name: labels_of(each, read, place, target_place(self.data, name)) for name, each in given}
            examples = Examples({"": rows}, labels, read.path.name, place)
            found |= {("target", each.name): each.encode(examples)[rows] for each in self.labels}
        return found

    def blocks(self, keys: Sequence[Key]) -> Iterator[dict[Key, np.ndarray]]:
        """Yield the training rows of each shard, in the table's order. Nothing is kept."""
        return (self.shard(number, keys) for number in range(len(self.table.shards)))

    @cached_property
    def class_counts(self) -> dict[str, np.ndarray]:
        """Return the training rows of each class, (classes,) of int64, by target. Raises DataError as :meth:`shard`."""
        targets = self.sample.facts.targets
        counts = {name: np.zeros(len(each.class_names), np.int64) for name, each in targets.items()}
        for block in self.blocks([("target", name) for name in targets]) if targets else ():
            for name, each in targets.items():
                counts[name] += np.array(each.task.counts(block["target", name], each), np.int64)
        return counts

    @property
    def dataset(self) -> "Dataset":
        """Return the dataset of the sample with this stream, its size and its files."""
        contents = {**self.sample.contents, "training": PartDigests(self.table.whole.rows, self.table.footers, {})}
        facts = replace(self.sample.facts, examples=len(self), shuffled=self.width)
        return replace(self.sample, facts=facts, contents=contents, stream=self)
