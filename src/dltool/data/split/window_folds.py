"""Divides windows over time series into folds: blocks of time, each tested by what lies before it."""

import numpy as np

from dltool.config.schema import SplitOptions
from dltool.data.split.at_random import Folds, Split
from dltool.data.split.folds import PLACE, block_length, folds_in_order
from dltool.errors import DataError, Problem


def blocks_of(rule: SplitOptions, spans: np.ndarray) -> np.ndarray:
    """Return (times,): the fold in which each time is tested, 0 before the first. `spans` (windows, 2) are the numbers
    of the first and last time of each window, -1 outside all folds."""
    times = np.arange(int(spans.max(initial=-1)) + 1)
    return folds_in_order(times, rule.folds or 0, rule.model_copy(update={"order": rule.order or "time"}))


def folds_of_windows(rule: SplitOptions, spans: np.ndarray) -> Folds:
    """Divide the windows. One that reaches from a block into the next is tested in none. Raises DataError: too few
    times."""
    blocks = blocks_of(rule, spans)
    first, last = spans.T
    is_inside = first >= 0
    numbers = np.where(is_inside & (blocks[first] == blocks[last]), blocks[last], 0)
    # Windows that share a row depend on each other, as neighbours do: see `folds_of`.
    length = max(int((last - first).max()) + 1, block_length(len(blocks)))
    return Folds(numbers[np.newaxis].astype(np.int16), np.where(is_inside, last // length, -1))


def windows_of_fold(rule: SplitOptions, spans: np.ndarray, folds: Folds, split: Split) -> Split:
    """Return the split of one fold: what it tests, and all windows before it. None of these has a row in the tested
    block, nor in the `gap` before it. The latest times are for validation, unless the validation of the whole `split`
    is from another source. Raises DataError: a part has no window."""
    first, last = spans.T
    end = int(np.flatnonzero(blocks_of(rule, spans) == rule.fold)[0]) - (rule.gap or 0)
    begin = max(0, end - (rule.window or end))
    middle = end - round(rule.validation * (end - begin))
    own = split.validation[first[split.validation] < 0]
    validation = own if len(own) else np.flatnonzero((first >= middle) & (last < end) & (middle < end))
    training = np.flatnonzero((first >= begin) & (last < middle))
    found = {"training": training, "test": np.flatnonzero(folds.numbers[0] == rule.fold)}
    found |= {"validation": validation} if rule.validation else {}
    DataError.refuse(
        Problem(
            PLACE, f"fold {rule.fold} has no window for {name}", "use fewer folds, a smaller gap, or shorter windows"
        )
        for name, windows in found.items()
        if not len(windows)
    )
    return Split(training, validation, found["test"], folds=folds)
