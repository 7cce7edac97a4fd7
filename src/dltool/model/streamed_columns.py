"""The state of columns, fitted to training rows that are read in shards: equal to that of all rows at once, up to the
rounding of sums, in memory that does not grow with the rows."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dltool.config.columns import BooleanColumn, CategoryColumn, DateColumn, NumberColumn
from dltool.data.arrays.rows import Coded, Rows
from dltool.data.dataset import Dataset
from dltool.data.dates import DATE_PARTS, SECONDS_A_DAY
from dltool.data.scales import signed_log, spread_or_one
from dltool.model.column_states import ColumnState
from dltool.model.columns import BEFORE_ALL_DATES, category_state
from dltool.model.inputs import Fitted

BITS = 16
SIZE = 1 << BITS


@dataclass
class Moments:
    """The number, sum of squared deviations and range of numbers, and their mean less a `pivot`, one of them: large
    numbers that differ little keep their digits. Blocks are merged as in T. F. Chan and others, Updating Formulae and a
    Pairwise Algorithm for Computing Sample Variances, 1979."""

    count: int = 0
    pivot: float = 0.0
    above: float = 0.0
    squares: float = 0.0
    low: float = np.inf
    high: float = -np.inf

    def add(self, values: np.ndarray, times: int = 1) -> None:
        """Add float64 numbers, each so many times."""
        if not len(values) * times:
            return
        self.pivot = self.pivot if self.count else float(values[0])
        shifted, count = values - self.pivot, len(values) * times
        above, whole = float(np.mean(shifted)), self.count + count
        step = above - self.above
        self.squares += times * float(np.square(shifted - above).sum()) + step * step * self.count * count / whole
        self.above, self.count = self.above + step * count / whole, whole
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))

    def scale(self, value: float, times: int, is_range: bool = False) -> tuple[float, float]:
        """Return mean and standard deviation, or lowest value and range, with a number added so many times."""
        whole = replace(self)
        whole.add(np.array([value]), times)
        if is_range:
            return spread_or_one(whole.low, whole.high - whole.low)
        return spread_or_one(whole.pivot + whole.above, float(np.sqrt(whole.squares / whole.count)))


class Ranks:
    """The numbers at some ranks, from 0 on, exact: each pass counts the next 16 bits of the numbers that share the bits
    known so far. float32 takes two passes, float64 and int64 take four."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self.bits: Any = np.dtype(f"u{self.dtype.itemsize}").type
        self.shift = 8 * self.dtype.itemsize
        self.top = self.bits(1) << self.bits(self.shift - 1)
        self.counts = {0: np.zeros(SIZE, np.int64)}
        self.prefixes: dict[int, tuple[int, int]] = {}

    def add(self, values: np.ndarray) -> None:
        words = np.ascontiguousarray(values, self.dtype).view(self.bits)
        # Unsigned integers in the order of the numbers.
        ordered = words ^ self.top if self.dtype.kind == "i" else np.where(words & self.top, ~words, words | self.top)
        keys = ordered.astype(np.uint64)
        for prefix, counts in self.counts.items():
            some = keys[keys >> np.uint64(self.shift) == prefix] if self.prefixes else keys
            numbers = (some >> np.uint64(self.shift - BITS) & np.uint64(SIZE - 1)).astype(np.int64)
            np.add(counts, np.bincount(numbers, minlength=SIZE), out=counts)

    def end_pass(self, ranks: set[int]) -> None:
        """Take the counts of a pass; the `ranks` are those of every pass."""
        self.shift -= BITS
        for rank in ranks:
            prefix, rest = self.prefixes.get(rank, (0, rank))
            sums = np.cumsum(self.counts[prefix])
            place = int(np.searchsorted(sums, rest, side="right"))
            self.prefixes[rank] = prefix << BITS | place, rest - int(sums[place - 1]) if place else rest
        self.counts = {prefix: np.zeros(SIZE, np.int64) for prefix, _ in self.prefixes.values()}

    def __getitem__(self, rank: int) -> float:
        word = self.bits(self.prefixes[rank][0])
        word = word ^ self.top if self.dtype.kind == "i" or word & self.top else ~word
        return float(np.array([word]).view(self.dtype)[0])

    def median(self, count: int) -> float:
        return (self[(count - 1) // 2] + self[count // 2]) / 2


class NumberFit:
    """A column of numbers; see :func:`dltool.model.columns.learn_number`."""

    def __init__(self, options: NumberColumn, rows: Rows) -> None:
        self.options, self.ranks, self.missing = options, Ranks(rows.dtype), 0
        self.plain, self.logs, self.passes = Moments(), Moments(), 0

    @property
    def is_done(self) -> bool:
        return self.passes > 0 and (self.ranks.shift == 0 or not self.plain.count)

    def add(self, values: np.ndarray) -> None:
        present = values[~np.isnan(values)]
        self.ranks.add(present)
        if self.passes == 0:
            self.missing += len(values) - len(present)
            self.plain.add(present.astype(np.float64))
            self.logs.add(signed_log(present.astype(np.float64)))

    def end_pass(self) -> None:
        count, self.passes = self.plain.count, self.passes + 1
        around = {self.rank_of(rank) for quarter in (1, 2, 3) for rank in self.around(quarter)[:2]}
        if count:
            self.ranks.end_pass({(count - 1) // 2, count // 2, *around})

    def around(self, quarter: int) -> tuple[int, int, float]:
        """Return the ranks of the filled numbers around a quartile, and how far it lies between them."""
        last = self.plain.count + self.missing - 1
        low = last * quarter // 4
        return low, min(last, low + 1), last * quarter / 4 - low

    def rank_of(self, rank: int) -> int:
        """Return the rank among the present numbers; the fill value, their median, lies in their middle."""
        return rank if rank < self.plain.count // 2 else max(self.plain.count // 2 - 1, 0, rank - self.missing)

    def quartile(self, quarter: int, fill: float) -> float:
        """Return a quartile of the filled numbers, by NumPy's default rule."""
        low, high, part = self.around(quarter)
        middle = range(self.plain.count // 2, self.plain.count // 2 + self.missing)
        below, above = (fill if rank in middle else self.ranks[self.rank_of(rank)] for rank in (low, high))
        return below + (above - below) * part if part < 0.5 else above - (above - below) * (1 - part)

    @property
    def state(self) -> ColumnState:
        plain, given, scale = self.plain, self.options.missing, self.options.scale
        fill = float(given) if isinstance(given, float | int) else 0.0
        if plain.count and isinstance(given, str):
            fill = plain.pivot + plain.above if given == "mean" else self.ranks.median(plain.count)
        center, spread = 0.0, 1.0
        if scale == "robust" and plain.count:
            quartiles = [self.quartile(quarter, fill) for quarter in (1, 2, 3)]
            center, spread = spread_or_one(quartiles[1], quartiles[2] - quartiles[0])
        elif scale == "log":
            center, spread = self.logs.scale(float(signed_log(np.array(fill))), self.missing)
        elif scale != "none":
            center, spread = plain.scale(fill, self.missing, scale == "min_max")
        limits = {"low": plain.low, "high": plain.high} if plain.count else {}
        return {"fill": fill, "center": center, "spread": spread, "missing": self.missing, **limits}


class CountFit:
    """A column of few distinct values."""

    def __init__(self, options: Any, rows: Rows) -> None:
        self.options, self.rows, self.counts, self.is_done = options, rows, Counter[float](), False

    def add(self, values: np.ndarray) -> None:
        distinct, counts = np.unique(values, return_counts=True)
        # Every NaN is a key of its own.
        keys = np.where(np.isnan(distinct), np.inf, distinct).tolist()
        self.counts.update(dict(zip(keys, counts.tolist(), strict=True)))

    def end_pass(self) -> None:
        self.is_done = True

    @property
    def state(self) -> ColumnState:
        if isinstance(self.rows, Coded):
            texts = enumerate(self.rows.values)
            counts = {str(text): self.counts[code] for code, text in texts if self.counts[code]}
            return category_state(self.options, counts)
        missing = self.counts.pop(np.inf, 0)
        most = max(sorted(self.counts), key=self.counts.__getitem__, default=0.0)
        return {"fill": most if self.options.missing == "most_frequent" else 0.0, "missing": missing}


class DateFit:
    """A column of dates; see :func:`dltool.model.columns.learn_date`."""

    def __init__(self, options: DateColumn, rows: Rows) -> None:
        self.parts = {part: Moments() for part in options.parts}
        self.ranks, self.count, self.missing, self.is_done = Ranks(np.int64), 0, 0, False
        self.ends: dict[str, int] = {}

    def add(self, values: np.ndarray) -> None:
        present = values[values // SECONDS_A_DAY > BEFORE_ALL_DATES]
        self.ranks.add(present)
        if not self.ranks.prefixes:
            if len(present):
                known = [*present[[present.argmin(), present.argmax()]].tolist(), *self.ends.values()]
                self.ends = {"first": min(known), "last": max(known)}
            self.count, self.missing = self.count + len(present), self.missing + len(values) - len(present)
            for part, moments in self.parts.items():
                moments.add(np.asarray(DATE_PARTS[part](present), np.float64))

    def end_pass(self) -> None:
        if self.count:
            self.ranks.end_pass({(self.count - 1) // 2, self.count // 2})
        self.is_done = self.ranks.shift == 0 or not self.count

    @property
    def state(self) -> ColumnState:
        fill = int(self.ranks.median(self.count)) if self.count else 0
        filled = {part: float(DATE_PARTS[part](np.array([fill]))[0]) for part in self.parts}
        scales = [moments.scale(filled[part], self.missing) for part, moments in self.parts.items()]
        center, spread = ([scale[index] for scale in scales] for index in (0, 1))
        return {"fill": fill, "center": center, "spread": spread, "missing": self.missing, **self.ends}


FITS: dict[Any, Any] = {
    NumberColumn: NumberFit,
    BooleanColumn: CountFit,
    CategoryColumn: CountFit,
    DateColumn: DateFit,
}


def fitted_to(dataset: Dataset) -> Fitted | None:
    """Return the columns fitted to all training rows that are read in shards, in two to four passes over them; None if
    the training rows are in memory."""
    if (stream := dataset.stream) is None:
        return None
    types = {name: found.column for name, found in dataset.facts.inputs.items() if found.column is not None}
    rows = stream.inputs
    fits = {("input", name): FITS[type(kind.options)](kind.options, rows[name]) for name, kind in types.items()}
    while pending := [key for key, fit in fits.items() if not fit.is_done]:
        for block in stream.blocks(pending):
            for key in pending:
                fits[key].add(block[key])
        for key in pending:
            fits[key].end_pass()
    return Fitted(columns={name: fit.state for (_, name), fit in fits.items()})
