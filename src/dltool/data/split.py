"""Which rows are for training, validation and test."""

from dataclasses import dataclass

import numpy as np

TRAINING, VALIDATION, TEST = range(3)


@dataclass(frozen=True)
class Split:
    """Row indices into the table of all examples: int64, ascending, disjoint."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def divide(rows: int, validation: int, test: int, seed: int, classes: np.ndarray | None = None) -> Split:
    """Rows 0…rows-1 at random into parts of exactly these sizes; the rest is for training.

    `classes` (rows,) of class indices stratifies: each part then holds of each class its exact share, rounded up or
    down. A pure function of its arguments.
    """
    # The last possible epoch: a stream that no epoch's order uses.
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, 2**64 - 1], dtype=np.uint64)))
    order = generator.permutation(rows)
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
    return Split(*(np.flatnonzero(parts == part) for part in (TRAINING, VALIDATION, TEST)))


def class_shares(counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """How many rows of each class each part gets: (classes, parts) of integers, with the given sums both ways.

    `counts` (classes,) and `sizes` (parts,) have the same sum. Each entry is counts * sizes / sum, rounded up or down.
    Such a table always exists (controlled rounding: L. H. Cox, A Constructive Procedure for Unbiased Controlled
    Rounding, 1987). Each class rounds up its largest remainders; then rows move between parts until the sizes fit.
    """
    total = counts.sum()
    exact = np.multiply.outer(counts.astype(np.int64), sizes)
    shares, remainders = exact // total, exact % total
    rank = np.argsort(np.argsort(-remainders, axis=1, kind="stable"), axis=1)
    is_up = rank < (counts - shares.sum(axis=1))[:, np.newaxis]
    surplus = shares.sum(axis=0) + is_up.sum(axis=0) - sizes

    def move(source: int, target: int) -> bool:
        """Let the class to which it matters least round up in `target` instead of `source`."""
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
                raise AssertionError("no path between two parts: the sums of counts and sizes differ")
        surplus[source] -= 1
        surplus[target] += 1
    return np.asarray(shares + is_up)


def first_of_each_class(rows: np.ndarray, classes: np.ndarray | None, most: int) -> np.ndarray:
    """At most `most` of `rows`, ascending: the first of every class, then the second of every class, …"""
    if classes is None:
        return rows[:most]
    grouped = np.argsort(classes[rows], kind="stable")
    counts = np.bincount(classes[rows])
    rank = np.empty(len(rows), dtype=np.int64)
    rank[grouped] = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(rows[np.argsort(rank, kind="stable")[:most]])
