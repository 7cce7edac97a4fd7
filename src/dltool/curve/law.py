"""The law that errors follow as the training rows grow: error = a · (rows / unit)^-b + c, with its 95 % band."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

EXPONENTS = np.geomspace(0.05, 2, 300)
"""The exponents b that are tried. For each, a and c have a closed form."""
LEAST_SIZES = 4
"""The law has three parameters: with fewer sizes nothing contradicts it."""
LEAST_SPREAD = 1e-3
"""The least relative standard deviation of a run: runs that agree exactly still do not determine the law exactly."""
LEVEL = 0.95
HALVINGS = 40


@dataclass(frozen=True)
class Size:
    """The values that runs on this number of training rows have reached, one a seed."""

    rows: int
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))


@dataclass(frozen=True)
class Law:
    """error(rows) = a · (rows / unit)^-b + c, with a and c of at least 0. `unit` is the largest number of rows."""

    a: float
    b: float
    c: float
    unit: int

    def at(self, rows: float) -> float:
        return float(self.a * (rows / self.unit) ** -self.b + self.c)


@dataclass(frozen=True)
class FittedLaw:
    """The law that fits best, and what its band needs: `weights` (sizes,) are the inverse variances of the `means`
    (sizes,); `limit` is the weighted sum of squares up to which a law is not refuted."""

    law: Law
    rows: np.ndarray
    means: np.ndarray
    weights: np.ndarray
    limit: float

    def band(self, rows: float) -> tuple[float, float]:
        """Return the lowest and the highest error at `rows` among the laws that the runs do not refute."""
        best = self.law.at(rows)
        return self.edge(rows, best, 0.0), self.edge(rows, best, 2 * float(self.means.max()))

    def edge(self, rows: float, inside: float, outside: float) -> float:
        """Return the last error between `inside` and `outside` at `rows` that a law may have, by bisection."""
        if self.misfit(rows, outside) <= self.limit:
            return outside
        for _ in range(HALVINGS):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if self.misfit(rows, middle) <= self.limit else (inside, middle)
        return inside

    def misfit(self, rows: float, value: float) -> float:
        """Return the least weighted sum of squares of the laws whose error at `rows` is `value`."""
        there = (rows / self.law.unit) ** -EXPONENTS[:, np.newaxis]
        # With c = value - a · there, the law is value + a · slope.
        slope = (self.rows / self.law.unit) ** -EXPONENTS[:, np.newaxis] - there
        rest = self.means - value
        steepness = (self.weights * slope * rest).sum(axis=1) / (self.weights * slope**2).sum(axis=1)
        a = np.clip(steepness[:, np.newaxis], 0, value / there)
        return float((self.weights * (rest - a * slope) ** 2).sum(axis=1).min())


def fitted_law(sizes: Sequence[Size]) -> FittedLaw | None:
    """Fit the law to the means by their inverse variances; None if there are too few sizes, or values that are no
    errors above 0.

    The standard deviation of a run is taken as the same fraction of the error at every size, estimated from the seeds
    of all sizes, as the few seeds of one size would say little. A law is not refuted if its sum of squares exceeds that
    of the best one by no more than the F distribution allows in 95 % (the profile of the likelihood; G. A. F. Seber and
    C. J. Wild, Nonlinear Regression, 1989, section 5.4), multiplied by how badly even the best one fits."""
    from scipy.stats import f

    seeds = np.array([len(size.values) for size in sizes])
    means = np.array([size.mean for size in sizes])
    free = int((seeds - 1).sum())
    if len(sizes) < LEAST_SIZES or not free or not np.all(np.isfinite(means) & (means >= 0)) or not means.max() > 0:
        return None
    rows = np.array([size.rows for size in sizes], dtype=float)
    rough = best_law(rows, means, seeds / np.maximum(means, 0.05 * means.max()) ** 2)
    expected = np.array([rough.at(each) for each in rows])
    differences = [(np.array(size.values) - size.mean) / error for size, error in zip(sizes, expected, strict=True)]
    spread = max(sum(float((each**2).sum()) for each in differences) / free, LEAST_SPREAD**2)
    weights = seeds / (spread * expected**2)
    law = best_law(rows, means, weights)
    misfit = float((weights * (means - [law.at(each) for each in rows]) ** 2).sum())
    excess = float(f.ppf(LEVEL, 1, free)) * max(1.0, misfit / (len(sizes) - 3))
    return FittedLaw(law, rows, means, weights, misfit + excess)


def best_law(rows: np.ndarray, means: np.ndarray, weights: np.ndarray) -> Law:
    """Return the law with the least weighted sum of squares. All are (sizes,)."""
    unit = int(rows.max())
    shape = (rows / unit) ** -EXPONENTS[:, np.newaxis]
    weights = weights / weights.sum()
    mean_shape, mean = (weights * shape).sum(axis=1), float((weights * means).sum())
    centred = shape - mean_shape[:, np.newaxis]
    a = np.maximum((weights * centred * means).sum(axis=1) / (weights * centred**2).sum(axis=1), 0)
    # Without c, if it would be negative.
    through_zero = (weights * shape * means).sum(axis=1) / (weights * shape**2).sum(axis=1)
    a = np.where(mean - a * mean_shape < 0, through_zero, a)
    c = np.maximum(mean - a * mean_shape, 0)
    errors = (weights * (means - a[:, np.newaxis] * shape - c[:, np.newaxis]) ** 2).sum(axis=1)
    best = int(np.argmin(errors))
    return Law(float(a[best]), float(EXPONENTS[best]), float(c[best]), unit)
