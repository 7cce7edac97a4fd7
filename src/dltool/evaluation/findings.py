"""Results of an evaluation as plain values, for reports."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dltool.config.tasks import TargetKind
from dltool.evaluation.bootstrap import Interval
from dltool.evaluation.figures.figure import Figure

MODEL = "this model"
"""Baseline name of the model itself."""


@dataclass(frozen=True)
class Mistake:
    """A wrong prediction for a `row` of the data, counted from 0.

    `confidence` is from 0 to 1; for numbers it is the absolute error, for a reconstruction the squared error."""

    row: int
    target: str
    prediction: str
    confidence: float


@dataclass(frozen=True)
class OutputAssessment:
    """Results of one output. `table` has a row for each class, label or number; `mistakes` begin with the worst."""

    name: str
    kind: TargetKind
    figures: tuple[Figure, ...]
    table: list[dict[str, Any]]
    mistakes: tuple[Mistake, ...]


@dataclass(frozen=True)
class Baseline:
    """The score of a simple rule by `metric`, or of the model itself. `note` says why `value` is None."""

    name: str
    metric: str
    value: float | None
    note: str = ""


@dataclass(frozen=True)
class Assessment:
    """Results of a model on `split`: a split of the data or a name for new data."""

    split: str
    examples: int
    metrics: dict[str, Interval]
    outputs: tuple[OutputAssessment, ...]
    baselines: tuple[Baseline, ...] = ()

    @property
    def figures(self) -> tuple[Figure, ...]:
        return tuple(figure for output in self.outputs for figure in output.figures)

    def record(self) -> dict[str, Any]:
        """Return the JSON form. The SVG of each figure is left out: it is a file of its own."""
        found = asdict(self)
        for output in found["outputs"]:
            for figure in output["figures"]:
                del figure["svg"]
        metrics = {name: interval.value for name, interval in self.metrics.items()}
        return {**found, "metrics": metrics, "intervals": interval_record(self.metrics)}


def interval_record(metrics: Mapping[str, Interval]) -> dict[str, list[float]]:
    """Return the bounds of the known intervals by metric."""
    bounds = {name: (found.low, found.high) for name, found in metrics.items()}
    return {name: [low, high] for name, (low, high) in bounds.items() if low is not None and high is not None}
