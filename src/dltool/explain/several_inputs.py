"""Explanations of several arrays at once: which of them counts, and which of its places."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dltool.evaluation.bootstrap import RESAMPLES
from dltool.evaluation.figures.figure import Figure, file_word
from dltool.explain.asking import kind_of_array, places_shape
from dltool.explain.attributions import Attribution, attribution
from dltool.explain.column_figures import sizes_figure
from dltool.explain.contributions import TRAINING, ZEROS, uninformed
from dltool.explain.explained import Explained, Question
from dltool.explain.maps import maps_beside, maps_by_class, mean_of_places
from dltool.explain.proofs import Places
from dltool.explain.scores import Arrays, Scores
from dltool.explain.tokens import texts, words_of
from dltool.text import joined, number

USUAL = ("IntegratedGradients", "Occlusion")
MOST_BARS = 25
LEAST_SHARE = 0.05
"""Inputs with a smaller share have no figure of their own, which would show noise."""
HOW = {
    "IntegratedGradients": "How much each place of each input adds to the score of {}, compared with inputs that say "
    "nothing: images and sounds of the same mean, texts of padding; other numbers are ",
    "Occlusion": "How much the score of {} falls if a part of one input says nothing: it has the mean of the image or "
    "sound, or is padding; other numbers are ",
}


def explain_arrays(question: Question) -> tuple[Explained, ...]:
    """Explain the examples by each method."""
    places = array_places(question)
    how = {name: f"{words}{TRAINING if question.dataset else ZEROS}." for name, words in HOW.items()}
    return tuple(explained_inputs(places, attribution(places, name), how) for name in question.methods or USUAL)


def array_places(question: Question) -> Places:
    """Return the examples with the places of all inputs."""
    scores = Scores(question)
    inputs = scores.prepared(question.examples.inputs)
    kinds = {name: kind_of_array(question.built, symbol) for name, symbol in scores.symbols.items()}
    shapes = {
        name: places_shape(inputs[name].shape[1:]) if kind == "maps" else inputs[name].shape[1:]
        for name, kind in kinds.items()
    }
    typical = uninformed(question, scores, inputs)

    def blank(given: Arrays, entrances: Arrays) -> Arrays:
        nothing = {
            name: np.zeros_like(each) if kinds[name] == "tokens" else np.repeat(typical[name], len(each), axis=0)
            for name, each in given.items()
        }
        means = {
            name: mean_of_places(each, len(shapes[name]))
            for name, each in entrances.items()
            if kinds.get(name) == "maps"
        }
        return {**scores.entrances(nothing), **means}

    valid = [
        inputs[name] != 0 if kind == "tokens" else np.ones((len(inputs[name]), math.prod(shapes[name])), bool)
        for name, kind in kinds.items()
    ]
    return Places(scores, inputs, scores.labels(inputs), np.concatenate(valid, axis=1), shapes, "places", blank)


def explained_inputs(places: Places, found: Attribution, how: dict[str, str]) -> Explained:
    """Return what a method says of each input: its share, and its places."""
    names, values = list(places.shapes), input_values(places, found)
    shares, low, high = shares_of(values, places.scores.question.config.seed)
    order = np.argsort(-shares, kind="stable")
    words = joined([f"{names[at]} {shares[at]:.0%} ({low[at]:.0%} to {high[at]:.0%})" for at in order], "and")
    figures: list[Figure] = []
    if found.holds:
        title, label = f"Share of each input: {found.title}", "share of the mean size of the contributions"
        ranked = [names[at] for at in order]
        figures.append(
            sizes_figure(f"{found.name}_inputs", title, ranked, shares[order], label, (low[order], high[order]))
        )
        figures += [
            each for at in order if shares[at] >= LEAST_SHARE for each in input_figures(places, found, names[at])
        ]
    rows = [
        {"input": names[at], "mean": float(values[:, at].mean()), "share": shares[at], "low": low[at], "high": high[at]}
        for at in order.tolist()
    ]
    explained = found.explained(places, how, caption="What each input adds to the score", rows=rows, figures=figures)
    return replace(explained, sentences=[*explained.sentences, f"Share of each input: {words}."])


def input_values(places: Places, found: Attribution) -> np.ndarray:
    """Return what each input adds to the score, (rows, inputs): the sum over its places; of occlusion how much the
    score falls without the whole input."""
    if found.name == "IntegratedGradients":
        return np.stack([found.values[:, span].sum(axis=1, dtype=float) for span in places.spans.values()], axis=1)
    every = np.arange(places.valid.shape[1])
    without = [~np.isin(every, every[span]) for span in places.spans.values()]
    return np.stack([places.ends[1] - places.score(np.tile(kept, (len(places.valid), 1))) for kept in without], axis=1)


def shares_of(values: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean size of each input's values (rows, inputs) as a share of all, with its 95 % interval over the
    rows, (inputs,) each."""
    sizes, generator = np.abs(values), np.random.default_rng(seed)
    counts = generator.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), RESAMPLES)
    shares = np.concatenate([sizes.sum(axis=0, keepdims=True), counts @ sizes])
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-12)
    low, high = np.quantile(shares[1:], [0.025, 0.975], axis=0)
    return shares[0], low, high


def input_figures(places: Places, found: Attribution, name: str) -> Sequence[Figure]:
    """Draw the places of one input by its kind."""
    question, span = places.scores.question, places.spans[name]
    kind = kind_of_array(question.built, places.scores.symbols[name])
    alone = replace(places, shapes={name: places.shapes[name]}, valid=places.valid[:, span])
    part = replace(found, values=found.values[:, span])
    if kind == "maps":
        drawn = [maps_beside(alone, [part]), *maps_by_class(alone, part)]
    elif kind == "tokens":
        drawn = [texts(alone, words_of(question, name, places.inputs[name]), part)]
    elif part.values.shape[1] == 1:
        return []
    else:
        sizes = np.abs(part.values).mean(axis=0)
        order = np.argsort(-sizes, kind="stable")[:MOST_BARS]
        ranked = [f"{name} {at + 1}" for at in order.tolist()]
        label = f"mean size of the contribution, {number(float(sizes.sum()))} in all"
        drawn = [sizes_figure("numbers", f"Numbers that count: {found.title}", ranked, sizes[order], label)]
    word = f"{found.name}_{file_word(name)}"
    return [replace(each, name=f"{each.name}_{word}", title=f"{each.title}, {name}") for each in drawn]
