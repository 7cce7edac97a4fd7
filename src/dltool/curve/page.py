"""The page of a learning curve: what more rows would bring, the figure, and the numbers."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from dltool.curve.outcome import CurveOutcome
from dltool.evaluation.figures.drawing import COLOURS, drawn, fitting
from dltool.evaluation.figures.figure import Figure
from dltool.report.page import PageSection, render, render_page

POINTS = 40
"""Points of the drawn law and its band."""
MOST_DECADES = 0.7
"""Of values within less than this power of ten, an axis has ticks between 1, 2 and 5 too."""


def html(found: CurveOutcome) -> str:
    """Return the whole page."""
    quantity = found.last.quantity
    rows = [
        (size.rows, *quantity.texts(size.mean, min(size.values), max(size.values)), len(size.values))
        for size in found.sizes
    ]
    header = render("curve_header.html", found=found)
    sections = [
        PageSection("curve", "Error by training rows", render("curve.html", drawn=figure(found), found=found)),
        PageSection("numbers", "Numbers", render("curve_numbers.html", rows=rows, found=found)),
    ]
    return render_page(f"{found.name}: learning curve", header, sections)


def figure(found: CurveOutcome) -> Figure:
    """Draw the runs, their means, and the law with its band on two logarithmic axes."""
    quantity, largest = found.last.quantity, found.sizes[-1].rows

    def draw(axes: list[Axes]) -> None:
        (ax,) = axes
        for size in found.sizes:
            ax.plot([size.rows] * len(size.values), size.values, "o", color=COLOURS[0], markersize=4, alpha=0.45)
        means = [(size.rows, size.mean) for size in found.sizes]
        ax.plot(*zip(*means, strict=True), "o", color=COLOURS[0], markersize=7, label="mean of the seeds")
        if found.fitted is not None and found.foretold is not None:
            rows = np.geomspace(found.sizes[0].rows, found.foretold.rows, POINTS)
            low, high = zip(*(found.fitted.band(each) for each in rows), strict=True)
            ax.fill_between(rows, low, high, color=COLOURS[1], alpha=0.18, linewidth=0, label="95 % band")
            for part, style in ((rows[rows <= largest], "-"), (rows[rows >= largest * 0.999], "--")):
                ax.plot(part, [found.fitted.law.at(each) for each in part], style, color=COLOURS[1])
            ax.plot(found.foretold.rows, found.foretold.value, "D", color=COLOURS[1], markersize=6, label="foretold")
        ax.set(xscale="log", xlabel="training rows", ylabel=fitting(quantity.label))
        ax.set_xticks([size.rows for size in found.sizes] + [found.foretold.rows] * (found.foretold is not None))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        ax.xaxis.set_minor_locator(NullLocator())
        if ax.get_ylim()[0] > 0 or min(value for size in found.sizes for value in size.values) > 0:
            ax.set_yscale("log")
            span = np.log10(ax.get_ylim()[1] / ax.get_ylim()[0])
            ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if span > MOST_DECADES else range(1, 10)))
            ax.yaxis.set_minor_formatter(NullFormatter())
            ax.yaxis.set_minor_locator(NullLocator())
            percent = quantity.is_share
            ax.yaxis.set_major_formatter(
                FuncFormatter(lambda value, _: f"{100 * value:g} %" if percent else f"{value:g}")
            )
        ax.legend()

    first, last = found.sizes[0], found.sizes[-1]
    start, end = quantity.texts(first.mean, last.mean)
    words = f"{quantity.label} goes from {start} with {first.rows:,} rows to {end} with {last.rows:,}; {found.words}."
    return drawn("curve", f"{quantity.words} by training rows", words, draw, size=(5.5, 3.8))
