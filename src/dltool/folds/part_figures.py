"""Figures of folds and seeds: the values of each on the metric's axis, and the learning curves of all."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from dltool.evaluation.figures.curves import epochs, numbers, thinned
from dltool.evaluation.figures.drawing import COLOURS, INK, drawn, fitting
from dltool.evaluation.figures.figure import Figure, file_word
from dltool.runs.part_records import MetricSpread
from dltool.text import number
from dltool.text import numbers as numbers_text

JITTER = 0.32
"""Height over which the dots of one model are spread, so that equal values stay apart."""


def dots_figure(
    name: str, spread: MetricSpread, baseline: Sequence[float], baseline_name: str, parts: str
) -> Figure | None:
    """Draw a dot for each part, the value of all with its interval, and, joined by lines, the best baseline in the same
    folds; `baseline` is empty without one. Return None if a value is missing."""
    each = [float(value) for value in spread.each if value is not None]
    centre = spread.shown
    if len(each) != len(spread.each) or not each or centre is None:
        return None
    pairs = list(zip(each, baseline, strict=False)) if len(baseline) == len(each) else []
    heights = np.linspace(JITTER / 2, -JITTER / 2, len(each))
    shown = fitting(name).replace("_", " ")

    def draw(axes: list[Axes]) -> None:
        (only,) = axes
        for height, (own, other) in zip(heights, pairs, strict=False):
            only.plot([own, other], [1 + height, height], color=INK, linewidth=0.8, alpha=0.6)
        only.plot(each, 1 + heights, "o", color=COLOURS[0], markersize=5, linestyle="none")
        if pairs:
            others = [other for _, other in pairs]
            only.plot(others, heights[: len(others)], "o", color=COLOURS[1], markersize=5, linestyle="none", mfc="none")
        if spread.interval is not None:
            only.plot(spread.interval, [1.42, 1.42], color=COLOURS[0], linewidth=3, alpha=0.5)
        only.plot([centre], [1.42], "|", color=COLOURS[0], markersize=12, markeredgewidth=2)
        only.set(xlabel=shown, ylim=(-0.45 if pairs else 0.55, 1.7))
        ticks = {1.42: f"all {parts}", 1.0: "this model", **({0.0: fitting(baseline_name)} if pairs else {})}
        only.set_yticks(list(ticks), list(ticks.values()))
        only.grid(visible=False, axis="y")

    low, high, middle, *ends = numbers_text([min(each), max(each), centre, *(spread.interval or ())])
    interval = f", with the 95 % interval {' to '.join(ends)}" if ends else ""
    description = f"{shown.capitalize()} lies between {low} and {high} in {parts}; together it is {middle}{interval}."
    if pairs:
        better = f"{baseline_name} has {number(float(np.mean([other for _, other in pairs])), centre)} in the mean"
        description = f"{description} In the same folds, {better}."
    title = f"{shown.capitalize()} in {parts}"
    return drawn(f"parts_{file_word(name)}", title, description, draw, size=(5.0, 2.4 if pairs else 1.7))


def curves_figure(name: str, curves: Mapping[str, tuple[Sequence[Mapping[str, Any]], int | None]]) -> Figure | None:
    """Draw the curve `name` of each part, with a tick at its best epoch. `curves` are the lines of metrics.jsonl and
    the best epoch by part. Return None without any value."""
    points = {part: (numbers(lines, name), best) for part, (lines, best) in curves.items()}
    points = {part: (each, best) for part, (each, best) in points.items() if each}
    if not points:
        return None
    best_epochs = [best for _, best in points.values() if best is not None]

    def draw(axes: list[Axes]) -> None:
        (only,) = axes
        for number_of_part, (each, best) in enumerate(points.values()):
            colour = COLOURS[number_of_part % len(COLOURS)]
            only.plot(*zip(*thinned(each, best), strict=True), color=colour, linewidth=0.9, alpha=0.9)
            if best in dict(each):
                only.plot([best], [dict(each)[best]], "|", color=colour, markersize=11, markeredgewidth=2)
        only.set(ylabel=fitting(name))
        epochs(only, max((each for each, _ in points.values()), key=len))

    ends = [each[-1][1] for each, _ in points.values()]
    low, high = numbers_text([min(ends), max(ends)])
    description = f"{fitting(name)} of {len(points)} parts ends between {low} and {high}"
    if best_epochs:
        description += f"; the best epochs, marked, are {min(best_epochs)} to {max(best_epochs)}"
    title = f"{fitting(name)} by epoch, of each part"
    return drawn(f"parts_curve_{file_word(name)}", title, f"{description}.", draw, size=(5.0, 3.2))
