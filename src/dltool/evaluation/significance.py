"""How surprising a difference between groups of examples is, and what many such tests say together."""

import math
from functools import lru_cache

import numpy as np

SURPRISING = 0.05
TIES = 1 + 1e-7
"""Relative tolerance for equal probabilities."""


def holm(p_values: np.ndarray) -> np.ndarray:
    """Return p values (tests,) of all tests together: with those below 0.05, the chance of any false finding is at most
    0.05 (S. Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979)."""
    order = np.argsort(p_values, kind="stable")
    steps = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    return np.minimum(1, steps)[np.argsort(order, kind="stable")]


@lru_cache(maxsize=4)
def log_factorials(n: int) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])


def log_choose(n: int, k: np.ndarray) -> np.ndarray:
    logs = log_factorials(n)
    return np.asarray(logs[n] - logs[k] - logs[n - k])


def normal_p(distance: float, spread: float) -> float:
    """Return the probability that a normal number is further above its mean than `distance`."""
    return math.erfc(distance / spread / math.sqrt(2)) / 2 if spread > 0 else float(distance <= 0)


def difference_p(values: np.ndarray, inside: np.ndarray) -> float:
    """Return the two-sided p value of the difference of `values` (examples,) `inside` (examples,) a group of some but
    not all examples and outside of it: Fisher's exact test of values 0 and 1, else the permutation test of the mean in
    its normal approximation."""
    size, count = len(values), int(inside.sum())
    if not np.isin(values, (0, 1)).all():
        distance = abs(float(values[inside].mean() - values[~inside].mean()))
        return 2 * normal_p(distance, float(values.std(ddof=1)) * math.sqrt(1 / count + 1 / (size - count)))
    ones, hits = int(values.sum()), int(values[inside].sum())
    possible = np.arange(max(0, count + ones - size), min(count, ones) + 1)
    logs = log_choose(ones, possible) + log_choose(size - ones, count - possible)
    chances = np.exp(logs - logs.max())
    return float(chances[chances <= chances[hits - possible[0]] * TIES].sum() / chances.sum())


def below_zero_p(differences: np.ndarray) -> float:
    """Return the one-sided p value of the mean of paired `differences` (examples,) being below 0: the exact sign test
    (McNemar) of differences -1, 0 and 1, else a normal approximation."""
    if np.isin(differences, (-1, 0, 1)).all():
        better, changed = int((differences > 0).sum()), int((differences != 0).sum())
        return float(np.exp(log_choose(changed, np.arange(better + 1)) - changed * math.log(2)).sum())
    return normal_p(-float(differences.mean()), float(differences.std(ddof=1)) / math.sqrt(len(differences)))
