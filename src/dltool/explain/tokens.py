"""Explanations of texts: which words matter."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from dltool.explain.attributions import Attribution, attribution
from dltool.explain.drawings import text_figure
from dltool.explain.explained import Explained, Question
from dltool.explain.placing import places_of
from dltool.explain.proofs import Places
from dltool.report.examples import vocabulary_of
from dltool.text import counted

USUAL = ("IntegratedGradients",)
MOST_SHOWN, MOST_WORDS, MOST_CLASSES = 6, 20, 10
LONGEST = 120
"""Words of a text in a figure."""
HOW = {
    "IntegratedGradients": "How much each word adds to the score of {}, compared with a text of padding.",
    "Occlusion": "How much the score of {} falls if a word is replaced by padding.",
}


def explain_tokens(question: Question) -> tuple[Explained, ...]:
    """Explain the examples by each method."""
    places = places_of(question, "words")
    words = words_of(places)
    found = [attribution(places, method) for method in question.methods or USUAL]
    return tuple(
        each.explained(
            *(places, HOW),
            caption="Words with the largest sum over all texts, by class",
            rows=words_by_class(places, words, each) if each.holds else [],
            figures=[texts(places, words, each)] if each.holds else [],
        )
        for each in found
    )


def words_of(places: Places) -> list[list[str]]:
    (name,) = places.shapes
    known, tokens = vocabulary_of(places.scores.question.built, name) or (), places.inputs[name]
    return [[known[token] if token < len(known) else f"#{token}" for token in row] for row in tokens.tolist()]


def words_by_class(places: Places, words: Sequence[Sequence[str]], found: Attribution) -> list[dict[str, Any]]:
    """Return the words that speak most for each class in the texts of it: their summed values, and in how many texts
    they are."""
    names = places.scores.question.target.class_names or ("number",)
    rows = []
    for label in np.unique(places.labels).tolist()[:MOST_CLASSES]:
        sums: dict[str, list[float]] = defaultdict(list)
        for row in np.flatnonzero(places.labels == label).tolist():
            per_text: dict[str, float] = defaultdict(float)
            for word, value, is_word in zip(words[row], found.values[row].tolist(), places.valid[row], strict=True):
                if is_word:
                    per_text[word] += value
            for word, value in per_text.items():
                sums[word].append(value)
        strongest = sorted(sums, key=lambda word: -sum(sums[word]))[:MOST_WORDS]
        rows += [{"word": word, f"for {names[label]}": sum(sums[word]), "texts": len(sums[word])} for word in strongest]
    return rows


def texts(places: Places, words: Sequence[Sequence[str]], found: Attribution) -> Any:
    """Draw some texts with underlined words, of as many classes as possible."""
    question, shown = places.scores.question, []
    for row in places.some_of_each(MOST_SHOWN):
        valid = np.flatnonzero(places.valid[row])[:LONGEST]
        shown.append((places.label_words(row), [words[row][place] for place in valid], found.values[row][valid]))
    description = (
        f"{counted(len(shown), 'text')} of {question.about}. A solid orange line is below words that speak for the "
        "class, a dashed blue one below words against it; the strongest have their number."
    )
    return text_figure(f"{found.name}_texts", f"Words that count: {found.title}", description, shown)
