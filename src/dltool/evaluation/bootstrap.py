"""How far a measured number may be from the true one: bootstrap intervals, and the difference of two models.

The percentile bootstrap (B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 16):
the number is computed again for many samples of as many examples, drawn with replacement from those measured; 95 % of
what comes out lies in the interval. A sample is a vector that says how often each example was drawn. So for numbers
that follow from sums over examples, all samples together are one product of matrices.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 1000
LEVEL = 0.95
MOST_GROUPS = 2_000
"""Above so many examples, random groups of them are drawn instead. Of sums, that leaves the variance what it is."""
BLOCK = 2**20
"""How many draws are made at once."""


@dataclass(frozen=True)
class Interval:
    """A measured `value`, with the ends of its 95 % interval; both are None where there is none."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Difference:
    """How much more the second of two models has than the first, with the ends of the 95 % interval.

    `exceeds_noise`: the interval is all on one side of 0.
    """

    value: float
    low: float
    high: float

    @property
    def exceeds_noise(self) -> bool:
        return self.low > 0 or self.high < 0


def random_groups(examples: int, most: int, seed: int) -> np.ndarray:
    """(examples,) of int: the group of each, 0 … min(examples, most) - 1, of sizes that differ by one at most."""
    if examples <= most:
        return np.arange(examples)
    return np.random.Generator(np.random.Philox(seed)).permutation(examples) % most


def resampled(sums: np.ndarray, seed: int) -> np.ndarray:
    """(RESAMPLES, k) of float64: the sums that samples of groups have. `sums` is (groups, k), those of each group."""
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
    """The intervals of `values`, m numbers that `statistic` computes from sums over examples: (samples, k) to
    (samples, m).

    `sums` is (groups, k). Of fewer than two groups nothing can be drawn, and what is not finite in a sample has no
    interval.
    """
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


def mean_intervals(values: Mapping[str, np.ndarray], seed: int) -> dict[str, Interval]:
    """Of the means of several `values`, (examples,) each, of the same examples."""
    if not values:
        return {}
    columns = np.stack([np.asarray(each, float) for each in values.values()], axis=1)
    sums = grouped_sums(np.column_stack([columns, np.ones(len(columns))]), seed)
    means = [float(mean) for mean in columns.mean(axis=0)]
    found = intervals(means, sums, seed, lambda drawn: drawn[:, :-1] / drawn[:, -1:])
    return dict(zip(values, found, strict=True))


def grouped_sums(columns: np.ndarray, seed: int) -> np.ndarray:
    """(groups, k), the sums of (examples, k) in random groups."""
    if len(columns) <= MOST_GROUPS:
        return columns
    groups = random_groups(len(columns), MOST_GROUPS, seed)
    return np.stack([np.bincount(groups, column, MOST_GROUPS) for column in columns.T], axis=1)


def paired_difference(first: np.ndarray, second: np.ndarray, seed: int) -> Difference:
    """How much the mean of `second` is above that of `first`, (examples,) each: values of two models for the same
    examples, such as their losses, or 1 where they were right.

    Both models are measured on the same drawn examples, so what makes an example hard for both does not count as noise.

    Raises:
        ValueError: they are not of the same number of examples, or of fewer than one.
    """
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise ValueError(f"the values of two models for the same examples, not {first.shape} and {second.shape}")
    differences = second.astype(float) - first.astype(float)
    found = mean_intervals({"difference": differences}, seed)["difference"]
    if found.low is None or found.high is None:
        # Of one example, anything may be; NaN compares with nothing.
        return Difference(found.value, float("-inf"), float("inf"))
    return Difference(found.value, found.low, found.high)
