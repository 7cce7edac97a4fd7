"""Integrated gradients over any preprocessed input, with the proof that they are complete.

Source: Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", 2017, https://arxiv.org/abs/1703.01365."""

import numpy as np

from dltool.explain.explained import Proof
from dltool.explain.scores import Arrays, Scores

FEWEST_STEPS, MOST_STEPS = 8, 216
TOLERANCE = 0.01
"""The largest median error of a complete explanation."""


def integrated_gradients(
    scores: Scores, inputs: Arrays, entrances: Arrays, baseline: Arrays, labels: np.ndarray, shares: np.ndarray
) -> Arrays:
    """Return what each number of the entrances adds to the score, compared with the `baseline`, (rows, …) by name: the
    mean gradient at these `shares` (steps,) of the way between the two, times their difference."""
    differences = {name: entrances[name] - baseline[name] for name in entrances}
    totals = {name: np.zeros(each.shape, np.float64) for name, each in differences.items()}
    for share in shares:
        between = {name: baseline[name] + share * each for name, each in differences.items()}
        for name, each in scores.gradients(inputs, between, labels).items():
            totals[name] += each
    return {name: (differences[name] * totals[name] / len(shares)).astype(np.float32) for name in totals}


def midpoints(steps: int) -> np.ndarray:
    """Return the middles of equal steps from 0 to 1, (steps,) of float32. One third of those of three times as many
    steps are the same ones."""
    return (np.arange(steps, dtype=np.float32) + np.float32(0.5)) / np.float32(steps)


def complete_gradients(
    scores: Scores, inputs: Arrays, entrances: Arrays, baseline: Arrays, labels: np.ndarray
) -> tuple[Arrays, Proof]:
    """Return integrated gradients with as many steps as completeness takes, and the proof of it: steps are divided
    by three for the examples that are not complete yet, until half of all are.

    All arrays have one row for each example; `baseline` is what the entrances are compared with."""
    given, steps = (inputs, entrances, baseline), FEWEST_STEPS
    found = dict(integrated_gradients(scores, *given, labels, midpoints(steps)))
    errors = incompleteness(scores, *given, labels, found)
    while np.median(errors) >= TOLERANCE and steps < MOST_STEPS:
        steps *= 3
        poor = np.flatnonzero(errors >= TOLERANCE)
        few, ends, blank = ({name: each[poor] for name, each in arrays.items()} for arrays in given)
        others = np.delete(midpoints(steps), np.s_[1::3])
        for name, each in integrated_gradients(scores, few, ends, blank, labels[poor], others).items():
            found[name][poor] = (found[name][poor] + 2 * each) / 3
        better = {name: each[poor] for name, each in found.items()}
        errors[poor] = incompleteness(scores, few, ends, blank, labels[poor], better)
    return found, completeness(errors, steps)


def incompleteness(
    scores: Scores, inputs: Arrays, entrances: Arrays, baseline: Arrays, labels: np.ndarray, attributions: Arrays
) -> np.ndarray:
    """Return how far the sum of the attributions is from the difference of the scores, as a share of it, (rows,)."""
    score, before = scores.scores(inputs, entrances, labels), scores.scores(inputs, baseline, labels)
    difference = score.astype(np.float64) - before
    total = sum(each.reshape(len(each), -1).sum(1, dtype=np.float64) for each in attributions.values())
    # Rounding counts for little where both scores are nearly the same.
    least = 1e-6 * np.maximum(1, np.maximum(np.abs(score), np.abs(before)))
    return np.asarray(np.abs(total - difference) / np.maximum(np.abs(difference), least))


def completeness(errors: np.ndarray, steps: int) -> Proof:
    median, most = float(np.median(errors)), float(np.quantile(errors, 0.95))
    holds = median < TOLERANCE
    words = "the attributions add up to the change of the score since the baseline"
    sentence = (
        f"Complete: {words}, with a median error of {median:.2%} ({most:.1%} in 95 % of the examples)."
        if holds
        else f"Not complete: {words} with a median error of {median:.0%}, where less than 1 % is expected."
    )
    return Proof("completeness", holds, sentence, {"median": median, "q95": most, "steps": steps})
