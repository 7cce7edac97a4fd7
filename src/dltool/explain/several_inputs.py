"""Explanations of several arrays at once: which of them counts, and which of its places."""

from dataclasses import replace

import numpy as np

from dltool.evaluation.bootstrap import resampled
from dltool.evaluation.figures.figure import Figure, file_word
from dltool.explain.asking import kind_of_array
from dltool.explain.attributions import Attribution, attribution
from dltool.explain.column_figures import sizes_figure
from dltool.explain.explained import Explained, Question
from dltool.explain.maps import maps_beside, maps_by_class
from dltool.explain.placing import TRAINING, ZEROS, places_of
from dltool.explain.proofs import Places
from dltool.explain.tokens import texts, words_of
from dltool.text import joined

USUAL = ("IntegratedGradients", "Occlusion")
ROW = ("input", "mean", "share", "low", "high")
MOST_BARS = 25
LEAST_SHARE = 0.05
"""Inputs with a smaller share have no figure of their own, which would show noise."""
HOW = {
    "IntegratedGradients": "How much each place of each input adds to the score of {}, compared with inputs that say "
    "nothing: images and sounds of the same mean, texts of padding",
    "Occlusion": "How much the score of {} falls if a part of one input says nothing: it has the mean of the image or "
    "sound, or is padding",
}


def explain_arrays(question: Question) -> tuple[Explained, ...]:
    """Explain the examples by each method."""
    places = places_of(question)
    kinds = [kind_of_array(question.config, question.built, symbol) for symbol in places.scores.symbols.values()]
    others = f"; other numbers are {TRAINING if question.dataset else ZEROS}" if "tabular" in kinds else ""
    how = {name: f"{words}{others}." for name, words in HOW.items()}
    return tuple(explained_inputs(places, attribution(places, name), how) for name in question.methods or USUAL)


def explained_inputs(places: Places, found: Attribution, how: dict[str, str]) -> Explained:
    """Return what a method says of each input: its share, and its places."""
    values = input_values(places, found)
    columns = np.array(list(places.shapes)), values.mean(axis=0), *shares_of(values, places.scores.question.config.seed)
    order = np.argsort(-columns[2], kind="stable")
    rows = [dict(zip(ROW, row, strict=True)) for row in zip(*(each[order].tolist() for each in columns), strict=True)]
    words = joined(["{input} {share:.0%} ({low:.0%} to {high:.0%})".format(**row) for row in rows], "and")
    figures: list[Figure] = []
    if found.holds:
        names, _, sizes, *ends = (each[order] for each in columns)
        title = f"Share of each input: {found.title}"
        figures.append(sizes_figure(f"{found.name}_inputs", title, names.tolist(), sizes, "mean share", ends))
        figures += [each for row in rows if row["share"] >= LEAST_SHARE for each in drawn(places, found, row["input"])]
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


def shares_of(values: np.ndarray, seed: int) -> list[np.ndarray]:
    """Return the mean size of each input's values (rows, inputs) as a share of all, and both ends of its 95 % interval
    over the rows, (inputs,) each."""
    sums = np.concatenate([np.abs(values).sum(axis=0, keepdims=True), resampled(np.abs(values), seed)])
    shares = sums / np.maximum(sums.sum(axis=1, keepdims=True), 1e-12)
    return [shares[0], *np.quantile(shares[1:], [0.025, 0.975], axis=0)]


def drawn(places: Places, found: Attribution, name: str) -> list[Figure]:
    """Draw the places of one input by its kind; a single number has nothing to draw."""
    alone = replace(places, shapes={name: places.shapes[name]}, valid=places.valid[:, places.spans[name]])
    part = replace(found, values=found.values[:, places.spans[name]])
    question = places.scores.question
    kind = kind_of_array(question.config, question.built, places.scores.symbols[name])
    if kind == "maps":
        figures = [maps_beside(alone, [part]), *maps_by_class(alone, part)]
    elif kind == "tokens":
        figures = [texts(alone, words_of(alone), part)]
    else:
        sizes = np.abs(part.values).mean(axis=0)
        order = np.argsort(-sizes, kind="stable")[: MOST_BARS if len(sizes) > 1 else 0]
        label, title = "mean size of the contribution", f"Numbers that count: {found.title}"
        ranked = [f"{name} {at + 1}" for at in order.tolist()]
        figures = [sizes_figure("numbers", title, ranked, sizes[order], label)] if ranked else []
    word = f"{found.name}_{file_word(name)}"
    return [
        replace(each, name=f"{word}_{index}", title=f"{each.title}, {name}") for index, each in enumerate(figures, 1)
    ]
