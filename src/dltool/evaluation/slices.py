"""Results by group: where a model is worse than elsewhere, and where it is worse than what is most frequent there.

A group whose classes are balanced has a lower accuracy than one in which nearly all examples are of one class, however
good the model is in it. So each group has a base of its own, which the model has to exceed: its most frequent class, or
its mean."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dltool.config.schema import Config
from dltool.data.examples import Examples
from dltool.data.facts import Facts
from dltool.evaluation.bootstrap import LEVEL, MOST_GROUPS, Interval, random_groups, resampled, widened
from dltool.evaluation.findings import MASK, GroupComparison, GroupResult
from dltool.evaluation.measures import areas
from dltool.evaluation.significance import SURPRISING, below_zero_p, difference_p, holm
from dltool.evaluation.slice_groups import Group, groups_of
from dltool.evaluation.tasks import evaluators
from dltool.evaluation.tasks.classes import ClassEvaluator, LabelEvaluator
from dltool.evaluation.tasks.evaluator import Evaluator
from dltool.evaluation.tasks.numbers import NumberEvaluator

FEWEST_ROWS = 50
"""Examples of a group, unless the config names its column."""
MOST_SHOWN, MOST_ROWS, MOST_VALUES = 40, 200_000, 2_000_000
"""Groups that differ; examples, and values of all examples together, such as pixels: more are sampled evenly."""
RATES = {
    "selection rate": ("selected", "rows"),
    "true positives": ("hits", "positive"),
    "false positives": ("false", "negative"),
}
"""Rates of the second of two classes, each a ratio of sums."""
LABELS = "binary accuracy"
"""The metric of several labels: the share of them that are right."""
Sums = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Scored:
    """One output for each example: the `sums` (examples,) to add up by group, among them "score", whether it is right,
    the share of its values that are, or its error; and the true `goal`: (examples,) of class indices, (examples,
    values) of those of pixels or steps, -1 for padding, (examples, labels) of 0 and 1, or (examples, numbers), NaN for
    padding. `names`
    are those of the classes, empty for numbers; `chances` (examples,) the probabilities of the second of two. The
    errors of numbers are squared (`is_root`), those of a `quantile`, or absolute."""

    name: str
    metric: str
    goal: np.ndarray
    sums: Sums
    names: Sequence[str] = ()
    chances: np.ndarray | None = None
    is_root: bool = False
    quantile: float | None = None

    @property
    def positive(self) -> str:
        return "" if self.chances is None else self.names[1]

    def base(self, inside: np.ndarray) -> tuple[np.ndarray, str]:
        """Return the score (examples,) of the best constant for the examples `inside`, and its name."""
        mine = self.goal[inside]
        if self.is_root:
            return self.error_of(np.nanmean(mine, axis=0)), "the mean"
        if not self.names:
            name = "the median" if self.quantile is None else f"the {self.quantile:g} quantile"
            return self.error_of(np.nanquantile(mine, self.quantile or 0.5, axis=0)), name
        if self.metric == LABELS:
            return np.mean(self.goal == (mine.mean(axis=0) > 0.5), axis=1), "the most frequent value of each label"
        usual = int(np.bincount(mine[mine >= 0]).argmax())
        return share_right(self.goal, np.full_like(self.goal, usual)), self.names[usual]

    def error_of(self, predicted: np.ndarray) -> np.ndarray:
        """Return the mean error of each example, (examples,); a mean squared one before the root."""
        missing = self.goal - predicted
        errors = missing**2 if self.is_root else np.abs(missing)
        if self.quantile is not None:
            errors = np.maximum(self.quantile * missing, (self.quantile - 1) * missing)
        return np.asarray(np.nansum(errors, axis=1) / np.maximum(1, np.isfinite(errors).sum(axis=1)))


def comparisons(
    config: Config,
    facts: Facts,
    examples: Examples,
    outputs: Mapping[str, np.ndarray],
    clusters: np.ndarray | None = None,
    folds: int = 0,
) -> Iterator[GroupComparison]:
    """Yield the results by group of each output that predicts a class or numbers, for `outputs` by name, (examples, …).
    Whole `clusters` are resampled; the intervals of several `folds` are wider."""
    if len(examples) > MOST_ROWS:
        rows = np.unique(np.linspace(0, len(examples) - 1, MOST_ROWS).astype(int))
        outputs = {name: each[rows] for name, each in outputs.items()}
        examples, clusters = examples.take(rows), None if clusters is None else clusters[rows]
    least = FEWEST_ROWS if config.data.slices is None else 1
    groups = [group for group in groups_of(config.data, examples) if least <= group[1].sum() < len(examples)]
    for output in evaluators(config, facts) if groups and config.data.windows is None else ():
        name = output.head.name
        if output.target.task.has_labels and np.isfinite(outputs[name]).all():
            scores = scored(output, output.goal(examples.targets), outputs[name], outputs.get(f"{name}{MASK}"))
            if scores is not None:
                yield compared(scores, groups, config, clusters, folds)


def scored(output: Evaluator, goal: np.ndarray, values: np.ndarray, mask: np.ndarray | None) -> Scored | None:
    """Return the scores of an output (examples, …); None if it has none. `mask` (examples, steps) is False for
    padding."""
    if isinstance(output, NumberEvaluator):
        return scored_numbers(output, goal, values, mask)
    if not isinstance(output, LabelEvaluator) or not output.has_probabilities:
        return None
    names, name = output.target.class_names, output.head.name
    is_inner = isinstance(output, ClassEvaluator) and output.target.shape not in ((), (1,))
    if is_inner:
        goal = goal.reshape(len(goal), -1)
        values = values.reshape(*goal.shape, -1)
        if mask is not None and mask.size == goal.size:
            goal = np.where(mask, goal, -1)
        some = slice(None, None, -(-goal.size // MOST_VALUES))
        goal, values = goal[:, some], values[:, some]
    shares = output.probabilities(values.reshape(-1, values.shape[-1]) if is_inner else values.reshape(len(values), -1))
    if shares.shape[1] != len(names):
        return None
    decided = output.decided(shares)
    if not isinstance(output, ClassEvaluator):
        truth = (goal > 0.5).astype(int)
        sums = {"score": (decided == truth).mean(axis=1), "confidence": np.maximum(shares, 1 - shares).mean(axis=1)}
        return Scored(name, LABELS, truth, sums, names)
    sure = shares[np.arange(len(shares)), decided]
    if is_inner:
        valid = goal >= 0
        confidence = np.where(valid, sure.reshape(goal.shape), 0).sum(axis=1) / np.maximum(valid.sum(axis=1), 1)
        return Scored(name, "accuracy", goal, {"score": share_right(goal, decided), "confidence": confidence}, names)
    truth = goal.ravel()
    sums = {"score": decided == truth, "confidence": sure}
    if len(names) > 2:
        return Scored(name, "accuracy", truth, sums, names)
    selected, positive = decided == 1, truth == 1
    sums |= {"selected": selected, "positive": positive, "negative": ~positive}
    sums |= {"hits": selected & positive, "false": selected & ~positive}
    return Scored(name, "accuracy", truth, sums, names, shares[:, 1])


def scored_numbers(
    output: NumberEvaluator, goal: np.ndarray, values: np.ndarray, mask: np.ndarray | None
) -> Scored | None:
    if goal.size != values.size:
        return None
    if mask is not None and mask.shape == goal.shape[:2]:
        goal = np.where(mask.reshape(*mask.shape, *[1] * (goal.ndim - 2)), goal, np.nan)
    flat, true = (each.reshape(len(each), -1).astype(float) for each in (values, goal))
    rules = output.rules
    metric = "root_mean_squared_error" if rules is None else rules.metric
    quantile = float(output.head.loss.arguments["quantile"]) if metric == "pinball_loss" else None
    is_root = metric.endswith("squared_error")
    metric = "root mean squared error" if is_root else metric.replace("_", " ")
    # The standard deviation makes numbers of different units comparable.
    spread = np.nanstd(true, axis=0)
    unit = np.where(spread > 0, spread, 1) if flat.shape[1] > 1 else np.ones(1)
    metric += " in standard deviations" if flat.shape[1] > 1 else ""
    scores = Scored(output.head.name, metric, true / unit, {}, is_root=is_root, quantile=quantile)
    return replace(scores, sums={"score": scores.error_of(flat / unit)})


def share_right(goal: np.ndarray, decided: np.ndarray) -> np.ndarray:
    """Return whether classes are right, (examples,) of bool, or the share of an example's values that are; those below
    0 do not count."""
    right, valid = goal == decided.reshape(goal.shape), goal >= 0
    return np.asarray(right if goal.ndim == 1 else (right & valid).sum(axis=1) / np.maximum(valid.sum(axis=1), 1))


def compared(
    scores: Scored, groups: Sequence[Group], config: Config, clusters: np.ndarray | None, folds: int
) -> GroupComparison:
    """Return the results of one output: of all groups that the config names, or of those that differ significantly."""
    score, sign = scores.sums["score"].astype(float), 1 if scores.names else -1
    gains = (sign * (score - scores.base(inside)[0])[inside] for _, inside in groups)
    lifts = [(float(gain.mean()), below_zero_p(gain)) for gain in gains]
    differs = holm(np.array([difference_p(score, inside) for _, inside in groups]))
    worse = holm(np.array([p_value for _, p_value in lifts]))
    surprise = np.minimum(differs, worse)
    differing = int((surprise < SURPRISING).sum())
    shown = np.argsort(surprise, kind="stable")[: min(MOST_SHOWN, differing)]
    if config.data.slices is not None:
        shown = np.arange(len(groups))
    everything = ("all examples", np.ones(len(score), bool))
    found = measured(scores, [*(groups[at] for at in shown), everything], config.seed, clusters, folds)
    results = [
        replace(each, p_difference=float(differs[at]), p_worse_than_base=float(worse[at]))
        for each, at in zip(found, shown, strict=False)
    ]
    results.sort(key=lambda each: each.numbers["lift"].value)
    return GroupComparison(
        output=scores.name,
        metric=scores.metric,
        positive=scores.positive,
        were_named=config.data.slices is not None,
        tried=len(groups),
        differing=differing,
        everything=found[-1],
        groups=tuple(results),
        below=tuple(name for (name, _), (lift, _) in zip(groups, lifts, strict=True) if lift < 0),
    )


def measured(
    scores: Scored, groups: Sequence[Group], seed: int, clusters: np.ndarray | None, folds: int
) -> list[GroupResult]:
    """Return the numbers of each group with their intervals; the last group is all examples."""
    together = random_groups(len(scores.goal), MOST_GROUPS, seed, clusters)
    names = ["rows", "base", *scores.sums]
    sums = np.empty((together.max() + 1, len(names), len(groups)))
    for at, (_, inside) in enumerate(groups):
        added = {"rows": inside, "base": scores.base(inside)[0], **scores.sums}
        for number, name in enumerate(names):
            sums[:, number, at] = np.bincount(together[inside], added[name][inside].astype(float), len(sums))
    drawn = resampled(sums.reshape(len(sums), -1), seed).reshape(-1, *sums.shape[1:])
    with np.errstate(invalid="ignore", divide="ignore"):
        whole = statistics(dict(zip(names, sums.sum(axis=0), strict=True)), scores)
        samples = statistics(dict(zip(names, np.moveaxis(drawn, 1, 0), strict=True)), scores)
        ends = {name: np.quantile(each, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0) for name, each in samples.items()}
    found = []
    for at, (group, inside) in enumerate(groups):
        numbers = {}
        for name, values in whole.items():
            low, high = ends[name][:, at].tolist()
            is_known = np.isfinite([low, high]).all()
            interval = Interval(float(values[at]), low, high) if is_known else Interval(float(values[at]))
            numbers[name] = widened(interval, folds) if folds else interval
        numbers = {name: each for name, each in numbers.items() if np.isfinite(each.value)}
        result = GroupResult(group, int(inside.sum()), scores.base(inside)[1], numbers)
        if scores.chances is not None:
            (auc,) = areas(scores.goal[inside, None] == 1, scores.chances[inside, None]).tolist()
            result = replace(result, auc=auc if np.isfinite(auc) else None)
        found.append(result)
    return found


def statistics(sums: Sums, scores: Scored) -> dict[str, np.ndarray]:
    """Return the numbers of each group, (…, groups), from its sums; those of the last group are of all examples."""
    rows, is_class = sums["rows"], bool(scores.names)

    def mean(total: np.ndarray, over: np.ndarray) -> np.ndarray:
        return np.asarray(np.sqrt(total / over) if scores.is_root else total / over)

    value, base = mean(sums["score"], rows), mean(sums["base"], rows)
    others = mean(sums["score"][..., -1:] - sums["score"], rows[..., -1:] - rows)
    lift = value - base if is_class else base - value
    found = {scores.metric: value, "base": base, "lift": lift, "difference to the others": value - others}
    if is_class:
        found["confidence above accuracy"] = sums["confidence"] / rows - value
    return found | {name: sums[over] / sums[under] for name, (over, under) in RATES.items() if over in sums}
