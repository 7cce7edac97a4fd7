"""The places of examples, of one input or several, and what blank ones are."""

import math

import numpy as np

from dltool.explain.asking import kind_of_array, places_shape
from dltool.explain.contributions import uninformed
from dltool.explain.explained import Question
from dltool.explain.proofs import Places
from dltool.explain.scores import Arrays, Scores


def places_of(question: Question, noun: str = "places") -> Places:
    """Return the examples with the places of all inputs: pixels or moments, words, numbers. Blank ones are the mean of
    each channel of the example, padding, and numbers that say nothing."""
    scores = Scores(question)
    inputs = scores.prepared(question.examples.inputs)
    kinds = {name: kind_of_array(question.built, symbol) for name, symbol in scores.symbols.items()}
    shapes = {name: each.shape[1:] for name, each in inputs.items()}
    shapes |= {name: places_shape(shapes[name]) for name, kind in kinds.items() if kind == "maps"}
    typical = uninformed(question, scores, inputs) if "tabular" in kinds.values() else {}

    def blank(given: Arrays, entrances: Arrays) -> Arrays:
        nothing = {
            name: np.repeat(typical[name], len(each), axis=0) if kinds[name] == "tabular" else np.zeros_like(each)
            for name, each in given.items()
        }
        found = dict(scores.entrances(nothing))
        for name, each in entrances.items():
            if kinds.get(name) == "maps":
                axes = tuple(range(1, len(shapes[name]) + 1))
                found[name] = np.broadcast_to(each.mean(axis=axes, keepdims=True), each.shape)
        return found

    valid = [
        each != 0 if kinds[name] == "tokens" else np.ones((len(each), math.prod(shapes[name])), bool)
        for name, each in inputs.items()
    ]
    return Places(scores, inputs, scores.labels(inputs), np.concatenate(valid, axis=1), shapes, noun, blank)
