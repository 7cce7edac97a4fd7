"""The law of a learning curve: that it finds the planted one, and that its band covers what it promises."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import curve_fit

from dltool.curve.law import Law, Size, fitted_law

ROWS = np.array([20, 40, 80, 160, 320, 640])
PLANTED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "label noise of 10 %": lambda rows: 0.1 + 0.03 * (rows / 640) ** -0.6,
    "without a floor": lambda rows: 0.03 * (rows / 640) ** -0.5,
    "steep": lambda rows: 0.02 + 0.01 * (rows / 640) ** -1.0,
    "slow": lambda rows: 0.2 * (rows / 640) ** -0.25,
    "flat": lambda rows: 0.2 * np.ones_like(rows, dtype=float),
}


def sizes(values: np.ndarray, rows: np.ndarray = ROWS) -> list[Size]:
    return [Size(int(number), tuple(map(float, each))) for number, each in zip(rows, values, strict=True)]


def fitted(values: np.ndarray, rows: np.ndarray = ROWS) -> Law:
    found = fitted_law(sizes(values, rows))
    assert found is not None
    return found


def noisy(law: Callable[[np.ndarray], np.ndarray], noise: float, seeds: int, rng: np.random.Generator) -> np.ndarray:
    return np.abs(law(ROWS)[:, np.newaxis] * (1 + noise * rng.standard_normal((len(ROWS), seeds))))


@pytest.mark.parametrize("law", PLANTED.values(), ids=PLANTED)
def test_a_law_without_noise_is_found(law):
    found = fitted(np.repeat(law(ROWS)[:, np.newaxis], 2, axis=1))
    for rows in (*ROWS, 4 * ROWS[-1]):
        assert found.at(rows) == pytest.approx(law(np.array([rows]))[0], rel=0.01)


def test_the_fit_is_the_one_of_least_squares_with_the_same_weights():
    found = fitted(noisy(PLANTED["label noise of 10 %"], 0.1, 3, np.random.default_rng(0)))
    (a, b, c), _ = curve_fit(
        lambda rows, a, b, c: a * (rows / 640) ** -b + c,
        *(ROWS, found.means, (0.1, 0.5, 0.1), 1 / np.sqrt(found.weights)),
        bounds=([0, 0.05, 0], [np.inf, 2, 1]),
    )
    assert found.at(2560) == pytest.approx(a * 4**-b + c, rel=0.002)


def test_the_band_holds_the_laws_whose_misfit_is_below_the_limit():
    found = fitted(noisy(PLANTED["steep"], 0.05, 3, np.random.default_rng(1)))
    low, high = found.band(2560)
    assert low < found.at(2560) < high
    # By brute force: laws at random, those that are not refuted.
    rng = np.random.default_rng(2)
    a, b, c = rng.uniform([[0.005], [0.5], [0.01]], [[0.02], [1.7], [0.03]], (3, 200_000))
    at = a * (ROWS[:, np.newaxis] / 640) ** -b + c
    kept = (found.weights[:, np.newaxis] * (at - found.means[:, np.newaxis]) ** 2).sum(axis=0) <= found.limit
    errors = (a * 4**-b + c)[kept]
    assert low <= errors.min()
    assert errors.max() <= high
    assert low == pytest.approx(errors.min(), rel=0.05)
    assert high == pytest.approx(errors.max(), rel=0.05)


@pytest.mark.parametrize("noise", [0.03, 0.12])
def test_the_band_covers_the_error_of_four_times_the_rows(noise):
    rng = np.random.default_rng(3)
    covered = dict.fromkeys(PLANTED, 0)
    for name, law in PLANTED.items():
        for _ in range(10):
            low, high = fitted(noisy(law, noise, 3, rng)).band(2560)
            covered[name] += low <= law(np.array([2560]))[0] <= high
    assert min(covered.values()) >= 8, covered
    assert sum(covered.values()) >= 46, covered


def test_small_sizes_at_a_plateau_are_left_out():
    values = np.array([0.6, 0.6, 0.4, 0.2, 0.1, 0.05])[:, np.newaxis] * [0.99, 1.0, 1.01]
    found = fitted(values)
    assert list(found.rows) == [80, 160, 320, 640]
    low, high = found.band(2560)
    assert low <= 0.0125 <= high


def test_a_curve_that_no_law_fits_has_a_wide_band():
    values = np.array([0.3, 0.31, 0.2, 0.27])[:, np.newaxis] * [0.99, 1.01]
    low, high = fitted(values, ROWS[:4]).band(640)
    assert high - low > 0.05


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        (np.full((3, 3), 0.5), ROWS[:3]),
        (np.full((6, 1), 0.5), ROWS),
        (np.zeros((6, 2)), ROWS),
        (np.full((6, 2), -0.5), ROWS),
        (np.full((6, 2), np.nan), ROWS),
    ],
    ids=["three sizes", "one seed", "no error", "below 0", "nan"],
)
def test_what_determines_no_law_has_none(values, rows):
    assert fitted_law(sizes(values, rows)) is None


def test_runs_without_an_error_at_the_larger_sizes_have_a_law():
    values = np.array([0.2, 0.1, 0.05, 0.02, 0.0, 0.0])[:, np.newaxis] * [0.9, 1.1]
    low, high = fitted(values).band(2560)
    assert low == pytest.approx(0, abs=1e-4)
    assert high < 0.02
