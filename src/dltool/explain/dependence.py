"""Partial dependence: the mean output if one column has the same value in all rows, and the output of each row.

J. Friedman, Greedy Function Approximation, 2001; the curves of single rows (individual conditional expectation): A.
Goldstein, A. Kapelner, J. Bleich and E. Pitkin, Peeking Inside the Black Box, 2015."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dltool.data.arrays.rows import Rows, is_text
from dltool.evaluation.tasks import evaluators
from dltool.explain.explained import Question
from dltool.explain.mixing import MixedModel
from dltool.text import data_number

MISSING = "(missing)"
POINTS, MOST_CATEGORIES, MOST_ROWS = 20, 12, 200
BEFORE_ALL_DATES = np.datetime64(-(10**14), "s")


@dataclass(frozen=True)
class Dependence:
    """How the outputs depend on a `column`. `grid` (points,) are raw values: ascending numbers or dates (datetime64),
    or strings, the most frequent first. `means` (points,) are those of each output by name, the one that varies most
    first, and `each` (rows, points) the values of the rows for that one."""

    column: str
    grid: np.ndarray
    means: Mapping[str, np.ndarray]
    each: np.ndarray

    def row(self) -> dict[str, Any]:
        """Return a row of a table: where the mean is lowest and highest."""
        output, mean = next(iter(self.means.items()))
        low, high = int(np.argmin(mean)), int(np.argmax(mean))
        ends = {
            "lowest at": self.label(low),
            "lowest": mean[low],
            "highest at": self.label(high),
            "highest": mean[high],
        }
        return {"column": self.column, "output": output, **ends}

    def label(self, at: int) -> str:
        return raw_text(self.grid[at])


def raw_text(value: Any) -> str:
    """Return a raw value of a column as text."""
    if isinstance(value, np.number):
        return MISSING if np.isnan(value) else data_number(float(value), 4)
    return str(value) or MISSING


def dependence_on(question: Question, model: MixedModel, name: str, inputs: Mapping[str, Rows]) -> Dependence | None:
    """Return how the outputs depend on a column of the model's examples, whose raw `inputs` these are; in windows, on
    its value in the last row. None if it has no grid: files, texts, or a single value."""
    rows = np.arange(len(next(iter(inputs.values()))))
    values = model.columns.values(name, inputs, rows)
    places = np.arange(0) if values.ndim > 1 or model.columns.kind(name) == "text" else grid_places(values)
    if len(places) < 2:
        return None
    rows = rows[:: -(-len(rows) // MOST_ROWS)]
    chosen = model.columns.chosen([name], 0 if model.columns.lags_of(name) else None)
    outputs = model(np.tile(rows, len(places)), np.repeat(places, len(rows)), chosen)[1][question.head.name]
    (evaluator,) = (
        each for each in evaluators(question.config, question.facts) if each.head.name == question.head.name
    )
    found = {key: each for key, each in evaluator.columns(outputs).items() if each.dtype.kind == "f"}
    if question.label is not None:
        found = dict([[*found.items()][question.label]])
    elif question.target.is_one_class and len(found) == 2:
        # Of two classes, the second is the positive one.
        found.pop(next(iter(found)))
    by_point = {key: each.reshape(len(places), len(rows)) for key, each in found.items()}
    means = {key: each.mean(axis=1, dtype=float) for key, each in by_point.items()}
    means = {key: means[key] for key in sorted(means, key=lambda key: -np.ptp(means[key]))}
    return Dependence(name, values[places], means, by_point[next(iter(means))].T)


def grid_places(values: np.ndarray) -> np.ndarray:
    """Return rows (points,) that have the values of the grid: of numbers and dates the quantiles from 2 % to 98 %, or
    all of at most 20 values; of strings the most frequent ones. A missing number is none."""
    if is_text(values):
        _, firsts, counts = np.unique(values.astype(str), return_index=True, return_counts=True)
        return np.asarray(firsts[np.argsort(-counts, kind="stable")[:MOST_CATEGORIES]])
    known = np.flatnonzero(values > BEFORE_ALL_DATES if values.dtype.kind == "M" else np.isfinite(values))
    ordered = known[np.argsort(values[known], kind="stable")]
    if len(np.unique(values[known])) > POINTS:
        ordered = ordered[(np.linspace(0.02, 0.98, POINTS) * (len(ordered) - 1)).round().astype(int)]
    return np.asarray(ordered[np.unique(values[ordered], return_index=True)[1]])
