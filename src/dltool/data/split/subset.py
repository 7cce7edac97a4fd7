"""Reduces the training split to a fraction of its rows; those of a smaller fraction are among those of a larger one."""

from dataclasses import replace

import numpy as np

from dltool.config.schema import SplitOptions
from dltool.data.examples import SourceExamples
from dltool.data.split.at_random import Split
from dltool.data.split.by_column import Values, column_named, numbered, positions
from dltool.data.split.divide import Strata, values_in_order
from dltool.data.split.sizes import SPLIT, used_size

STREAM = 2**63
"""A stream of random numbers that neither epochs, which count from 0, nor splits, which count down, use."""


def used_rows(split: Split, rule: SplitOptions, source: SourceExamples, strata: Strata | None, seed: int) -> Split:
    """Return the split with the fraction `rule.use` of its training rows; the other splits stay.

    In an order, and of windows, these are the latest rows. Otherwise `seed` draws them: whole groups, or each class in
    its share unless the config does not stratify. Raises ConfigError: that is no row at all."""
    rows, most = split.train, used_size(rule, len(split.train))
    if most == len(rows):
        return split
    if source.divided is not None:
        kept = latest(source.training.columns["time"], rows, most)
    elif rule.order is not None:
        kept = latest(values_in_order(rule.order, len(source.training), source.split_columns)[1], rows, most)
    elif rule.group is not None:
        kept = whole_groups(column_named(source.split_columns.values, rule.group, (*SPLIT, "group")), rows, most, seed)
    else:
        is_stratified = strata is not None and rule.may_be_stratified and rule.stratify is not False
        kept = in_shares(strata[1][rows] if is_stratified and strata else np.zeros(len(rows), np.int64), most, seed)
    return replace(split, train=rows[np.sort(kept)])


def latest(values: Values, rows: np.ndarray, most: int) -> np.ndarray:
    """Return the positions in `rows` of the `most` rows with the largest of `values` (all rows,)."""
    return np.argsort(numbered(values)[0][rows], kind="stable")[-most:]


def whole_groups(values: Values, rows: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Return the positions in `rows` of whole groups, rows of equal `values` (all rows,), with about `most` rows. There
    is at least one group."""
    groups = np.unique(numbered(values)[0][rows], return_inverse=True)[1]
    sizes = np.bincount(groups)
    order = generator(seed).permutation(len(sizes))
    middles = np.cumsum(sizes[order]) - sizes[order] / 2
    return np.flatnonzero(np.isin(groups, order[: max(1, np.searchsorted(middles, most, side="right"))]))


def in_shares(classes: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Return `most` positions in `classes` (rows,), drawn at random, each class in its share.

    The j-th row of a class of n rows has the rank (j + 1/2) / n, and the lowest ranks are taken: the divisor method of
    Webster and Sainte-Laguë, whose smaller samples lie within larger ones."""
    order = generator(seed).permutation(len(classes))
    ranks = (positions(classes[order]) + 0.5) / np.bincount(classes)[classes[order]]
    return order[np.argsort(ranks, kind="stable")[:most]]


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([seed, STREAM], dtype=np.uint64)))
