"""Assessing predicted classes and labels."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dltool.evaluation.figures.figure import Figure
from dltool.evaluation.findings import Mistake
from dltool.evaluation.measures import areas, calibration, class_table, confusion, precision_recall, roc

Found = tuple[list[Callable[[], Figure]], list[dict[str, Any]], tuple[Mistake, ...]]
"""Figures yet to be drawn, a table, and mistakes."""

MOST_MISTAKES = 12
MOST_CURVES = 7
MOST_VALUES = 2_000_000
"""Probabilities that curves are drawn of: of many examples or classes, some examples that are spread evenly."""
MICRO = "micro average"


def classes_found(
    prefix: str, names: Sequence[str], targets: np.ndarray, probabilities: np.ndarray, rows: np.ndarray | None
) -> Found:
    """`targets` (examples,) are class indices, `probabilities` (examples, classes); `rows` (examples,) those of the
    data, None where an example has many classes.
    """
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    are_right = predicted == targets
    some = slice(None, None, -(-probabilities.size // MOST_VALUES))
    are_of_class = targets[some, None] == np.arange(len(names))
    by_class = areas(are_of_class, probabilities[some])
    table = class_table(targets, predicted, names)
    mistakes = () if rows is None else confident_mistakes(names, targets, predicted, confidence, rows)

    def confusion_matrix() -> Figure:
        from dltool.evaluation.figures.class_figures import confusion_figure

        return confusion_figure(f"{prefix}confusion_matrix", confusion(targets, predicted, len(names)), names)

    curves = curve_makers(prefix, names, by_class, are_of_class, probabilities[some])
    makers = [confusion_matrix, *curves, calibration_maker(prefix, confidence, are_right)]
    return makers, with_areas(table, by_class), mistakes


def labels_found(
    prefix: str, names: Sequence[str], targets: np.ndarray, probabilities: np.ndarray, rows: np.ndarray
) -> Found:
    """`targets` (examples, labels) are 0 or 1, `probabilities` likewise between."""
    are_labels = targets > 0.5
    predicted = probabilities > 0.5
    some = slice(None, None, -(-probabilities.size // MOST_VALUES))
    by_label = areas(are_labels[some], probabilities[some])
    confidence = np.where(predicted, probabilities, 1 - probabilities)
    are_right = predicted == are_labels
    sureness = np.where(are_right, 0, confidence).max(axis=1)
    mistakes = tuple(
        Mistake(int(rows[index]), listed(names, are_labels[index]), listed(names, predicted[index]), float(confident))
        for index, confident in worst(sureness)
    )
    table = [
        {"label": row.pop("class"), **row} for row in class_table(are_labels.astype(int), predicted.astype(int), names)
    ]
    curves = curve_makers(prefix, names, by_label, are_labels[some], probabilities[some])
    makers = [*curves, calibration_maker(prefix, confidence[some].ravel(), are_right[some].ravel())]
    return makers, with_areas(table, by_label), mistakes


def listed(names: Sequence[str], chosen: np.ndarray) -> str:
    return ", ".join(names[index] for index in np.flatnonzero(chosen).tolist())


def worst(sureness: np.ndarray) -> list[tuple[int, float]]:
    """The examples, and what decides, with the largest values above 0."""
    order = np.argsort(-sureness, kind="stable")[:MOST_MISTAKES]
    return [(int(index), float(sureness[index])) for index in order if sureness[index] > 0]


def confident_mistakes(
    names: Sequence[str], targets: np.ndarray, predicted: np.ndarray, confidence: np.ndarray, rows: np.ndarray
) -> tuple[Mistake, ...]:
    return tuple(
        Mistake(int(rows[index]), names[int(targets[index])], names[int(predicted[index])], sure)
        for index, sure in worst(np.where(predicted == targets, 0, confidence))
    )


def with_areas(table: list[dict[str, Any]], by_class: np.ndarray) -> list[dict[str, Any]]:
    return [
        {**row, "auc": float(area) if np.isfinite(area) else None} for row, area in zip(table, by_class, strict=True)
    ]


def curve_makers(
    prefix: str, names: Sequence[str], by_class: np.ndarray, are_of_class: np.ndarray, probabilities: np.ndarray
) -> list[Callable[[], Figure]]:
    """Curves of each class against all others, and of all together; of many, those that are told apart worst."""
    found = np.flatnonzero(np.isfinite(by_class))
    if not len(found):
        return []
    if len(names) == 2 and len(found) == 2 and are_of_class.sum(axis=1).max() == 1:
        # The curves of two classes are each other's mirror image.
        found = found[1:]
    chosen = np.sort(found[np.argsort(by_class[found], kind="stable")[:MOST_CURVES]])
    which = f" of the {len(chosen)} classes told apart worst" if len(chosen) < len(found) else ""
    each = [(names[int(index)], are_of_class[:, index], probabilities[:, index]) for index in chosen]
    if len(found) > 1:
        each.append((MICRO, are_of_class.ravel(), probabilities.ravel()))

    def roc_curves() -> Figure:
        from dltool.evaluation.figures.class_figures import roc_figure

        return roc_figure(f"{prefix}roc", [roc(*given) for given in each], which)

    def precision_recall_curves() -> Figure:
        from dltool.evaluation.figures.class_figures import precision_recall_figure

        return precision_recall_figure(f"{prefix}precision_recall", [precision_recall(*given) for given in each], which)

    return [roc_curves, precision_recall_curves]


def calibration_maker(prefix: str, confidence: np.ndarray, are_right: np.ndarray) -> Callable[[], Figure]:
    def draw() -> Figure:
        from dltool.evaluation.figures.class_figures import calibration_figure

        return calibration_figure(f"{prefix}calibration", calibration(confidence, are_right), len(confidence))

    return draw
