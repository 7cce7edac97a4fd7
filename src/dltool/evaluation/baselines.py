"""What simple rules and linear models reach on the same examples: what a network has to be better than.

In NumPy alone: importing scikit-learn takes 1.2 s and 140 MB, at the end of every training.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from dltool.config.outputs import OutputSpec
from dltool.config.schema import Config
from dltool.data.arrays.rows import Rows
from dltool.data.dataset import Dataset
from dltool.data.facts import TargetFacts
from dltool.evaluation.features import BLOCK, Features
from dltool.evaluation.findings import MODEL, Baseline
from dltool.evaluation.predictions import has_probabilities, probabilities, softmax, target_of
from dltool.model.build import BuiltModel

TRAINING_ROWS, MEASURED_ROWS = 5_000, 5_000
COMPONENTS = 50
"""Principal components that stand for more features than so many."""
OVERSAMPLING = 10
SUBSPACE_ITERATIONS = 4
MOST_CLASSES = 100
ITERATIONS = 200
DECAY = 1e-4
LAST = "last value"
RIDGE = 1e-3


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
    for head in built.heads:
        target = target_of(head, dataset.facts)
        if target is None or target.shape not in ((), (1,)) or target.kind == "multi_label":
            continue
        if target.kind == "category" and not has_probabilities(head):
            continue
        own = f"{head.name}_" if len(built.heads) > 1 else ""
        learnt = dataset.targets[str(head.target)][dataset.split.train]
        true, given = targets[str(head.target)], outputs[head.name].reshape(len(kept), -1)
        rule = ClassBaselines(head, target) if target.kind == "category" else Numbers()
        metric = f"{own}{rule.metric}"
        found.append(Baseline(MODEL, metric, rule.score(true[kept], rule.predicted(given))))
        constant = np.broadcast_to(rule.constant(learnt), true.shape)
        found.append(Baseline(rule.constant_name, metric, rule.score(true, constant)))
        series = None if config.data.windows is None else inputs.get(config.data.windows.target)
        if isinstance(rule, Numbers) and series is not None:
            found.append(last_value(metric, series, true))
        found.append(linear(rule, metric, tables, learnt, true))
    return tuple(found)


class ClassBaselines:
    """Of class indices: how many are right."""

    metric = "accuracy"
    constant_name = "majority class"
    linear_name = "logistic regression"

    def __init__(self, head: OutputSpec, target: TargetFacts) -> None:
        self.head, self.target = head, target

    def predicted(self, outputs: np.ndarray) -> np.ndarray:
        return np.asarray(probabilities(self.head, outputs, self.target).argmax(axis=1))

    def constant(self, learnt: np.ndarray) -> Any:
        return np.bincount(learnt.ravel()).argmax()

    def score(self, targets: np.ndarray, predicted: np.ndarray) -> float:
        return float(np.mean(targets.ravel() == predicted.ravel()))

    def why_not(self, learnt: np.ndarray) -> str:
        count = len(np.unique(learnt))
        return f"{count:,} classes take too long" if count > MOST_CLASSES else "one class" if count < 2 else ""

    def fitted(self, features: np.ndarray, learnt: np.ndarray, measured: np.ndarray) -> np.ndarray:
        weights = softmax_regression(features, learnt, len(self.target.class_names))
        return np.asarray((measured @ weights).argmax(axis=1))


class Numbers:
    """Of numbers: how far off they are."""

    metric = "mean_absolute_error"
    constant_name = "mean"
    linear_name = "linear regression"

    def predicted(self, outputs: np.ndarray) -> np.ndarray:
        return outputs[:, 0]

    def constant(self, learnt: np.ndarray) -> Any:
        return learnt.mean()

    def score(self, targets: np.ndarray, predicted: np.ndarray) -> float:
        return float(np.mean(np.abs(targets.ravel() - predicted.ravel())))

    def why_not(self, learnt: np.ndarray) -> str:
        return ""

    def fitted(self, features: np.ndarray, learnt: np.ndarray, measured: np.ndarray) -> np.ndarray:
        # Least squares, but for columns that say the same.
        size = features.shape[1]
        weights = np.linalg.solve(features.T @ features + RIDGE * np.eye(size), features.T @ learnt.astype(float))
        return np.asarray(measured @ weights)


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


def linear(
    rule: ClassBaselines | Numbers, metric: str, tables: FeatureTables, learnt: np.ndarray, true: np.ndarray
) -> Baseline:
    if reason := rule.why_not(learnt):
        return Baseline(rule.linear_name, metric, None, reason)
    try:
        # Several threads take forty times as long on tables so small, and need not give the same bits.
        with threadpool_limits(1):
            features, measured = tables.standardized
            predicted = rule.fitted(features, learnt.ravel()[tables.training.rows], measured)
    except (ValueError, np.linalg.LinAlgError) as error:
        return Baseline(rule.linear_name, metric, None, str(error).splitlines()[0])
    value = rule.score(true.ravel()[tables.measured.rows], predicted)
    return Baseline(rule.linear_name, metric, value, tables.note(len(learnt), len(true)))


def has_components(rows: int, columns: int) -> bool:
    return columns > COMPONENTS and rows > COMPONENTS


def standardized(table: np.ndarray, measured: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """`table` (rows, columns) of float32 and the blocks of `measured`, with mean 0 and deviation 1 by the first, and a
    last column of ones. Of many columns, these are the first principal components. The table itself is overwritten.

    Raises:
        ValueError: something in them is no number.
    """
    mean = table.mean(axis=0, dtype=float).astype(np.float32)
    table -= mean
    squares = sum(np.square(block, dtype=float).sum(axis=0) for block in np.array_split(table, -(-len(table) // BLOCK)))
    deviation = np.sqrt(squares / len(table)).astype(np.float32)
    deviation[deviation == 0] = 1
    table /= deviation
    refuse_no_numbers(table)
    basis = np.eye(table.shape[1], dtype=np.float32)
    if has_components(*table.shape):
        basis = principal_components(table)
    other = np.concatenate([(block - mean) / deviation @ basis for block in measured])
    one, other = (np.column_stack([rows, np.ones(len(rows), np.float32)]) for rows in (table @ basis, other))
    refuse_no_numbers(one)
    refuse_no_numbers(other)
    return one, other


def refuse_no_numbers(table: np.ndarray) -> None:
    """Raises ValueError."""
    if not np.isfinite(table).all():
        raise ValueError("some features are no numbers")


def principal_components(table: np.ndarray) -> np.ndarray:
    """(columns, COMPONENTS) of float32, the directions in which the standardized `table` varies most, each divided by
    its deviation, by randomized subspace iteration (N. Halko, P. G. Martinsson, J. A. Tropp, Finding Structure with
    Randomness, 2011, algorithm 4.4): what takes 8 s exactly for 3,072 columns takes 0.3 s so.
    """
    size = min(table.shape[1], COMPONENTS + OVERSAMPLING)
    basis = np.random.default_rng(0).standard_normal((table.shape[1], size), dtype=np.float32)
    for _ in range(SUBSPACE_ITERATIONS):
        basis, _ = np.linalg.qr(table.T @ (table @ basis))
    projected = table @ basis
    values, vectors = np.linalg.eigh(np.asarray(projected.T @ projected, float) / len(table))
    first = slice(None, -COMPONENTS - 1, -1)
    lengths = np.sqrt(np.maximum(values[first], 1e-12))
    return np.asarray(basis @ (vectors[:, first] / lengths), np.float32)


def softmax_regression(features: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """Weights (columns, count) of multinomial logistic regression for standardized features (rows, columns) and class
    indices (rows,), by Nesterov's accelerated gradient with the step that the curvature allows (D. Böhning, Multinomial
    Logistic Regression Algorithm, 1992: at most half that of least squares).
    """
    expected = (classes[:, None] == np.arange(count)).astype(float)
    gram = features.T @ features / len(features)
    step = 1 / (0.5 * np.linalg.eigvalsh(gram)[-1] + DECAY)
    weights = ahead = np.zeros((features.shape[1], count))
    for iteration in range(ITERATIONS):
        errors = softmax(features @ ahead) - expected
        moved = ahead - step * (features.T @ errors / len(features) + DECAY * ahead)
        ahead = moved + iteration / (iteration + 3) * (moved - weights)
        weights = moved
    return weights
