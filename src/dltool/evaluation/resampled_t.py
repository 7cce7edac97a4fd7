"""The corrected resampled t-test: whether two models differ on the same folds."""

import math
from collections.abc import Sequence

import numpy as np

from dltool.evaluation.bootstrap import LEVEL


def is_significant(differences: Sequence[float], share: float) -> bool:
    """Return whether the mean of the differences by fold is not 0 at 95 %. `share` is the number of test examples of a
    fold divided by that of its training examples.

    The variance of the mean is s² (1 / J + share) instead of s² / J, as the J models share training examples (Nadeau
    and Bengio 2003). The plain t-test finds differences where there are none."""
    count = len(differences)
    mean, deviation = float(np.mean(differences)), float(np.std(differences, ddof=1))
    if not deviation or not math.isfinite(deviation):
        return deviation == 0 and mean != 0
    statistic = mean / (deviation * math.sqrt(1 / count + share))
    return within_t(abs(statistic), count - 1) > LEVEL


def within_t(bound: float, freedom: int) -> float:
    """Return the probability that Student's t lies within ± bound: the finite sums of M. Abramowitz and I. A. Stegun,
    Handbook of Mathematical Functions, 1964, 26.7.3 and 26.7.4."""
    angle = math.atan(bound / math.sqrt(freedom))
    squared, is_odd = math.cos(angle) ** 2, freedom % 2
    term = (math.cos(angle) if is_odd else 1.0) if freedom > 1 else 0.0
    total = term
    for step in range(3 if is_odd else 2, freedom - 1, 2):
        term *= squared * (step - 1) / step
        total += term
    return 2 / math.pi * (angle + math.sin(angle) * total) if is_odd else math.sin(angle) * total
