"""The law that errors follow as the training rows grow, error = a · (rows / unit)^-b + c, and its 95 % band."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

EXPONENTS = np.geomspace(0.05, 2, 300)
"""The exponents b that are tried. For each, a and c have a closed form."""
PARAMETERS = 3
LEAST_SIZES = PARAMETERS + 1
"""With fewer sizes, nothing contradicts the law."""
LEAST_SPREAD = 1e-3
"""The least relative standard deviation of a run: runs that agree exactly still do not determine the law exactly."""
LEVEL = 0.95
HALVINGS = 40


@dataclass(frozen=True)
class Size:
    """The values that runs with this number of training rows have reached, one a seed."""

    rows: int
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))


@dataclass(frozen=True)
class Law:
    """The law that fits best; `a` and `c` are at least 0, and `unit` is the largest number of `rows` (sizes,).

    `weights` (sizes,) are the inverse variances of the `means` (sizes,) of the runs. `limit` is the weighted sum of
    squares up to which another law is not refuted."""

    a: float
    b: float
    c: float
    unit: float
    rows: np.ndarray
    means: np.ndarray
    weights: np.ndarray
    limit: float

    def at(self, rows: float) -> float:
        return float(self.a * (rows / self.unit) ** -self.b + self.c)

    def band(self, rows: float) -> tuple[float, float]:
        """Return the lowest and the highest error at `rows` among the laws that are not refuted."""
        return self.edge(rows, 0.0), self.edge(rows, 2 * float(self.means.max()))

    def edge(self, rows: float, outside: float) -> float:
        """Return the last error on the way to `outside` that a law that is not refuted has at `rows`."""
        inside = self.at(rows)
        for _ in range(HALVINGS):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if self.least_squares(rows, middle) <= self.limit else (inside, middle)
        return inside

    def least_squares(self, rows: float, value: float) -> float:
        """Return the least weighted sum of squares of the laws whose error at `rows` is `value`."""
        there = (rows / self.unit) ** -EXPONENTS[:, np.newaxis]
        # With c = value - a · there, the law is value + a · slope.
        slope = (self.rows / self.unit) ** -EXPONENTS[:, np.newaxis] - there
        rest = self.means - value
        a = (self.weights * slope * rest).sum(axis=1) / (self.weights * slope**2).sum(axis=1)
        a = np.clip(a[:, np.newaxis], 0, value / there)
        return float((self.weights * (rest - a * slope) ** 2).sum(axis=1).min())


def fitted_law(sizes: Sequence[Size]) -> Law | None:
    """Fit the law by the inverse variances of the means; None if there are too few sizes, or values that are no errors.

    The standard deviation of a run is taken as the same fraction of the error at all sizes, estimated from the seeds of
    all of them: the few seeds of one size say little. A law is refuted if its sum of squares exceeds that of the best
    one by more than the F distribution allows in 95 % (the profile of the likelihood; G. A. F. Seber and C. J. Wild,
    Nonlinear Regression, 1989, section 5.4), times how much worse than expected even the best one fits. If that one is
    refuted too, the smallest size is left out, which may be at a plateau that no law has."""
    from scipy.stats import f

    seeds, means = np.array([[len(size.values), size.mean] for size in sizes]).T
    free = (seeds - 1).sum()
    if len(sizes) < LEAST_SIZES or not free or not np.all(np.isfinite(means) & (means >= 0)) or not means.any():
        return None
    rows = np.array([size.rows for size in sizes], dtype=float)
    rough, _ = best_law(rows, means, seeds / np.maximum(means, 0.05 * means.max()) ** 2)
    expected = rough[0] * (rows / rows.max()) ** -rough[1] + rough[2]
    scatter = sum(
        np.var(size.values) * len(size.values) / error**2 for size, error in zip(sizes, expected, strict=True)
    )
    weights = seeds / (max(scatter / free, LEAST_SPREAD**2) * expected**2)
    law, residual = best_law(rows, means, weights)
    beyond = len(sizes) - PARAMETERS
    if residual / beyond > f.ppf(LEVEL, beyond, free) and len(sizes) > LEAST_SIZES:
        return fitted_law(sizes[1:])
    excess = f.ppf(LEVEL, 1, free) * max(1.0, residual / beyond)
    return Law(*law, float(rows.max()), rows, means, weights, float(residual + excess))


def best_law(rows: np.ndarray, means: np.ndarray, weights: np.ndarray) -> tuple[tuple[float, float, float], float]:
    """Return a, b and c of the least weighted sum of squares, and that sum. All arguments are (sizes,)."""
    shape, total = (rows / rows.max()) ** -EXPONENTS[:, np.newaxis], weights.sum()
    mean_shape, mean = (weights * shape).sum(axis=1) / total, (weights * means).sum() / total
    centred = shape - mean_shape[:, np.newaxis]
    a = np.maximum((weights * centred * means).sum(axis=1) / (weights * centred**2).sum(axis=1), 0)
    # Without c, if it would be negative.
    through_zero = (weights * shape * means).sum(axis=1) / (weights * shape**2).sum(axis=1)
    a = np.where(mean < a * mean_shape, through_zero, a)
    c = np.maximum(mean - a * mean_shape, 0)
    squares = (weights * (means - a[:, np.newaxis] * shape - c[:, np.newaxis]) ** 2).sum(axis=1)
    best = int(np.argmin(squares))
    return (float(a[best]), float(EXPONENTS[best]), float(c[best])), float(squares[best])
