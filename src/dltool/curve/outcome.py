"""What a learning curve found: the error of each run, and what more training rows would bring."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from dltool.curve.law import LEAST_SIZES, Law, Size, fitted_law
from dltool.errors import RunError
from dltool.evaluation.bootstrap import Interval
from dltool.evaluation.stored import recorded_metrics
from dltool.report.verdict import MORE_IS_BETTER, less_is_better
from dltool.runs.files import Run
from dltool.runs.records import read_record, read_results
from dltool.runs.repeats import is_loss
from dltool.text import numbers

COUNTS = ("positives", "negatives")
"""The last word of metrics that count examples: their difference from 1 says nothing."""
FLAT = 0.1
"""The curve is flat if even the lowest error of the band is lower by less than this fraction."""


@dataclass(frozen=True)
class Quantity:
    """A metric; if higher is better, its difference from 1 (`is_rest`)."""

    metric: str
    is_rest: bool

    @property
    def is_share(self) -> bool:
        """Return whether it is a share of the examples, shown in percent."""
        return self.is_rest and self.metric.endswith(("accuracy", "acc"))

    @property
    def label(self) -> str:
        return "error" if self.is_share else f"1 - {self.metric}" if self.is_rest else self.metric

    def texts(self, *values: float) -> list[str]:
        """Return values that stand together, with the same decimals: "5.2 %" of an error."""
        if not self.is_share:
            return numbers(values)
        return [f"{100 * value:.{1 if max(values) >= 0.01 else 2}f} %" for value in values]

    def amount(self, text: str) -> str:
        """Return "5.2 % error", or "mean_absolute_error 0.31"."""
        return f"{text} {self.label}" if self.is_share else f"{self.label} {text}"


@dataclass(frozen=True)
class CurvePoint:
    """The value of a run with that many training rows, with its 95 % interval for other examples. `measured_on` are the
    examples: "69 test examples"."""

    rows: int
    quantity: Quantity
    interval: Interval
    measured_on: str

    @property
    def words(self) -> str:
        return self.quantity.amount(*self.quantity.texts(self.interval.value))


def point_of(run: Run) -> CurvePoint:
    """Return what a complete run measured: the first metric of the config if there is one output, else the loss; of the
    test split, or without one of the validation split. Raises RunError: its records are damaged."""
    record, results = read_record(run).data, read_results(run)
    split, examples, metrics = "test", record.test_examples, recorded_metrics(results)
    if not metrics:
        split, examples = "validation", record.validation_examples
        metrics = {name: Interval(value) for name, value in results.validation.items()}
    quantity = next(quantities(metrics), None)
    if quantity is None or record.examples is None:
        raise RunError(f"{run.path} lacks its metrics, or the number of its training rows")
    found = metrics[quantity.metric]
    if quantity.is_rest:
        low, high = (None if end is None else 1 - end for end in (found.high, found.low))
        found = Interval(1 - found.value, low, high)
    return CurvePoint(record.examples, quantity, found, f"{examples:,} {split} examples")


def quantities(metrics: Iterable[str]) -> Iterator[Quantity]:
    """Yield the metrics that can be errors, the best one first."""
    names = list(metrics)
    for name in names if sum(map(is_loss, names)) < 2 else ():
        if not is_loss(name) and not name.endswith(COUNTS) and (less_is_better(name) or MORE_IS_BETTER.search(name)):
            yield Quantity(name, is_rest=not less_is_better(name))
    yield from (Quantity(name, is_rest=False) for name in names if is_loss(name))


@dataclass(frozen=True)
class CurveOutcome:
    """The `sizes` of the curve in `folder`, ascending; `last` is the mean of the runs of the largest. If they determine
    a `law`, it predicts the error of `reach` times the rows."""

    folder: Path
    sizes: tuple[Size, ...]
    last: CurvePoint
    reach: float
    law: Law | None

    @property
    def rows(self) -> int:
        """Return the rows for which the error is predicted."""
        return round(self.reach * self.sizes[-1].rows)

    @property
    def words(self) -> str:
        """Return what more rows would bring, in a sentence."""
        quantity, law, last = self.last.quantity, self.law, self.sizes[-1]
        if law is None:
            why = f"takes {LEAST_SIZES} sizes of different errors above 0"
            return f"{quantity.amount(*quantity.texts(last.mean))} now; to predict that of more rows {why}"
        value, low, high, now = quantity.texts(law.at(self.rows), *law.band(self.rows), last.mean)
        band = f"{low.removesuffix(' %')} to {high.removesuffix(' %')}"
        sentence = f"with {self.reach:g} times the rows: {quantity.amount(value)} ({band}), now {now}"
        if law.band(self.rows)[0] > (1 - FLAT) * law.at(last.rows):
            return f"the curve is flat, more rows of this kind will not help; {sentence}"
        return sentence if self.is_clear else f"it is not clear whether more rows will help; {sentence}"

    @property
    def is_clear(self) -> bool:
        """Return whether more rows will help: the whole band lies below the law at the rows of now."""
        return self.law is not None and self.law.band(self.rows)[1] < self.law.at(self.sizes[-1].rows)

    @property
    def measured(self) -> str:
        """Return what is measured, and what the choice of the examples adds to the uncertainty."""
        quantity, interval = self.last.quantity, self.last.interval
        name = f"error (1 - {quantity.metric})" if quantity.is_share else quantity.label
        same = f"{name} of all sizes on the same {self.last.measured_on}"
        if interval.low is None or interval.high is None:
            return same
        low, high = quantity.texts(interval.low, interval.high)
        return f"{same}; on others, that of all rows may be {low} to {high}"

    def record(self) -> dict[str, Any]:
        """Return the numbers, for curve.json and the command line."""
        sizes = [{**asdict(size), "mean": size.mean} for size in self.sizes]
        found: dict[str, Any] = {"folder": str(self.folder), "sizes": sizes, "law": None, "predicted": None}
        found |= {"quantity": self.last.quantity.label, "error": self.sizes[-1].mean}
        if (law := self.law) is not None:
            low, high = law.band(self.rows)
            found["law"] = {"a": law.a, "b": law.b, "c": law.c, "unit": law.unit}
            found["predicted"] = {"rows": self.rows, "value": law.at(self.rows), "low": low, "high": high}
        return {**found, "measured": self.measured, "words": self.words}


def outcome_of(folder: Path, points: Sequence[CurvePoint], reach: float) -> CurveOutcome:
    """Return what the complete runs of a curve found. Raises RunError: there are none."""
    if not points:
        raise RunError("every run of the curve has diverged", "dltool train says why")
    # By the rows that were used: whole groups are seldom as many as planned.
    values: dict[int, list[float]] = {}
    for point in points:
        values.setdefault(point.rows, []).append(point.interval.value)
    sizes = tuple(Size(rows, tuple(found)) for rows, found in sorted(values.items()))
    largest = [point for point in points if point.rows == sizes[-1].rows]
    last = replace(largest[0], interval=mean_of([point.interval for point in largest]))
    return CurveOutcome(folder, sizes, last, reach, fitted_law(sizes))


def mean_of(found: Sequence[Interval]) -> Interval:
    """Return the mean of values on the same examples, with the means of their bounds; without one if any lacks it.

    It is not too narrow: the standard deviation of a mean is at most the mean of the standard deviations (Minkowski's
    inequality), whatever the values have in common."""
    ends = ([each.low for each in found], [each.high for each in found])
    low, high = (None if None in each else fmean(end for end in each if end is not None) for each in ends)
    return Interval(fmean(each.value for each in found), low, high)
