"""Figures of predicted numbers and of reconstruction errors."""

import numpy as np
from matplotlib.axes import Axes

from dltool.evaluation.figures.drawing import COLOURS, INK, drawn, figures_text, fitting
from dltool.evaluation.figures.figure import Figure

MOST_POINTS = 1000
BARS = 30


def predicted_figure(name: str, of: str, targets: np.ndarray, predicted: np.ndarray) -> Figure:
    """Draw predicted against true values, (examples,) each. Many examples are sampled evenly."""
    step = -(-len(targets) // MOST_POINTS)
    correlation = np.nan
    if len(targets) > 1 and np.ptp(targets) > 0 and np.ptp(predicted) > 0:
        correlation = float(np.corrcoef(targets, predicted)[0, 1])
    ends = [float(min(targets.min(), predicted.min())), float(max(targets.max(), predicted.max()))]
    true, guessed = (f"from {figures_text(each.min())} to {figures_text(each.max())}" for each in (targets, predicted))
    description = f"{fitting(of)}: true values range {true}, predicted values {guessed}"
    description += f"; the correlation is {figures_text(correlation)}." if np.isfinite(correlation) else "."

    def draw(axes: list[Axes]) -> None:
        axes[0].plot(ends, ends, color=INK, linewidth=1, linestyle=":")
        points(axes[0], targets[::step], predicted[::step])
        axes[0].set(xlabel=f"true {fitting(of)}", ylabel=f"predicted {fitting(of)}")

    return drawn(name, f"Predicted against true {fitting(of)}", description, draw)


def residual_figure(name: str, of: str, targets: np.ndarray, predicted: np.ndarray) -> Figure:
    """Draw the errors, predicted minus true, against the predictions, and their histogram."""
    errors = predicted.astype(float) - targets
    step = -(-len(targets) // MOST_POINTS)
    low, middle, high = np.quantile(errors, [0.05, 0.5, 0.95])
    description = (
        f"Errors of {fitting(of)}, predicted minus true: the median is {figures_text(middle)}, and 90 % are between "
        f"{figures_text(low)} and {figures_text(high)}."
    )

    def draw(axes: list[Axes]) -> None:
        axes[0].axhline(0, color=INK, linewidth=1, linestyle=":")
        points(axes[0], predicted[::step], errors[::step])
        axes[0].set(xlabel=f"predicted {fitting(of)}", ylabel="error")
        bars(axes[1], errors)
        axes[1].set(xlabel="error", ylabel="examples")

    return drawn(name, f"Errors of {fitting(of)}", description, draw, panels=2, size=(6.8, 3.2))


def restoring_figure(name: str, errors: np.ndarray) -> Figure:
    """Draw the histogram of reconstruction errors, (examples,)."""
    median, high = np.quantile(errors, [0.5, 0.95])
    description = (
        f"Squared reconstruction errors: the median is {figures_text(median)}, 95 % are below {figures_text(high)}, "
        f"and the largest is {figures_text(errors.max())}."
    )

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


def bars(axes: Axes, values: np.ndarray) -> None:
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-6 * max(abs(low), abs(high)):
        # All values are practically equal.
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(values.astype(float), BARS, (low, high))
    axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=COLOURS[0])
