"""Assessing predicted numbers, and inputs that are to be restored."""

from collections.abc import Callable, Sequence

import numpy as np

from dltool.evaluation.classes import Found, worst
from dltool.evaluation.figures.figure import Figure
from dltool.evaluation.findings import Mistake
from dltool.evaluation.measures import error_row, number_row

MOST_DRAWN = 4
"""Numbers of one output that have figures of their own."""


def numbers_found(
    prefix: str, names: Sequence[str], targets: np.ndarray, predicted: np.ndarray, rows: np.ndarray
) -> Found:
    """`targets` and `predicted` are (examples, numbers), `names` (numbers,)."""
    errors = np.abs(predicted.astype(float) - targets)
    # Numbers of different units are compared by how far they spread.
    spread = np.where(targets.std(axis=0) > 0, targets.std(axis=0), 1)
    largest = (errors / spread).argmax(axis=1)
    across = np.arange(len(errors))
    mistakes = tuple(
        Mistake(
            int(rows[index]),
            f"{targets[index, largest[index]]:g}",
            f"{predicted[index, largest[index]]:g}",
            float(errors[index, largest[index]]),
        )
        for index, _ in worst((errors / spread)[across, largest])
    )
    table = [number_row(name, targets[:, i], predicted[:, i]) for i, name in enumerate(names)]
    makers: list[Callable[[], Figure]] = []
    for index, name in enumerate(names[:MOST_DRAWN]):
        own = prefix if len(names) == 1 else f"{prefix}{index + 1}_"
        makers += pictures(own, name, targets[:, index], predicted[:, index])
    return makers, table, mistakes


def pictures(prefix: str, name: str, targets: np.ndarray, predicted: np.ndarray) -> list[Callable[[], Figure]]:
    def predicted_against_true() -> Figure:
        from dltool.evaluation.figures.number_figures import predicted_figure

        return predicted_figure(f"{prefix}predicted", name, targets, predicted)

    def residuals() -> Figure:
        from dltool.evaluation.figures.number_figures import residual_figure

        return residual_figure(f"{prefix}residuals", name, targets, predicted)

    return [predicted_against_true, residuals]


def restoring_found(prefix: str, errors: np.ndarray, rows: np.ndarray) -> Found:
    """`errors` (examples,) are the squared errors."""

    def picture() -> Figure:
        from dltool.evaluation.figures.number_figures import restoring_figure

        return restoring_figure(f"{prefix}restoring", errors)

    mistakes = tuple(Mistake(int(rows[index]), "", "", error) for index, error in worst(errors))
    return [picture], [error_row(errors)], mistakes
