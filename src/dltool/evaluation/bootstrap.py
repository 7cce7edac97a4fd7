"""Bootstrap intervals of a measured number, and of the difference of two models.

The percentile bootstrap (B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 16)
computes the number for many samples, drawn with replacement and as large as the original. The interval holds 95 % of
the results. A sample is a vector of how often each example was drawn; sums over all samples are one matrix product."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 1000
LEVEL = 0.95
MOST_GROUPS = 2_000
"""Above this number of examples, random groups of them are drawn. The variance of sums stays the same."""
BLOCK = 2**20
"""Draws made at once."""


@dataclass(frozen=True)
class Interval:
    """A measured `value` with the bounds of its 95 % interval, None if there is none."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def exceeds_noise(self) -> bool:
        """Return whether a difference is significant: it has an interval, which does not contain 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def random_groups(examples: int, most: int, seed: int, clusters: np.ndarray | None = None) -> np.ndarray:
    """Return the group of each example, (examples,) of int from 0 to at most most - 1. Sizes differ by at most one.
    `clusters` (examples,) of int number examples that depend on each other: they are in one group."""
    if clusters is not None:
        distinct, numbers = np.unique(clusters, return_inverse=True)
        return random_groups(len(distinct), most, seed)[numbers]
    if examples <= most:
        return np.arange(examples)
    return np.random.Generator(np.random.Philox(seed)).permutation(examples) % most


def resampled(sums: np.ndarray, seed: int) -> np.ndarray:
    """Return the sums of bootstrap samples, (RESAMPLES, k) of float64. `sums` (groups, k) are those of each group."""
    generator = np.random.Generator(np.random.Philox(seed))
    groups = len(sums)
    found = np.empty((RESAMPLES, sums.shape[1]))
    step = max(1, BLOCK // groups)
    for first in range(0, RESAMPLES, step):
        samples = min(step, RESAMPLES - first)
        drawn = generator.integers(0, groups, (samples, groups), dtype=np.int32)
        drawn += np.arange(samples, dtype=np.int32)[:, None] * groups
        counts = np.bincount(drawn.ravel(), minlength=samples * groups).reshape(samples, groups)
        with np.errstate(invalid="ignore", over="ignore"):
            found[first : first + samples] = counts @ sums.astype(float)
    return found


def intervals(
    values: Sequence[float], sums: np.ndarray, seed: int, statistic: Callable[[np.ndarray], np.ndarray]
) -> list[Interval]:
    """Return the intervals of m `values`, which `statistic` computes from sums: (samples, k) to (samples, m). `sums` is
    (groups, k). There is no interval for fewer than two groups, or if a sample gives no finite value."""
    if len(sums) < 2:
        return [Interval(value) for value in values]
    found = statistic(resampled(sums, seed))
    with np.errstate(invalid="ignore"):
        lows, highs = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    are_finite = np.isfinite(found).all(axis=0)
    return [
        Interval(value, float(low), float(high)) if is_finite else Interval(value)
        for value, low, high, is_finite in zip(values, lows, highs, are_finite, strict=True)
    ]


def mean_intervals(
    values: Mapping[str, np.ndarray], seed: int, clusters: np.ndarray | None = None
) -> dict[str, Interval]:
    """Return the intervals of the means of several `values`, (examples,) each, of the same examples. Whole `clusters`
    are resampled, see :func:`random_groups`."""
    if not values:
        return {}
    columns = np.stack([np.asarray(each, float) for each in values.values()], axis=1)
    sums = grouped_sums(np.column_stack([columns, np.ones(len(columns))]), seed, clusters)
    means = [float(mean) for mean in columns.mean(axis=0)]
    found = intervals(means, sums, seed, lambda drawn: drawn[:, :-1] / drawn[:, -1:])
    return dict(zip(values, found, strict=True))


def grouped_sums(columns: np.ndarray, seed: int, clusters: np.ndarray | None = None) -> np.ndarray:
    """Return the sums of (examples, k) in random groups, (groups, k)."""
    if clusters is None and len(columns) <= MOST_GROUPS:
        return columns
    groups = random_groups(len(columns), MOST_GROUPS, seed, clusters)
    return np.stack([np.bincount(groups, column) for column in columns.T], axis=1)


def widened(interval: Interval, folds: int) -> Interval:
    """Return the interval of a value of all folds together, wider about its centre by sqrt(K / (K - 1)): the models
    share training examples. A rule that the simulation in tests/folds supports, not a theorem."""
    if interval.low is None or interval.high is None:
        return interval
    centre, half = (interval.low + interval.high) / 2, (interval.high - interval.low) / 2
    half *= math.sqrt(folds / (folds - 1))
    return Interval(interval.value, centre - half, centre + half)


def paired_difference(first: np.ndarray, second: np.ndarray, seed: int, clusters: np.ndarray | None = None) -> Interval:
    """Return how far the mean of `second` is above that of `first`, (examples,) each of two models.

    Both models are resampled on the same examples, so examples that are hard for both add no uncertainty. One example
    allows any difference: there is no interval. Raises ValueError: the numbers of examples differ, or are 0."""
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise ValueError(
            f"expected values of two models for the same examples, got shapes {first.shape} and {second.shape}"
        )
    differences = second.astype(float) - first.astype(float)
    return mean_intervals({"difference": differences}, seed, clusters)["difference"]
