"""The HTML page that compares runs."""

from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes

from dltool.evaluation.figures.curves import epochs, thinned
from dltool.evaluation.figures.drawing import COLOURS, drawn, fitting
from dltool.evaluation.figures.figure import Figure, file_word
from dltool.report.differences import Comparison, Curve
from dltool.report.page import PageSection, render, render_page
from dltool.report.paired_values import LETTERS
from dltool.report.ranking import shown_with_sign, significance
from dltool.text import number

STYLES = ("-", "--", "-.", ":")
"""Line styles, distinguishable without colours."""


def html(found: Comparison) -> str:
    names = [path.absolute().parent.name + " " + path.name for path in found.runs]
    runs = list(zip(LETTERS, found.runs, strict=False))
    is_clear = any(len(row.best) < len(row.ranked) for row in found.metrics)
    header = render("compare_header.html", runs=runs, verdict=found.verdict, is_clear=is_clear, remarks=found.remarks)
    return render_page(f"{', '.join(names)}: comparison", header, [*sections(found)])


def sections(found: Comparison) -> Iterator[PageSection]:
    letters = LETTERS[: len(found.runs)]
    functions = {"significance": significance, "signed": shown_with_sign}
    metrics = render("compare_metrics.html", rows=found.metrics, letters=letters, **functions)
    yield PageSection("metrics", "Test metrics", metrics)
    drawings = [figure(name, curves, found.best_epochs) for name, curves in found.curves.items()]
    yield PageSection("learning", "Learning", render("compare_curves.html", figures=drawings))
    for name, title, rows, caption in (
        ("config", "Config", found.config, "Config values that differ"),
        ("results", "Training", found.results, "Results of the runs that differ"),
        ("data", "Data", found.data, "Properties of the data that differ"),
        ("environment", "Environment", found.environment, "Versions, machine and settings that differ"),
    ):
        yield PageSection(name, title, render("compare_values.html", rows=rows, caption=caption, letters=letters))


def figure(name: str, curves: Sequence[Curve], best_epochs: Sequence[int | None]) -> Figure:
    """Draw the curves of all runs in one figure, the best epoch of each as a dot."""
    there = [(index, curve) for index, curve in enumerate(curves) if curve]

    def draw(axes: list[Axes]) -> None:
        for index, curve in there:
            points = thinned(curve, best_epochs[index])
            colour, style = COLOURS[index % len(COLOURS)], STYLES[index % len(STYLES)]
            axes[0].plot(*zip(*points, strict=True), style, color=colour, label=LETTERS[index])
            best = [point for point in points if point[0] == best_epochs[index]]
            if best:
                axes[0].plot(*best[0], "o", color=colour)
        axes[0].set(ylabel=fitting(name))
        epochs(axes[0], max((curve for _, curve in there), key=len))
        axes[0].legend()

    words = " ".join(
        f"{LETTERS[index]} goes from {number(first)} to {number(last)} in epoch {epoch}."
        for index, curve in there
        for (_, first), (epoch, last) in [(curve[0], curve[-1])]
    )
    return drawn(f"compared_{file_word(name)}", f"{fitting(name)} by epoch", words, draw, size=(5.0, 3.2))
