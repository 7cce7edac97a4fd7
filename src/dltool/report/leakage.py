"""Target leakage: columns that alone predict the target, and may be unknown when a prediction is needed."""

import json
from collections.abc import Iterator

import numpy as np

from dltool.config.columns import ONE_TARGET
from dltool.data.arrays.rows import Coded, Rows
from dltool.data.dataset import Dataset
from dltool.report.warnings import Finding

MOST_ROWS = 20_000
FEWEST_ROWS = 20
TELLING = 0.98
"""Least R² of a line through the column, or share of the majority-class errors that its rule removes."""
BINS = 64
"""Bins of numbers, by quantiles of the training rows."""


def leakage_findings(dataset: Dataset) -> Iterator[Finding]:
    """Yield warnings about columns that predict a target alone, by rules fitted on training rows and measured on
    validation or test rows.

    The rule for classes is the most frequent class of each category, or of each of 64 bins of a number. The rule for
    numbers is a straight line."""
    train = dataset.split.train[:: max(1, len(dataset.split.train) // MOST_ROWS)]
    unseen = dataset.split.validation if len(dataset.split.validation) else dataset.split.test
    if not dataset.facts.has_columns or len(unseen) < FEWEST_ROWS:
        return
    for name, values in dataset.inputs.items():
        if len(values.shape) == 1:
            yield from findings_of(name, values, dataset, train, unseen)


def findings_of(name: str, values: Rows, dataset: Dataset, train: np.ndarray, unseen: np.ndarray) -> Iterator[Finding]:
    fitted, shown = codes_of(values, train), codes_of(values, unseen)
    for target, facts in dataset.facts.targets.items():
        y_train, y_unseen = dataset.targets[target][train], dataset.targets[target][unseen]
        if facts.is_one_class:
            often = np.bincount(y_train).argmax()
            majority = float(np.mean(y_unseen == often))
            codes = fitted, shown
            if not is_text_like(values):
                edges = np.unique(np.quantile(fitted, np.linspace(0, 1, BINS + 1)[1:-1], method="nearest"))
                codes = np.searchsorted(edges, fitted), np.searchsorted(edges, shown)
            predicted = frequent_class(codes[0], y_train, codes[1], int(often))
            score = float(np.mean(predicted == y_unseen))
            if score - majority >= TELLING * (1 - majority) and majority < 1:
                yield leakage_finding(name, target, f"predicts {score:.1%} of unseen rows correctly")
        elif not (facts.task.has_classes or facts.shape or is_text_like(values)):
            score = line(fitted, y_train, shown, y_unseen)
            if score >= TELLING:
                yield leakage_finding(name, target, f"explains {score:.1%} of the variance in unseen rows")


def leakage_finding(column: str, target: str, score: str) -> Finding:
    words = f"A rule that predicts {'the target' if target == ONE_TARGET else target} from {column} alone {score}."
    key = column if column.isidentifier() else json.dumps(column, ensure_ascii=False)
    step = f"Is it known when a prediction is needed? If not: data.inputs: {{{key}: ignore}}"
    return Finding("leakage", f"{column} may give the target away", words, step)


def is_text_like(values: Rows) -> bool:
    return isinstance(values, Coded) or np.dtype(values.dtype).kind in "OUS"


def codes_of(values: Rows, rows: np.ndarray) -> np.ndarray:
    """Return numbers (rows,) of float64, 0 if missing; strings become codes of their distinct values."""
    if isinstance(values, Coded):
        return np.asarray(values.codes[rows], np.float64)
    found = values[rows]
    if found.dtype == object:
        _, found = np.unique(found.astype(str), return_inverse=True)
    return np.nan_to_num(np.asarray(found, np.float64), posinf=0, neginf=0)


def frequent_class(fitted: np.ndarray, classes: np.ndarray, shown: np.ndarray, otherwise: int) -> np.ndarray:
    """Return the most frequent class of each code, `otherwise` for unseen codes."""
    size = int(max(fitted.max(), shown.max())) + 1
    counts = np.zeros((size, int(classes.max()) + 1), np.int64)
    np.add.at(counts, (fitted.astype(np.int64), classes), 1)
    best = np.where(counts.any(axis=1), counts.argmax(axis=1), otherwise)
    return np.asarray(best[shown.astype(np.int64)])


def line(fitted: np.ndarray, values: np.ndarray, shown: np.ndarray, expected: np.ndarray) -> float:
    """Return R² of the least-squares line on the rows `shown`."""
    if not np.ptp(fitted) or not np.ptp(expected):
        return 0.0
    slope, offset = np.polyfit(fitted, values.astype(np.float64), 1)
    left = np.sum((expected - (slope * shown + offset)) ** 2)
    return float(1 - left / np.sum((expected - expected.mean()) ** 2))
