"""The page of a learning curve: what more rows would bring, the figure, and the numbers."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from dltool.curve.outcome import CurveOutcome
from dltool.evaluation.figures.drawing import COLOURS, drawn, fitting
from dltool.evaluation.figures.figure import Figure
from dltool.report.page import PageSection, render, render_page

POINTS = 20
"""Points of the drawn law and its band, up to the largest size and beyond it."""
NARROW = 5
"""If the largest value is less than this multiple of the smallest, the axis has ticks between 1, 2 and 5 too."""


def html(found: CurveOutcome) -> str:
    """Return the whole page."""
    quantity = found.last.quantity
    rows = [
        (size.rows, *quantity.texts(size.mean, min(size.values), max(size.values)), len(size.values))
        for size in found.sizes
    ]
    header = render("curve_header.html", found=found, words=sentence(found.words))
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
            measured = np.geomspace(found.sizes[0].rows, largest, POINTS)
            further = np.geomspace(largest, found.foretold.rows, POINTS)
            rows = np.concatenate([measured, further])
            low, high = zip(*map(found.fitted.band, rows), strict=True)
            ax.fill_between(rows, low, high, color=COLOURS[1], alpha=0.18, linewidth=0, label="95 % band")
            for part, style in ((measured, "-"), (further, "--")):
                ax.plot(part, list(map(found.fitted.law.at, part)), style, color=COLOURS[1])
            ax.plot(found.foretold.rows, found.foretold.value, "D", color=COLOURS[1], markersize=6, label="foretold")
        ax.set(xscale="log", xlabel="training rows", ylabel=fitting(quantity.label))
        ax.set_xticks([size.rows for size in found.sizes] + ([found.foretold.rows] if found.foretold else []))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        ax.xaxis.set_minor_locator(NullLocator())
        if min(value for size in found.sizes for value in size.values) > 0:
            ax.set_yscale("log")
            bottom, top = ax.get_ylim()
            ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if top > NARROW * bottom else range(1, 10)))
            ax.yaxis.set_minor_locator(NullLocator())
        percent = quantity.is_share
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %" if percent else f"{value:g}"))
        ax.legend()

    first, last = found.sizes[0], found.sizes[-1]
    start, end = quantity.texts(first.mean, last.mean)
    words = f"{sentence(quantity.label)} goes from {start} with {first.rows:,} rows to {end} with {last.rows:,}."
    title = f"{sentence(quantity.words)} by training rows"
    return drawn("curve", title, f"{words} {sentence(found.words)}.", draw, size=(5.5, 3.8))


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
