"""Columns that stand in for each other: a model that loses one of them can use the others."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from dltool.data.arrays.rows import is_text

RELATED = 0.7
"""Least dependence of two columns of a group: one has half of the other's information."""
MOST_ROWS, MOST_VALUES, MOST_BINS = 5_000, 30, 10


def related_groups(values: Mapping[str, np.ndarray]) -> list[tuple[str, ...]]:
    """Return groups of columns, each of at least two, that are all related to each other. `values` are raw, (rows,) of
    each column, of which some evenly spread ones are compared.

    The closest pairs are joined first, and two groups only if all of their columns are related (complete linkage)."""
    rows = {name: each[:: -(-len(each) // MOST_ROWS)] for name, each in values.items()}
    pairs = {pair: dependence(rows[pair[0]], rows[pair[1]]) for pair in combinations(rows, 2)}
    group_of = {name: (name,) for name in rows}
    for (one, other), _ in sorted(pairs.items(), key=lambda item: -item[1]):
        first, second = group_of[one], group_of[other]
        if first is not second and all(
            pairs.get((a, b), pairs.get((b, a), 0.0)) >= RELATED for a in first for b in second
        ):
            group_of |= dict.fromkeys((*first, *second), (*first, *second))
    order = {name: index for index, name in enumerate(rows)}
    groups = {tuple(sorted(group, key=order.__getitem__)) for group in group_of.values() if len(group) > 1}
    return sorted(groups, key=lambda group: order[group[0]])


def dependence(one: np.ndarray, other: np.ndarray) -> float:
    """Return |rank correlation| of two columns of numbers (rows,). For other columns, return the square root of their
    mutual information in units of the smaller entropy: 0 if they are independent, 1 if one determines the other. As the
    square of a correlation is a share of the variance, its square is a share of the information."""
    if not (is_text(one) or is_text(other)):
        return abs(rank_correlation(one, other))
    codes = [codes_of(each) for each in (one, other)]
    counts = np.zeros([each.max() + 1 for each in codes])
    np.add.at(counts, tuple(codes), 1)
    entropies = [entropy(counts.sum(axis=axis)) for axis in (0, 1)]
    # Of independent columns the counts alone make it so large (G. A. Miller, 1955).
    by_chance = (counts.shape[0] - 1) * (counts.shape[1] - 1) / (2 * len(one))
    shared = sum(entropies) - entropy(counts.ravel()) - by_chance
    return float(np.sqrt(max(0.0, shared / min(entropies)))) if min(entropies) > 0 else 0.0


def entropy(counts: np.ndarray) -> float:
    """Return the entropy in nats."""
    shares = counts[counts > 0] / counts.sum()
    return float(-np.sum(shares * np.log(shares)))


def codes_of(values: np.ndarray) -> np.ndarray:
    """Return small integers (rows,): the most frequent strings and the rest, or intervals between quantiles."""
    if not is_text(values):
        edges = np.unique(np.nanquantile(values, np.linspace(0, 1, MOST_BINS + 1)[1:-1]))
        values = np.searchsorted(edges, values) if len(np.unique(values)) > MOST_VALUES else values
    distinct, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    places = np.empty(len(distinct), int)
    places[np.argsort(-counts, kind="stable")] = np.arange(len(distinct))
    return np.minimum(places, MOST_VALUES)[codes]


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return Spearman's rank correlation of two (n,), 0 if one is constant. Rows with NaN are left out."""
    known = ~(np.isnan(one) | np.isnan(other))
    ranks = [mean_ranks(each[known]) for each in (one, other)]
    if known.sum() < 2 or not all(map(np.ptp, ranks)):
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def mean_ranks(values: np.ndarray) -> np.ndarray:
    """Return the ranks, (n,) of float64; equal values have the mean of theirs."""
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[codes])
