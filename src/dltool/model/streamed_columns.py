"""The state of columns fitted to training rows that are read in shards, equal to that of all rows at once."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from dltool.config.columns import BooleanColumn, CategoryColumn, ColumnType, DateColumn, NumberColumn
from dltool.data.arrays.rows import Coded, Rows
from dltool.data.dates import DATE_PARTS, SECONDS_A_DAY
from dltool.data.scales import spread_or_one
from dltool.data.stream import TrainingStream
from dltool.data.streamed_statistics import Moments, NumberSummary, Ranks
from dltool.model.columns import BEFORE_ALL_DATES, ColumnState, category_state


class ColumnFit(Protocol):
    """One column: every pass calls `add` with each block of its values, then `end_pass`, until it `is_done`."""

    is_done: bool

    def add(self, values: np.ndarray) -> None: ...
    def end_pass(self) -> None: ...
    @property
    def state(self) -> ColumnState: ...


class NumberFit(NumberSummary):
    def __init__(self, options: NumberColumn, rows: Rows) -> None:
        fill = "median" if options.missing == "error" else options.missing
        super().__init__(rows.dtype, options.scale, fill)

    @property
    def state(self) -> ColumnState:
        center, spread = self.center_and_spread
        limits = {"low": self.present.low, "high": self.present.high} if self.present.count else {}
        return {"fill": self.fill, "center": center, "spread": spread, "missing": self.missing, **limits}


class CountFit:
    """A column of few distinct values: how often each of them occurs."""

    def __init__(self, options: Any, rows: Rows) -> None:
        self.options, self.rows = options, rows
        self.counts, self.is_done = Counter[float](), False

    def add(self, values: np.ndarray) -> None:
        distinct, counts = np.unique(values[~np.isnan(values)], return_counts=True)
        self.counts.update(dict(zip(distinct.tolist(), counts.tolist(), strict=True)))
        self.counts[np.nan] += int(np.isnan(values).sum())

    def end_pass(self) -> None:
        self.is_done = True

    @property
    def state(self) -> ColumnState:
        missing = self.counts.pop(np.nan, 0)
        most = max(sorted(self.counts), key=self.counts.__getitem__, default=0.0)
        return {"fill": most if self.options.missing == "most_frequent" else 0.0, "missing": missing}


class CategoryFit(CountFit):
    @property
    def state(self) -> ColumnState:
        assert isinstance(self.rows, Coded)
        texts = {str(text): self.counts[code] for code, text in enumerate(self.rows.values) if self.counts[code]}
        return category_state(self.options, texts)


class DateFit:
    def __init__(self, options: DateColumn, rows: Rows) -> None:
        self.parts = {part: Moments() for part in options.parts}
        self.ranks, self.missing, self.is_first, self.is_done = Ranks(np.int64), 0, True, False

    def add(self, values: np.ndarray) -> None:
        present = values[values // SECONDS_A_DAY > BEFORE_ALL_DATES]
        self.ranks.add(present)
        if self.is_first:
            self.missing += len(values) - len(present)
            for part, moments in self.parts.items():
                moments.add(np.asarray(DATE_PARTS[part](present), np.float64))

    def end_pass(self) -> None:
        count = next(iter(self.parts.values())).count
        if count:
            self.ranks.end_pass([(count - 1) // 2, count // 2])
        self.is_first, self.is_done = False, self.ranks.is_done or not count

    @property
    def state(self) -> ColumnState:
        fill = int(sum(self.ranks.values()) / 2) if self.ranks.is_done else 0
        scales = []
        for part, moments in self.parts.items():
            whole = moments.with_more(float(DATE_PARTS[part](np.array([fill]))[0]), self.missing)
            scales.append(spread_or_one(whole.mean, whole.spread))
        center, spread = ([scale[index] for scale in scales] for index in (0, 1))
        return {"fill": fill, "center": center, "spread": spread, "missing": self.missing}


FITS = {NumberColumn: NumberFit, BooleanColumn: CountFit, CategoryColumn: CategoryFit, DateColumn: DateFit}


def fit_columns(types: Mapping[str, ColumnType], stream: TrainingStream) -> dict[str, ColumnState]:
    """Return the states of the columns, fitted to all training rows of the stream: in one pass over them, and for
    medians and quartiles in two to four."""
    rows = stream.inputs
    fits: dict[str, Any] = {name: FITS[type(kind.options)](kind.options, rows[name]) for name, kind in types.items()}
    stream.summarize({("input", name): fit for name, fit in fits.items()})
    return {name: fit.state for name, fit in fits.items()}
