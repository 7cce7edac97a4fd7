"""The order of an epoch over rows in shards: the shards at random, then the rows within windows of shards."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

SHARD_STREAM = 2**64 - 1
"""The last block of random numbers of an epoch orders its shards; the first ones belong to the windows."""
FILES_PER_SHARD = 1_000
"""Of a folder or zip, whose files are listed, and read one by one."""


class Order(Protocol):
    """The rows of an epoch, (examples,) of integers: an array, or what gives the rows at some positions."""

    def __len__(self) -> int: ...

    def __getitem__(self, positions: Any, /) -> Any:
        """Return the rows at a slice of positions, or at ascending ones, as an array."""


@dataclass
class ShardOrder:
    """The order of the rows of shards with `sizes` (shards,) rows in batches of `batch`, a pure function of these,
    window, seed and epoch. The rows of about `window` shards are shuffled together.

    Philox keyed by (seed, epoch) permutes the shards by its last block of numbers. In this order they form a strip. It
    is divided into windows; the rows of window w, in ascending order before, are permuted by the w-th block of numbers.
    Lanes are equal parts of the strip. A batch takes the same places from each of them, so whoever computes these
    places reads the shards of their lanes alone. Neighbours run in opposite directions, so that both need the shard
    between them at the same time. The smaller last batch is the end of the strip. If all shards are in one window,
    there is one lane, and this is the order of an epoch without shards.

    `announce` learns the shards of what is taken and of the next window of each lane. No other order is in memory."""

    sizes: np.ndarray
    window: int
    batch: int
    seed: int
    epoch: int
    announce: Callable[[Sequence[int]], None] | None = None
    permuted: dict[int, np.ndarray] = field(default_factory=dict)

    @cached_property
    def lanes(self) -> int:
        """Return the most lanes that have a place in a batch and windows of whole shards each."""
        return 1 if self.window >= len(self.sizes) else self.window // -(-self.window // self.batch)

    @cached_property
    def windows(self) -> list[np.ndarray]:
        shards, width = self.generator(SHARD_STREAM).permutation(len(self.sizes)), self.window // self.lanes
        return [np.sort(shards[first : first + width]) for first in range(0, len(shards), width)]

    @cached_property
    def ends(self) -> np.ndarray:
        """Return the end of each window in the strip, (windows,) of int64."""
        return np.cumsum([self.sizes[each].sum() for each in self.windows])

    @cached_property
    def places(self) -> np.ndarray:
        """Return the first place of each lane in a batch, and the end, (lanes + 1,) of int64."""
        return np.arange(self.lanes + 1) * self.batch // self.lanes

    @cached_property
    def runs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the first position of each lane in the strip, its direction, 1 or -1, and its last window, each
        (lanes,) of int64. The last lane has the rest too."""
        edges = len(self) // self.batch * self.places
        direction = np.where(np.arange(self.lanes, 0, -1) % 2, 1, -1)
        first = np.where(direction > 0, edges[:-1], edges[1:] - 1)
        last = np.where(direction > 0, edges[1:] - 1, edges[:-1])
        last[-1] = len(self) - 1
        return first, direction, np.searchsorted(self.ends, last, side="right")

    def generator(self, block: int) -> np.random.Generator:
        key, counter = (np.array(words, np.uint64) for words in ([self.seed, self.epoch], [0, 0, 0, block]))
        return np.random.Generator(np.random.Philox(counter=counter, key=key))

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, positions: slice | np.ndarray) -> np.ndarray:
        """Return the rows at some positions, a slice or ascending integers such as those of one worker, (positions,) of
        int64."""
        taken = np.arange(*positions.indices(len(self))) if isinstance(positions, slice) else positions
        if not len(taken):
            return np.empty(0, np.int64)
        strip, lanes = self.located(taken)
        windows = np.searchsorted(self.ends, strip, side="right")
        used = np.flatnonzero(np.bincount(windows))
        if self.announce is not None:
            # The last batch has the latest position in each lane.
            latest, end = windows[-self.batch :], self.runs[2][lanes[-self.batch :]]
            needed = dict.fromkeys([*used.tolist(), *(latest + np.sign(end - latest)).tolist()])
            self.announce(np.concatenate([self.windows[number] for number in needed]).tolist())
        self.permuted = {n: self.permuted[n] if n in self.permuted else self.rows_of(n) for n in used.tolist()}
        sizes, shifts = np.diff(self.ends, prepend=0)[used], np.empty(len(self.ends), np.int64)
        shifts[used] = np.cumsum(sizes) - self.ends[used]
        return np.concatenate([*self.permuted.values()])[strip + shifts[windows]]

    def located(self, taken: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions in the strip, and the lanes, of some positions in the epoch, each (positions,)."""
        batches, places = np.divmod(taken, self.batch)
        lanes = np.repeat(np.arange(self.lanes), counts := np.diff(self.places))[places]
        first, direction, _ = self.runs
        strip = first[lanes] + direction[lanes] * (batches * counts[lanes] + places - self.places[lanes])
        is_rest = batches == len(self) // self.batch
        return np.where(is_rest, taken, strip), np.where(is_rest, self.lanes - 1, lanes)

    def rows_of(self, window: int) -> np.ndarray:
        """Return the rows of a window in their order, (rows,) of int64."""
        starts = np.cumsum(self.sizes) - self.sizes
        rows = [np.arange(starts[shard], starts[shard] + self.sizes[shard]) for shard in self.windows[window]]
        return self.generator(window).permutation(np.concatenate(rows))


def width_of(sizes: np.ndarray, window: int) -> int:
    """Return the most rows that are shuffled together, those of the `window` largest shards."""
    return int(np.sort(sizes)[-window:].sum())


def equal_shards(rows: int) -> np.ndarray:
    """Return the sizes of shards of `FILES_PER_SHARD` consecutive rows; the last one may be smaller."""
    return np.diff(np.arange(0, rows, FILES_PER_SHARD), append=rows)
