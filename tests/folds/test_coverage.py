"""The interval of all folds covers the expected result in about as many cases as it says: a simulation."""

import numpy as np
import pytest

from dltool.config.schema import SplitOptions
from dltool.data.split.by_column import SplitColumns
from dltool.data.split.folds import FoldRows, folds_of
from dltool.evaluation.bootstrap import mean_intervals, widened

TRIALS = 400


def population(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and classes (rows,): 12 columns, some of them noise, and classes that overlap."""
    random = np.random.default_rng(5)
    x = random.normal(size=(rows, 12))
    chance = x[:, :6] @ np.array([1.0, -0.8, 0.6, 0.5, -0.4, 0.3]) + 0.5 * x[:, 0] * x[:, 1] - 0.4
    return np.column_stack([x, np.ones(rows)]), random.random(rows) < 1 / (1 + np.exp(-1.3 * chance))


def fitted(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ (2.0 * y - 1))


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "count", "repeats"), [(100, 5, 1), (300, 5, 1), (300, 10, 1), (300, 5, 5)])
def test_the_interval_covers_the_expected_accuracy(rows: int, count: int, repeats: int) -> None:
    x, y = population(30_000)
    random = np.random.default_rng(1)
    found = []
    for trial in range(TRIALS):
        chosen = random.choice(len(y) // 2, rows, replace=False)
        own, labels = x[chosen], y[chosen]
        options = SplitOptions.model_validate({"folds": count, **({"repeats": repeats} if repeats > 1 else {})})
        given = FoldRows(np.arange(rows), SplitColumns(), labels.astype(int))
        right, truths = np.zeros(rows), []
        for numbers in folds_of(options, given, rows, trial).numbers:
            for fold in range(1, count + 1):
                model = fitted(own[numbers != fold], labels[numbers != fold])
                tested = numbers == fold
                right[tested] += ((own[tested] @ model > 0) == labels[tested]) / repeats
                truths.append(((x[len(y) // 2 :] @ model > 0) == y[len(y) // 2 :]).mean())
        interval = mean_intervals({"accuracy": right}, trial)["accuracy"]
        found.append((widened(interval, count), np.mean(truths)))
    expected = np.mean([truth for _, truth in found])
    covered = np.mean([each.low <= expected <= each.high for each, _ in found])
    # Chance alone moves it by 0.011.
    assert 0.92 <= covered <= 0.98, covered
