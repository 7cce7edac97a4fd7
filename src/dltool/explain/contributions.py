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
    """`by_position` (examples, positions) and their sums `by_column` (examples, columns) lead from `baseline_scores`,
    (examples,), to `scores`, those of class indices `labels`. `baseline` says what the examples are compared with."""

    columns: Columns
    by_position: np.ndarray
    by_column: np.ndarray
    scores: np.ndarray
    baseline_scores: np.ndarray
    labels: np.ndarray
    baseline: str
    proof: Proof


def contributions_of(question: Question) -> Contributions:
    """Return what each column adds to the scores of the examples. Raises ConfigError: preprocessing changes the numbers
    of a vector into others."""
    columns, scores, count = Columns(question.config, question.facts), Scores(question), len(question.examples)
    inputs = scores.prepared(question.examples.inputs)
    entrances = scores.entrances(inputs)
    one, baseline = baseline_of(question, scores, inputs)
    start = {name: np.repeat(each, count, axis=0) for name, each in one.items()}
    labels = scores.labels(inputs, entrances)
    found, proof = complete_gradients(scores, inputs, entrances, start, labels)
    sums = np.zeros((count, columns.size))
    for name, each in found.items():
        first, last = columns.inputs[scores.input_of[name]]
        if last - first > 1 and each.shape[1] != last - first:
            message = f"preprocessing makes {each.shape[1]} numbers of {last - first}: none belongs to one column"
            raise ConfigError(message, "use the methods Permutation and PartialDependence")
        sums[:, first:last] += each.reshape(count, last - first, -1).sum(axis=2, dtype=float)
    by_column = np.stack([sums[:, first:last].sum(axis=1) for first, last in columns.spans.values()], axis=1)
    before, after = (scores.scores(inputs, each, labels).astype(float) for each in (start, entrances))
    return Contributions(columns, sums, by_column, after, before, labels, baseline, proof)


def baseline_of(
    question: Question, scores: Scores, inputs: Mapping[str, np.ndarray]
) -> tuple[Mapping[str, np.ndarray], str]:
    """Return the entrances (1, …) that stand for no information, and what they are."""
    if question.dataset is None:
        return scores.entrances({name: np.zeros_like(each[:1]) for name, each in inputs.items()}), OTHER_BASELINE
    training = question.dataset.examples("train")
    few = training.take(np.arange(0, len(training), -(-len(training) // MOST_TRAINING_ROWS)))
    return scores.entrances(
        {name: typical(each) for name, each in scores.prepared(few.inputs).items()}
    ), TRAINING_BASELINE


def typical(values: np.ndarray) -> np.ndarray:
    """Return the mean of numbers (rows, …), or the most common one of indices in each place, (1, …)."""
    if values.dtype.kind == "f":
        return np.asarray(values.mean(axis=0, keepdims=True, dtype=float).astype(values.dtype))
    common = [np.bincount(place).argmax() for place in values.reshape(len(values), -1).T]
    return np.array(common, values.dtype).reshape(1, *values.shape[1:])
