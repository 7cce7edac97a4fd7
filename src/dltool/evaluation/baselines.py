"""What simple rules and linear models reach on the same examples: what a network has to be better than."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from dltool.config.outputs import Head
from dltool.data.facts import TargetFacts
from dltool.data.load import Dataset
from dltool.data.rows import Rows
from dltool.evaluation.features import table_of
from dltool.evaluation.findings import MODEL, Baseline
from dltool.evaluation.predictions import has_probabilities, probabilities, target_of
from dltool.model.build import BuiltModel

TRAINING_ROWS, MEASURED_ROWS = 5_000, 10_000
COMPONENTS = 50
"""Principal components that stand for more features than so many."""
MOST_CLASSES = 100
ITERATIONS = 50


def baselines_of(
    built: BuiltModel,
    dataset: Dataset,
    inputs: Mapping[str, Rows],
    targets: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    kept: np.ndarray,
    seed: int,
) -> tuple[Baseline, ...]:
    """For each output with one class or number an example: the model itself, a constant, and a linear model.

    `inputs` and `targets` are those measured, of which `outputs` are those of the examples `kept`.
    """
    tables = Tables(built, dataset, inputs)
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
        rule = Classes(head, target) if target.kind == "category" else Numbers()
        metric = f"{own}{rule.metric}"
        found.append(Baseline(MODEL, metric, rule.score(true[kept], rule.predicted(given))))
        constant = np.broadcast_to(rule.constant(learnt), true.shape)
        found.append(Baseline(rule.constant_name, metric, rule.score(true, constant)))
        found.append(linear(rule, metric, tables, learnt, true, seed))
    return tuple(found)


class Classes:
    """Of class indices: how many are right."""

    metric = "accuracy"
    constant_name = "majority class"
    linear_name = "logistic regression"

    def __init__(self, head: Head, target: TargetFacts) -> None:
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

    def estimator(self) -> Any:
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(max_iter=ITERATIONS)


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

    def estimator(self) -> Any:
        from sklearn.linear_model import Ridge

        # Least squares, but for columns that say the same.
        return Ridge(alpha=1e-3)


class Tables:
    """The features of training and measured examples, made when they are asked for first."""

    def __init__(self, built: BuiltModel, dataset: Dataset, inputs: Mapping[str, Rows]) -> None:
        self.built, self.dataset, self.inputs = built, dataset, inputs
        self.made: tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None

    def both(self) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        if self.made is None:
            training = table_of(self.built, self.dataset.part("train")[0], TRAINING_ROWS)
            self.made = training, table_of(self.built, self.inputs, MEASURED_ROWS)
        return self.made


def linear(
    rule: Classes | Numbers, metric: str, tables: Tables, learnt: np.ndarray, true: np.ndarray, seed: int
) -> Baseline:
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    if reason := rule.why_not(learnt):
        return Baseline(rule.linear_name, metric, None, reason)
    try:
        (features, rows), (measured, measured_rows) = tables.both()
        steps: list[Any] = [StandardScaler()]
        if features.shape[1] > COMPONENTS and len(features) > COMPONENTS:
            steps.append(PCA(COMPONENTS, svd_solver="randomized", random_state=seed))
        model = make_pipeline(*steps, rule.estimator())
        # Several threads take forty times as long on tables so small, and need not give the same bits.
        with threadpool_limits(1), warnings.catch_warnings():
            # Stopping early is what the bound on the iterations is for.
            warnings.simplefilter("ignore")
            model.fit(features, learnt.ravel()[rows])
            predicted = model.predict(measured)
    except ValueError as error:
        return Baseline(rule.linear_name, metric, None, str(error).splitlines()[0])
    note = f"learnt from {len(rows):,} training examples" if len(rows) < len(learnt) else ""
    if len(steps) > 1:
        note += f"{', ' if note else ''}{COMPONENTS} principal components of {features.shape[1]:,} features"
    return Baseline(rule.linear_name, metric, rule.score(true.ravel()[measured_rows], predicted), note)
