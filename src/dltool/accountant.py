"""The privacy that noise buys: epsilon of Poisson-sampled Gaussian noise, and the noise for an epsilon.

Rényi differential privacy, for datasets that differ in one row. It is an upper bound: after some epochs, the exact
epsilon is a tenth to a fifth lower."""

import math
from dataclasses import dataclass

ORDERS = (*range(2, 64), *(72, 96, 128, 192, 256, 512, 1024))
"""Of the Rényi divergence. Each gives a valid epsilon; the least one counts."""
LEAST_NOISE, MOST_NOISE = 0.05, 1e4
DIGITS = 1e4
"""Noise is rounded up to four decimals."""


@dataclass(frozen=True)
class Spending:
    """Steps that each draw a row with probability `rate`, and add normal noise of `noise` times the clipping norm."""

    rate: float
    noise: float
    steps: int
    delta: float

    @property
    def epsilon(self) -> float:
        """Return the epsilon of all steps at `delta`; 0 without steps."""
        return epsilon_of(self.rate, self.noise, self.steps, self.delta)

    @property
    def words(self) -> str:
        noise = f"noise {self.noise:.4g} times the clipping norm in {self.steps:,} steps"
        return f"epsilon {self.epsilon:.3g} at delta {self.delta:g}: {noise}"


def epsilon_of(rate: float, noise: float, steps: int, delta: float) -> float:
    """Return the least epsilon over the orders, walking from the first one: it falls, then rises (Canonne, Kamath and
    Steinke, The Discrete Gaussian for Differential Privacy, 2020, proposition 12)."""
    least = math.inf if steps else 0.0
    for order in ORDERS:
        spent = steps * divergence(rate, noise, order) if steps else 0.0
        found = spent + math.log1p(-1 / order) - math.log(delta * order) / (order - 1)
        # Also if it is not a number, as of no noise at all.
        if not found <= least:
            break
        least = found
    return max(0.0, least)


def divergence(rate: float, noise: float, order: int) -> float:
    """Return the Rényi divergence of one step, of an integer order (Mironov, Talwar and Zhang, Rényi Differential
    Privacy of the Sampled Gaussian Mechanism, 2019, section 3.3).

    The terms are those of the binomial formula less 1, which loses no digits where they are small."""
    if rate >= 1:
        return order / (2 * noise**2)
    terms = []
    for k in range(2, order + 1):
        exponent = k * (k - 1) / (2 * noise**2)
        binomial = math.lgamma(order + 1) - math.lgamma(k + 1) - math.lgamma(order - k + 1)
        chance = binomial + k * math.log(rate) + (order - k) * math.log1p(-rate)
        terms.append(chance + exponent + math.log(-math.expm1(-exponent)))
    largest = max(terms)
    total = largest + math.log(math.fsum(math.exp(term - largest) for term in terms))
    # The logarithm of 1 plus the sum, whichever is larger.
    return (max(total, 0.0) + math.log1p(math.exp(-abs(total)))) / (order - 1)


def noise_for(rate: float, steps: int, epsilon: float, delta: float) -> float | None:
    """Return the least noise, to four decimals, with which the steps spend at most `epsilon`; None if none is."""
    low, high = LEAST_NOISE, MOST_NOISE
    if epsilon_of(rate, high, steps, delta) > epsilon:
        return None
    while high - low > 0.1 / DIGITS:
        middle = math.sqrt(low * high) if high > 2 * low else (low + high) / 2
        if epsilon_of(rate, middle, steps, delta) > epsilon:
            low = middle
        else:
            high = middle
    return math.ceil(high * DIGITS) / DIGITS
