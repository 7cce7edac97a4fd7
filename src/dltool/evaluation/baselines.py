"""What simple rules and linear models reach on the same examples: what a network has to be better than.

In NumPy alone: importing scikit-learn takes 1.2 s and 140 MB, at the end of every training.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from dltool.config.outputs import OutputSpec
from dltool.config.schema import Config
from dltool.data.arrays.rows import Rows
from dltool.data.dataset import Dataset
from dltool.data.examples import Examples
from dltool.data.facts import TargetFacts
from dltool.evaluation.features import BLOCK, Features
from dltool.evaluation.findings import MODEL, Baseline
from dltool.evaluation.measure import Measurement
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
    examples: Examples,
    measured: Measurement,
    tables: "LinearTables",
    config: Config,
) -> tuple[Baseline, ...]:
    """For each output with one class or number an example: the model itself, a constant, for the number of a series the
    last value before, and a linear model.

    `examples` are those measured, and `tables` what was kept of them.
    """
    kept = measured.kept
    found: list[Baseline] = []
    for head, rule, learnt in compared_outputs(built, dataset):
        own = f"{head.name}_" if len(built.heads) > 1 else ""
        true, given = examples.targets[str(head.target)], measured.outputs[head.name].reshape(len(kept), -1)
        metric = f"{own}{rule.metric}"
        found.append(Baseline(MODEL, metric, rule.score(true[kept], rule.predicted(given))))
        constant = np.broadcast_to(rule.constant(learnt), true.shape)
        found.append(Baseline(rule.constant_name, metric, rule.score(true, constant)))
        series = None if config.data.windows is None else examples.inputs.get(config.data.windows.target)
        if isinstance(rule, Numbers) and series is not None:
            found.append(last_value(metric, series, true))
        found.append(linear(rule, metric, tables, learnt, true))
    return tuple(found)


def compared_outputs(
    built: BuiltModel, dataset: Dataset
) -> "Iterator[tuple[OutputSpec, ClassBaselines | Numbers, np.ndarray]]":
    """The outputs that simple rules can be compared with, by which rule, and the targets of the training examples."""
    for head in built.heads:
        target = target_of(head, dataset.facts)
        if target is None or target.shape not in ((), (1,)) or target.kind == "multi_label":
            continue
        if target.kind == "category" and not has_probabilities(head):
            continue
        rule = ClassBaselines(head, target) if target.kind == "category" else Numbers()
        yield head, rule, dataset.targets[str(head.target)][dataset.split.train]


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


class LinearTables:
    """What linear models learn from and are measured on, standardized by the first; `reason` says why there is nothing.

    Of the `measured_on` features, the tables of all batches are added one after the other, and few numbers are kept.
    """

    def __init__(self, built: BuiltModel, dataset: Dataset, inputs: Mapping[str, Rows]) -> None:
        self.reason, self.measured_on = "", None
        self.measured: list[np.ndarray] = []
        self.left = np.empty((0, 0), np.float32)
        if all(rule.why_not(learnt) for _, rule, learnt in compared_outputs(built, dataset)):
            return
        try:
            self.learnt_from = Features(built, dataset.examples("train").inputs, TRAINING_ROWS)
            measured_on = Features(built, inputs, MEASURED_ROWS)
            # Several threads take forty times as long on tables so small, and need not give the same bits.
            with threadpool_limits(1):
                self.scale = Standardized(np.concatenate(list(self.learnt_from)))
        except (ValueError, np.linalg.LinAlgError) as error:
            self.reason = str(error).splitlines()[0]
        else:
            self.measured_on = measured_on

    def add(self, table: np.ndarray) -> None:
        """The features of the next batch. They are standardized in blocks of one size, whatever that of the batches."""
        self.left = np.concatenate([self.left, table]) if len(self.left) else table
        while len(self.left) >= BLOCK:
            self.flush()

    def flush(self) -> None:
        with threadpool_limits(1):
            self.measured.append(self.scale.of(self.left[:BLOCK]))
        self.left = self.left[BLOCK:]

    def whole(self) -> np.ndarray:
        """Raises ValueError: something in it is no number."""
        if len(self.left):
            self.flush()
        return with_ones(np.concatenate(self.measured))

    def note(self, learnt: int, true: int) -> str:
        """Where these are not all of the features, or of the examples."""
        assert self.measured_on is not None
        parts = []
        training, measured = len(self.learnt_from.rows), len(self.measured_on.rows)
        if training < learnt:
            parts.append(f"learnt from {training:,} training examples")
        if measured < true:
            parts.append(f"measured on {measured:,} examples")
        if has_components(training, self.learnt_from.columns):
            parts.append(f"{COMPONENTS} principal components of {self.learnt_from.columns:,} features")
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
    rule: ClassBaselines | Numbers, metric: str, tables: LinearTables, learnt: np.ndarray, true: np.ndarray
) -> Baseline:
    reason = rule.why_not(learnt) or tables.reason
    if reason or tables.measured_on is None:
        return Baseline(rule.linear_name, metric, None, reason)
    try:
        with threadpool_limits(1):
            features, measured = tables.scale.table, tables.whole()
            predicted = rule.fitted(features, learnt.ravel()[tables.learnt_from.rows], measured)
    except (ValueError, np.linalg.LinAlgError) as error:
        return Baseline(rule.linear_name, metric, None, str(error).splitlines()[0])
    value = rule.score(true.ravel()[tables.measured_on.rows], predicted)
    return Baseline(rule.linear_name, metric, value, tables.note(len(learnt), len(true)))


def has_components(rows: int, columns: int) -> bool:
    return columns > COMPONENTS and rows > COMPONENTS


class Standardized:
    """A table (rows, columns) of float32 with mean 0 and deviation 1, and a last column of ones. Of many columns, these
    are the first principal components. The table given is overwritten.

    Raises:
        ValueError: something in it is no number.
    """

    def __init__(self, table: np.ndarray) -> None:
        self.mean = table.mean(axis=0, dtype=float).astype(np.float32)
        table -= self.mean
        blocks = np.array_split(table, -(-len(table) // BLOCK))
        squares = sum(np.square(block, dtype=float).sum(axis=0) for block in blocks)
        self.deviation = np.sqrt(squares / len(table)).astype(np.float32)
        self.deviation[self.deviation == 0] = 1
        table /= self.deviation
        refuse_no_numbers(table)
        self.basis = np.eye(table.shape[1], dtype=np.float32)
        if has_components(*table.shape):
            self.basis = principal_components(table)
        self.table = with_ones(table @ self.basis)

    def of(self, block: np.ndarray) -> np.ndarray:
        """Another table, by the mean and the deviation of the first."""
        return np.asarray((block - self.mean) / self.deviation @ self.basis)


def with_ones(table: np.ndarray) -> np.ndarray:
    """Raises ValueError: something in it is no number."""
    refuse_no_numbers(table)
    return np.column_stack([table, np.ones(len(table), np.float32)])


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
