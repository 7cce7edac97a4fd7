"""Permutation importance: how much the loss increases if a column has the values of other rows.

L. Breiman, Random Forests, 2001; as an average over pairs of different rows: A. Fisher, C. Rudin and F. Dominici, All
Models are Wrong, but Many are Useful, 2019."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from dltool.evaluation.bootstrap import Interval, mean_intervals
from dltool.explain.explained import Proof
from dltool.explain.mixing import MixedModel
from dltool.explain.related_columns import rank_correlation
from dltool.model.build import BuiltModel
from dltool.text import counted, number

REPEATS, SHUFFLES = 5, 5
MOST_SHUFFLED_ROWS = 2_000
AGREE, UNRELATED = 0.8, 0.5
"""Least rank correlation of two halves of the repeats; greatest with importances of a model that learnt nothing."""
Selections = Mapping[str, np.ndarray]
"""The positions (positions,) of bool of columns or groups of columns, see :class:`dltool.explain.mixing.Columns`."""


@dataclass(frozen=True)
class Importance:
    """How much the mean `loss` increases without the information of some columns, and by how much the mean of each of
    the `metrics` changes. `halves` are the increases by the first and the last repeats.

    `noise` is what the same columns would reach in 95 % of cases if they had no information, None if it is unknown."""

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
    changes: dict[str, dict[str, float]] = {}
    for name, chosen in selections.items():
        after = [model(rows, other, chosen)[0] for other in others]
        increases[name] = np.stack([each["loss"].astype(float) - before["loss"] for each in after])
        metrics = {key: np.mean([each[key].mean(dtype=float) for each in after]) for key in before}
        changes[name] = {key: float(value - before[key].mean(dtype=float)) for key, value in metrics.items()}
    # All at once, on the same samples of rows.
    means = {f"{name} ": each.mean(axis=0) for name, each in increases.items()}
    again = {f"{name} {repeat}": row for name, each in increases.items() for repeat, row in enumerate(repeated(each))}
    intervals = mean_intervals(means | again, seed, clusters)
    half = len(others) // 2
    return [
        Importance(
            name,
            intervals[f"{name} "],
            changes[name],
            (float(each[:half].mean()), float(each[half:].mean())),
            noise_of([intervals[f"{name} {repeat}"] for repeat in range(len(each))]),
        )
        for name, each in increases.items()
    ]


def partners(rows: np.ndarray, repeats: int, seed: int) -> list[np.ndarray]:
    """Return for each repeat the other row that each row gets, (rows,): no row gets itself, and none the same twice.

    All rows stand in one random order; in repeat r, each gets the row that is r places further."""
    order = np.random.Generator(np.random.Philox(seed)).permutation(len(rows))
    found = []
    for repeat in range(1, min(repeats, len(rows) - 1) + 1):
        other = np.empty_like(rows)
        other[order] = rows[np.roll(order, -repeat)]
        found.append(other)
    return found


def repeated(increases: np.ndarray) -> np.ndarray:
    """Return the importance, by row, of columns that have no information, (repeats, rows), from that of the same column.

    A permuted column has lost its information, so permuting it again changes nothing but the sampling: the difference
    of each repeat from the mean of the others has the mean zero by construction."""
    return np.asarray((increases - increases.mean(axis=0)) * len(increases) / max(1, len(increases) - 1))


def noise_of(intervals: Sequence[Interval]) -> float | None:
    """Return the bound that columns without information exceed in 5 % of cases, from their intervals, one a repeat."""
    halves = [(each.high - each.low) / 2 for each in intervals if each.high is not None and each.low is not None]
    return float(np.mean(halves)) if len(halves) > 1 else None


def proofs(model: MixedModel, found: Sequence[Importance], selections: Selections, rows: np.ndarray) -> list[Proof]:
    """Return whether two halves of the repeats agree, and whether the importances follow from what the model learnt."""
    heard = [each.exceeds_noise for each in found]
    # The order of columns within the noise is chance.
    halves = [[each.halves[at] if hears else 0.0 for each, hears in zip(found, heard, strict=True)] for at in (0, 1)]
    agreement = rank_correlation(*map(np.array, halves))
    are_enough = sum(heard) > 1
    words = f"Two halves of the permutations rank the columns alike: rank correlation {agreement:.2f} (least {AGREE})."
    if not are_enough:
        words = f"{counted(sum(heard), 'column exceeds', 'columns exceed')} the noise: there is no order to confirm."
    proofs = [Proof("agreement", not are_enough or agreement >= AGREE, words, {"rank_correlation": agreement})]
    return proofs if len(found) < 3 else [*proofs, randomisation(model, found, selections, rows)]


def randomisation(model: MixedModel, found: Sequence[Importance], selections: Selections, rows: np.ndarray) -> Proof:
    """Return whether importances vanish with what the model learnt, by models with shuffled weights (J. Adebayo et al.,
    Sanity Checks for Saliency Maps, 2018)."""
    rows = rows[:: -(-len(rows) // MOST_SHUFFLED_ROWS)]
    original = np.array([each.loss.value for each in found])
    correlations = []
    for seed in range(SHUFFLES):
        with shuffled_weights(model.built, seed):
            before = model(rows, rows, model.columns.chosen([]))[0]["loss"].mean(dtype=float)
            (other,) = partners(rows, 1, seed)
            after = [model(rows, other, selections[each.name])[0]["loss"].mean(dtype=float) for each in found]
        correlations.append(rank_correlation(original, np.array(after) - before))
    mean = float(np.mean(correlations))
    holds = abs(mean) < UNRELATED
    words = f"With shuffled weights, the order of the columns is {'another' if holds else 'nearly the same'}: "
    words += f"rank correlation {number(mean)}, the mean of {SHUFFLES} shuffles (most {UNRELATED})."
    return Proof("randomisation", holds, words, {"rank_correlations": correlations})


@contextmanager
def shuffled_weights(built: BuiltModel, seed: int) -> Iterator[None]:
    """Permute the numbers within each trained variable of the model within the block."""
    generator = np.random.Generator(np.random.Philox(seed))
    kept = [(variable, variable.numpy()) for variable in built.core.trainable_variables]
    try:
        for variable, values in kept:
            variable.assign(generator.permutation(values.ravel()).reshape(values.shape))
        yield
    finally:
        for variable, values in kept:
            variable.assign(values)
