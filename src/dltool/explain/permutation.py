"""Permutation importance: how much the loss increases if a column has the values of other rows.

L. Breiman, Random Forests, 2001; as an average over pairs of different rows: A. Fisher, C. Rudin and F. Dominici, All
Models are Wrong, but Many are Useful, 2019."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dltool.evaluation.bootstrap import Interval, mean_intervals
from dltool.explain.explained import Proof
from dltool.explain.mixing import MixedModel
from dltool.explain.proofs import SHUFFLES, shuffled_weights
from dltool.explain.related_columns import rank_correlation

REPEATS = 5
MOST_SHUFFLED_ROWS = 2_000
AGREE, UNRELATED = 0.8, 0.5
"""Least rank correlation of two halves of the repeats; greatest with importances of a model that learned nothing, of
which few columns have up to 0.5 by chance."""
Selections = Mapping[str, np.ndarray]
"""The positions (positions,) of bool of columns or groups of columns, see :class:`dltool.explain.mixing.Columns`."""


@dataclass(frozen=True)
class Importance:
    """How much the mean `loss` increases without the information of some columns, and by how much the mean of each of
    the `metrics` changes. `halves` are the increases by the first and the last repeats. `noise` is what the same
    columns would exceed in 5 % of cases if they had no information, None if it is unknown."""

    name: str
    loss: Interval
    metrics: Mapping[str, float]
    halves: tuple[float, float]
    noise: float | None

    @property
    def exceeds_noise(self) -> bool:
        return self.loss.exceeds_noise and self.noise is not None and self.loss.value > self.noise


def importances(
    model: MixedModel, selections: Selections, rows: np.ndarray, clusters: np.ndarray | None, seed: int
) -> list[Importance]:
    """Return the importance of each selection, on these rows. Whole `clusters` (rows,) are resampled for intervals."""
    others = partners(rows, REPEATS, seed)
    before = model(rows, rows, model.columns.chosen([]))[0]
    increases: dict[str, np.ndarray] = {}
    metrics: dict[str, dict[str, float]] = {}
    for name, chosen in selections.items():
        after = [model(rows, other, chosen)[0] for other in others]
        increases[name] = np.stack([each["loss"].astype(float) - before["loss"] for each in after])
        metrics[name] = {key: float(np.mean([each[key] - before[key] for each in after])) for key in before}
    means = {f"{name} ": each.mean(axis=0) for name, each in increases.items()}
    again = {f"{name} {repeat}": row for name, each in increases.items() for repeat, row in enumerate(repeated(each))}
    # All at once, on the same samples of rows.
    intervals = mean_intervals(means | again, seed, clusters)
    found, half = [], len(others) // 2
    for name, each in increases.items():
        halves = float(each[:half].mean()) if half else 0.0, float(each[half:].mean())
        noise = noise_of([intervals[f"{name} {repeat}"] for repeat in range(len(each))])
        found.append(Importance(name, intervals[f"{name} "], metrics[name], halves, noise))
    return found


def partners(rows: np.ndarray, repeats: int, seed: int) -> list[np.ndarray]:
    """Return for each repeat the other row that each row gets, (rows,): no row gets itself, and none the same twice.

    All rows stand in one random order; in repeat r, each gets the row that is r places further."""
    order = np.random.Generator(np.random.Philox(seed)).permutation(len(rows))
    found = []
    for repeat in range(1, max(2, min(repeats, len(rows) - 1) + 1)):
        found.append(np.empty_like(rows))
        found[-1][order] = rows[np.roll(order, -repeat)]
    return found


def repeated(increases: np.ndarray) -> np.ndarray:
    """Return the importance by row, (repeats, rows), of columns without information, from that of a column.

    A permuted column has lost its information, so permuting it again changes nothing but the sampling: the difference
    of each repeat from the mean of the others has the mean zero by construction."""
    return np.asarray((increases - increases.mean(axis=0)) * len(increases) / max(1, len(increases) - 1))


def noise_of(intervals: Sequence[Interval]) -> float | None:
    """Return half the mean width of the intervals of columns without information."""
    halves = [(each.high - each.low) / 2 for each in intervals if each.high is not None and each.low is not None]
    return float(np.mean(halves)) if len(halves) > 1 else None


def agreement(found: Sequence[Importance]) -> Proof:
    """Return whether two halves of the repeats agree. The order of columns within the noise is chance."""
    halves = [np.array([each.halves[at] if each.exceeds_noise else 0.0 for each in found]) for at in (0, 1)]
    correlation, count = rank_correlation(*halves), sum(each.exceeds_noise for each in found)
    words = f"Two halves of the permutations rank the columns alike: rank correlation {correlation:.2f}."
    if count < 2:
        words = f"{count or 'None'} of {len(found)} columns is more important than noise: there is no order to confirm."
    elif correlation < AGREE:
        words = f"Two halves of the permutations differ: rank correlation {correlation:.2f}, expected {AGREE} or more."
    return Proof("agreement", count < 2 or correlation >= AGREE, words, {"rank_correlation": correlation})


def randomisation(model: MixedModel, found: Sequence[Importance], selections: Selections, rows: np.ndarray) -> Proof:
    """Return whether models with shuffled weights have other importances (J. Adebayo et al., Sanity Checks for Saliency
    Maps, 2018)."""
    rows = rows[:: -(-len(rows) // MOST_SHUFFLED_ROWS)]
    original, correlations = np.array([each.loss.value for each in found]), []
    for seed in range(SHUFFLES):
        (other,) = partners(rows, 1, seed)
        with shuffled_weights(model.built.core, seed):
            chosen = [model.columns.chosen([]), *(selections[each.name] for each in found)]
            losses = np.array([model(rows, other, each)[0]["loss"].mean(dtype=float) for each in chosen])
        correlations.append(rank_correlation(original, losses[1:] - losses[0]))
    mean = float(np.mean(correlations))
    words = f"rank correlation {mean:.2f}, the mean of {SHUFFLES} shuffles"
    if abs(mean) < UNRELATED:
        return Proof(
            "randomisation", True, f"Shuffled weights rank the columns otherwise: {words}.", {"each": correlations}
        )
    sentence = f"The order does not depend on what the model has learned: shuffled weights give it too, {words}."
    return Proof("randomisation", False, sentence, {"each": correlations})
