"""What an evaluation found, as plain values that cross from measuring to reports."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dltool.config.tasks import TargetKind
from dltool.evaluation.bootstrap import Interval
from dltool.evaluation.figures.figure import Figure

MODEL = "this model"
"""The name of the baseline that is the model itself."""


@dataclass(frozen=True)
class Mistake:
    """An example that the model is wrong about. `row` is its row in the data, counted from 0.

    `confidence` is how sure the model was, from 0 to 1; of numbers the size of the error, of a restored input its
    squared error.
    """

    row: int
    target: str
    prediction: str
    confidence: float


@dataclass(frozen=True)
class OutputAssessment:
    """`table` has a row for each class, label or number; `mistakes` the worst ones first."""

    name: str
    kind: TargetKind
    figures: tuple[Figure, ...]
    table: list[dict[str, Any]]
    mistakes: tuple[Mistake, ...]


@dataclass(frozen=True)
class Baseline:
    """What a simple rule reaches by `metric` on the same examples; of the model itself too, to compare with.

    `value` is None where it was not computed, and `note` says why.
    """

    name: str
    metric: str
    value: float | None
    note: str = ""


@dataclass(frozen=True)
class Assessment:
    """What is known of a model from the examples of `split`, a part of the data or a name for new data."""

    split: str
    examples: int
    metrics: dict[str, Interval]
    outputs: tuple[OutputAssessment, ...]
    baselines: tuple[Baseline, ...] = ()

    @property
    def figures(self) -> tuple[Figure, ...]:
        return tuple(figure for output in self.outputs for figure in output.figures)

    def record(self) -> dict[str, Any]:
        """As JSON has it. Of figures all but the SVG, which is in a file of the figure's name."""
        found = asdict(self)
        for output in found["outputs"]:
            for figure in output["figures"]:
                del figure["svg"]
        metrics = {name: interval.value for name, interval in self.metrics.items()}
        return {**found, "metrics": metrics, "intervals": interval_record(self.metrics)}


def interval_record(metrics: Mapping[str, Interval]) -> dict[str, list[float]]:
    """The ends of the intervals there are, by the name of the metric."""
    return {
        name: [found.low, found.high]
        for name, found in metrics.items()
        if found.low is not None and found.high is not None
    }
