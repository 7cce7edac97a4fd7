"""Which of several runs is better: on each metric, and overall. Only equal measurements are ranked."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from dltool.config.metric_forms import DECIDING
from dltool.config.wording import snake_case
from dltool.evaluation.bootstrap import Interval, paired_difference, widened
from dltool.evaluation.resampled_t import is_significant
from dltool.evaluation.stored import ExampleValues, fold_metrics, recorded_metrics
from dltool.keras_names import find
from dltool.report.paired_values import LETTERS, as_written, tree_of
from dltool.report.verdict import MORE_IS_BETTER, less_is_better
from dltool.runs.configs import Values
from dltool.runs.part_records import PartResults
from dltool.runs.records import RunContents
from dltool.text import joined, number

SEED = 0
"""Seed of the bootstrap, fixed so that intervals are reproducible."""
SAME_VALUE = 1e-6
"""Relative tolerance of a metric that is the loss: both are float32."""
NO_DIFFERENCE = "no clear difference"


@dataclass(frozen=True)
class TestedRun:
    """A run with its config values and the values of its test examples, None if there are none. With `folds`, metrics
    and examples are those of all folds together."""

    __test__ = False

    record: RunContents
    config: Values
    examples: ExampleValues | None
    folds: PartResults | None = None

    @property
    def metrics(self) -> dict[str, Interval]:
        return recorded_metrics(self.record.results) if self.folds is None else fold_metrics(self.folds)


@dataclass(frozen=True)
class MetricDifference:
    """The difference of a run to the first one. `is_paired`: over the examples, not by the intervals of both runs.

    If unpaired, the difference is significant if the two intervals do not overlap."""

    value: float
    low: float | None
    high: float | None
    is_paired: bool
    exceeds_noise: bool | None


@dataclass(frozen=True)
class MetricRow:
    """A test metric of each run, and its `differences` to the first run, None if not comparable.

    `ranked` are the indices of the runs that are compared with each other, and `best` those of them that no other is
    significantly better than; both are empty if there is no ranking. `verdict` says it in words."""

    name: str
    values: tuple[Interval | None, ...]
    differences: tuple[MetricDifference | None, ...]
    ranked: tuple[int, ...]
    best: tuple[int, ...]
    verdict: str


def metric_rows(runs: Sequence[TestedRun]) -> Iterator[MetricRow]:
    """Yield the test metrics that any run has. A metric that is the loss stands alone."""
    measured = [run.metrics for run in runs]
    names = dict.fromkeys(chain.from_iterable(measured))
    for name in names:
        if name == "loss" and any(is_same(measured, name, other) for other in names if other != name):
            continue
        values = [each.get(name) for each in measured]
        found = [None, *(difference(name, values, runs, 0, other) for other in range(1, len(runs)))]
        yield MetricRow(name, tuple(values), tuple(found), *ranking(name, values, runs))


def is_same(measured: Sequence[Mapping[str, Interval]], name: str, other: str) -> bool:
    """Return whether two metrics have the same value in every run."""
    return all(
        name in each and other in each and math.isclose(each[name].value, each[other].value, rel_tol=SAME_VALUE)
        for each in measured
        if each
    )


def difference(
    name: str, values: Sequence[Interval | None], runs: Sequence[TestedRun], first: int, other: int
) -> MetricDifference | None:
    """Return how far the run `other` is above the run `first`, None if the metric is not comparable. `exceeds_noise` is
    None without intervals."""
    old, new = values[first], values[other]
    if old is None or new is None or why_not_comparable(name, runs[first], runs[other]):
        return None
    value, apart = new.value - old.value, None
    known = [run.examples for run in (runs[first], runs[other]) if run.examples is not None]
    both = [examples.values.get(name) for examples in known]
    if len(both) == 2 and both[0] is not None and both[1] is not None and len(both[0]):
        folds, clusters = runs[first].folds, known[0].clusters
        found = paired_difference(both[0], both[1], SEED, clusters)
        if found.low is not None and folds is None:
            return MetricDifference(value, found.low, found.high, True, found.exceeds_noise)
        if found.low is not None and folds is not None:
            found = widened(found, folds.count)
            # Both have to agree: the examples, and the folds, whose models share training examples.
            is_clear = found.exceeds_noise and differ_by_folds(name, folds, runs[other].folds)
            return MetricDifference(value, found.low, found.high, True, is_clear)
    if None not in (old.low, old.high, new.low, new.high):
        apart = new.low > old.high or new.high < old.low  # type: ignore[operator]
    return MetricDifference(value, None, None, False, apart)


def differ_by_folds(name: str, first: PartResults, other: PartResults | None) -> bool:
    """Return whether a metric of the same folds differs by the corrected resampled t-test (C. Nadeau and Y. Bengio,
    Inference for the Generalization Error, Machine Learning 52, 2003)."""
    pairs = [] if other is None else list(zip(fold_means(first, name), fold_means(other, name), strict=False))
    if len(pairs) < 2:
        return False
    share = sum(first.test) / max(1, sum(first.training))
    return is_significant([new - old for old, new in pairs], share)


def fold_means(found: PartResults, name: str) -> list[float]:
    """Return the value of a metric in each fold, its mean over the seeds; empty if a value is missing."""
    each = found.metrics[name].each
    values = [value for value in each if value is not None]
    is_whole = len(values) == len(each) and len(values) % max(1, len(found.seeds)) == 0
    return np.reshape(values, (max(1, len(found.seeds)), -1)).mean(axis=0).tolist() if is_whole else []


def why_not_comparable(name: str, first: TestedRun, other: TestedRun) -> str:
    """Return why a metric of two runs is not the same measurement; empty if it is."""
    if why := other_examples(first, other):
        return why
    if measured_by(first.config, name) == measured_by(other.config, name):
        return ""
    is_loss = name.endswith("loss")
    return (
        "has another loss function, penalty or weights" if is_loss else "has other options, such as another threshold"
    )


def other_examples(first: TestedRun, other: TestedRun) -> str:
    """Return how the test examples of two runs differ; empty if they are the same."""
    data, others = first.record.run.data, other.record.run.data
    is_same_data = data.fingerprint is not None and data.fingerprint == others.fingerprint
    if first.examples is None or other.examples is None:
        is_same = is_same_data and data.split == others.split
        return "" if is_same else "has no record of the same test examples (dltool evaluate makes one)"
    rows = first.examples.rows, other.examples.rows
    if not np.array_equal(*rows) and is_same_data:
        both = len(np.intersect1d(*rows))
        return f"was tested on other rows, {both:,} of {len(rows[1]):,} in common"
    if first.folds is not None and other.folds is not None and first.folds.division != other.folds.division:
        return "has other folds"
    is_same = np.array_equal(*rows) and first.examples.targets == other.examples.targets
    return "" if is_same else "was tested on other examples, or on other targets, such as another positive class"


def measured_by(config: Values, name: str) -> Any:
    """Return the config values that define a metric: its own entries and the decision thresholds; for a loss all
    losses, weights and penalties."""
    is_loss = name.endswith("loss")
    keys = {("loss",), ("weight",), ("weights",)} if is_loss else {("threshold",)}
    # The model has one output, or the path names one of several.
    values = {
        path: each for path, each in config.items() if (path[3:4] if "outputs" in path[:2] else path[1:2]) in keys
    }
    if is_loss:
        tails = [
            (path[depth:], repr(value))
            for path, value in config.items()
            for depth, step in enumerate(path)
            if str(step).endswith("_regularizer") or step == "ActivityRegularization"
        ]
        return values, sorted(tails, key=repr)
    entries = [*metric_entries(config)]
    own = [entry for result, entry in entries if result == name] or [entry for _, entry in entries]
    return own, values if any(decides(kind) for kind, _ in own) else {}


def decides(kind: str) -> bool:
    """Return whether a metric of that name is one of predicted classes, which a decision threshold changes."""
    known = find("metric", kind)
    return known is not None and (known.means in DECIDING or known.means.lower() in ("accuracy", "acc"))


def metric_entries(config: Values) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the metrics of a config by their names in results: the class or function, and its arguments."""
    tree = tree_of(config)
    model, training = (part if isinstance(part, dict) else {} for part in (tree.get("model"), tree.get("training")))
    outputs = model.get("outputs")
    sections = outputs if isinstance(outputs, dict) and outputs else {"": training}
    for output, section in sections.items():
        metrics = section.get("metrics") if isinstance(section, dict) else None
        for entry in metrics.values() if isinstance(metrics, dict) else ():
            written = as_written(entry)
            kind, options = next(iter(written.items())) if isinstance(written, dict) and written else (written, {})
            options = dict(options) if isinstance(options, dict) else {"": options}
            own = options.pop("name", None) or snake_case(str(kind))
            name = f"{output}_{own}" if len(sections) > 1 else own
            yield name, (str(kind), repr(sorted(options.items(), key=repr)))


