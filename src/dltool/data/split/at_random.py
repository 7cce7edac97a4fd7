"""Divides rows into training, validation and test. For groups of rows see :mod:`dltool.data.split.by_group`."""

from dataclasses import dataclass

import numpy as np

from dltool.data.split.by_column import Values, numbered
from dltool.errors import ConfigPath, DataError, Problem
from dltool.text import and_more, counted, joined

TRAINING, VALIDATION, TEST = range(3)
PART_NAMES = ("training", "validation", "test")
SPELLINGS = {
    **dict.fromkeys(("train", "training"), TRAINING),
    **dict.fromkeys(("val", "valid", "validation"), VALIDATION),
    "test": TEST,
}
"""Names of splits in a column, in upper or lower case."""
SHOWN = 10


@dataclass(frozen=True)
class Split:
    """Row indices into the table of all examples: int64, ascending, disjoint."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


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
    asked = [part for part, size in ((VALIDATION, validation), (TEST, test)) if size]
    if len(distinct) <= len(asked):
        raise DataError(too_few(name, "value", len(distinct), asked, place))
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


def too_few(name: str, what: str, found: int, asked: list[int], place: ConfigPath) -> Problem:
    """Return the error that each split needs a value or group of its own; `asked` are those beside training."""
    parts = [PART_NAMES[part] for part in (TRAINING, *asked)]
    has = counted(found, f"distinct {what}")
    message = f'the column "{name}" has {has}; {joined(parts, "and")} need {len(parts)}'
    return Problem(place, message, "use fewer splits, or another column")


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
            if not (move(between, target) and move(source, between)):
                raise AssertionError("no path between two splits: the sums of counts and sizes differ")
        surplus[source] -= 1
        surplus[target] += 1
    return np.asarray(shares + is_up)


def first_of_each_class(rows: np.ndarray, classes: np.ndarray | None, most: int) -> np.ndarray:
    """Return at most `most` of `rows`, ascending: the first of every class, then the second of every class, …"""
    if classes is None:
        return rows[:most]
    grouped = np.argsort(classes[rows], kind="stable")
    counts = np.bincount(classes[rows])
    rank = np.empty(len(rows), dtype=np.int64)
    rank[grouped] = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(rows[np.argsort(rank, kind="stable")[:most]])
