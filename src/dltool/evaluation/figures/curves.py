"""Learning curves: loss and metrics by epoch, and the learning rate."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from dltool.evaluation.figures.drawing import COLOURS, INK, drawn, fitting
from dltool.evaluation.figures.figure import Figure, file_word
from dltool.runs.repeats import NO_METRICS, VALIDATION, repeats
from dltool.text import numbers as numbers_text

MOST_CURVES = 12
MOST_EPOCHS = 200
"""Points of a curve. More are sampled evenly; the best and the last epoch are kept."""


def learning_curves(lines: Sequence[Mapping[str, Any]], best_epoch: int | None) -> tuple[Figure, ...]:
    """Draw the loss, each metric that does not repeat it, and the learning rate if it changes. Values that are not
    finite are left out. `lines` are those of metrics.jsonl, one for each epoch; `best_epoch` is marked."""
    if not lines:
        return ()
    hidden = {*NO_METRICS, *repeats(lines)}
    names = [name for name in lines[0] if name not in hidden and not name.startswith(VALIDATION)]
    figures = [curve_figure(name, lines, best_epoch) for name in names[:MOST_CURVES] if numbers(lines, name)]
    rates = numbers(lines, "learning_rate")
    is_constant = len({rate for _, rate in rates}) < 2
    return tuple(figures) if is_constant else (*figures, rate_figure(rates))


def numbers(lines: Sequence[Mapping[str, Any]], name: str) -> list[tuple[int, float]]:
    """Return (epoch, value) of each line that has a finite number of this name."""
    known = [line for line in lines if is_number(line.get(name)) and isinstance(line.get("epoch"), int)]
    return [(line["epoch"], float(line[name])) for line in known]


def is_number(value: Any) -> bool:
    return math.isfinite(value) if isinstance(value, float) else type(value) is int and abs(value) < 2**63


def thinned(points: list[tuple[int, float]], best_epoch: int | None) -> list[tuple[int, float]]:
    step = -(-len(points) // MOST_EPOCHS)
    last = len(points) - 1
    return [point for index, point in enumerate(points) if index % step == 0 or index == last or point[0] == best_epoch]


def curve_figure(name: str, lines: Sequence[Mapping[str, Any]], best_epoch: int | None) -> Figure:
    found = {"training": numbers(lines, name), "validation": numbers(lines, f"val_{name}")}
    curves = {split: thinned(points, best_epoch) for split, points in found.items() if points}
    title = "Loss" if name == "loss" else fitting(name).replace("_", " ").capitalize()
    description = " ".join(curve_text(split, name, points, best_epoch) for split, points in curves.items())

    def draw(axes: list[Axes]) -> None:
        for (split, points), colour in zip(curves.items(), COLOURS, strict=False):
            marker = "o" if len(points) == 1 else None
            axes[0].plot(*zip(*points, strict=True), label=split, color=colour, marker=marker, markersize=4)
            best = [point for point in points if point[0] == best_epoch]
            if best and split == list(curves)[-1]:
                axes[0].axvline(best[0][0], color=INK, linewidth=1, linestyle=":")
                axes[0].plot(*best[0], "o", markersize=6, color=colour, label=f"best epoch {best_epoch}")
        axes[0].set(ylabel=fitting(name))
        epochs(axes[0], next(iter(curves.values())))
        axes[0].legend()

    return drawn(f"curve_{file_word(name)}", f"{title} by epoch", description, draw, size=(5.0, 3.2))


def curve_text(split: str, name: str, points: list[tuple[int, float]], best_epoch: int | None) -> str:
    (first, start), (last, end), best = points[0], points[-1], dict(points).get(best_epoch or 0)
    begin, finish, at_best = numbers_text([start, end, end if best is None else best])
    text = f"{split.capitalize()} {fitting(name)} goes from {begin} in epoch {first} to {finish} in epoch {last}"
    if best_epoch == last:
        return f"{text}, the best epoch."
    return text + ("." if best is None else f", and is {at_best} in the best epoch, {best_epoch}.")


def rate_figure(rates: list[tuple[int, float]]) -> Figure:
    points = thinned(rates, None)
    values = [value for _, value in points]
    description = f"The learning rate at the end of each epoch, from {values[0]:.3g} to {values[-1]:.3g}."

    def draw(axes: list[Axes]) -> None:
        axes[0].step(*zip(*points, strict=True), where="mid", marker="o" if len(points) == 1 else None)
        axes[0].set(ylabel="learning rate")
        epochs(axes[0], points)
        if min(values) > 0 and max(values) > 20 * min(values):
            axes[0].set_yscale("log")
            plain_powers(axes[0].yaxis)
        else:
            axes[0].set_ylim(bottom=0)

    return drawn("curve_learning_rate", "Learning rate by epoch", description, draw, size=(5.0, 2.6))


def plain_powers(axis: Axis) -> None:
    """Label the ticks of a logarithmic axis with plain numbers: 0.001, 0.01."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def epochs(axes: Axes, points: list[tuple[int, float]]) -> None:
    axes.set(xlabel="epoch", xlim=(points[0][0] - 0.5, points[-1][0] + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
