"""What can be said of predicted classes, probabilities and numbers beside the metrics of the run."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import (
    auc,
    average_precision_score,
    confusion_matrix,
    precision_recall_curve,
    precision_recall_fscore_support,
    r2_score,
    roc_curve,
)

CURVE_POINTS = 200
BINS = 15
"""Of confidence, as in Guo et al."""


@dataclass(frozen=True)
class Curve:
    """`x` and `y` (points,) of a curve called `name`, with the area under it."""

    name: str
    x: np.ndarray
    y: np.ndarray
    area: float


@dataclass(frozen=True)
class Calibration:
    """Of each bin of confidence that has examples: their mean confidence, the share that is right, how many there are.

    `error` is the expected calibration error, the mean distance between the two, weighted by the number of examples
    (C. Guo, G. Pleiss, Y. Sun and K. Weinberger, On Calibration of Modern Neural Networks, 2017).
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    examples: np.ndarray
    error: float


def class_table(targets: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> list[dict[str, object]]:
    """A row for each class: precision, recall, F1 and support. `targets` and `predicted` are class indices.

    Also of labels, (examples, labels) of 0 and 1 each.
    """
    indices = np.arange(len(names))
    columns = precision_recall_fscore_support(targets, predicted, labels=indices, zero_division=0)
    return [
        {"class": name, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
        for name, p, r, f, s in zip(names, *columns, strict=True)
    ]


def confusion(targets: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(classes, classes) of int: how many examples of each class (rows) were taken for each (columns)."""
    return np.asarray(confusion_matrix(targets, predicted, labels=np.arange(classes)))


def areas(are_of_class: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """(classes,): the area under the ROC curve of each class against all others, both (examples, classes).

    By the ranks of the examples (J. Hanley and B. McNeil, The Meaning and Use of the Area under a ROC Curve, 1982).
    NaN for a class that all or none of the examples are of.
    """
    ranks = rankdata(probabilities, axis=0)
    members = are_of_class.sum(axis=0).astype(float)
    pairs = members * (len(ranks) - members)
    above = (ranks * are_of_class).sum(axis=0) - members * (members + 1) / 2
    return np.asarray(np.divide(above, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0))


def roc(name: str, are_of_class: np.ndarray, probabilities: np.ndarray) -> Curve:
    """False positive rate and true positive rate, of (examples,) each; some of both kinds must be there."""
    false, true, _ = roc_curve(are_of_class, probabilities)
    return thinned(name, false, true, float(auc(false, true)))


def precision_recall(name: str, are_of_class: np.ndarray, probabilities: np.ndarray) -> Curve:
    """Recall and precision, of (examples,) each; the area is the average precision."""
    precision, recall, _ = precision_recall_curve(are_of_class, probabilities)
    area = float(average_precision_score(are_of_class, probabilities))
    return thinned(name, recall[::-1], precision[::-1], area)


def thinned(name: str, x: np.ndarray, y: np.ndarray, area: float) -> Curve:
    """At most CURVE_POINTS of the points, spread evenly along both axes; the ends are kept."""
    if len(x) > CURVE_POINTS:
        length = np.concatenate([[0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
        kept = np.unique(np.searchsorted(length, np.linspace(0, length[-1], CURVE_POINTS - 1)))
        kept = np.unique(np.append(np.minimum(kept, len(x) - 1), len(x) - 1))
        x, y = x[kept], y[kept]
    return Curve(name, x, y, area)


def calibration(confidence: np.ndarray, are_right: np.ndarray) -> Calibration:
    """Whether examples that the model is so sure of are right so often; (examples,) each."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    examples = np.bincount(bins, minlength=BINS)
    used = examples > 0
    means = [np.bincount(bins, values, BINS)[used] / examples[used] for values in (confidence, are_right)]
    error = float(np.sum(np.abs(means[0] - means[1]) * examples[used]) / len(confidence))
    return Calibration(means[0], means[1], examples[used], error)


def number_row(name: str, targets: np.ndarray, predicted: np.ndarray) -> dict[str, object]:
    """Of one number, (examples,) each: the mean and root mean square of the errors, their mean with sign, and R²,
    which is None where all targets are one number.
    """
    errors = predicted.astype(float) - targets
    varies = len(targets) > 1 and np.ptp(targets) > 0
    return {
        "number": name,
        "mean_absolute_error": float(np.abs(errors).mean()),
        "root_mean_squared_error": float(np.sqrt(np.mean(errors**2))),
        "mean_error": float(errors.mean()),
        "r2": float(r2_score(targets, predicted)) if varies else None,
    }


def error_row(errors: np.ndarray) -> dict[str, object]:
    """How the errors of restoring, (examples,), are spread."""
    median, high = np.quantile(errors, [0.5, 0.95])
    return {
        "mean": float(errors.mean()),
        "median": float(median),
        "95th percentile": float(high),
        "largest": float(errors.max()),
    }
