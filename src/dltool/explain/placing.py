"""The places of examples, of one input or several, and what blank ones are."""

import math

import numpy as np

from dltool.explain.asking import kind_of_array, kind_of_input, places_shape
from dltool.explain.explained import Question
from dltool.explain.proofs import Places
from dltool.explain.scores import Arrays, Scores
from dltool.report.examples import padding_of

MOST_TRAINING_ROWS = 1_000
TRAINING = "the mean number and the most common value of each column in the training rows"
ZEROS = "zeros after preprocessing: the mean of standardised numbers, and an unknown category"


def places_of(question: Question, noun: str = "places") -> Places:
    """Return the examples with the places of all inputs: pixels or moments, words, numbers, columns. Blank ones are the
    mean of each channel of the example, padding, and values that say nothing."""
    scores, config, facts = Scores(question), question.config, question.facts
    inputs, symbols = scores.prepared(question.examples.inputs), scores.symbols
    shapes = {name: inputs[name].shape[1:] for name in facts.inputs}
    if kind_of_input(config, facts, question.built) == "tabular":
        kinds = dict.fromkeys(shapes, "tabular")
        # A column is one place, of whatever it is made.
        shapes = shapes if facts.only_input is not None else dict.fromkeys(shapes, ())
    else:
        kinds = {name: kind_of_array(config, question.built, symbols[name]) for name in shapes}
        shapes |= {name: places_shape(shapes[name]) for name, kind in kinds.items() if kind == "maps"}
    typical = {name: np.full_like(each[:1], padding_of(question.built, name)) for name, each in inputs.items()}
    if "tabular" in kinds.values():
        typical |= {n: each for n, each in uninformed(question, scores, inputs).items() if kinds[n] == "tabular"}

    def blank(given: Arrays, entrances: Arrays) -> Arrays:
        nothing = {name: np.repeat(typical[name], len(each), axis=0) for name, each in given.items()}
        found = dict(scores.entrances(nothing))
        for name, each in entrances.items():
            if kinds.get(name) == "maps":
                axes = tuple(range(1, len(shapes[name]) + 1))
                found[name] = np.broadcast_to(each.mean(axis=axes, keepdims=True), each.shape)
        return found

    everywhere = {name: np.ones((len(question.examples), math.prod(shape)), bool) for name, shape in shapes.items()}
    valid = [inputs[name] != typical[name] if kinds[name] == "tokens" else everywhere[name] for name in shapes]
    return Places(scores, inputs, scores.labels(inputs), np.concatenate(valid, axis=1), shapes, noun, blank)


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