def is_less_better(name: str, config: Values) -> bool | None:
    """Return whether lower values of a metric are better, by its name or its class; None if that is unknown."""
    kinds = [snake_case(kind) for result, (kind, _) in metric_entries(config) if result == name]
    for each in (*kinds, name):
        if less_is_better(each) or MORE_IS_BETTER.search(each):
            return less_is_better(each)
    return None


def ranking(
    name: str, values: Sequence[Interval | None], runs: Sequence[TestedRun]
) -> tuple[tuple[int, ...], tuple[int, ...], str]:
    """Return the ranked runs, the best of them, and the verdict."""
    there = [index for index, value in enumerate(values) if value is not None]
    ranked = tuple(index for index in there if not why_not_comparable(name, runs[there[0]], runs[index]))
    if len(ranked) < 2:
        return (), (), "not ranked"
    is_less = is_less_better(name, runs[ranked[0]].config)
    if is_less is None:
        return (), (), "not ranked: whether higher is better is unknown"
    leader = (min if is_less else max)(ranked, key=lambda index: values[index].value)  # type: ignore[union-attr]
    found = {index: difference(name, values, runs, leader, index) for index in ranked if index != leader}
    if any(each is None or each.exceeds_noise is None for each in found.values()):
        return (), (), "not ranked: there are no intervals"
    best = tuple(i for i in ranked if i == leader or not found[i].exceeds_noise)  # type: ignore[union-attr]
    return ranked, best, verdict_of(leader, ranked, best)


