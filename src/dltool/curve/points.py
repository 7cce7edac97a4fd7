"""What each run of a learning curve measured: an error of the test split, where lower is better."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from dltool.errors import RunError
from dltool.evaluation.bootstrap import Interval
from dltool.evaluation.stored import recorded_metrics
from dltool.report.verdict import MORE_IS_BETTER, less_is_better
from dltool.runs.files import Run
from dltool.runs.records import read_record, read_results
from dltool.runs.repeats import is_loss
from dltool.text import numbers

SplitName = Literal["test", "validation"]
COUNTS = ("positives", "negatives")
"""The last word of metrics that count examples: their difference from 1 says nothing."""


@dataclass(frozen=True)
class Quantity:
    """A metric of a split; if higher is better, its difference from 1 (`is_rest`)."""

    split: SplitName
    metric: str
    is_rest: bool

    @property
    def is_share(self) -> bool:
        """Return whether it is a share of the examples, shown in percent."""
        return self.is_rest and self.metric.endswith(("accuracy", "acc"))

    @property
    def label(self) -> str:
        return "error" if self.is_share else f"1 - {self.metric}" if self.is_rest else self.metric

    @property
    def words(self) -> str:
        """Return its definition."""
        return f"{self.split} error (1 - {self.metric})" if self.is_share else f"{self.split} {self.label}"

    def of(self, value: float) -> float:
        """Return the error for a value of the metric."""
        return 1 - value if self.is_rest else value

    def texts(self, *values: float) -> list[str]:
        """Return values that stand together: "5.2 %" of an error, else numbers with the same decimals."""
        if not self.is_share:
            return numbers(values)
        decimals = 1 if max(values) >= 0.01 else 2
        return [f"{100 * value:.{decimals}f} %" for value in values]

    def amount(self, value: float) -> str:
        """Return "5.2 % error", or "mean_absolute_error 0.31"."""
        (text,) = self.texts(value)
        return f"{text} {self.label}" if self.is_share else f"{self.label} {text}"


@dataclass(frozen=True)
class CurvePoint:
    """The value that one run measured on that many `examples`, with its 95 % interval for other examples."""

    rows: int
    seed: int
    quantity: Quantity
    interval: Interval
    examples: int

    @property
    def words(self) -> str:
        return f"{self.rows:>9,} training rows  seed {self.seed}  {self.quantity.amount(self.interval.value)}"


def point_of(run: Run) -> CurvePoint:
    """Return what a complete run measured: the first metric of the config if there is one output, else the loss; of the
    test split, or without one of the validation split. Raises RunError: its records are damaged."""
    record, results = read_record(run), read_results(run)
    metrics = recorded_metrics(results)
    split: SplitName = "test" if metrics else "validation"
    metrics = metrics or {name: Interval(value) for name, value in results.validation.items()}
    quantity = next(quantities(split, metrics), None)
    examples = record.data.test_examples if split == "test" else record.data.validation_examples
    if quantity is None or record.data.examples is None or record.seed is None or examples is None:
        raise RunError(f"{run.path} lacks metrics of the test or validation split, or the numbers of examples")
    found = metrics[quantity.metric]
    ends = [None if end is None else quantity.of(end) for end in (found.low, found.high)]
    interval = Interval(quantity.of(found.value), *(ends[::-1] if quantity.is_rest else ends))
    return CurvePoint(record.data.examples, record.seed, quantity, interval, examples)


def quantities(split: SplitName, metrics: Iterable[str]) -> Iterator[Quantity]:
    """Yield the metrics that can be errors, the best one first."""
    names = list(metrics)
    for name in names if sum(map(is_loss, names)) < 2 else ():
        if is_loss(name) or name.endswith(COUNTS):
            continue
        if less_is_better(name):
            yield Quantity(split, name, is_rest=False)
        elif MORE_IS_BETTER.search(name):
            yield Quantity(split, name, is_rest=True)
    yield from (Quantity(split, name, is_rest=False) for name in names if is_loss(name))
