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
    texts = found.last.quantity.texts
    rows = [(size, texts(size.mean, min(size.values), max(size.values))) for size in found.sizes]
    sections = [
        PageSection("curve", "Error by training rows", render("curve.html", drawn=figure(found), found=found)),
        PageSection("numbers", "Numbers", render("curve_numbers.html", rows=rows)),
    ]
    name = found.folder.absolute().parent.name
    return render_page(f"{name}: learning curve", render("curve_header.html", found=found, name=name), sections)


def figure(found: CurveOutcome) -> Figure:
    """Draw the runs, their means, and the law with its band on two logarithmic axes."""
    quantity, first, last, law = found.last.quantity, found.sizes[0], found.sizes[-1], found.law

    def draw(axes: list[Axes]) -> None:
        (ax,) = axes
        for size in found.sizes:
            ax.plot([size.rows] * len(size.values), size.values, "o", color=COLOURS[0], markersize=4, alpha=0.45)
        means = [size.mean for size in found.sizes]
        ax.plot([size.rows for size in found.sizes], means, "o", color=COLOURS[0], markersize=7, label="mean of seeds")
        if law is not None:
            measured, further = np.geomspace([law.rows[0], last.rows], [last.rows, found.rows], POINTS, axis=1)
            rows = np.concatenate([measured, further])
            low, high = zip(*map(law.band, rows), strict=True)
            ax.fill_between(rows, low, high, color=COLOURS[1], alpha=0.18, linewidth=0, label="95 % band")
            for part, style in ((measured, "-"), (further, "--")):
                ax.plot(part, list(map(law.at, part)), style, color=COLOURS[1])
            ax.plot(found.rows, law.at(found.rows), "D", color=COLOURS[1], markersize=6, label="predicted")
        ax.set(xscale="log", xlabel="training rows", ylabel=fitting(quantity.label))
        ax.set_xticks([size.rows for size in found.sizes] + ([found.rows] if law else []))
        ax.xaxis.set(major_formatter=FuncFormatter(lambda rows, _: f"{rows:,.0f}"), minor_locator=NullLocator())
        if min(min(size.values) for size in found.sizes) > 0:
            ax.set_yscale("log")
            bottom, top = ax.get_ylim()
            ticks = LogLocator(subs=(1, 2, 5) if top > NARROW * bottom else range(1, 10))
            ax.yaxis.set(major_locator=ticks, minor_locator=NullLocator())
        percent = quantity.is_share
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %" if percent else f"{value:g}"))
        ax.legend()

    start, end = quantity.texts(first.mean, last.mean)
    words = f"From {start} with {first.rows:,} rows to {end} with {last.rows:,}; {found.words}."
    return drawn("curve", f"{fitting(quantity.label)} by training rows".capitalize(), words, draw, size=(5.5, 3.8))
