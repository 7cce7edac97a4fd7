"""Intervals of what was measured, and differences between two models."""

import numpy as np
import pytest

from dltool.evaluation.bootstrap import (
    Interval,
    grouped_sums,
    intervals,
    mean_intervals,
    paired_difference,
    random_groups,
)


def ends(interval: Interval) -> tuple[float, float]:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.high


def width(interval: Interval) -> float:
    low, high = ends(interval)
    return high - low


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_interval_of_an_accuracy_is_that_of_the_normal_approximation() -> None:
    right = (np.arange(2000) < 1600).astype(float)
    found = mean_intervals({"accuracy": right}, seed=1)["accuracy"]
    half = 1.96 * np.sqrt(0.8 * 0.2 / 2000)
    assert found.value == pytest.approx(0.8)
    assert ends(found) == pytest.approx((0.8 - half, 0.8 + half), abs=0.002)


def test_groups_of_many_examples_give_the_interval_that_the_examples_would() -> None:
    values = random().exponential(size=50_000)
    found = mean_intervals({"loss": values}, seed=1)["loss"]
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert width(found) == pytest.approx(2 * half, rel=0.1)
    sums = grouped_sums(np.column_stack([values, np.ones(50_000)]), seed=1)
    assert sums[:, 0].sum() == pytest.approx(values.sum())
    assert set(sums[:, 1]) == {25}


def test_groups_are_of_nearly_one_size_and_hold_every_example() -> None:
    sizes = np.bincount(random_groups(1003, 100, seed=2))
    assert (len(sizes), sizes.sum(), set(sizes)) == (100, 1003, {10, 11})


def test_the_same_seed_gives_the_same_interval() -> None:
    values = {"loss": random().random(300)}
    assert mean_intervals(values, 3) == mean_intervals(values, 3)
    assert mean_intervals(values, 3) != mean_intervals(values, 4)


def test_19_of_20_intervals_hold_the_true_mean() -> None:
    held = 0
    for seed in range(200):
        found = mean_intervals({"x": random(seed).normal(5, 2, 100)}, seed)["x"]
        low, high = ends(found)
        held += low <= 5 <= high
    assert 178 <= held <= 198


def test_a_number_that_follows_from_sums_has_an_interval() -> None:
    errors = random().normal(size=500)
    sums = np.column_stack([errors**2, np.ones(500)])
    value = float(np.sqrt(np.mean(errors**2)))
    (found,) = intervals([value], sums, 1, lambda drawn: np.sqrt(drawn[:, :1] / drawn[:, 1:]))
    low, high = ends(found)
    assert low < value < high
    assert width(found) == pytest.approx(2 * 1.96 / np.sqrt(2 * 500), rel=0.2)


@pytest.mark.parametrize("values", [[0.5], [np.nan, 1.0], [np.inf, 1.0]])
def test_one_example_and_numbers_that_are_none_have_no_interval(values) -> None:
    found = mean_intervals({"loss": np.array(values)}, 1)["loss"]
    assert (found.low, found.high) == (None, None)


def test_of_constant_values_the_interval_is_their_value() -> None:
    found = mean_intervals({"loss": np.full(50, 0.25)}, 1)["loss"]
    assert (found.value, found.low, found.high) == (0.25, 0.25, 0.25)


def test_a_small_difference_on_the_same_examples_is_significant() -> None:
    hardness = random().exponential(size=1000)
    worse = hardness + 0.05 + random(1).normal(0, 0.1, 1000)
    found = paired_difference(hardness, worse, seed=1)
    assert found.value == pytest.approx(0.05, abs=0.02)
    assert found.exceeds_noise
    alone = mean_intervals({"loss": hardness}, 1)["loss"]
    assert width(found) < width(alone) / 4


def test_two_equal_models_do_not_differ_significantly() -> None:
    one, other = random(2).random(400), random(3).random(400)
    assert not paired_difference(one, other, 1).exceeds_noise
    assert not paired_difference(one, one, 1).exceeds_noise
    assert not paired_difference(one[:1], other[:1], 1).exceeds_noise


def test_values_of_other_examples_are_refused() -> None:
    with pytest.raises(ValueError, match="same examples"):
        paired_difference(np.ones(3), np.ones(4), 1)
