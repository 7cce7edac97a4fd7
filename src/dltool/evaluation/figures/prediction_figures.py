"""Figures of predicted classes and numbers, and of reconstruction errors."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from dltool.evaluation.figures.drawing import COLOURS, INK, STRONG_INK, drawn, fitting
from dltool.evaluation.figures.figure import Figure
from dltool.evaluation.measures import Calibration, Curve, bulk
from dltool.text import counted, number, numbers

MOST_CELLS = 20
"""Classes that a drawn confusion matrix shows."""
MOST_NUMBERED = 12
"""Classes up to which cells have numbers."""
PAIRS = 3
FEW = 6
"""Classes up to which cells become larger."""
CELL = 35
"""Font size times the characters that fit into a cell, for more than FEW classes."""
MOST_POINTS = 1000
FEW_TICKS = 3
"""Intervals between ticks whose labels may be as long as 100,000."""
BARS = 30


def confusion_figure(name: str, counts: np.ndarray, classes: Sequence[str]) -> Figure:
    """Draw the confusion matrix `counts` (classes, classes), limited to the classes with the most errors."""
    wrong = counts - np.diag(np.diag(counts))
    mistakes = wrong.sum(axis=0) + wrong.sum(axis=1)
    used = np.sort(np.argsort(-mistakes, kind="stable")[:MOST_CELLS])
    pairs = [np.unravel_index(index, wrong.shape) for index in np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]]
    worst = ", ".join(
        f"{fitting(classes[one])} predicted as {fitting(classes[other])} ({wrong[one, other]:,})"
        for one, other in pairs
        if wrong[one, other]
    )
    right, whole = int(np.trace(counts)), int(counts.sum())
    errors = f"Most frequent errors: {worst}." if worst else "There are no errors."
    description = f"{right:,} of {whole:,} are classified correctly. {errors}"
    which = f" of the {len(used)} classes with the most errors" if len(used) < len(classes) else ""
    kept = counts[np.ix_(used, used)]
    shares = kept / np.maximum(counts.sum(axis=1)[used][:, None], 1)
    names = [fitting(classes[index], 16) for index in used]
    side = 2.0 + 0.28 * max(FEW, len(names))
    return drawn(
        name,
        f"Confusion matrix{which}",
        description,
        lambda axes: cells(axes[0], kept, shares, names),
        size=(side, side - 0.4),
    )


def cells(axes: Axes, counts: np.ndarray, shares: np.ndarray, names: Sequence[str]) -> None:
    """Draw a square for each pair of classes that occurs, more opaque the larger its share of the class. The opacity is
    limited so that numbers stay legible on light and dark pages."""
    room = CELL * max(FEW, len(names)) / len(names)
    for row, column in np.argwhere(counts):
        share = float(shares[row, column])
        colour = COLOURS[0] if row == column else COLOURS[1]
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=colour, alpha=0.08 + 0.62 * share, lw=0))
        if len(names) <= MOST_NUMBERED:
            count = f"{counts[row, column]:,}"
            size = min(9, room / len(count))
            axes.text(column, row, count, ha="center", va="center", color=STRONG_INK, fontsize=size)
    end = len(names) - 0.5
    axes.set(xlim=(-0.5, end), ylim=(end, -0.5), xlabel="predicted class", ylabel="true class")
    is_long = max(map(len, names)) > 2
    axes.set_xticks(range(len(names)), names, rotation=60 if is_long else 0, ha="right" if is_long else "center")
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0, labelsize=8)
    axes.grid(False)
    axes.set_aspect("equal")


def roc_figure(name: str, curves: Sequence[Curve], which: str) -> Figure:
    """Draw ROC curves. `which` names the classes if they are not all."""

    def draw(axes: list[Axes]) -> None:
        axes[0].plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=":")
        lines(axes[0], curves, "false positive rate", "true positive rate")

    description = f"Area under the ROC curve: {areas_text(curves)}; 0.5 is chance level."
    return drawn(name, f"ROC curve{which}", description, draw)


def precision_recall_figure(name: str, curves: Sequence[Curve], which: str) -> Figure:
    """Draw curves of precision and recall, `which` as in :func:`roc_figure`."""
    title, description = f"Precision and recall{which}", f"Average precision: {areas_text(curves)}."
    return drawn(name, title, description, lambda axes: lines(axes[0], curves, "recall", "precision"))


def areas_text(curves: Sequence[Curve]) -> str:
    return ", ".join(f"{fitting(curve.name)}: {curve.area:.4f}" for curve in curves)


def lines(axes: Axes, curves: Sequence[Curve], x: str, y: str) -> None:
    for index, curve in enumerate(curves):
        # Matplotlib leaves labels that begin with "_" out of the legend.
        label = f"\u200b{fitting(curve.name)}: {curve.area:.4f}"
        axes.plot(curve.x, curve.y, label=label, color=COLOURS[index % len(COLOURS)])
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=x, ylabel=y)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def calibration_figure(name: str, found: Calibration, examples: int) -> Figure:
    sure, right = (np.sum(each * found.examples) / examples for each in (found.confidence, found.accuracy))
    description = f"Mean confidence is {number(sure)}, accuracy is {number(right)}. "
    description += f"The expected calibration error is {number(found.error)}; 0 is perfectly calibrated."

    def draw(axes: list[Axes]) -> None:
        axes[0].plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=":")
        axes[0].plot(found.confidence, found.accuracy, marker="o", markersize=4, color=COLOURS[0])
        axes[0].set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="confidence", ylabel="accuracy")
        axes[1].bar(found.confidence, found.examples / examples, width=0.045, color=COLOURS[0])
        axes[1].set(xlim=(-0.02, 1.02), xlabel="confidence", ylabel="share of the examples")

    return drawn(name, "Calibration", description, draw, panels=2, size=(6.4, 3.2))


def predicted_figure(name: str, of: str, targets: np.ndarray, predicted: np.ndarray) -> Figure:
    """Draw predicted against true values, (examples,) each. Many examples are sampled evenly."""
    step = -(-len(targets) // MOST_POINTS)
    correlation = np.nan
    if len(targets) > 1 and np.ptp(targets) > 0 and np.ptp(predicted) > 0:
        correlation = float(np.corrcoef(targets, predicted)[0, 1])
    ends = [float(min(targets.min(), predicted.min())), float(max(targets.max(), predicted.max()))]
    least, most, lowest, highest = numbers(
        [float(end) for each in (targets, predicted) for end in (each.min(), each.max())]
    )
    description = (
        f"{fitting(of)}: true values range from {least} to {most}, predicted values from {lowest} to {highest}"
    )
    description += f"; the correlation is {number(correlation)}." if np.isfinite(correlation) else "."

    def draw(axes: list[Axes]) -> None:
        axes[0].plot(ends, ends, color=INK, linewidth=1, linestyle=":")
        points(axes[0], targets[::step], predicted[::step])
        axes[0].set(xlabel=f"true {fitting(of)}", ylabel=f"predicted {fitting(of)}")

    return drawn(name, f"Predicted against true {fitting(of)}", description, draw)


def residual_figure(name: str, of: str, targets: np.ndarray, predicted: np.ndarray) -> Figure:
    """Draw the errors, predicted minus true, against the predictions, and their histogram."""
    errors = predicted.astype(float) - targets
    step = -(-len(targets) // MOST_POINTS)
    low, middle, high = numbers(np.quantile(errors, [0.05, 0.5, 0.95]).tolist())
    spread = f"the median is {middle}, and 90 % are between {low} and {high}"
    description = f"Errors of {fitting(of)}, predicted minus true: {spread}."

    def draw(axes: list[Axes]) -> None:
        axes[0].axhline(0, color=INK, linewidth=1, linestyle=":")
        points(axes[0], predicted[::step], errors[::step])
        axes[0].set(xlabel=f"predicted {fitting(of)}", ylabel="error")
        bars(axes[1], errors)
        axes[1].set(xlabel="error", ylabel="examples")

    return drawn(name, f"Errors of {fitting(of)}", f"{description}{outlier_text(errors)}", draw, 2, (6.8, 3.2))


def restoring_figure(name: str, errors: np.ndarray) -> Figure:
    """Draw the histogram of reconstruction errors, (examples,)."""
    median, high, largest = numbers(np.quantile(errors, [0.5, 0.95, 1]).tolist())
    spread = f"the median is {median}, 95 % are below {high}, and the largest is {largest}"
    description = f"Squared reconstruction errors: {spread}.{outlier_text(errors)}"

    def draw(axes: list[Axes]) -> None:
        bars(axes[0], errors)
        axes[0].set(xlabel="squared reconstruction error", ylabel="examples")

    return drawn(name, "Reconstruction errors", description, draw)


def points(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Draw points as one line with gaps, which takes a tenth of the SVG of markers."""
    gaps = np.full(len(x), np.nan)
    dots = (np.column_stack([each, each, gaps]).ravel() for each in (x, y))
    axes.plot(*dots, color=COLOURS[0], alpha=0.5, linewidth=3, solid_capstyle="round")
    axes.margins(0.08)
    axes.locator_params(axis="x", nbins=FEW_TICKS)


def bars(axes: Axes, values: np.ndarray) -> None:
    """Draw a histogram of values, outliers in the outermost bars."""
    low, high = bulk(values)
    if high - low <= 1e-6 * max(abs(low), abs(high)):
        # All values are practically equal.
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(np.clip(values.astype(float), low, high), BARS, (low, high))
    axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=COLOURS[0])
    axes.locator_params(axis="x", nbins=FEW_TICKS)


def outlier_text(values: np.ndarray) -> str:
    """Return how many values lie in the outermost bars because they are outliers; empty without any."""
    low, high = bulk(values)
    outside = int(np.sum((values < low) | (values > high)))
    ends = " and ".join(numbers([low, high]))
    verb = "lie" if outside > 1 else "lies"
    return f" {counted(outside, 'outlier')} beyond {ends} {verb} in the outermost bars." if outside else ""
