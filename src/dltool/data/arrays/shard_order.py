"""The order of an epoch over rows in shards: the shards at random, then the rows within windows of shards."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    """The order of the rows of shards with `sizes` (shards,) rows, a pure function of these, window, seed and epoch.

    Philox keyed by (seed, epoch) permutes the shards by its last block of numbers, and the rows of window w, in
    ascending order before, by its w-th block. With one window this is the order of an epoch without shards. Only the
    order of one window is in memory. `announce` learns the shards of a slice and those of the window after it."""

    sizes: np.ndarray
    window: int
    seed: int
    epoch: int
    announce: Callable[[Sequence[int]], None] | None = None
    last: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    @cached_property
    def windows(self) -> list[np.ndarray]:
        shards = self.generator(SHARD_STREAM).permutation(len(self.sizes))
        return [np.sort(shards[first : first + self.window]) for first in range(0, len(shards), self.window)]

    @cached_property
    def ends(self) -> np.ndarray:
        return np.cumsum([self.sizes[each].sum() for each in self.windows])

    def generator(self, block: int) -> np.random.Generator:
        key, counter = (np.array(words, np.uint64) for words in ([self.seed, self.epoch], [0, 0, 0, block]))
        return np.random.Generator(np.random.Philox(counter=counter, key=key))

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, positions: slice | np.ndarray) -> np.ndarray:
        """Return the rows at some positions, a slice or ascending integers such as those of one worker, (positions,) of
        int64."""
        places = np.arange(*positions.indices(len(self))) if isinstance(positions, slice) else positions
        numbers = np.searchsorted(self.ends, places, side="right")
        used, firsts = np.unique(numbers, return_index=True)
        if self.announce is not None and len(used):
            self.announce(np.concatenate(self.windows[used[0] : used[-1] + 2]).tolist())
        parts = [np.empty(0, np.int64)]
        for number, some in zip(used.tolist(), np.split(places, firsts[1:]), strict=False):
            parts.append(self.rows_of(number)[some - (self.ends[number - 1] if number else 0)])
        return np.concatenate(parts)

    def rows_of(self, window: int) -> np.ndarray:
        if self.last[0] != window:
            starts = np.cumsum(self.sizes) - self.sizes
            rows = [np.arange(starts[shard], starts[shard] + self.sizes[shard]) for shard in self.windows[window]]
            self.last = (window, self.generator(window).permutation(np.concatenate(rows)))
        return self.last[1]


def width_of(sizes: np.ndarray, window: int) -> int:
    """Return the most rows that are shuffled together, those of the `window` largest shards."""
    return int(np.sort(sizes)[-window:].sum())


def equal_shards(rows: int) -> np.ndarray:
    """Return the sizes of shards of `FILES_PER_SHARD` consecutive rows; the last one may be smaller."""
    return np.diff(np.arange(0, rows, FILES_PER_SHARD), append=rows)
