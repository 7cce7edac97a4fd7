"""Columns that stand in for each other: a model that loses one of them can use the others."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from scipy.stats import rankdata

from dltool.data.arrays.rows import is_text

RELATED = 0.7
"""Least dependence of two columns of a group: one has half of the other's information."""
MOST_ROWS, MOST_VALUES, MOST_BINS = 5_000, 30, 10


def related_groups(values: Mapping[str, np.ndarray]) -> list[tuple[str, ...]]:
    """Return groups of columns that are all related to each other, from raw values (rows,) of each column.

    The closest columns are joined first, two groups only if all of their columns are related (complete linkage)."""
    rows = {name: each[:: -(-len(each) // MOST_ROWS)] for name, each in values.items()}
    pairs = {frozenset(pair): dependence(*(rows[name] for name in pair)) for pair in combinations(rows, 2)}
    group_of: dict[str, tuple[str, ...]] = {name: (name,) for name in rows}
    for one, other in sorted(combinations(rows, 2), key=lambda pair: -pairs[frozenset(pair)]):
        first, second = group_of[one], group_of[other]
        if first != second and all(pairs[frozenset((a, b))] >= RELATED for a in first for b in second):
            joined = tuple(name for name in rows if name in (*first, *second))
            group_of |= dict.fromkeys(joined, joined)
    return [group for group in dict.fromkeys(group_of.values()) if len(group) > 1]


def dependence(one: np.ndarray, other: np.ndarray) -> float:
    """Return |rank correlation| of two columns of numbers (rows,). For other columns, return the square root of their
    mutual information in units of the smaller entropy: 0 if they are independent, 1 if one determines the other. As the
    square of a correlation is a share of the variance, its square is a share of the information."""
    if not (is_text(one) or is_text(other)):
        known = ~(np.isnan(one) | np.isnan(other))
        return abs(rank_correlation(one[known], other[known]))
    codes = [codes_of(each) for each in (one, other)]
    counts = np.zeros([each.max() + 1 for each in codes])
    np.add.at(counts, tuple(codes), 1)
    entropies = [entropy(counts.sum(axis=axis)) for axis in (0, 1)]
    # Of independent columns the counts alone make it so large (G. A. Miller, 1955).
    by_chance = (counts.shape[0] - 1) * (counts.shape[1] - 1) / (2 * len(one))
    shared = max(0.0, sum(entropies) - entropy(counts.ravel()) - by_chance)
    return float(np.sqrt(shared / min(entropies))) if min(entropies) > 0 else 0.0


def entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-np.sum(shares * np.log(shares)))


def codes_of(values: np.ndarray) -> np.ndarray:
    """Return small integers (rows,): the most frequent strings and the rest, or intervals between quantiles."""
    if not is_text(values) and len(np.unique(values)) > MOST_VALUES:
        values = np.searchsorted(np.nanquantile(values, np.linspace(0, 1, MOST_BINS + 1)[1:-1]), values)
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.minimum(np.argsort(np.argsort(-counts, kind="stable")), MOST_VALUES)[codes]


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return Spearman's rank correlation of two (n,), 0 if one is constant."""
    ranks = np.stack([rankdata(each) for each in (one, other)])
    return float(np.corrcoef(ranks)[0, 1]) if len(one) > 1 and np.ptp(ranks, axis=1).all() else 0.0
