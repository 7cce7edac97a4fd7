"""Divides rows by groups: all rows of one household, patient or speaker are in one split."""

from dataclasses import dataclass

import numpy as np

from dltool.data.split.at_random import TEST, TRAINING, VALIDATION, Split, split_generator, split_of, too_few
from dltool.data.split.by_column import Values, numbered
from dltool.errors import ConfigPath, DataError

PARTS = 3
MOST_EXCHANGES = 100
PAIRS = 400
"""With at most this many pairs of groups exchanges are tried; for more groups, single moves suffice."""


def divide_by_groups(
    values: Values,
    validation: int,
    test: int,
    seed: int,
    name: str,
    place: ConfigPath,
    classes: np.ndarray | None = None,
) -> Split:
    """Divide whole groups (rows of the same value) into splits of about these sizes; the rest is for training.

    The groups, in random order, are cut at the sizes. Then groups move between splits, or are exchanged, while that
    brings the sizes nearer to those requested and, with `classes` (rows,) of class indices, the classes nearer to equal
    shares. Every split requested has a group. `name` is the column's name in messages. A pure function. Raises
    DataError: fewer groups than splits."""
    numbers, distinct = numbered(values)
    asked = [part for part, size in ((VALIDATION, validation), (TEST, test)) if size]
    if len(distinct) <= len(asked):
        raise DataError(too_few(name, "group", len(distinct), asked, place))
    sizes = np.array([len(numbers) - validation - test, validation, test], dtype=np.float64)
    features = group_features(numbers, len(distinct), classes)
    division = Division(features, np.multiply.outer(sizes / len(numbers), features.sum(axis=0)), [TRAINING, *asked])
    return split_of(division.improved(cut(features[:, 0], sizes, [TRAINING, *asked], seed))[numbers])


def group_features(numbers: np.ndarray, groups: int, classes: np.ndarray | None) -> np.ndarray:
    """Return (groups, 1 or 1 + classes): the rows of each group, and those of each class, which are to be balanced.

    The columns of the classes are scaled so that a rare class counts as much as a frequent one, and all of them
    together less than the number of rows."""
    rows = np.bincount(numbers, minlength=groups).astype(np.float64)[:, np.newaxis]
    if classes is None:
        return rows
    number = int(classes.max()) + 1
    counts = np.bincount(numbers * number + classes, minlength=groups * number).reshape(groups, number)
    totals = np.maximum(counts.sum(axis=0), 1)
    return np.hstack([rows, counts * (len(numbers) / (2 * number * totals))])


def cut(rows: np.ndarray, sizes: np.ndarray, parts: list[int], seed: int) -> np.ndarray:
    """Return the split of each group: the groups in random order, cut at the sizes; none of `parts` is left empty."""
    order = split_generator(seed).permutation(len(rows))
    middle = np.cumsum(rows[order]) - rows[order] / 2
    result = np.empty(len(rows), dtype=np.int64)
    result[order] = np.searchsorted(np.cumsum(sizes), middle, side="right").clip(max=parts[-1])
    for part in parts:
        if not (result == part).any():
            counts = np.bincount(result, minlength=PARTS)
            able = order[counts[result[order]] > 1]
            result[able[np.argmin(np.abs(rows[able] - sizes[part]))]] = part
    return result


@dataclass(frozen=True)
class Division:
    """Groups with their `features` (groups, features), of which each split should get `shares` (3, features)."""

    features: np.ndarray
    shares: np.ndarray
    parts: list[int]

    def improved(self, parts: np.ndarray) -> np.ndarray:
        """Improve `parts` (groups,) while one move or exchange lowers the cost.

        The cost is the sum of the squared deficits of the splits. Moving x from split p to q, with deficits D_p and
        D_q, adds 2 x·(D_p - D_q) + 2 x·x to it."""
        parts = parts.copy()
        tolerance = 1e-9 * float((self.shares**2).sum())
        for _ in range(MOST_EXCHANGES):
            lacking = self.shares.copy()
            np.subtract.at(lacking, parts, self.features)
            gain, changes = min((self.best_move(parts, lacking), self.best_exchange(parts, lacking)), key=first_item)
            if gain >= -tolerance:
                break
            for group, part in changes:
                parts[group] = part
        return parts

    def best_move(self, parts: np.ndarray, lacking: np.ndarray) -> tuple[float, list[tuple[int, int]]]:
        wanted = self.features @ lacking.T
        own = wanted[np.arange(len(parts)), parts]
        cost = 2 * (own[:, np.newaxis] - wanted) + 2 * (self.features**2).sum(axis=1)[:, np.newaxis]
        # A split keeps its last group.
        cost[np.bincount(parts, minlength=PARTS)[parts] == 1] = np.inf
        cost[np.arange(len(parts)), parts] = np.inf
        cost[:, [part for part in range(PARTS) if part not in self.parts]] = np.inf
        group, part = divmod(int(np.argmin(cost)), PARTS)
        return float(cost[group, part]), [(group, part)]

    def best_exchange(self, parts: np.ndarray, lacking: np.ndarray) -> tuple[float, list[tuple[int, int]]]:
        best: tuple[float, list[tuple[int, int]]] = (np.inf, [])
        if len(parts) > PAIRS:
            return best
        squares = self.features @ self.features.T
        norms = np.diag(squares)
        for one in self.parts:
            for other in self.parts[self.parts.index(one) + 1 :]:
                here, there = np.flatnonzero(parts == one), np.flatnonzero(parts == other)
                need = self.features @ (lacking[one] - lacking[other])
                distance = norms[here][:, np.newaxis] + norms[there] - 2 * squares[np.ix_(here, there)]
                cost = 2 * (need[here][:, np.newaxis] - need[there]) + 2 * distance
                row, column = divmod(int(np.argmin(cost)), len(there))
                best = min(
                    best,
                    (float(cost[row, column]), [(int(here[row]), other), (int(there[column]), one)]),
                    key=first_item,
                )
        return best


def first_item(pair: tuple[float, list[tuple[int, int]]]) -> float:
    return pair[0]
