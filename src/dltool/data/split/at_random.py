"""Divides rows into training, validation and test, single or in groups: at random, in order, or as a column says."""

from dataclasses import dataclass, field
from itertools import combinations
from operator import itemgetter

import numpy as np

from dltool.data.files.class_folders import PART_SPELLINGS
from dltool.data.split.by_column import Values, numbered, positions
from dltool.errors import ConfigPath, DataError, Problem
from dltool.text import and_more, counted, joined

TRAINING, VALIDATION, TEST = range(3)
PART_NAMES = ("training", "validation", "test")
SPELLINGS = {written: PART_NAMES.index(part) for written, part in PART_SPELLINGS.items()}
"""Names of splits in a column, in upper or lower case: those of folders."""
SHOWN = 10
PARTS = 3
MOST_EXCHANGES = 100
PAIRS = 400
"""With at most this many pairs of groups exchanges are tried; for more groups, single moves suffice."""
Change = tuple[float, list[tuple[int, int]]]
"""The change in cost if groups move, and each of these groups with its new split."""


@dataclass(frozen=True)
class Folds:
    """`numbers` (repeats, rows) of int16: the fold in which each row is tested, 0 if in none. `clusters` (rows,) of
    int64 number the groups or blocks of rows that depend on each other, if there are any; -1 is outside all folds.
    `sizes` are the training, validation and test examples of each fold, repeat by repeat."""

    numbers: np.ndarray
    clusters: np.ndarray | None
    sizes: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True)
class Split:
    """Row indices into the table of all examples: int64, ascending, disjoint. `folds` are those of the rows of the
    source's training examples, if the config has any."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    folds: Folds | None = field(default=None, kw_only=True)


def divide(rows: int, validation: int, test: int, seed: int, classes: np.ndarray | None = None) -> Split:
    """Divide rows 0…rows-1 at random into splits of exactly these sizes; the rest is for training.

    `classes` (rows,) of class indices stratifies: each split then holds its exact share of each class, rounded up or
    down. A pure function."""
    order = split_generator(seed).permutation(rows)
    if classes is None:
        parts = np.full(rows, TRAINING)
        parts[order[:validation]] = VALIDATION
        parts[order[validation : validation + test]] = TEST
    else:
        parts = np.empty(rows, dtype=np.int64)
        counts = np.bincount(classes)
        shares = class_shares(counts, np.array([rows - validation - test, validation, test]))
        by_class = order[np.argsort(classes[order], kind="stable")]
        parts[by_class] = np.repeat(np.tile(np.arange(3), len(counts)), shares.ravel())
    return split_of(parts)


def split_generator(seed: int) -> np.random.Generator:
    # The last possible epoch: a stream that no epoch's order uses.
    return np.random.Generator(np.random.Philox(key=np.array([seed, 2**64 - 1], dtype=np.uint64)))


def split_of(parts: np.ndarray) -> Split:
    """Return the split for `parts` (rows,) of TRAINING, VALIDATION or TEST."""
    return Split(*(np.flatnonzero(parts == part) for part in (TRAINING, VALIDATION, TEST)))


def divide_in_order(values: Values, validation: int, test: int, name: str, place: ConfigPath) -> Split:
    """Take the rows with the smallest values for training, then the validation rows, and the largest for the test.

    Rows of equal value are never in two splits: each boundary lies at the change of value nearest to the requested size
    (the later one of two), so a split may have somewhat more or fewer rows, but at least one. `name` is the column's
    name in messages. A pure function. Raises DataError: fewer distinct values than splits."""
    numbers, distinct = numbered(values)
    asked = asked_parts(validation, test, name, len(distinct), "value", place)
    # Positions of new values in ascending order, at which a split may begin.
    starts = np.cumsum(np.bincount(numbers, minlength=len(distinct)))[:-1]
    wanted = {VALIDATION: len(numbers) - validation - test, TEST: len(numbers) - test}
    first = len(distinct)
    parts = np.zeros(len(distinct), dtype=np.int64)
    for place_from_front, part in reversed(list(enumerate(asked))):
        able = starts[place_from_front : first - 1]
        # Each earlier split needs a value.
        first = place_from_front + 1 + int(len(able) - 1 - np.argmin(np.abs(able - wanted[part])[::-1]))
        parts[first:] = np.where(parts[first:] == TRAINING, part, parts[first:])
    return split_of(parts[numbers])


def divide_by_names(values: Values, name: str, place: ConfigPath) -> Split:
    """Put each row into the split that the column `name` names: one of `SPELLINGS`, in any case, surrounding spaces
    ignored. Raises DataError: other values, listed with their counts; or no training rows."""
    numbers, distinct = numbered(values)
    codes = [SPELLINGS.get(str(value).strip().lower(), -1) for value in distinct]
    counts = np.bincount(numbers, minlength=len(distinct))
    unknown = [(value, count) for value, count, code in zip(distinct, counts, codes, strict=True) if code < 0]
    if unknown:
        shown = and_more([f'"{value}" ({counted(count, "row")})' for value, count in unknown], SHOWN)
        message = f'the column "{name}" has values that are no split: {shown}'
        raise DataError(Problem(place, message, f"the splits are {', '.join(SPELLINGS)}"))
    split = split_of(np.array(codes, dtype=np.int64)[numbers])
    if not len(split.train):
        raise DataError(Problem(place, f'no row is for training: none says "train" in the column "{name}"'))
    return split


def asked_parts(validation: int, test: int, name: str, found: int, what: str, place: ConfigPath) -> list[int]:
    """Return the splits beside training that should have rows. Raises DataError: each needs a value or group (`what`)
    of its own, and there are only `found` in the column `name`."""
    asked = [part for part, size in ((VALIDATION, validation), (TEST, test)) if size]
    if found <= len(asked):
        parts = [PART_NAMES[part] for part in (TRAINING, *asked)]
        has = counted(found, f"distinct {what}")
        message = f'the column "{name}" has {has}; {joined(parts, "and")} need {len(parts)}'
        raise DataError(Problem(place, message, "use fewer splits, or another column"))
    return asked


def class_shares(counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the number of rows of each class in each split: (classes, splits) of integers, with the given sums both
    ways.

    `counts` (classes,) and `sizes` (splits,) have the same sum. Each entry is counts * sizes / sum, rounded up or down.
    Such a table always exists (controlled rounding: L. H. Cox, A Constructive Procedure for Unbiased Controlled
    Rounding, 1987). Each class rounds up its largest remainders; then rows move between splits until the sizes fit."""
    total = counts.sum()
    exact = np.multiply.outer(counts.astype(np.int64), sizes)
    shares, remainders = exact // total, exact % total
    rank = np.argsort(np.argsort(-remainders, axis=1, kind="stable"), axis=1)
    is_up = rank < (counts - shares.sum(axis=1))[:, np.newaxis]
    surplus = shares.sum(axis=0) + is_up.sum(axis=0) - sizes

    def move(source: int, target: int) -> bool:
        """Let the least affected class round up in `target` instead of `source`."""
        able = np.flatnonzero(is_up[:, source] & ~is_up[:, target] & (remainders[:, target] > 0))
        if not len(able):
            return False
        best = able[np.argmax(remainders[able, target] - remainders[able, source])]
        is_up[best, source], is_up[best, target] = False, True
        return True

    while surplus.any():
        source, target = int(np.argmax(surplus)), int(np.argmin(surplus))
        if not move(source, target):
            between = 3 - source - target
            moved = move(between, target) and move(source, between)
            assert moved, "no path between two splits: the sums of counts and sizes differ"
        surplus[source] -= 1
        surplus[target] += 1
    return np.asarray(shares + is_up)


