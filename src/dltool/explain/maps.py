"""Explanations of images, audio clips and other arrays with places: which places matter."""

from collections.abc import Sequence

import numpy as np

from dltool.evaluation.figures.figure import Figure
from dltool.explain.attributions import Attribution, attribution
from dltool.explain.drawings import LEGEND, View, map_figure
from dltool.explain.explained import Explained, Question
from dltool.explain.placing import places_of
from dltool.explain.proofs import Places
from dltool.text import counted

USUAL = ("IntegratedGradients", "Occlusion")
MOST_SHOWN, MOST_CLASSES, PER_ROW = 6, 10, 5
HOW = {
    "IntegratedGradients": "How much each place adds to the score of {}, compared with a blank example of the same "
    "mean colour or loudness.",
    "Occlusion": "How much the score of {} falls if a part of the example is blanked.",
    "GradCAM": "Which features of the last layer with places raise the score of {}. Of small networks such maps are "
    "coarse, and often hardly better than chance.",
}


def explain_maps(question: Question) -> tuple[Explained, ...]:
    """Explain the examples by each method. Raises ConfigError: a method does not fit the model."""
    places = places_of(question)
    found = [attribution(places, name) for name in question.methods or USUAL]
    proven = [each for each in found if each.holds]
    figures: dict[str, list[Figure]] = {each.name: maps_by_class(places, each) for each in proven}
    if proven:
        figures[proven[0].name].insert(0, maps_beside(places, proven))
    return tuple(each.explained(places, HOW, figures=figures.get(each.name, [])) for each in found)


def maps_beside(places: Places, found: Sequence[Attribution]) -> Figure:
    """Draw some examples, each with the maps of all methods, of as many classes as possible."""
    question = places.scores.question
    (name,) = places.shapes
    values = places.entrances[name]
    images = values if values.ndim == 4 and values.shape[-1] == 3 else values.reshape(*places.valid.shape, -1).mean(-1)
    low, high = np.quantile(values, [0.001, 0.999])
    chosen = places.some_of_each(MOST_SHOWN)
    rows = []
    for row in chosen:
        image = as_image(places, np.clip((images[row] - low) / max(high - low, 1e-12), 0, 1))
        maps = [View(each.title, image, as_image(places, each.values[row])) for each in found]
        rows.append([View(places.label_words(row), image), *maps])
    words = f"{counted(len(chosen), 'example')} of {question.about}, as the model gets them, with their maps: {LEGEND}."
    return map_figure("maps", "Where the model looks", words, rows, axes_of(places))


def maps_by_class(places: Places, found: Attribution) -> list[Figure]:
    """Draw the mean map of each class, if there are several examples of some."""
    question = places.scores.question
    counts = np.bincount(places.labels, minlength=1)
    shown = [label for label in np.argsort(-counts, kind="stable")[:MOST_CLASSES].tolist() if counts[label] > 1]
    if not question.split or not shown:
        return []
    names = question.target.class_names or ("all",)
    views = [
        View(names[label], None, as_image(places, found.values[places.labels == label].mean(0)))
        for label in sorted(shown)
    ]
    rows = [views[first : first + PER_ROW] for first in range(0, len(views), PER_ROW)]
    words = f"The mean of {found.title} over the examples of each class: {LEGEND}."
    return [
        map_figure(f"{found.name}_classes", f"Where it looks by class: {found.title}", words, rows, axes_of(places))
    ]


def as_image(places: Places, values: np.ndarray) -> np.ndarray:
    """Return the values of places as rows and columns, of sounds with low frequencies at the bottom and time to the
    right."""
    (shape,) = places.shapes.values()
    image = values.reshape(*shape, *values.shape[1:]) if values.ndim < 3 else values
    if len(shape) == 1:
        return image[np.newaxis]
    if "frequency" not in axes_of(places):
        return image
    # MelSpectrogram has frequencies as rows.
    layers = places.scores.question.config.data.preprocessing
    return (image.swapaxes(0, 1) if any(each.name == "Permute" for each in layers) else image)[::-1]


def axes_of(places: Places) -> tuple[str, ...]:
    """Return the names of the axes of audio clips: to the right, and upwards."""
    (shape,) = places.shapes.values()
    return ("time", "frequency")[: len(shape)] if places.scores.question.config.data.source.name == "audio" else ()
