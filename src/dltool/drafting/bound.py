"""The bound that a draft expects of its model: what a simple rule and a linear model reach on the same test rows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dltool.config.columns import ONE_TARGET, BooleanColumn, CategoryColumn, NumberColumn
from dltool.config.schema import Windows
from dltool.data.arrays.rows import Coded
from dltool.data.arrays.window_rows import repeated_values
from dltool.data.dataset import Dataset
from dltool.data.scales import signed_log
from dltool.drafting.draft import Draft, in_comment
from dltool.text import number

MOST_ROWS = 20_000
MOST_FEATURES = 500
MOST_VALUES = 30
RIDGE = 1e-3
"""For each row, as a share of the variance of a feature."""
TOLERANCE = 0.25
"""By how much of the baseline a model may miss it that may not beat it."""
LEAST_LEFT = 0.3
"""The share of the baseline's error that a model may have, however good a linear one is."""


@dataclass(frozen=True)
class Bound:
    """A bound such as `> 0.8`; `words` are sentences about its origin, `why` a few words for the line of the bound."""

    words: tuple[str, ...]
    bound: str
    why: str = "the baseline"


def bound_on(dataset: Dataset, draft: Draft, windows: Windows | None) -> Bound:
    """Return the bound on the metric of a draft, measured on the test split."""
    metric = draft.metric
    if metric == "mean_absolute_error":
        return bound_on_error(dataset, windows, draft.doubt)
    examples = dataset.examples("test")
    training, test = dataset.targets[ONE_TARGET][dataset.split.train], examples.targets[ONE_TARGET]
    if metric == "binary_accuracy":
        share = float(np.mean(test == (training.mean(axis=0) > 0.5)))
        return Bound((f"the labels that most examples have are {share:.1%} of the test labels right",), above(share))
    # The target of an example may be a class for each pixel.
    most = int(np.argmax(np.bincount(np.ravel(training))))
    share = float(np.mean(test == most))
    what = "pixels" if test.ndim > 1 else "examples"
    name = in_comment(dataset.facts.targets[ONE_TARGET].class_names[most])
    words = f"the most frequent class, {name}, is right in {share:.1%} of the test {what}"
    predicted = None if test.ndim > 1 else linear(dataset, np.eye(int(training.max()) + 1)[training])
    if predicted is None:
        return Bound((words,), above(share))
    # Two more of each kind: with few rows, a share of 100 % has an error too.
    rows, right = len(test) + 4, np.sum(predicted.argmax(axis=1) == test)
    middle = float(right + 2) / rows
    reached = min(middle - 2 * np.sqrt(middle * (1 - middle) / rows), 1 - LEAST_LEFT * (1 - share))
    words_of_linear = f"a linear model is right in {right / len(test):.1%}"
    return better(words, words_of_linear, above(share), above(reached) if reached > share else None)


def bound_on_error(dataset: Dataset, windows: Windows | None, doubt: str) -> Bound:
    examples = dataset.examples("test")
    training, test = dataset.targets[ONE_TARGET][dataset.split.train], examples.targets[ONE_TARGET]
    middle = float(np.median(training))
    error, rule = float(np.mean(np.abs(test - middle))), f"always {number(middle)}, the median,"
    repeated = {} if windows is None else repeated_values(windows, dataset.season, examples.inputs)
    for name, values in repeated.items():
        errors = np.abs(np.ravel(test) - values.ravel())
        if np.isfinite(errors).any() and (persistent := float(np.nanmean(errors))) < error:
            assert windows is not None
            error, rule = persistent, f"repeating the {name} of {in_comment(windows.targets[0])}"
    words = f"{rule} has a mean absolute error of {number(error)} on the test examples"
    if doubt:
        return Bound((words,), below(error * (1 + TOLERANCE)), f"{TOLERANCE:.0%} above the baseline")
    predicted = linear(dataset, training[:, None].astype(float)) if windows is None and training.ndim == 1 else None
    if predicted is None:
        return Bound((words,), below(error))
    errors = np.abs(predicted[:, 0] - test)
    reached = max(float(errors.mean() + 2 * errors.std() / np.sqrt(len(test))), LEAST_LEFT * error)
    words_of_linear = f"a linear model has an error of {number(float(errors.mean()))}"
    return better(words, words_of_linear, below(error), below(reached) if reached < error else None)


def better(words: str, words_of_linear: str, simple: str, linear: str | None) -> Bound:
    """Return the bound from the linear model, if that is better than the simple one by more than its error."""
    if linear is None:
        return Bound((words, f"{words_of_linear}, not clearly better"), simple)
    return Bound((words, words_of_linear), linear, "a linear model, two standard errors to spare")


def above(share: float) -> str:
    # A rule that is always right can be reached, but not beaten.
    return f"> {min(share, 0.9999):.4f}"


def below(error: float) -> str:
    return f"< {number(error).replace(',', '')}"


def linear(dataset: Dataset, goal: np.ndarray) -> np.ndarray | None:
    """Return what least squares predict for the test rows, (rows, values), from numbers and categories of a table.

    `goal` (training rows, values) are the true ones. None: there are no such columns, or too many."""
    train = np.unique(np.linspace(0, len(goal) - 1, min(MOST_ROWS, len(goal))).astype(int))
    count, goal = len(train), goal[train]
    rows = np.concatenate([dataset.split.train[train], dataset.split.test])
    parts, width = [], 0
    for part in features(dataset, rows, count):
        parts.append(part)
        width += part.shape[1]
        if width > MOST_FEATURES:
            return None
    if not parts:
        return None
    table = np.concatenate(parts, axis=1)
    deviation = table[:count].std(axis=0)
    table = (table - table[:count].mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    known, mean = table[:count], goal.mean(axis=0)
    gram = known.T @ known + RIDGE * count * np.eye(width)
    predicted: np.ndarray = table[count:] @ np.linalg.solve(gram, known.T @ (goal - mean)) + mean
    return predicted


def features(dataset: Dataset, rows: np.ndarray, count: int) -> Iterator[np.ndarray]:
    """Yield the features of each column, (rows, features) of float64. The first `count` rows are the training rows."""
    for name, values in dataset.inputs.items():
        column = dataset.facts.inputs[name].column
        if column is None:
            continue
        if isinstance(column.options, CategoryColumn) and isinstance(values, Coded):
            codes = values.codes[rows]
            frequent = np.argsort(-np.bincount(codes[:count]), kind="stable")[:MOST_VALUES]
            yield (codes[:, None] == frequent).astype(float)
        elif isinstance(column.options, NumberColumn | BooleanColumn):
            numbers = np.asarray(values[rows], float)
            if isinstance(column.options, NumberColumn) and column.options.scale == "log":
                numbers = signed_log(numbers)
            known = numbers[:count][~np.isnan(numbers[:count])]
            yield np.where(np.isnan(numbers), np.median(known) if len(known) else 0.0, numbers)[:, None]