def first_of_each_class(rows: np.ndarray, classes: np.ndarray | None, most: int) -> np.ndarray:
    """Return at most `most` of `rows`, ascending: the first of every class, then the second of every class, …"""
    if classes is None:
        return rows[:most]
    return np.sort(rows[np.argsort(positions(classes[rows]), kind="stable")[:most]])


def few_rows(split: Split, classes: np.ndarray | None, most: int) -> tuple[np.ndarray, Split]:
    """Return the rows of a small dataset with some of every split, of as many classes as possible, and its splits."""
    kept = [first_of_each_class(rows, classes, most) for rows in (split.train, split.validation, split.test)]
    ends = np.cumsum([len(rows) for rows in kept])
    rows = np.concatenate(kept)
    return rows, Split(*np.split(np.arange(len(rows)), ends[:-1]))


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
    asked = asked_parts(validation, test, name, len(distinct), "group", place)
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
        """Improve `parts` (groups,) in place, while one move or exchange lowers the cost.

        The cost is the sum of the squared deficits of the splits. Moving x from split p to q, with deficits D_p and
        D_q, adds 2 x·(D_p - D_q) + 2 x·x to it."""
        tolerance = 1e-9 * float((self.shares**2).sum())
        for _ in range(MOST_EXCHANGES):
            lacking = self.shares.copy()
            np.subtract.at(lacking, parts, self.features)
            moves = (self.best_move(parts, lacking), self.best_exchange(parts, lacking))
            gain, changes = min(moves, key=itemgetter(0))
            if gain >= -tolerance:
                break
            for group, part in changes:
                parts[group] = part
        return parts

    def best_move(self, parts: np.ndarray, lacking: np.ndarray) -> Change:
        wanted = self.features @ lacking.T
        own = wanted[np.arange(len(parts)), parts]
        cost = 2 * (own[:, np.newaxis] - wanted) + 2 * (self.features**2).sum(axis=1)[:, np.newaxis]
        # A split keeps its last group.
        cost[np.bincount(parts, minlength=PARTS)[parts] == 1] = np.inf
        cost[np.arange(len(parts)), parts] = np.inf
        cost[:, [part for part in range(PARTS) if part not in self.parts]] = np.inf
        group, part = divmod(int(np.argmin(cost)), PARTS)
        return float(cost[group, part]), [(group, part)]

    def best_exchange(self, parts: np.ndarray, lacking: np.ndarray) -> Change:
        best: Change = (np.inf, [])
        if len(parts) > PAIRS:
            return best
        squares = self.features @ self.features.T
        norms = np.diag(squares)
        for one, other in combinations(self.parts, 2):
            here, there = np.flatnonzero(parts == one), np.flatnonzero(parts == other)
            need = self.features @ (lacking[one] - lacking[other])
            distance = norms[here][:, np.newaxis] + norms[there] - 2 * squares[np.ix_(here, there)]
            cost = 2 * (need[here][:, np.newaxis] - need[there]) + 2 * distance
            row, column = divmod(int(np.argmin(cost)), len(there))
            if cost[row, column] < best[0]:
                best = float(cost[row, column]), [(int(here[row]), other), (int(there[column]), one)]
        return best
