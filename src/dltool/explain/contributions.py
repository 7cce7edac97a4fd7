"""What each column adds to a prediction: integrated gradients, summed by column."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dltool.errors import ConfigError
from dltool.explain.explained import Proof, Question
from dltool.explain.gradients import complete_gradients
from dltool.explain.mixing import Columns
from dltool.explain.scores import Scores

MOST_TRAINING_ROWS = 1_000
TRAINING_BASELINE = "the mean number and the most common value of each column in the training rows"
OTHER_BASELINE = "zeros after preprocessing: the mean of standardised numbers, and an unknown category"


@dataclass(frozen=True)
class Contributions:
    """`by_position` (examples, positions) add up to `scores` - `baseline_scores` (examples,), those of class indices
    `labels` (examples,). `baseline` says what the examples are compared with."""

    columns: Columns
    by_position: np.ndarray
    scores: np.ndarray
    baseline_scores: np.ndarray
    labels: np.ndarray
    baseline: str

    @property
    def by_column(self) -> np.ndarray:
        """Return the contributions (examples, columns)."""
        spans = self.columns.spans.values()
        return np.stack([self.by_position[:, first:last].sum(axis=1) for first, last in spans], axis=1)


def contributions_of(question: Question) -> tuple[Contributions, Proof]:
    """Return what each column adds to the scores of the examples, and whether the sums are complete.

    Raises ConfigError: preprocessing changes the numbers of a vector into others."""
    columns, scores = Columns(question.config, question.facts), Scores(question)
    inputs = scores.prepared(question.examples.inputs)
    entrances = scores.entrances(inputs)
    start, baseline = baseline_of(question, scores, inputs)
    count = len(question.examples)
    start = {name: np.repeat(each, count, axis=0) for name, each in start.items()}
    labels = scores.labels(inputs, entrances)
    found, proof = complete_gradients(scores, inputs, entrances, start, labels)
    by_position = np.zeros((count, columns.size))
    for name, each in found.items():
        first, last = columns.inputs[scores.input_of[name]]
        if last - first > 1 and each.shape[1] != last - first:
            message = f"preprocessing makes {each.shape[1]} numbers of {last - first}: none belongs to one column"
            raise ConfigError(message, "use the methods Permutation and PartialDependence")
        by_position[:, first:last] += each.reshape(count, last - first, -1).sum(axis=2, dtype=float)
    before, after = (scores.scores(inputs, each, labels).astype(float) for each in (start, entrances))
    return Contributions(columns, by_position, after, before, labels, baseline), proof


def baseline_of(
    question: Question, scores: Scores, inputs: Mapping[str, np.ndarray]
) -> tuple[Mapping[str, np.ndarray], str]:
    """Return the entrances (1, …) that stand for no information, and what they are."""
    if question.dataset is None:
        return scores.entrances({name: np.zeros_like(each[:1]) for name, each in inputs.items()}), OTHER_BASELINE
    training = question.dataset.examples("train")
    step = -(-len(training) // MOST_TRAINING_ROWS)
    rows = scores.prepared(training.take(np.arange(0, len(training), step)).inputs)
    return scores.entrances({name: typical(each) for name, each in rows.items()}), TRAINING_BASELINE


def typical(values: np.ndarray) -> np.ndarray:
    """Return the mean of numbers (rows, …), or the most common one of indices in each place, (1, …)."""
    if values.dtype.kind == "f":
        return np.asarray(values.mean(axis=0, keepdims=True, dtype=float).astype(values.dtype))
    flat = values.reshape(len(values), -1)
    common = [np.bincount(place).argmax() for place in flat.T]
    return np.array(common, values.dtype).reshape(1, *values.shape[1:])
