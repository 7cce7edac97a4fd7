"""Figures of what the columns of a table do: importances, dependence, and contributions to single predictions."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from dltool.evaluation.figures.drawing import COLOURS, INK, drawn, fitting
from dltool.evaluation.figures.figure import Figure, file_word
from dltool.explain.dependence import Dependence
from dltool.explain.permutation import Importance
from dltool.text import counted, joined, number, numbers

MOST_BARS, MOST_STEPS, MOST_LINES, MOST_CURVES = 25, 10, 60, 4
HIDING = 30
"""An importance so many times the median hides others."""
BAR, TOP = 0.24, 0.9
"""Inches of a bar, and of all else in the height of a figure."""
LONGEST = 40
LEAST_STEP = 1e-3
"""Least contribution that has a bar of its own, as a share of the largest."""
BLUE, ORANGE, GREEN = COLOURS[:3]


def importance_figure(found: Sequence[Importance], groups: Mapping[str, Sequence[str]], loss: str) -> Figure:
    """Draw the largest importances with their intervals, groups hatched, in front of what noise would reach."""
    shown = sorted(found, key=lambda each: -each.loss.value)[:MOST_BARS]
    lines = [f"{fitting(each.name, LONGEST)} {number(each.loss.value)}" for each in shown if each.name not in groups]
    within = sum(not each.exceeds_noise for each in found)
    description = f"Increase of the {loss} by permuting a column: {joined(lines[:5], 'and')}."
    description += f" {counted(within, 'bar lies', 'bars lie')} within the noise." if within else ""

    def draw(axes: list[Axes]) -> None:
        for place, each in enumerate(shown):
            is_group, value = each.name in groups, each.loss.value
            if each.noise is not None:
                axes[0].barh(place, 2 * each.noise, left=-each.noise, height=0.9, color=INK, alpha=0.3, lw=0)
            axes[0].barh(
                place,
                value,
                height=0.55,
                color=ORANGE if is_group else BLUE,
                alpha=0.85,
                hatch="///" if is_group else None,
            )
            if each.loss.low is not None:
                axes[0].plot([each.loss.low, each.loss.high], [place, place], color=INK, linewidth=1.4)
        axes[0].axvline(0, color=INK, linewidth=0.8)
        axes[0].set_yticks(range(len(shown)), [fitting(each.name, LONGEST) for each in shown])
        axes[0].set(ylim=(len(shown) - 0.4, -0.6), xlabel=f"increase of the {loss} (grey: what noise would reach)")
        if groups:
            axes[0].legend([Patch(facecolor=ORANGE, hatch="///")], ["permuted together"], loc="lower right")
        axes[0].grid(axis="y", visible=False)
        spread(axes[0].set_xscale, axes[0].xaxis, shown)

    size = (6.4, TOP + BAR * len(shown))
    return drawn("importance", "Permutation importance of the columns", description, draw, size=size)


def lag_figure(found: Sequence[Importance], lags: Sequence[int], loss: str) -> Figure:
    """Draw the importance of the rows of a window, the earliest first."""
    best = max(found, key=lambda each: each.loss.value)
    before = np.array([-lag for lag in lags])
    description = (
        f"Increase of the {loss} by permuting one row of the window in all columns: it is largest for the row "
    )
    description += f"{place_text(lags[found.index(best)])} ({number(best.loss.value)})."

    def draw(axes: list[Axes]) -> None:
        noise = np.array([each.noise or 0.0 for each in found])
        axes[0].fill_between(
            before, -noise, noise, color=INK, alpha=0.3, lw=0, step="mid", label="what noise would reach"
        )
        axes[0].bar(before, [each.loss.value for each in found], width=0.7, color=BLUE, alpha=0.85)
        for at, each in zip(before, found, strict=True):
            if each.loss.low is not None:
                axes[0].plot([at, at], [each.loss.low, each.loss.high], color=INK, linewidth=1.2)
        axes[0].axhline(0, color=INK, linewidth=0.8)
        axes[0].set(xlabel="row of the window, 0 is the last", ylabel=f"increase of the {loss}")
        spread(axes[0].set_yscale, axes[0].yaxis, found)
        axes[0].legend(loc="upper left")

    return drawn("importance_by_lag", "Permutation importance of the rows", description, draw, size=(6.0, 3.2))


def spread(set_scale: Callable[..., None], axis: Axis, found: Sequence[Importance]) -> None:
    """Make an axis logarithmic beyond the noise if one importance would hide all others."""
    values, noise = np.array([each.loss.value for each in found]), [each.noise for each in found if each.noise]
    if noise and values.max() > HIDING * max(np.median(values), np.median(noise)):
        set_scale("symlog", linthresh=float(np.median(noise)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def place_text(lag: int) -> str:
    """Return where a row of a window is, such as "3 before the last"."""
    return "that is the last" if lag == 0 else f"{abs(lag)} {'before' if lag > 0 else 'after'} the last"


def dependence_figure(found: Dependence) -> Figure:
    """Draw the mean output by the value of a column, and the outputs of single rows, as changes since the first value,
    so that rows which differ in other columns can be compared."""
    mean = found.means[found.output]
    low, high = int(np.argmin(mean)), int(np.argmax(mean))
    labels = [found.label(at) for at in range(len(mean))]
    least, most = numbers([float(mean[low]), float(mean[high])])
    column = fitting(found.column, LONGEST)
    description = f"The mean {found.output} is {least} for {column} {labels[low]}, and {most} for {labels[high]}."
    lines = found.each[:: -(-len(found.each) // MOST_LINES)]
    changes = list(lines - lines[:, :1]), [each - each[0] for each in list(found.means.values())[:MOST_CURVES]]

    def draw(axes: list[Axes]) -> None:
        (ordered if found.is_ordered else unordered)(axes[0], found, *changes)
        since = f"change since {fitting(labels[0], 16)}"
        axes[0].set(
            **({"xlabel": column, "ylabel": since} if found.is_ordered else {"ylabel": column, "xlabel": since})
        )
        axes[0].legend(loc="lower left", bbox_to_anchor=(-0.05, 1.0), ncols=2)

    size = (5.0, 3.6 if found.is_ordered else TOP + 2 * BAR + BAR * len(labels))
    return drawn(
        f"dependence_{file_word(found.column)}", f"Partial dependence on {column}", description, draw, size=size
    )


def ordered(axes: Axes, found: Dependence, lines: Sequence[np.ndarray], means: Sequence[np.ndarray]) -> None:
    for index, line in enumerate(lines):
        name = None if index else lines_name(found)
        axes.plot(found.grid, line, color=INK, alpha=0.3, linewidth=0.8, label=name)
    for name, mean, colour in zip(found.means, means, COLOURS, strict=False):
        axes.plot(found.grid, mean, color=colour, linewidth=2.2, label=fitting(name, LONGEST))
    if found.grid.dtype.kind == "M":
        locator = AutoDateLocator(maxticks=6)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def lines_name(found: Dependence) -> str:
    return f"single rows, {fitting(found.output, LONGEST)}" if len(found.means) > 1 else "single rows"


def unordered(axes: Axes, found: Dependence, lines: Sequence[np.ndarray], means: Sequence[np.ndarray]) -> None:
    places = np.arange(len(found.grid))
    for index, line in enumerate(lines):
        name, offset = None if index else lines_name(found), 0.6 * (index / len(lines) - 0.5)
        axes.plot(line, places + offset, ".", color=INK, alpha=0.4, markersize=3, label=name)
    for name, mean, colour, marker in zip(found.means, means, COLOURS, "oDs^", strict=False):
        axes.plot(mean, places, marker, color=colour, markersize=6, label=fitting(name, LONGEST))
    axes.set_yticks(places, [fitting(found.label(at)) for at in places])
    axes.invert_yaxis()


def waterfall_figure(
    name: str, title: str, labels: Sequence[str], contributions: np.ndarray, before: float, after: float, score: str
) -> Figure:
    """Draw how the contributions (columns,) lead from the score `before`, of the baseline, to that of the example. The
    smallest ones are one bar."""
    order, sizes = np.argsort(-np.abs(contributions), kind="stable"), np.abs(contributions)
    count = min(MOST_STEPS, int(np.sum(sizes > LEAST_STEP * sizes.max())))
    kept, rest = order[:count], order[count:]
    steps = [(labels[at], float(contributions[at])) for at in kept]
    if abs(float(contributions[rest].sum())) > LEAST_STEP * sizes.max():
        steps.append((counted(len(rest), "other column"), float(contributions[rest].sum())))
    words = [f"{label} {value:+.3g}" for label, value in steps[:5]]
    description = f"From {number(before)} to {number(after)}, the {score}: {joined(words, 'and')}."

    def draw(axes: list[Axes]) -> None:
        ends = before + np.cumsum([0.0, *(value for _, value in steps)])
        for place, ((_, value), start, end) in enumerate(zip(steps, ends, ends[1:], strict=False)):
            is_up = value >= 0
            axes[0].barh(
                place,
                value,
                left=start,
                height=0.6,
                color=BLUE if is_up else ORANGE,
                alpha=0.85,
                hatch=None if is_up else "///",
            )
            axes[0].plot([end, end], [place, place + 1], color=INK, linewidth=0.8)
            axes[0].annotate(
                f"{value:+.3g}", (max(start, end), place), (3, 0), textcoords="offset points", va="center", fontsize=8
            )
        axes[0].axvline(before, color=INK, linewidth=1.4, linestyle=":", zorder=0)
        axes[0].axvline(after, color=INK, linewidth=1, zorder=0)
        axes[0].use_sticky_edges = False
        axes[0].set_yticks(range(len(steps)), [fitting(label, LONGEST) for label, _ in steps])
        axes[0].set(ylim=(len(steps) - 0.4, -0.6), xlabel=f"{score}: dotted the baseline, solid this example")
        axes[0].margins(x=0.2)
        axes[0].grid(axis="y", visible=False)

    return drawn(name, title, description, draw, size=(6.4, TOP + BAR * len(steps)))
