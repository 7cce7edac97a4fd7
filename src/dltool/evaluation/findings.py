"""Results of an evaluation as plain values, for reports."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dltool.config.tasks import TargetKind
from dltool.evaluation.bootstrap import Interval
from dltool.evaluation.figures.figure import Figure

MODEL = "this model"
"""Baseline name of the model itself."""

MASK = " mask"
"""Ending of the name of an output's mask, (examples, steps): which steps are no padding."""


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
class GroupResult:
    """The numbers of a group by name, with intervals; `base_is` names its base. The p values are of all tests
    together: that the metric differs from that of the other examples, and that it is worse than the base."""

    group: str
    rows: int
    base_is: str
    numbers: dict[str, Interval] = field(default_factory=dict)
    auc: float | None = None
    p_difference: float = 1.0
    p_worse_than_base: float = 1.0


@dataclass(frozen=True)
class GroupComparison:
    """The groups of one output, the smallest lift first; `tried` were compared, of which so many as `differing` differ
    significantly. `were_named`: the config or the command names their columns. `positive` is the second of two classes.
    `below` are groups with a lift below 0, significant or not."""

    output: str
    metric: str
    positive: str
    were_named: bool
    tried: int
    differing: int
    everything: GroupResult
    groups: tuple[GroupResult, ...]
    below: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Return whether a stored comparison has the numbers that a report needs."""
        each = [group.numbers.keys() for group in (*self.groups, self.everything)]
        return all({self.metric, "base", "lift"} <= numbers for numbers in each)


@dataclass(frozen=True)
class Audit:
    """The attack on so many training and other examples: the area under its ROC curve, the `hits`, its true positives
    at 1 % false positives, and the curve, (points,) of `true` and `false` positives."""

    members: int
    others: int
    auc: Interval
    hits: Interval
    true: list[float]
    false: list[float]


@dataclass(frozen=True)
class Assessment:
    """Results of a model on `split`: a split of the data or a name for new data. `groups` has an item for each output
    that predicts a class or a number."""

    split: str
    examples: int
    metrics: dict[str, Interval]
    outputs: tuple[OutputAssessment, ...]
    baselines: tuple[Baseline, ...] = ()
    groups: tuple[GroupComparison, ...] = ()
    audit: Audit | None = None

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
