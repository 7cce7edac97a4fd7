"""The verdict: whether a model is significantly better than the baselines."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dltool.evaluation.bootstrap import Interval
from dltool.evaluation.findings import MODEL, Baseline
from dltool.text import counted, largest_of, number, numbers

LESS_IS_BETTER = re.compile(
    r"(^|_)(loss|error|mae|mse|rmse|mape|msle|crossentropy|hinge|poisson|divergence|false_positives|false_negatives)"
    r"(_\d+)?$"
)
MORE_IS_BETTER = re.compile(
    r"(^|_)(acc|accuracy|auc|f1|iou|io_u|precision|r2|recall|score|similarity|correlation|sensitivity|specificity"
    r"|true_positives|true_negatives)(_\d+)?$"
)
SAME = {
    "accuracy": ("acc", "sparse_categorical_accuracy", "categorical_accuracy", "binary_accuracy"),
    "mean_absolute_error": ("mae", "loss"),
    "mean_squared_error": ("mse", "loss"),
    "pinball_loss": ("loss",),
}
"""Other names of the metrics of baselines."""
SAME_VALUE = 1e-4
"""Relative tolerance: a metric of that name may have options that change it."""
STRIP = 200.0
"""Width of the drawing of an interval."""
ROUNDING = 1e-6
"""Relative tolerance: metrics are float32, baselines float64."""


@dataclass(frozen=True)
class Verdict:
    """`kind` is "good" if every output is significantly better than its baselines, "bad" if one is not better."""

    kind: Literal["good", "unclear", "bad"]
    words: str


@dataclass(frozen=True)
class Tile:
    """A test metric with its baselines, best first.

    `strip` holds their positions in a drawing 200 wide, (low, value, high, *baselines), empty without interval or
    baseline."""

    name: str
    interval: Interval
    baselines: tuple[tuple[str, float], ...]
    strip: tuple[float, ...]

    @property
    def largest(self) -> float:
        """Return the largest of all its values, which have the same decimals."""
        interval = self.interval
        return largest_of([interval.value, interval.low, interval.high, *(value for _, value in self.baselines)])


def less_is_better(metric: str) -> bool:
    """Return whether lower is better: for errors and losses, with or without an output's name in front."""
    return LESS_IS_BETTER.search(metric) is not None


def tiles(metrics: Mapping[str, Interval], baselines: Sequence[Baseline]) -> list[Tile]:
    known = {each.metric: each.value for each in baselines if each.name == MODEL and each.value is not None}
    baselines = [replace(each, metric=own_name(each.metric, known.get(each.metric), metrics)) for each in baselines]
    known = {own_name(name, value, metrics): value for name, value in known.items()}
    # A metric that the run lacks has only the model's own value.
    further = {name: Interval(value) for name, value in known.items() if name not in metrics}
    found = []
    for name, interval in {**metrics, **further}.items():
        of_metric = [each for each in baselines if each.metric == name and each.name != MODEL]
        same = [(each.name, each.value) for each in of_metric if each.value is not None]
        same.sort(key=lambda each: each[1], reverse=not less_is_better(name))
        found.append(Tile(name, interval, tuple(same), strip(interval, [value for _, value in same])))
    # Comparable metrics come first, the loss last.
    return sorted(found, key=lambda tile: (not tile.baselines, tile.name.endswith("loss")))


def own_name(metric: str, value: float | None, metrics: Mapping[str, Interval]) -> str:
    """Return the run's own name of the baselines' `metric`, for which the model has `value`."""
    for name, others in SAME.items():
        if value is not None and metric not in metrics and metric.endswith(name):
            for other in (metric.removesuffix(name) + each for each in others):
                if other in metrics and math.isclose(metrics[other].value, value, rel_tol=SAME_VALUE):
                    return other
    return metric


def strip(interval: Interval, others: Sequence[float]) -> tuple[float, ...]:
    if interval.low is None or interval.high is None or not others:
        return ()
    values = [interval.low, interval.value, interval.high, *others]
    low, spread = min(values), max(max(values) - min(values), 1e-12)
    return tuple(round(8 + (value - low) / spread * (STRIP - 16), 1) for value in values)


def verdict(shown: Sequence[Tile], examples: int) -> Verdict:
    """Return one sentence for each metric that has baselines."""
    compared = [tile for tile in shown if tile.baselines]
    if not shown:
        return Verdict("unclear", "The model was not tested: its quality on new data is unknown.")
    if not compared:
        first = f"{shown[0].name} is {with_interval(shown[0].interval)} on {counted(examples, 'test example')}"
        return Verdict("unclear", f"{first}; there is no baseline to compare it with.")
    verdicts = [compare(tile, examples) for tile in compared]
    worst = min((each.kind for each in verdicts), key=("bad", "unclear", "good").index)
    return Verdict(worst, " ".join(each.words for each in verdicts))


def compare(tile: Tile, examples: int) -> Verdict:
    name, value = tile.baselines[0]
    sign = -1 if less_is_better(tile.name) else 1
    interval = tile.interval
    ends = sorted(sign * end for end in (interval.low, interval.high) if end is not None) or [sign * interval.value] * 2
    measured = f"{tile.name} is {with_interval(interval)} on {counted(examples, 'test example')}"
    best = f"the best baseline, {name}, has {number(value, interval.value)}"
    if ends[0] > sign * value:
        how = "better" if interval.low is None else "significantly better"
        return Verdict("good", f"The model is {how} than the baselines: {measured}, and {best}.")
    if sign * (interval.value - value) > ROUNDING * abs(value):
        how = "The model is better than the baselines, but not significantly"
        return Verdict("unclear", f"{how}: {measured}, and {best}.")
    return Verdict("bad", f"The model is not better than the baselines: {measured}, and {best}.")


def with_interval(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return number(interval.value)
    value, low, high = numbers([interval.value, interval.low, interval.high])
    return f"{value} ({low} to {high})"
