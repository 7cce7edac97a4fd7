"""The order of an epoch over rows in shards: the shards at random, then the rows within windows of shards."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

SHARD_STREAM = 2**64 - 1
"""The last block of random numbers of an epoch orders its shards; the first ones belong to the windows."""
FILES_PER_SHARD = 1_000
"""Of a folder or zip, whose files are listed, and read one by one."""
Announce = Callable[[Sequence[np.ndarray], np.ndarray | None], None]
"""Takes the shards of the windows that are needed now, and of the window after them, if there is one."""


@dataclass(frozen=True)
class ShardOrder:
    """The order of the rows of shards with `sizes` (shards,) rows, a pure function of its values.

    Philox keyed by (seed, epoch) permutes the shards by its last block of numbers, and the rows of window w, in
    ascending order before, by its w-th block. With one window this is the order of an epoch without shards. Only the
    rows of one window are in memory at once. `announce` learns which shards are needed before a slice is returned."""

    sizes: np.ndarray
    window: int
    seed: int
    epoch: int
    announce: Announce | None = None
    ends: np.ndarray = field(init=False)
    windows: Sequence[np.ndarray] = field(init=False)
    last: dict[int, np.ndarray] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        shards = self.generator(SHARD_STREAM).permutation(len(self.sizes))
        windows = [np.sort(shards[first : first + self.window]) for first in range(0, len(shards), self.window)]
        object.__setattr__(self, "windows", windows)
        object.__setattr__(self, "ends", np.cumsum([self.sizes[each].sum() for each in windows]))

    def generator(self, block: int) -> np.random.Generator:
        key, counter = (np.array(words, np.uint64) for words in ([self.seed, self.epoch], [0, 0, 0, block]))
        return np.random.Generator(np.random.Philox(counter=counter, key=key))

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, positions: slice) -> np.ndarray:
        """Return the rows at some positions, (positions,) of int64."""
        first, stop, _ = positions.indices(len(self))
        if first >= stop:
            return np.empty(0, np.int64)
        begin, end = np.searchsorted(self.ends, (first, stop - 1), side="right").tolist()
        end += 1
        if self.announce is not None:
            self.announce(self.windows[begin:end], self.windows[end] if end < len(self.windows) else None)
        parts = []
        for number in range(begin, end):
            start = int(self.ends[number - 1]) if number else 0
            parts.append(self.rows_of(number)[max(0, first - start) : max(0, stop - start)])
        return np.concatenate(parts)

    def rows_of(self, window: int) -> np.ndarray:
        if window not in self.last:
            self.last.clear()
            starts = np.cumsum(self.sizes) - self.sizes
            rows = [np.arange(starts[shard], starts[shard] + self.sizes[shard]) for shard in self.windows[window]]
            self.last[window] = self.generator(window).permutation(np.concatenate(rows))
        return self.last[window]


def width_of(sizes: np.ndarray, window: int) -> int:
    """Return the most rows that are shuffled together, those of the `window` largest shards."""
    return int(np.sort(sizes)[-window:].sum())


def equal_shards(rows: int) -> np.ndarray:
    """Return the sizes of shards of `FILES_PER_SHARD` consecutive rows; the last one may be smaller."""
    starts = np.arange(0, rows, FILES_PER_SHARD)
    return np.diff(starts, append=rows)
