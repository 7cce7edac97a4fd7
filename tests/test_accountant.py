"""The accountant of private training, against tighter figures and against numerical integration."""

import math

import numpy as np
import pytest

from dltool.accountant import Spending, divergence, epsilon_of, noise_for

TIGHT = [
    (0.0005, 0.6, 200, 0.4641),
    (0.0005, 0.8, 1000, 0.1374),
    (0.0005, 1.0, 50, 0.0183),
    (0.0005, 1.3, 4000, 0.0892),
    (0.0005, 2.5, 1000, 0.0178),
    (0.0005, 6.0, 300, 0.0035),
    (0.004, 0.6, 200, 2.6003),
    (0.004, 0.8, 1000, 1.2841),
    (0.004, 1.0, 50, 0.2168),
    (0.004, 1.3, 4000, 0.8626),
    (0.004, 2.5, 1000, 0.1736),
    (0.004, 6.0, 300, 0.0327),
    (0.02, 0.6, 200, 7.2602),
    (0.02, 0.8, 1000, 6.4188),
    (0.02, 1.0, 50, 1.1448),
    (0.02, 1.3, 4000, 5.2189),
    (0.02, 2.5, 1000, 1.0059),
    (0.02, 6.0, 300, 0.1918),
    (0.1, 0.6, 200, 29.3634),
    (0.1, 0.8, 1000, 39.8801),
    (0.1, 1.0, 50, 5.1483),
    (0.1, 1.3, 4000, 38.8756),
    (0.1, 2.5, 1000, 6.1518),
    (0.1, 6.0, 300, 1.1108),
    (1.0, 0.6, 200, 377.3835),
    (1.0, 0.8, 1000, 949.8346),
    (1.0, 1.0, 50, 54.3766),
    (1.0, 1.3, 4000, 1390.9207),
    (1.0, 2.5, 1000, 133.0863),
    (1.0, 6.0, 300, 15.8673),
]
"""(rate, noise, steps, epsilon at delta 1e-5), by dp-accounting 0.6.0: `get_epsilon(1e-5)` of a `PLDAccountant` after
`compose(PoissonSampledDpEvent(rate, GaussianDpEvent(noise)), steps)`; at rate 1 the Gaussian event alone."""


@pytest.mark.proof
@pytest.mark.parametrize(("rate", "noise", "steps", "tight"), TIGHT)
def test_epsilon_is_never_below_the_tight_one_and_not_far_above_where_it_is_of_use(rate, noise, steps, tight):
    found = epsilon_of(rate, noise, steps, 1e-5)
    assert found >= tight
    if noise >= 1 and rate * steps > 2 and tight < 10:
        assert found < 1.2 * tight


@pytest.mark.parametrize(("rate", "noise", "order"), [(0.01, 1.0, 2), (0.1, 0.7, 5), (0.5, 3.0, 32), (1.0, 2.0, 9)])
def test_the_divergence_is_that_of_the_mixture_by_integration(rate, noise, order):
    x = np.linspace(-40 * noise, 40 * noise + order, 2_000_001)
    without = -(x**2) / (2 * noise**2) - math.log(noise * math.sqrt(2 * math.pi))
    ratio = np.logaddexp(math.log1p(-rate) if rate < 1 else -np.inf, math.log(rate) + (2 * x - 1) / (2 * noise**2))
    moment = np.trapezoid(np.exp(order * ratio + without), x)
    assert divergence(rate, noise, order) == pytest.approx(math.log(moment) / (order - 1), rel=1e-6)


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 3.0, 20.0])
def test_the_noise_for_an_epsilon_is_the_least_one_that_spends_no_more(epsilon):
    noise = noise_for(0.01, 1000, epsilon, 1e-5)
    assert noise is not None
    assert epsilon_of(0.01, noise, 1000, 1e-5) <= epsilon < epsilon_of(0.01, noise - 2e-4, 1000, 1e-5)


def test_fewer_steps_spend_less_and_none_spend_nothing():
    spent = [Spending(0.02, 1.1, steps, 1e-5).epsilon for steps in (0, 1, 10, 100, 1000)]
    assert spent[0] == 0
    assert spent == sorted(spent)
    assert len(set(spent)) == len(spent)


def test_noise_too_small_for_numbers_protects_nothing():
    assert math.isinf(epsilon_of(0.1, 1e-160, 10, 1e-5))


def test_an_epsilon_that_no_noise_reaches_is_none():
    assert noise_for(0.01, 100, 1e-4, 1e-5) is None
