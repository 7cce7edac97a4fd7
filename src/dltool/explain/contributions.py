"""What each column adds to a prediction: integrated gradients, summed by column."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dltool.errors import ConfigError
from dltool.explain.explained import Question
from dltool.explain.mixing import Columns
from dltool.explain.proofs import Places
from dltool.explain.scores import Arrays, Scores

MOST_TRAINING_ROWS = 1_000
TRAINING = "the mean number and the most common value of each column in the training rows"
ZEROS = "zeros after preprocessing: the mean of standardised numbers, and an unknown category"


@dataclass(frozen=True)
class ColumnPlaces(Places):
    """Examples whose places are columns. A blank one has a value that says nothing, such as the mean."""

    columns: Columns

    def with_only(self, kept: np.ndarray) -> Arrays:
        spans, found = self.columns.spans.values(), {}
        positions = np.repeat(kept, [last - first for first, last in spans], axis=1)
        for name, each in self.entrances.items():
            chosen = positions[:, slice(*self.columns.inputs[self.scores.input_of[name]])]
            shape = [*chosen.shape, *[1] * each.ndim][: each.ndim]
            found[name] = np.where(chosen.reshape(shape), each, self.baseline[name])
        return found

    def by_position(self, attributions: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the sums at each position of the columns, (rows, positions)."""
        sums = np.zeros((len(self.valid), self.columns.size))
        for name, each in attributions.items():
            first, last = self.columns.inputs[self.scores.input_of[name]]
            sums[:, first:last] += each.reshape(len(each), last - first, -1).sum(axis=2, dtype=float)
        return sums

    def of_places(self, attributions: Mapping[str, np.ndarray]) -> np.ndarray:
        sums = self.by_position(attributions)
        return np.stack([sums[:, first:last].sum(axis=1) for first, last in self.columns.spans.values()], axis=1)


def column_places(question: Question) -> ColumnPlaces:
    """Return the examples by column. Raises ConfigError: preprocessing changes the numbers of a vector into others."""
    columns, scores = Columns(question.config, question.facts), Scores(question)
    inputs = scores.prepared(question.examples.inputs)
    made = next(iter(inputs.values())).shape[1:]
    if columns.is_vector and made != (columns.size,):
        message = f"preprocessing makes {made[0]} numbers of {columns.size}: none belongs to one column"
        raise ConfigError(message, "use the methods Permutation and PartialDependence")
    typical = uninformed(question, scores, inputs)

    def blank(inputs: Arrays, _: Arrays) -> Arrays:
        count = len(next(iter(inputs.values())))
        return {name: np.repeat(each, count, axis=0) for name, each in scores.entrances(typical).items()}

    valid = np.ones((len(question.examples), len(columns.names)), bool)
    return ColumnPlaces(scores, inputs, scores.labels(inputs), valid, {}, "columns", blank, columns)


def uninformed(question: Question, scores: Scores, inputs: Arrays) -> Arrays:
    """Return preprocessed inputs (1, …) that say nothing: of training rows, the mean of numbers and the most common one
    of indices in each place; zeros without training rows."""
    if question.dataset is None:
        return {name: np.zeros_like(each[:1]) for name, each in inputs.items()}
    training, found = question.dataset.examples("train"), {}
    few = training.take(np.arange(0, len(training), -(-len(training) // MOST_TRAINING_ROWS)))
    for name, values in scores.prepared(few.inputs).items():
        if values.dtype.kind == "f":
            found[name] = values.mean(axis=0, keepdims=True, dtype=float).astype(values.dtype)
        else:
            counted = [np.unique(place, return_counts=True) for place in values.reshape(len(values), -1).T]
            common = [several[counts.argmax()] for several, counts in counted]
            found[name] = np.array(common, values.dtype).reshape(1, *values.shape[1:])
    return found
