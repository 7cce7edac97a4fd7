"""Evaluators of outputs that predict numbers, and of autoencoders."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dltool.config.losses import loss_name
from dltool.errors import RunError
from dltool.evaluation.findings import Mistake
from dltool.evaluation.linear_models import linear_regression
from dltool.evaluation.measures import error_row, number_row
from dltool.evaluation.tasks.evaluator import NOTHING, PLACES, Columns, Evaluator, Found, Rules, figures, flat, worst
from dltool.text import data_number, number, whole_text

MOST_DRAWN = 4
"""Numbers of an output that have figures."""
MOST_COLUMNS = 100
ERRORS: Mapping[str, tuple[str, Callable[..., Any], Callable[[np.ndarray, np.ndarray], Any]]] = {
    "mean_absolute_error": ("median", np.median, lambda true, predicted: np.mean(np.abs(true - predicted))),
    "mean_squared_error": ("mean", np.mean, lambda true, predicted: np.mean((true - predicted) ** 2)),
    "root_mean_squared_error": ("mean", np.mean, lambda true, predicted: np.mean((true - predicted) ** 2) ** 0.5),
}
"""Metrics of numbers, each with the constant that is best by it. Baselines use the first one that the config names."""
MEANS = ("poisson",)
"""Other losses that are lowest for the mean."""
RECONSTRUCTED = "squared reconstruction error"
"""Column of an output that reconstructs the input."""


class NumberEvaluator(Evaluator):
    """Evaluator of numbers. Columns have the names of the target's columns, or "prediction"."""

    def names(self, count: int) -> list[str]:
        windows = self.config.data.windows
        columns = windows.numbers if windows else self.config.data.targets[str(self.head.target)].columns
        names = list(columns) if len(columns) == count else ["prediction"]
        if len(names) < count:
            names = [f"prediction_{number}" for number in range(1, count + 1)]
        return [f"predicted {name}" if name in PLACES else whole_text(name) for name in names]

    def columns(self, values: np.ndarray) -> Columns:
        flat = values.reshape(len(values), -1)
        return dict(zip(self.names(flat.shape[1]), flat.T, strict=True))

    def compared(self, targets: Mapping[str, np.ndarray], values: np.ndarray) -> Columns:
        found, goal = self.columns(values), self.goal(targets)
        if len(found) > MOST_COLUMNS:
            raise RunError(f"{len(found)} numbers are too many for a table, which holds {MOST_COLUMNS}")
        if len(found) == 1:
            return {"target": goal.ravel(), "prediction": next(iter(found.values()))}
        true = zip(found, goal.reshape(len(goal), -1).T, strict=True)
        return {f"target {name}": each for name, each in true} | {f"prediction {name}": found[name] for name in found}

    def findings(self, prefix: str, targets: Mapping[str, np.ndarray], values: np.ndarray, rows: np.ndarray) -> Found:
        true, found = (each.reshape(len(each), -1) for each in (self.goal(targets), values))
        if true.shape != found.shape:
            return NOTHING
        return numbers_found(prefix, self.names(true.shape[1]), true, found, rows)

    @property
    def rules(self) -> Rules | None:
        if len(self.target.shape) > 1 or math.prod(self.target.shape) > MOST_COLUMNS:
            return None
        if loss_name(self.head.loss) == "quantile":
            return quantile_rules(float(self.head.loss.arguments["quantile"]))
        names = [loss_name(each) for each in (*self.head.metrics, self.head.loss)]
        metric = next((name for name in ERRORS if name in names), next(iter(ERRORS)))
        if metric not in names and names[-1] in MEANS:
            metric = "mean_squared_error"
        constant_name, constant, score = ERRORS[metric]
        return Rules(
            metric=metric,
            constant_name=constant_name,
            linear_name="linear regression",
            score=score,
            predicted=flat,
            constant=lambda fitted: constant(fitted, axis=0),
            linear=lambda features, fitted, measured: measured @ linear_regression(features, fitted),
            can_repeat=True,
        )


def quantile_rules(share: float) -> Rules:
    """Return the baselines of a quantile, by the pinball loss: other errors are lower for medians and means. The linear
    model is a regression that is moved to the quantile of its own errors."""

    def linear(features: np.ndarray, fitted: np.ndarray, measured: np.ndarray) -> np.ndarray:
        line = linear_regression(features, fitted)
        return np.asarray(measured @ line + np.quantile(fitted - features @ line, share))

    return Rules(
        metric="pinball_loss",
        constant_name=f"{share:g} quantile",
        linear_name="linear regression",
        score=lambda true, predicted: np.mean(np.maximum(share * (true - predicted), (share - 1) * (true - predicted))),
        predicted=lambda values: values[:, 0],
        constant=lambda fitted: np.quantile(fitted, share),
        linear=linear,
        can_repeat=True,
    )


class ReconstructionEvaluator(Evaluator):
    """Evaluator of autoencoders. Its values (examples,) are squared reconstruction errors."""

    def columns(self, values: np.ndarray) -> Columns:
        return {RECONSTRUCTED: values}

    def compared(self, targets: Mapping[str, np.ndarray], values: np.ndarray) -> Columns:
        return self.columns(values)

    def findings(self, prefix: str, targets: Mapping[str, np.ndarray], values: np.ndarray, rows: np.ndarray) -> Found:
        return reconstruction_found(prefix, values, rows)


def numbers_found(
    prefix: str, names: Sequence[str], targets: np.ndarray, predicted: np.ndarray, rows: np.ndarray
) -> Found:
    """Return the findings for `targets` and `predicted`, (examples, numbers), called `names`."""
    errors = np.abs(predicted.astype(float) - targets)
    # The standard deviation makes numbers of different units comparable.
    relative = errors / np.where(targets.std(axis=0) > 0, targets.std(axis=0), 1)
    largest = relative.argmax(axis=1)
    mistakes = tuple(
        Mistake(int(rows[row]), data_number(true), number(guess), float(errors[row, column]))
        for row, _ in worst(relative.max(axis=1))
        for column in [largest[row]]
        for true, guess in [(float(targets[row, column]), float(predicted[row, column]))]
    )
    table = [number_row(name, targets[:, i], predicted[:, i]) for i, name in enumerate(names)]
    makers = [
        maker
        for index, name in enumerate(names[:MOST_DRAWN])
        for own in [prefix if len(names) == 1 else f"{prefix}{index + 1}_"]
        for maker in number_makers(own, name, targets[:, index], predicted[:, index])
    ]
    return makers, table, mistakes


def number_makers(prefix: str, *series: Any) -> list[Callable[[], Any]]:
    return [
        lambda: figures().predicted_figure(f"{prefix}predicted", *series),
        lambda: figures().residual_figure(f"{prefix}residuals", *series),
    ]


def reconstruction_found(prefix: str, errors: np.ndarray, rows: np.ndarray) -> Found:
    """Return the findings for squared `errors`, (examples,)."""
    mistakes = tuple(Mistake(int(rows[index]), "", "", error) for index, error in worst(errors))
    return [lambda: figures().restoring_figure(f"{prefix}restoring", errors)], [error_row(errors)], mistakes
