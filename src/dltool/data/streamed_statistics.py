"""Statistics of numbers that come in blocks, in memory that does not grow with them: moments, and exact quantiles."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dltool.data.scales import signed_log, spread_or_one

BITS = 16
QUARTILES = (25, 50, 75)


@dataclass
class Moments:
    """The number, sum of squared deviations and range of float64 numbers, and their mean less a `pivot`, one of them:
    large numbers that differ little keep their digits. Blocks are merged as in T. F. Chan and others, Updating Formulae
    and a Pairwise Algorithm for Computing Sample Variances, 1979."""

    pivot: float = 0.0
    count: int = 0
    above: float = 0.0
    squares: float = 0.0
    low: float = np.inf
    high: float = -np.inf

    def add(self, values: np.ndarray) -> None:
        if not len(values):
            return
        self.pivot = self.pivot if self.count else float(values[0])
        shifted = values - self.pivot
        above = float(np.mean(shifted))
        self.merge(len(values), above, float(np.square(shifted - above).sum()))
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))

    def merge(self, count: int, above: float, squares: float) -> None:
        step, whole = above - self.above, self.count + count
        self.squares += squares + step * step * self.count * count / whole
        self.above += step * count / whole
        self.count = whole

    def with_more(self, value: float, count: int) -> "Moments":
        """Return the moments with the number `value` so many times more."""
        whole = replace(self)
        whole.add(np.full(min(count, 1), value))
        if count > 1:
            whole.merge(count - 1, value - whole.pivot, 0.0)
        return whole

    @property
    def mean(self) -> float:
        return self.pivot + self.above

    @property
    def spread(self) -> float:
        return float(np.sqrt(self.squares / self.count)) if self.count else 0.0


class Ranks:
    """The values at some ranks of numbers that come again in every pass, exact: each pass counts the next 16 bits of
    the numbers that share the bits known so far. float32 takes two passes, float64 and int64 take four."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self.shift = 8 * self.dtype.itemsize
        self.counts = {0: np.zeros(1 << BITS, np.int64)}
        self.wanted: list[tuple[int, int]] = []

    @property
    def is_done(self) -> bool:
        return bool(self.shift == 0)

    def add(self, values: np.ndarray) -> None:
        keys = in_order(np.ascontiguousarray(values, self.dtype))
        is_first = self.shift == 8 * self.dtype.itemsize
        for prefix in self.counts:
            some = keys if is_first else keys[keys >> np.uint64(self.shift) == prefix]
            next_bits = some >> np.uint64(self.shift - BITS) & np.uint64((1 << BITS) - 1)
            self.counts[prefix] += np.bincount(next_bits.astype(np.int64), minlength=1 << BITS)

    def end_pass(self, ranks: Sequence[int]) -> None:
        """Take the counts of a pass. The `ranks`, from 0 on, are those of the first pass."""
        wanted = self.wanted or [(0, rank) for rank in ranks]
        self.wanted = []
        for prefix, rank in wanted:
            sums = np.cumsum(self.counts[prefix])
            place = int(np.searchsorted(sums, rank, side="right"))
            self.wanted.append((prefix << BITS | place, rank - int(sums[place - 1]) if place else rank))
        self.shift -= BITS
        self.counts = {prefix: np.zeros(1 << BITS, np.int64) for prefix, _ in self.wanted}

    def values(self) -> list[float]:
        return [float(each) for each in from_order(np.array([key for key, _ in self.wanted], np.uint64), self.dtype)]


def in_order(values: np.ndarray) -> np.ndarray:
    """Return (values,) of uint64 in the same order as the numbers, of their width. -0 is below 0."""
    bits, top = bits_of(values.dtype)
    words = values.view(bits)
    if values.dtype.kind == "i":
        return np.asarray(words ^ top, np.uint64)
    return np.asarray(np.where(words & top, ~words, words | top), np.uint64)


def from_order(keys: np.ndarray, dtype: np.dtype) -> np.ndarray:
    bits, top = bits_of(dtype)
    words = keys.astype(bits)
    words = words ^ top if dtype.kind == "i" else np.where(words & top, words ^ top, ~words)
    return np.asarray(words.astype(bits).view(dtype))