def verdict_of(leader: int, ranked: Sequence[int], best: Sequence[int]) -> str:
    if len(best) == len(ranked):
        return NO_DIFFERENCE
    if len(ranked) == 2:
        return f"{LETTERS[leader]} is better"
    others = [index for index in best if index != leader]
    return f"{LETTERS[leader]} is best" + (f", {NO_DIFFERENCE} to {lettered(others)}" if others else "")


def lettered(runs: Iterable[int]) -> str:
    """Return the letters of runs: "A, B and C"."""
    return joined([LETTERS[index] for index in runs], "and")


def overall(rows: Sequence[MetricRow]) -> str:
    """Return which run is better overall: no other is significantly better than it on any metric."""
    ranked = [row for row in rows if row.best]
    runs = sorted({index for row in ranked for index in row.ranked})
    if not ranked:
        return "The runs are not ranked on any test metric."
    clear = [row for row in ranked if len(row.best) < len(row.ranked)]
    if not clear:
        return f"There is no clear difference between {lettered(runs)} on any metric."
    best = [run for run in runs if all(run in row.best or run not in row.ranked for row in ranked)]
    if not best:
        return f"No run is better on every metric: {'; '.join(f'{row.name}: {row.verdict}' for row in clear)}."
    if len(runs) > 2:
        are = "is" if len(best) == 1 else "are"
        return f"{lettered(best)} {are} best overall: no other run is significantly better on any metric."
    on = f"significant on {joined([row.name for row in clear], 'and')}"
    alike = [row.name for row in ranked if row not in clear]
    rest = f"; {NO_DIFFERENCE} on {joined(alike, 'and')}" if alike else ""
    return f"{lettered(best)} is better overall: {on}{rest}."


def significance(found: MetricDifference) -> str:
    """Return whether a difference is significant."""
    if found.exceeds_noise is None:
        return "significance unknown"
    how = "" if found.is_paired else " (by two intervals)"
    return f"{'significant at 95 %' if found.exceeds_noise else 'not significant'}{how}"


def shown_with_sign(value: float) -> str:
    return f"{'+' if value > 0 else ''}{number(value)}"
