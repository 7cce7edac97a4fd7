"""Figures of what the columns of a table do: importances, dependence, and contributions to single predictions."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateFormatter, AutoDateLocator
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from dltool.evaluation.figures.drawing import COLOURS, INK, drawn, fitting
from dltool.evaluation.figures.figure import Figure, file_word
from dltool.explain.dependence import Dependence
from dltool.explain.permutation import Importance
from dltool.text import counted, joined, number, numbers

MOST_STEPS, MOST_LINES, MOST_CURVES = 10, 60, 4
HIDING = 30
"""An importance so many times the median hides others."""
LEAST_STEP = 1e-3
"""Least contribution that has a bar of its own, as a share of the largest."""
BAR, TOP = 0.24, 0.9
"""Inches of a bar, and of all else in the height of a figure."""
LONGEST = 40
BLUE, ORANGE = COLOURS[:2]
HATCH = "///"


def importance_figure(name: str, title: str, found: Sequence[Importance], groups: Collection[str]) -> Figure:
    """Draw importances from top to bottom with their intervals, `groups` hatched, beside what noise would reach. The
    axis is logarithmic beyond the noise if one importance would hide the others."""
    largest = sorted(found, key=lambda each: -each.loss.value)
    lines = [f"{fitting(each.name, LONGEST)} {number(each.loss.value)}" for each in largest if each.name not in groups]
    within = sum(not each.exceeds_noise for each in found)
    description = f"Increase of the loss: {joined(lines[:5], 'and')}."
    description += f" {counted(within, 'bar is', 'bars are')} no more important than noise." if within else ""
    middle = np.median([[abs(each.loss.value), each.noise or 0.0] for each in found], axis=0)

    def draw(axes: list[Axes]) -> None:
        for place, each in enumerate(found):
            is_group = each.name in groups
            axes[0].barh(place, each.noise or 0.0, height=0.9, color=INK, alpha=0.3, lw=0)
            style: Any = {"color": ORANGE, "hatch": HATCH} if is_group else {"color": BLUE}
            axes[0].barh(place, each.loss.value, height=0.5, alpha=0.85, **style)
            if each.loss.low is not None and each.loss.high is not None:
                axes[0].plot([each.loss.low, each.loss.high], [place, place], color=INK, linewidth=1.4)
        axes[0].axvline(0, color=INK, linewidth=0.8)
        bars(axes[0], [each.name for each in found], "increase of the loss (grey: what noise would reach)")
        if middle[1] and largest[0].loss.value > HIDING * middle.max():
            axes[0].set_xscale("symlog", linthresh=middle[1])
            axes[0].xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        if groups:
            axes[0].legend([Patch(facecolor=ORANGE, hatch=HATCH)], ["permuted together"], loc="lower right")

    return drawn(name, title, description, draw, size=(6.4, TOP + BAR * len(found)))


def bars(axes: Axes, names: Sequence[str], label: str) -> None:
    """Name the bars of a figure from top to bottom, and its axis. Beside long names there is room for few numbers."""
    axes.set_yticks(range(len(names)), [fitting(name, LONGEST) for name in names])
    axes.set(ylim=(len(names) - 0.4, -0.6), xlabel=label)
    axes.locator_params(axis="x", nbins=4)
    axes.grid(axis="y", visible=False)


def sizes_figure(
    name: str, title: str, names: Sequence[str], sizes: np.ndarray, label: str, ends: Sequence[np.ndarray] = ()
) -> Figure:
    """Draw sizes (names,) from top to bottom, with the lower and upper `ends` of their intervals, if given."""
    words = [f"{fitting(each, LONGEST)} {number(float(size))}" for each, size in zip(names, sizes, strict=True)]

    def draw(axes: list[Axes]) -> None:
        axes[0].barh(range(len(names)), sizes, height=0.5, color=BLUE, alpha=0.85)
        for place, (low, high) in enumerate(zip(*ends, strict=True)):
            axes[0].plot([low, high], [place, place], color=INK, linewidth=1.4)
        bars(axes[0], names, label)

    description = f"{label.capitalize()}: {joined(words[:5], 'and')}."
    return drawn(name, title, description, draw, size=(6.4, TOP + BAR * len(names)))


def dependence_figure(found: Dependence) -> Figure:
    """Draw the mean output by the value of a column, and the outputs of single rows, as changes since the first value,
    so that rows which differ in other columns can be compared."""
    row, column, labels = (
        found.row(),
        fitting(found.column, LONGEST),
        [found.label(at) for at in range(len(found.grid))],
    )
    least, most = numbers([row["lowest"], row["highest"]])
    description = (
        f"The mean {row['output']} is {least} for {column} {row['lowest at']}, {most} for {row['highest at']}."
    )
    lines = found.each[:: -(-len(found.each) // MOST_LINES)]
    are_ordered, since = found.grid.dtype.kind != "O", f"change since {fitting(labels[0], 16)}"

    def draw(axes: list[Axes]) -> None:
        def plot(y: np.ndarray, offset: float, label: str | None, **style: Any) -> None:
            if are_ordered:
                axes[0].plot(found.grid, y - y[0], label=label, **style)
            else:
                axes[0].plot(y - y[0], np.arange(len(y)) + offset, "o", label=label, **style)

        for index, line in enumerate(lines):
            label = None if index else f"single rows, {fitting(row['output'], LONGEST)}"
            plot(line, 0.6 * (index / len(lines) - 0.5), label, color=INK, alpha=0.35, linewidth=0.8, markersize=1.5)
        for (name, mean), colour in zip(list(found.means.items())[:MOST_CURVES], COLOURS, strict=False):
            plot(mean, 0, f"mean {fitting(name, LONGEST)}", color=colour, linewidth=2.2, markersize=6)
        if not are_ordered:
            bars(axes[0], labels, since)
        elif found.grid.dtype.kind == "M":
            axes[0].xaxis.set_major_formatter(AutoDateFormatter(AutoDateLocator()))  # type: ignore[no-untyped-call]
        axes[0].set(**({"xlabel": column, "ylabel": since} if are_ordered else {"ylabel": column}))
        axes[0].legend(loc="lower left", bbox_to_anchor=(-0.05, 1.0))

    size = (5.0, 3.6 if are_ordered else TOP + BAR * (len(labels) + 1 + len(found.means)))
    return drawn(
        f"dependence_{file_word(found.column)}", f"Partial dependence on {column}", description, draw, size=size
    )


def waterfall_figure(
    name: str, title: str, labels: Sequence[str], contributions: np.ndarray, before: float, after: float, score: str
) -> Figure:
    """Draw how the contributions (columns,) lead from the score `before`, of the baseline, to that of the example. The
    smallest ones are one bar."""
    order, sizes = np.argsort(-np.abs(contributions), kind="stable"), np.abs(contributions)
    count = min(MOST_STEPS, int(np.sum(sizes > LEAST_STEP * sizes.max())))
    steps = [(labels[at], float(contributions[at])) for at in order[:count]]
    rest = float(contributions[order[count:]].sum())
    if abs(rest) > LEAST_STEP * sizes.max():
        steps.append((counted(len(order) - count, "other column"), rest))
    words = [f"{label} {value:+.3g}" for label, value in steps[:5]]
    description = f"From {number(before)} to {number(after)}, the {score}: {joined(words, 'and')}."
    ends = before + np.cumsum([0.0, *(value for _, value in steps)])

    def draw(axes: list[Axes]) -> None:
        for place, ((_, value), start, end) in enumerate(zip(steps, ends, ends[1:], strict=False)):
            style: Any = {"color": BLUE} if value >= 0 else {"color": ORANGE, "hatch": HATCH}
            axes[0].barh(place, value, left=start, height=0.6, alpha=0.85, **style)
            axes[0].plot([end, end], [place, place + 1], color=INK, linewidth=0.8)
            # In the margin, which no line crosses.
            where: Any = {"transform": axes[0].get_yaxis_transform(), "ha": "right", "va": "center", "fontsize": 8}
            axes[0].text(1, place, f"{value:+.3g}", **where)
        axes[0].axvline(before, color=INK, linewidth=1.4, linestyle=":", zorder=0)
        axes[0].axvline(after, color=INK, linewidth=1, zorder=0)
        axes[0].use_sticky_edges = False
        axes[0].margins(x=0.2)
        axes[0].grid(visible=False)
        bars(axes[0], [label for label, _ in steps], f"{score}: dotted the baseline, solid this example")

    return drawn(name, title, description, draw, size=(6.4, TOP + BAR * len(steps)))