def bits_of(dtype: np.dtype) -> tuple[Any, Any]:
    """Return the unsigned integer of the same width, and its highest bit."""
    bits: Any = np.dtype(f"u{dtype.itemsize}").type
    return bits, bits(1) << bits(8 * dtype.itemsize - 1)


class NumberSummary:
    """What is fitted to a column of numbers: the fill value, the scale after filling, and the range; as
    :func:`dltool.model.columns.learn_number` of all numbers at once, up to the rounding of sums.

    `fill` is a number, "mean" or "median"; NaN is missing. Every pass calls `add` with all numbers, then `end_pass`."""

    def __init__(self, dtype: Any, scale: str, fill: float | str) -> None:
        self.scale, self.given = scale, fill
        self.missing = 0
        self.present, self.logs = Moments(), Moments()
        self.ranks = Ranks(dtype) if fill == "median" or scale == "robust" else None
        self.is_first, self.is_done = True, False

    def add(self, values: np.ndarray) -> None:
        present = values[~np.isnan(values)]
        if self.is_first:
            numbers = present.astype(np.float64)
            self.missing += len(values) - len(present)
            self.present.add(numbers)
            if self.scale == "log":
                self.logs.add(signed_log(numbers))
        if self.ranks is not None:
            self.ranks.add(present)

    def end_pass(self) -> None:
        count = self.present.count
        if self.ranks is not None and count:
            self.ranks.end_pass([(count - 1) // 2, count // 2, *self.quartile_ranks()])
        self.is_first, self.is_done = False, self.ranks is None or not count or self.ranks.is_done

    def quartile_ranks(self) -> list[int]:
        """Return the two ranks around each quartile of the filled numbers, as ranks of the present ones; a fill value,
        the median, lies in their middle, and its own rank is that of a neighbour."""
        last = self.present.count + self.missing - 1
        return [self.rank_of(rank) for q in QUARTILES for rank in (last * q // 100, min(last, last * q // 100 + 1))]

    def rank_of(self, rank: int) -> int:
        middle = self.present.count // 2
        return rank if rank < middle else max(min(middle, self.present.count - 1), rank - self.missing)

    @property
    def fill(self) -> float:
        if not isinstance(self.given, str):
            return float(self.given)
        if not self.present.count:
            return 0.0
        if self.given == "mean":
            return self.present.mean
        assert self.ranks is not None
        low, high = self.ranks.values()[:2]
        return (low + high) / 2

    @property
    def center_and_spread(self) -> tuple[float, float]:
        """Return the number to subtract and the number to divide by, as :func:`dltool.data.scales.scale_of`."""
        if self.scale == "none" or not self.present.count + self.missing:
            return 0.0, 1.0
        fill, moments = self.fill, self.logs if self.scale == "log" else self.present
        if self.scale == "min_max":
            ends = [self.present.low, self.present.high] * bool(self.present.count) + [fill] * bool(self.missing)
            return spread_or_one(min(ends), max(ends) - min(ends))
        if self.scale == "robust":
            low, center, high = self.quartiles(fill)
            return spread_or_one(center, high - low)
        value = float(signed_log(np.array(fill))) if self.scale == "log" else fill
        whole = moments.with_more(value, self.missing)
        return spread_or_one(whole.mean, whole.spread)

    def quartiles(self, fill: float) -> list[float]:
        """Return the quartiles of the filled numbers, between two ranks as NumPy's `percentile` does by default."""
        if not self.present.count:
            return [fill] * len(QUARTILES)
        assert self.ranks is not None
        known, last = self.ranks.values()[2:], self.present.count + self.missing - 1
        middle, found = self.present.count // 2, []
        for place, q in enumerate(QUARTILES):
            ranks = (last * q // 100, min(last, last * q // 100 + 1))
            pair = known[2 * place : 2 * place + 2]
            below, above = (
                fill if middle <= rank < middle + self.missing else value
                for rank, value in zip(ranks, pair, strict=True)
            )
            part = last * q / 100 - ranks[0]
            step = above - below
            found.append(below + step * part if part < 0.5 else above - step * (1 - part))
        return found
