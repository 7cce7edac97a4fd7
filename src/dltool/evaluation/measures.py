"""Measures of predicted classes, probabilities and numbers beside the metrics of the run.

They use NumPy only: importing scikit-learn takes 1.2 s and 140 MB at the end of every run. Tests compare the two."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CURVE_POINTS = 200
BINS = 15
"""Bins of confidence, as in Guo et al."""


@dataclass(frozen=True)
class Curve:
    """`x` and `y` (points,) of a curve, with the area under it."""

    name: str
    x: np.ndarray
    y: np.ndarray
    area: float


@dataclass(frozen=True)
class Calibration:
    """Mean confidence, accuracy and number of examples of each bin that is not empty.

    `error` is the expected calibration error: the mean distance of the two, weighted by the number of examples (C. Guo,
    G. Pleiss, Y. Sun and K. Weinberger, On Calibration of Modern Neural Networks, 2017)."""

    confidence: np.ndarray
    accuracy: np.ndarray
    examples: np.ndarray
    error: float


def class_table(
    targets: np.ndarray, predicted: np.ndarray, names: Sequence[str], kind: str = "class"
) -> list[dict[str, object]]:
    """Return precision, recall, F1 and support of each class, from class indices or 0 and 1 (examples, labels)."""
    if targets.ndim == 1:
        counted = (targets[targets == predicted], targets, predicted)
        right, support, found = (np.bincount(values, minlength=len(names)) for values in counted)
    else:
        right, support, found = (each.sum(axis=0, dtype=int) for each in (targets & predicted, targets, predicted))
    return [
        {
            kind: name,
            "precision": float(r / max(f, 1)),
            "recall": float(r / max(s, 1)),
            "f1": float(2 * r / max(f + s, 1)),
            "support": int(s),
        }
        for name, r, f, s in zip(names, right, found, support, strict=True)
    ]


def confusion(targets: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return the confusion matrix, (classes, classes) of int: true classes in rows, predicted ones in columns."""
    pairs = targets.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def areas(are_of_class: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the ROC AUC of each class against all others, (classes,); both arguments are (examples, classes).

    It is computed from ranks (J. Hanley and B. McNeil, The Meaning and Use of the Area under a ROC Curve, 1982), and
    NaN for a class of all or no examples."""
    ranks = np.apply_along_axis(ranked, 0, probabilities)
    members = are_of_class.sum(axis=0).astype(float)
    pairs = members * (len(ranks) - members)
    above = (ranks * are_of_class).sum(axis=0) - members * (members + 1) / 2
    return np.asarray(np.divide(above, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0))


def ranked(values: np.ndarray) -> np.ndarray:
    """Return the ranks from 1 on, (examples,) of float64. Equal values share their mean rank."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[places])


def above_thresholds(are_of_class: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return true and false positives at each distinct probability, highest first; (thresholds,) of float64 each."""
    order = np.argsort(-probabilities, kind="stable")
    is_last = np.append(np.diff(probabilities[order]) != 0, True)
    members = np.cumsum(are_of_class[order], dtype=float)[is_last]
    return members, np.flatnonzero(is_last) + 1 - members


def roc(name: str, are_of_class: np.ndarray, probabilities: np.ndarray) -> Curve:
    """Return the ROC curve of (examples,) each. Both kinds of examples must occur."""
    members, others = (np.append(0.0, counts) for counts in above_thresholds(are_of_class, probabilities))
    true, false = members / members[-1], others / others[-1]
    return thinned(name, false, true, float(np.trapezoid(true, false)))


def precision_recall(name: str, are_of_class: np.ndarray, probabilities: np.ndarray) -> Curve:
    """Return recall and precision of (examples,) each; the area is the average precision."""
    members, others = above_thresholds(are_of_class, probabilities)
    recall, precision = np.append(0.0, members / members[-1]), np.append(1.0, members / (members + others))
    area = float(np.sum(np.diff(recall) * precision[1:]))
    return thinned(name, recall, precision, area)


def thinned(name: str, x: np.ndarray, y: np.ndarray, area: float) -> Curve:
    """Return the curve with at most CURVE_POINTS points, spread evenly along both axes, both ends included."""
    if len(x) > CURVE_POINTS:
        length = np.concatenate([[0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
        kept = np.unique(np.searchsorted(length, np.linspace(0, length[-1], CURVE_POINTS - 1)))
        kept = np.unique(np.append(np.minimum(kept, len(x) - 1), len(x) - 1))
        x, y = x[kept], y[kept]
    return Curve(name, x, y, area)


def calibration(confidence: np.ndarray, are_right: np.ndarray) -> Calibration:
    """Return the calibration of predictions, (examples,) each."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    examples = np.bincount(bins, minlength=BINS)
    used = examples > 0
    means = [np.bincount(bins, values, BINS)[used] / examples[used] for values in (confidence, are_right)]
    error = float(np.sum(np.abs(means[0] - means[1]) * examples[used]) / len(confidence))
    return Calibration(means[0], means[1], examples[used], error)


def bulk(values: np.ndarray) -> tuple[float, float]:
    """Return the range of a histogram of `values` (examples,) that a few outliers do not flatten: their own range, but
    no further from the middle 98 % than the width of these."""
    least, low, high, most = np.quantile(values.astype(float), [0, 0.01, 0.99, 1]).tolist()
    room = high - low
    return (max(least, low - room), min(most, high + room)) if room > 0 else (least, most)


def number_row(name: str, targets: np.ndarray, predicted: np.ndarray) -> dict[str, object]:
    """Return the error measures of one number, (examples,) each, and the lowest and highest prediction. R² is None if
    all targets are equal."""
    errors = predicted.astype(float) - targets
    varies = len(targets) > 1 and np.ptp(targets) > 0
    return {
        "number": name,
        "mean_absolute_error": float(np.abs(errors).mean()),
        "root_mean_squared_error": float(np.sqrt(np.mean(errors**2))),
        "mean_error": float(errors.mean()),
        "lowest": float(predicted.min()),
        "highest": float(predicted.max()),
        "r2": float(1 - np.sum(errors**2) / np.sum((targets - targets.mean(dtype=float)) ** 2)) if varies else None,
    }


def error_row(errors: np.ndarray) -> dict[str, object]:
    """Return the distribution of reconstruction errors, (examples,)."""
    median, high = np.quantile(errors, [0.5, 0.95])
    row = {"mean": errors.mean(), "median": median, "95th percentile": high, "largest": errors.max()}
    return {name: float(value) for name, value in row.items()}
