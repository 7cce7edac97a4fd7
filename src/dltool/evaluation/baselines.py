"""What simple rules and linear models reach on the same examples: what a network has to be better than."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from threadpoolctl import threadpool_limits

from dltool.config.schema import Config
from dltool.data.arrays.rows import Rows
from dltool.data.dataset import Dataset
from dltool.evaluation.features import BLOCK, Features
from dltool.evaluation.findings import MODEL, Baseline
from dltool.evaluation.linear_models import COMPONENTS, has_components, standardized
from dltool.evaluation.tasks import evaluators
from dltool.evaluation.tasks.evaluator import Rules
from dltool.model.build import BuiltModel

TRAINING_ROWS, MEASURED_ROWS = 5_000, 5_000
LAST = "last value"


def baselines_of(
    built: BuiltModel,
    dataset: Dataset,
    inputs: Mapping[str, Rows],
    targets: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    kept: np.ndarray,
    config: Config,
) -> tuple[Baseline, ...]:
    """For each output with one class or number an example: the model itself, a constant, for the number of a series the
    last value before, and a linear model.

    `inputs` and `targets` are those measured, of which `outputs` are those of the examples `kept`.
    """
    tables = FeatureTables(built, dataset, inputs)
    found: list[Baseline] = []
    for output in evaluators(config, dataset.facts):
        rules, name = output.rules, output.head.name
        if rules is None:
            continue
        learnt, true = output.goal(dataset.targets)[dataset.split.train].ravel(), output.goal(targets).ravel()
        metric = f"{name}_{rules.metric}" if len(built.heads) > 1 else rules.metric
        decided = rules.decided(outputs[name].reshape(len(kept), -1))
        found.append(Baseline(MODEL, metric, float(rules.score(true[kept], decided))))
        found.append(Baseline(rules.constant_name, metric, float(rules.score(true, rules.constant(learnt)))))
        series = None if config.data.windows is None else inputs.get(config.data.windows.target)
        if rules.can_repeat and series is not None:
            found.append(last_value(metric, series, true))
        found.append(linear(rules, metric, tables, learnt, true))
    return tuple(found)


@dataclass(frozen=True)
class FeatureTables:
    """What linear models learn from and are measured on, made when it is asked for first."""

    built: BuiltModel
    dataset: Dataset
    inputs: Mapping[str, Rows]

    @cached_property
    def training(self) -> Features:
        return Features(self.built, self.dataset.part("train")[0], TRAINING_ROWS)

    @cached_property
    def measured(self) -> Features:
        return Features(self.built, self.inputs, MEASURED_ROWS)

    @cached_property
    def standardized(self) -> tuple[np.ndarray, np.ndarray]:
        return standardized(np.concatenate(list(self.training)), self.measured)

    def note(self, learnt: int, true: int) -> str:
        """Where these are not all of the features, or of the examples."""
        parts = []
        if len(self.training.rows) < learnt:
            parts.append(f"learnt from {len(self.training.rows):,} training examples")
        if len(self.measured.rows) < true:
            parts.append(f"measured on {len(self.measured.rows):,} examples")
        if has_components(len(self.training.rows), self.training.columns):
            parts.append(f"{COMPONENTS} principal components of {self.training.columns:,} features")
        return ", ".join(parts)


def last_value(metric: str, series: Rows, true: np.ndarray) -> Baseline:
    """Of saying that the target stays what it was last in the window, `series` (examples, length) of it."""
    last = np.concatenate(
        [latest(np.asarray(series[first : first + BLOCK], float)) for first in range(0, len(series), BLOCK)]
    )
    known = np.isfinite(last)
    if not known.any():
        return Baseline(LAST, metric, None, "the target is known in no window")
    note = "" if known.all() else f"measured on {np.sum(known):,} examples; in the windows of others it is not known"
    return Baseline(LAST, metric, float(np.mean(np.abs(true.ravel()[known] - last[known]))), note)


def latest(windows: np.ndarray) -> np.ndarray:
    """(examples,): the last number of each row that is one, else NaN."""
    known = np.isfinite(windows)
    from_end = known[:, ::-1].argmax(axis=1)
    return np.where(known.any(axis=1), windows[np.arange(len(windows)), windows.shape[1] - 1 - from_end], np.nan)


def linear(rules: Rules, metric: str, tables: FeatureTables, learnt: np.ndarray, true: np.ndarray) -> Baseline:
    name = rules.linear_name
    if reason := rules.why_not_linear(learnt):
        return Baseline(name, metric, None, reason)
    try:
        # Several threads take forty times as long on tables so small, and need not give the same bits.
        with threadpool_limits(1):
            features, measured = tables.standardized
            predicted = rules.linear(features, learnt[tables.training.rows], measured)
    except (ValueError, np.linalg.LinAlgError) as error:
        return Baseline(name, metric, None, str(error).splitlines()[0])
    value = float(rules.score(true[tables.measured.rows], predicted))
    return Baseline(name, metric, value, tables.note(len(learnt), len(true)))
