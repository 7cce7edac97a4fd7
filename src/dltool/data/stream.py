"""Training rows that stay in the shards of a table: read as an epoch needs them, some windows of shards at a time."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from dltool.config.schema import Data
from dltool.config.tasks import TargetFacts
from dltool.data.arrays.fingerprint import PartDigests, RowDigest
from dltool.data.arrays.rows import Coded, Rows
from dltool.data.arrays.shard_order import ShardOrder, width_of
from dltool.data.examples import Examples
from dltool.data.labels import Labels
from dltool.data.sources.tables import as_input, labels_of, target_place
from dltool.data.split.at_random import TRAINING
from dltool.data.streamed_statistics import NumberSummary
from dltool.errors import MachineError, Problem
from dltool.machine import usable_memory

if TYPE_CHECKING:
    from dltool.data.sources.sharded import Sharded

Key = tuple[str, str]
"""A kind of values, "input", "target" or "weights", and a name."""
WEIGHTS: Key = ("weights", "")
MOST_SHARE = 2
"""The windows in memory may take this share of it at most."""
Window = tuple[int, ...]
"""The numbers of its shards, ascending."""


@dataclass(frozen=True)
class StreamColumn(Rows):
    """The values of one column for all training rows, read from the shards."""

    stream: "TrainingStream"
    key: Key

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.stream), *self.stream.forms[self.key][1])

    @property
    def dtype(self) -> Any:
        return self.stream.forms[self.key][0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self.stream.values(self.key, np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else rows)


class TrainingStream:
    """The training rows of a table in shards, numbered in the table's order from 0 on.

    `inputs` and `targets` are those of :class:`dltool.data.examples.Examples`, read on access. An epoch's
    :meth:`order` announces the windows that it needs: a thread reads these and the one after them, and older ones are
    dropped. Other rows are read when they are asked for. What is returned never depends on when it was read."""

    def __init__(
        self, data: Data, sharded: "Sharded", inputs: Mapping[str, Rows], labels: Sequence[Labels], known: Examples
    ) -> None:
        self.data, self.sharded, self.labels, self.sample = data, sharded, labels, inputs
        self.counts, self.ends = sharded.counts, np.cumsum(sharded.counts)
        dtypes: dict[Key, Any] = {
            ("input", name): np.int32 if isinstance(rows, Coded) else rows.dtype for name, rows in inputs.items()
        }
        self.forms = {key: (np.dtype(dtype), ()) for key, dtype in dtypes.items()}
        self.forms |= {("target", name): (each.dtype, each.shape[1:]) for name, each in known.targets.items()}
        self.forms |= {WEIGHTS: (np.dtype(np.float32), ())} if data.weights is not None else {}
        assert data.shuffle is not None
        self.window = data.shuffle.window
        self.width = width_of(self.counts, self.window)
        self.refuse_wide_windows()
        self.threads = ThreadPoolExecutor(1, thread_name_prefix="reading shards")
        self.lock = Lock()
        self.windows: dict[Window, Future[dict[Key, np.ndarray]]] = {}
        self.window_of = np.full(len(self.counts), -1)
        self.offsets = np.zeros(len(self.counts), np.int64)
        self.located: tuple[Any, list[tuple[Window, Any, np.ndarray]]] = (None, [])

    def __len__(self) -> int:
        return int(self.ends[-1])

    @property
    def inputs(self) -> dict[str, Rows]:
        columns = {name: StreamColumn(self, ("input", name)) for name in self.sample}
        texts = {name: rows.values for name, rows in self.sample.items() if isinstance(rows, Coded)}
        return {name: Coded(each, texts[name]) if name in texts else each for name, each in columns.items()}

    @property
    def targets(self) -> dict[str, Rows]:
        return {each.name: StreamColumn(self, ("target", each.name)) for each in self.labels}

    @property
    def weights(self) -> Rows | None:
        return StreamColumn(self, WEIGHTS) if WEIGHTS in self.forms else None

    def order(self, seed: int, epoch: int) -> ShardOrder:
        return ShardOrder(self.counts, self.window, seed, epoch, self.announce)

    def refuse_wide_windows(self) -> None:
        """Raise MachineError if two windows do not fit in memory."""
        row_bytes = sum(dtype.itemsize * prod(shape) for dtype, shape in self.forms.values())
        needed, most = 2 * self.width * row_bytes, usable_memory() // MOST_SHARE
        if needed > most:
            message = (
                f"two windows of {self.window:,} shards hold up to {2 * self.width:,} rows, {needed / 1e9:,.1f} GB"
            )
            hint = f"window: {max(1, self.window * most // needed)}, or write smaller row groups"
            raise MachineError(Problem(("data", "shuffle", "window"), message, hint))

    # --- windows in memory ---

    def announce(self, now: Sequence[np.ndarray], after: np.ndarray | None) -> None:
        """Keep the windows of the shards `now` and `after`, read them, and drop all others."""
        wanted: list[Window] = [tuple(each.tolist()) for each in ([*now, after] if after is not None else now)]
        with self.lock:
            for window in self.windows.keys() - {*wanted}:
                self.windows.pop(window).cancel()
            self.window_of[:], self.located = -1, (None, [])
            for window in wanted:
                self.hold(window)

    def hold(self, window: Window) -> None:
        if window not in self.windows:
            self.windows[window] = self.threads.submit(self.read, window)
        sizes = self.counts[list(window)]
        self.window_of[list(window)] = list(self.windows).index(window)
        self.offsets[list(window)] = np.cumsum(sizes) - sizes

    def read(self, window: Window) -> dict[Key, np.ndarray]:
        """Return the training rows of the shards of a window, one shard after another."""
        rows = int(self.counts[list(window)].sum())
        found = {key: np.empty((rows, *shape), dtype) for key, (dtype, shape) in self.forms.items()}
        first = 0
        for number in window:
            shard = self.shard(number, self.forms)
            for key, values in shard.items():
                found[key][first : first + len(values)] = values
            first += int(self.counts[number])
        return found

    def values(self, key: Key, rows: np.ndarray) -> np.ndarray:
        """Return the values of some training rows, in any order."""
        dtype, shape = self.forms[key]
        found = np.empty((len(rows), *shape), dtype)
        with self.lock:
            if self.located[0] is not rows:
                self.located = (rows, self.locate(rows))
            for window, inside, places in self.located[1]:
                found[inside] = self.windows[window].result()[key][places]
        return found

    def locate(self, rows: np.ndarray) -> list[tuple[Window, Any, np.ndarray]]:
        """Return each window that holds some of the rows, with their positions in `rows` and in the window. Shards that
        are in no window in memory are read alone."""
        shards = np.searchsorted(self.ends, rows, side="right")
        for number in np.unique(shards[self.window_of[shards] < 0]).tolist():
            self.hold((number,))
        of_row, windows = self.window_of[shards], list(self.windows)
        places = rows - (self.ends - self.counts)[shards] + self.offsets[shards]
        used = np.unique(of_row).tolist()
        if len(used) == 1:
            return [(windows[used[0]], slice(None), places)]
        inside = [(number, of_row == number) for number in used]
        return [(windows[number], mask, places[mask]) for number, mask in inside]

    # --- single shards ---

    def shard(self, number: int, keys: Collection[Key]) -> dict[Key, np.ndarray]:
        """Return the training rows of one shard. Raises DataError: its file is missing, damaged, or has changed."""
        data, table, column = self.data, self.sharded.table, self.sharded.rule.column
        names = {name for kind, name in keys if kind == "input"} | ({column} if column else set())
        has_targets = any(kind == "target" for kind, _ in keys)
        names |= {*data.target_columns} if has_targets else set()
        names |= {data.weights} if data.weights is not None and WEIGHTS in keys else set()
        read = table.read(number, [name for name in table.names if name in names])
        parts, _ = self.sharded.rule.of(read, int(table.firsts[number]))
        rows = np.flatnonzero(parts == TRAINING)
        if len(rows) != self.counts[number]:
            raise table.shards[number].changed("has other training rows than when it was first read")
        found = {
            ("target", name): values[rows]
            for name, values in (self.encoded(number, read) if has_targets else {}).items()
        }
        for kind, name in keys:
            if kind == "weights":
                found[kind, name] = np.asarray(read.columns[str(data.weights)].values[:], np.float32)[rows]
            elif kind == "input":
                each = read.columns[name]
                values = each.values.codes if isinstance(each.values, Coded) else as_input(each.values, each)
                found[kind, name] = np.asarray(values[:])[rows]
        return found

    def encoded(self, number: int, read: Any) -> dict[str, np.ndarray]:
        """Return the encoded targets of all rows of a shard that has been read. Raises DataError: a row without one."""
        place = ("data", "source")
        labels = {
            name: labels_of(target, read, place, target_place(self.data, name))
            for name, target in self.data.targets.items()
        }
        examples = Examples({"": np.empty(read.rows)}, labels, read.path.name, place)
        return {each.name: each.encode(examples) for each in self.labels}

    def blocks(self, keys: Collection[Key]) -> Iterator[dict[Key, np.ndarray]]:
        """Yield the training rows of every shard in the table's order. Nothing is kept."""
        return (self.shard(number, keys) for number in range(len(self.counts)))

    def summarize(self, summaries: Mapping[Key, NumberSummary]) -> None:
        """Read the training rows as often as the summaries need."""
        while pending := {key: each for key, each in summaries.items() if not each.is_done}:
            for block in self.blocks(pending):
                for key, each in pending.items():
                    each.add(block[key])
            for each in pending.values():
                each.end_pass()

    def read_targets(self, described: Mapping[str, TargetFacts]) -> tuple[PartDigests, dict[str, np.ndarray]]:
        """Read all targets once: check and encode them. Return the digests of all rows of the table, and the training
        rows of each class, (classes,) of int64, by target."""
        table, digests = self.sharded.table, {name: RowDigest() for name in described}
        counts = {name: np.zeros(len(each.class_names), np.int64) for name, each in described.items()}
        names = [name for name in table.names if name in (*self.data.target_columns, self.sharded.rule.column)]
        for number in range(len(self.counts)) if described else ():
            read = table.read(number, names)
            parts, _ = self.sharded.rule.of(read, int(table.firsts[number]))
            for name, values in self.encoded(number, read).items():
                digests[name].add(values)
                counts[name] += np.array(
                    described[name].task.counts(values[parts == TRAINING], described[name]), np.int64
                )
        inputs = {name: self.sharded.digests[name] for name in self.sample}
        if self.data.weights is not None:
            inputs[f"{self.data.weights} (weights)"] = self.sharded.digests[self.data.weights]
        targets = {name: digest.hexadecimal for name, digest in digests.items()}
        return PartDigests(table.whole.rows, inputs, targets), counts
