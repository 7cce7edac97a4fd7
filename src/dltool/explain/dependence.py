"""Partial dependence: the mean output if one column has the same value in all rows, and the output of each row.

J. Friedman, Greedy Function Approximation, 2001; the curves of single rows (individual conditional expectation): A.
Goldstein, A. Kapelner, J. Bleich and E. Pitkin, Peeking Inside the Black Box, 2015."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dltool.config.columns import DateColumn
from dltool.config.outputs import OutputSpec
from dltool.data.arrays.rows import Rows, is_text
from dltool.data.dates import SECONDS_A_DAY
from dltool.explain.explained import Question
from dltool.explain.mixing import MixedModel
from dltool.model.build import BuiltModel
from dltool.model.columns import BEFORE_ALL_DATES
from dltool.text import data_number

MISSING = "(missing)"
POINTS, MOST_CATEGORIES, MOST_ROWS = 20, 12, 200


@dataclass(frozen=True)
class Dependence:
    """How the outputs depend on a `column`. `grid` (points,) are raw values: ascending numbers or dates (datetime64),
    or strings, the most frequent first. `means` (points,) are those of each output by name, and `each` (rows, points)
    the values of the rows for the output whose mean varies most, which is the first."""

    column: str
    grid: np.ndarray
    means: Mapping[str, np.ndarray]
    each: np.ndarray

    @property
    def output(self) -> str:
        return next(iter(self.means))

    @property
    def is_ordered(self) -> bool:
        return not is_text(self.grid)

    def row(self) -> dict[str, Any]:
        """Return a row of a table: where the mean is lowest and highest."""
        mean = self.means[self.output]
        low, high = int(np.argmin(mean)), int(np.argmax(mean))
        found = {"column": self.column, "output": self.output, "lowest at": self.label(low), "lowest": float(mean[low])}
        return {**found, "highest at": self.label(high), "highest": float(mean[high])}

    def label(self, at: int) -> str:
        """Return a value of the grid as text."""
        value = self.grid[at]
        return data_number(float(value), 4) if self.grid.dtype.kind in "iuf" else str(value)


def dependence_on(question: Question, model: MixedModel, name: str, inputs: Mapping[str, Rows]) -> Dependence | None:
    """Return how the outputs depend on a column of the model's examples, whose raw `inputs` these are; in windows, on
    its value in the last row. None if it has no grid: files, texts, or a single value."""
    rows = np.arange(len(next(iter(inputs.values()))))
    values = model.columns.values(name, inputs, rows)
    found = question.facts.inputs.get(name)
    is_words = found is not None and found.column is not None and found.column.name == "text"
    if values.ndim > 1 or is_words:
        return None
    is_date = found is not None and found.column is not None and isinstance(found.column.options, DateColumn)
    places = grid_places(values, is_date)
    if len(places) < 2:
        return None
    grid = values[places].astype("datetime64[s]") if is_date else values[places]
    last = 0 if model.columns.lags_of(name) else None
    rows = rows[:: -(-len(rows) // MOST_ROWS)]
    outputs = model(np.tile(rows, len(places)), np.repeat(places, len(rows)), model.columns.chosen([name], last))[1]
    values = probabilities(model.built, question.head, outputs[question.head.name])
    by_point = values.reshape(len(places), len(rows), -1)
    means = by_point.mean(axis=1, dtype=float)
    varies = np.argsort(-np.ptp(means, axis=0), kind="stable")
    if question.label is not None and means.shape[1] > 1:
        varies = np.array([question.label])
    names = output_names(question, means.shape[1])
    labels = np.array([text or MISSING for text in grid], object) if is_text(grid) else grid
    return Dependence(name, labels, {names[at]: means[:, at] for at in varies}, by_point[:, :, varies[0]].T)


def grid_places(values: np.ndarray, is_date: bool) -> np.ndarray:
    """Return examples (points,) that have the values of the grid: for numbers and dates their quantiles, from 2 % to
    98 %, or all of at most 20; for strings the most frequent ones. Missing numbers are none."""
    if is_text(values):
        distinct, firsts, counts = np.unique(values.astype(str), return_index=True, return_counts=True)
        return np.asarray(firsts[np.argsort(-counts, kind="stable")[:MOST_CATEGORIES]])
    known = np.flatnonzero(values // SECONDS_A_DAY > BEFORE_ALL_DATES if is_date else np.isfinite(values))
    distinct, firsts = np.unique(values[known], return_index=True)
    if len(distinct) > POINTS:
        ordered = known[np.argsort(values[known], kind="stable")]
        at = ordered[np.linspace(0.02 * (len(known) - 1), 0.98 * (len(known) - 1), POINTS).round().astype(int)]
        return np.asarray(at[np.unique(values[at], return_index=True)[1]])
    return np.asarray(known[firsts])


def probabilities(built: BuiltModel, head: OutputSpec, outputs: np.ndarray) -> np.ndarray:
    """Return outputs (rows, …) as (rows, numbers); logits become probabilities."""
    import keras

    compared = built.compared.get(head.name)
    if compared is not None and compared.outputs == "logits":
        outputs = np.asarray(keras.activations.get(compared.activation)(keras.ops.convert_to_tensor(outputs)))
    return outputs.reshape(len(outputs), -1)


def output_names(question: Question, count: int) -> list[str]:
    """Return the names of the numbers of the output: `probability of CLASS`, or the columns of the target."""
    names, windows = question.target.class_names, question.config.data.windows
    if names:
        names = names[-1:] if count == 1 else names
        return [f"probability of {name}" for name in names] if len(names) == count else numbered(count)
    target = question.config.data.targets.get(str(question.head.target))
    columns = windows.numbers if windows else () if target is None else target.columns
    if len(columns) == count:
        return list(columns)
    return ["prediction"] if count == 1 else numbered(count)


def numbered(count: int) -> list[str]:
    return [f"output {number}" for number in range(1, count + 1)]
