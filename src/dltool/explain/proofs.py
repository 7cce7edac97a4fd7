"""Whether an explanation of places is better than chance, and whether it depends on what the model has learned.

Sources: deletion and insertion after Petsiuk, Das and Saenko, "RISE", 2018, https://arxiv.org/abs/1806.07421; the
randomisation test after Adebayo et al., "Sanity Checks for Saliency Maps", 2018, https://arxiv.org/abs/1810.03292."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import keras
import numpy as np
from scipy.stats import rankdata

from dltool.evaluation.bootstrap import RESAMPLES
from dltool.explain.explained import Proof
from dltool.explain.scores import Arrays, Scores
from dltool.text import numbers
from dltool.training.state import value_of

MOST_PROVEN, MOST_SHUFFLED = 64, 6
"""Examples by which deletion and insertion, and the randomisation test, are computed."""
SHUFFLES, RANDOM_ORDERS = 5, 40
"""Models with shuffled weights; random orders of the places, of all examples together."""
FEW = 10
"""Below this number of examples, intervals are those of random orders."""
MANY, UNRELATED_MANY, UNRELATED_FEW = 50, 0.2, 0.5
"""Largest mean rank correlation of explanations that have nothing to do with each other: few places have a larger one
by chance."""
SHARES = np.linspace(0, 1, 11)


@dataclass(frozen=True)
class Places:
    """Examples whose places can be blanked: pixels of an image, moments of a sound, words of a text.

    `shapes` are those of the places of each input, which follow each other: the first axes of its entrances, after
    that of the examples. A blank place has the values of the `baseline`, which `blank` makes of inputs and entrances.
    `valid` (rows, places) of bool is False for padding. `noun` names several places. Everything else depends on the
    weights of the model, and is computed once."""

    scores: Scores
    inputs: Arrays
    labels: np.ndarray
    valid: np.ndarray
    shapes: Mapping[str, tuple[int, ...]]
    noun: str
    blank: Callable[[Arrays, Arrays], Arrays]

    @property
    def unrelated(self) -> float:
        return UNRELATED_MANY if self.valid.shape[1] >= MANY else UNRELATED_FEW

    @cached_property
    def spans(self) -> dict[str, slice]:
        """Return where the places of each input are among all places."""
        ends = np.cumsum([math.prod(shape) for shape in self.shapes.values()]).tolist()
        return {name: slice(*each) for name, each in zip(self.shapes, zip([0, *ends], ends, strict=False), strict=True)}

    def take(self, rows: Any) -> "Places":
        """Return the places of these rows, a slice or their positions."""
        inputs = {name: each[rows] for name, each in self.inputs.items()}
        return replace(self, inputs=inputs, labels=self.labels[rows], valid=self.valid[rows])

    @cached_property
    def entrances(self) -> Arrays:
        return self.scores.entrances(self.inputs)

    @cached_property
    def baseline(self) -> Arrays:
        return self.blank(self.inputs, self.entrances)

    def with_only(self, kept: np.ndarray) -> Arrays:
        """Return the entrances with all places blanked but the `kept`, (rows, places) of bool."""
        found = {}
        for name, each in self.entrances.items():
            source = self.scores.input_of[name]
            shape = each.shape[: len(self.shapes[source]) + 1]
            chosen = kept[:, self.spans[source]].reshape(*shape, *[1] * (each.ndim - len(shape)))
            found[name] = np.where(chosen, each, self.baseline[name])
        return found

    def score(self, kept: np.ndarray) -> np.ndarray:
        return self.scores.scores(self.inputs, self.with_only(kept), self.labels)

    def sureness(self, kept: np.ndarray) -> np.ndarray:
        """Return the probability of the class, (rows,). Of numbers, it is how much of the way from the prediction for
        blank examples to that for whole ones is left."""
        if self.scores.question.target.class_names:
            return self.scores.sureness(self.inputs, self.with_only(kept), self.labels)
        start, end = self.ends
        way = (self.score(kept) - start) * np.sign(end - start)
        return np.asarray(way / max(float(np.abs(end - start).mean()), 1e-12))

    @cached_property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        return self.score(np.zeros_like(self.valid)), self.score(np.ones_like(self.valid))

    @cached_property
    def sure_ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the sureness of blank and of whole examples, (rows,) each."""
        return self.sureness(np.zeros_like(self.valid)), self.sureness(np.ones_like(self.valid))

    @cached_property
    def few(self) -> "Places":
        return self.take(np.s_[:MOST_PROVEN])

    @cached_property
    def chance(self) -> np.ndarray:
        """Return the areas of random orders, (orders, rows)."""
        generator = np.random.default_rng(self.scores.question.config.seed)
        repeats = max(2, -(-RANDOM_ORDERS // len(self.valid)))
        return np.stack([area(self, generator.random(self.valid.shape)) for _ in range(repeats)])

    @cached_property
    def sure(self) -> np.ndarray:
        """Return the probabilities of the classes, or the predicted numbers, (rows,)."""
        return self.scores.sureness(self.inputs, self.entrances, self.labels)

    def label_words(self, row: int) -> str:
        """Return `cat (0.98), row 12`, with the probability of the class, or the predicted number."""
        question = self.scores.question
        name = question.target.class_names[self.labels[row]] if question.target.class_names else "number"
        return f"{name} ({float(self.sure[row]):.2f}), {question.place_of(row)}"

    def some_of_each(self, most: int) -> list[int]:
        """Return the positions of some examples, of as many classes as possible."""
        order = sorted(range(len(self.labels)), key=lambda row: ((self.labels[:row] == self.labels[row]).sum(), row))
        return sorted(order[:most])

    def of_places(self, attributions: Arrays) -> np.ndarray:
        """Return the sum at each place, (rows, places)."""
        sums = np.zeros(self.valid.shape, np.float32)
        for name, each in attributions.items():
            span = self.spans[self.scores.input_of[name]]
            sums[:, span] += each.reshape(len(each), span.stop - span.start, -1).sum(-1)
        return sums


def order_proofs(places: Places, values: np.ndarray) -> tuple[Proof, Proof]:
    """Return the proofs of deletion and insertion of `values` (rows, places), which say what counts most."""
    few, values = places.few, values[:MOST_PROVEN]
    if not places.scores.question.target.class_names:
        # Of a number below that of blank examples, what lowers it counts most.
        values = values * np.sign(few.ends[1] - few.ends[0])[:, np.newaxis]
    return (
        order_proof("deletion", few, area(few, values), "blanked"),
        order_proof("insertion", few, area(few, values, is_insertion=True), "put into a blank example"),
    )


def area(places: Places, values: np.ndarray, is_insertion: bool = False) -> np.ndarray:
    """Return the mean sureness of each example, (rows,), while its places are blanked, or put into a blank example, the
    one with the largest value first."""
    ranks = np.argsort(np.argsort(np.where(places.valid, -values, np.inf), 1, kind="stable"), 1)
    reached = SHARES[:, None, None] * places.valid.sum(1)[:, None]
    start, end = places.sure_ends if is_insertion else places.sure_ends[::-1]
    between = [places.sureness((ranks < each) == is_insertion) for each in reached[1:-1]]
    return np.asarray(np.trapezoid(np.stack([start, *between, end]), dx=SHARES[1], axis=0))


def order_proof(name: str, places: Places, areas: np.ndarray, done: str) -> Proof:
    """Return the proof that the `areas` (rows,) of an order are better than those by chance: smaller of a deletion,
    larger of an insertion. `done` says what is done to places."""
    differences = (places.chance - areas) if name == "deletion" else (areas - places.chance)
    drawn, rows = differences.mean(1), len(areas)
    if rows >= FEW:
        generator = np.random.default_rng(places.scores.question.config.seed)
        drawn = differences.mean(0)[generator.integers(0, rows, (RESAMPLES, rows))].mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    values = {"mean": float(areas.mean()), "random": float(places.chance.mean()), "low": low, "high": high}
    mean, by_chance, *ends = numbers(values.values())
    what = "probability" if places.scores.question.target.class_names else "share of the score"
    words = f"as the {places.noun} that count most are {done} first, the mean {what} is {mean}, in random order "
    words += f"{by_chance}; the difference is {ends[0]} to {ends[1]}"
    start = name.capitalize() if low > 0 else "No better than chance"
    return Proof(name, low > 0, f"{start}: {words}.", values)


def randomisation(places: Places, values: np.ndarray, attribute: Callable[[Places], np.ndarray]) -> Proof:
    """Return the proof that signed `values` (rows, places), which `attribute` found, depend on the trained weights.

    Absolute values would not do: those of integrated gradients keep the shape of the input in any model."""
    found = []
    for shuffle in range(SHUFFLES):
        with shuffled_weights(places.scores.core, places.scores.question.config.seed + shuffle):
            others = attribute(places.take(np.s_[:MOST_SHUFFLED]))
        each = [correlation(*three) for three in zip(values, others, places.valid, strict=False)]
        found.append(float(np.nanmean(each)) if np.isfinite(each).any() else 1.0)
    mean = float(np.mean(found))
    # A map that shuffled weights give with the opposite sign depends on them no more.
    holds = abs(mean) < places.unrelated
    related = f"the rank correlation with maps of shuffled weights is {mean:.2f}"
    start = "Randomisation: it depends on" if holds else "It does not depend on"
    sentence = f"{start} what the model has learned: {related}, the mean of {SHUFFLES} shuffles."
    return Proof("randomisation", holds, sentence, {"correlation": mean, "each": found})


@contextmanager
def shuffled_weights(core: keras.Model, seed: int) -> Iterator[None]:
    """Permute the numbers of each weight within the block, with random signs of those of kernels: nothing learned."""
    generator = np.random.default_rng(seed)
    floats = [each for each in core.weights if each.dtype.startswith(("float", "bfloat"))]
    kept = [(each, value_of(each).numpy()) for each in floats]
    try:
        for variable, value in kept:
            # Weights of one sign would still favour the same places. Variances stay positive.
            signs = generator.choice([-1, 1], value.shape) if value.ndim > 1 else 1
            variable.assign(signs * generator.permutation(value.ravel()).reshape(value.shape))
        yield
    finally:
        for variable, value in kept:
            variable.assign(value)


def correlation(one: np.ndarray, other: np.ndarray, valid: np.ndarray) -> float:
    """Return Spearman's rank correlation of the valid places, NaN if `other` says nothing; 1 if `one` says nothing."""
    ranks = [rankdata(each[valid]) for each in (one, other)]
    if not valid.any() or np.ptp(ranks[1]) == 0:
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1]) if np.ptp(ranks[0]) else 1.0
