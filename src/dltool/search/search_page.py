"""The report of a search, search.html: what the trials found, which parameters matter, and how lucky the winner is."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from dltool.evaluation.figures.curves import epochs, plain_powers, thinned
from dltool.evaluation.figures.drawing import COLOURS, INK, drawn, fitting
from dltool.evaluation.figures.figure import Figure, file_word
from dltool.report.page import PageSection, render, render_page
from dltool.search.rungs import Mode, Trial
from dltool.search.search_folder import SearchRecord
from dltool.search.space import Parameter, Space
from dltool.search.study import importances
from dltool.text import counted, number, numbers

FEW_TRIALS = 30
"""With fewer trials the importance of parameters is mostly chance."""
MOST_PARAMETERS = 12
SHARE, BEYOND = 0.75, 1.5
"""An axis ends this multiple of the distance from the best value to that of this share of the trials beyond the latter,
after Tukey's fences: one trial that diverges would flatten all others."""
BETTER, WORSE, UNCLEAR = "the winner is better", "the config as written is better", "no clear difference"
"""Verdicts on the test split."""


def search_page(record: SearchRecord, space: Space, trials: Sequence[Trial], result: Mapping[str, Any]) -> str:
    """Return the report of a finished search as one HTML file."""
    assert record.measured is not None
    mode, metric = record.measured.mode, record.metric
    rows = sorted(trials, key=lambda each: (bool(each.reason), not each.is_complete, each.rank(mode)))
    compared = result["against_written"]
    is_better = result["winner"] != 0 and (compared is None or compared["verdict"] == BETTER)
    header = render(
        "search_header.html",
        record=record,
        result=result,
        is_better=is_better,
        words=verdict(record, result),
        test=on_test(compared),
        luck=luck(record, result, mode),
    )
    found = importances(space.parameters, trials, mode, record.measured.rungs[0])
    names = [each.name for each in space.every()]
    sections = [
        PageSection("values", "Values", figures([*progress_figures(trials, metric, mode)])),
        PageSection("parameters", "Parameters", figures(scatters(space, trials, metric, mode))),
        PageSection("importance", "Importance", importance(found, len(trials), record)),
        PageSection("curves", "Curves", figures([curves_figure(trials, record, result["winner"])])),
        PageSection("trials", "Trials", render("search_trials.html", rows=rows, names=names, mode=mode, metric=metric)),
    ]
    return render_page(f"{record.name}: search", header, sections)


def figures(drawings: Sequence[Figure]) -> Any:
    return render("compare_curves.html", figures=drawings)


def verdict(record: SearchRecord, result: Mapping[str, Any]) -> str:
    """Describe the winner in one sentence."""
    best, written = numbers([result["value"], result["as_written"]])
    trials = counted(result["trials"], "trial")
    if result["winner"] == 0:
        return f"None of {trials} is better than the config as written: {record.metric} {written}."
    return f"Trial {result['winner']} of {trials} is the best: {record.metric} {best}, as written {written}."


def on_test(compared: Mapping[str, Any] | None) -> str:
    """Compare the winner with the config as written on the test split, in one sentence."""
    if compared is None:
        return ""
    winner, written = numbers([compared["winner"], compared["as_written"]])
    words = f"On the test split {compared['metric']} is {winner}, as written {written}"
    return f"{words}: {compared['verdict']} (paired bootstrap)."


def luck(record: SearchRecord, result: Mapping[str, Any], mode: Mode) -> str:
    """Say how much of the winner's value is luck: it was chosen because it is good."""
    others = result["other_seeds"].get(str(result["winner"]))
    if not others:
        words = "The best of many is partly lucky, so its validation value is too good."
        return f"{words} search.seeds: 3 measures by how much. Nothing was chosen by the test split."
    value, mean = result["value"], fmean(others)
    difference = mean - value if mode == "min" else value - mean
    shown = numbers([value, mean, abs(difference)])
    how = f"too good by {shown[2]}" if difference > 0 else "not luck"
    seeds = counted(len(others), "other seed")
    return f"In the search the winner has {record.metric} {shown[0]}, with {seeds} {shown[1]}: its value is {how}."


def scored(trials: Sequence[Trial], mode: Mode) -> list[tuple[Trial, float]]:
    pairs = ((each, each.best(mode)) for each in trials if not each.reason)
    return [(trial, value) for trial, value in pairs if not math.isnan(value)]


def usual_range(values: Sequence[float], written: Sequence[float], mode: Mode) -> tuple[float, float]:
    """Return the least and the greatest value that an axis shows: all but those far worse than most, and `written`."""
    best_first = sorted(values, reverse=mode == "max")
    best, usual = best_first[0], best_first[int(SHARE * (len(values) - 1))]
    worst = usual + BEYOND * (usual - best)
    inside = [each for each in values if (each <= worst if mode == "min" else each >= worst)]
    return min(*inside, *written), max(*inside, *written)


def limit(axes: Axes, values: Sequence[float], limits: tuple[float, float]) -> None:
    """Let the axis end at its `limits` if there are values beyond them."""
    low, high = limits
    if min(values) < low or max(values) > high:
        margin = 0.05 * (high - low) or 0.05 * abs(high)
        axes.set_ylim(low - margin, high + margin)


def progress_figures(trials: Sequence[Trial], metric: str, mode: Mode) -> Iterator[Figure]:
    """Draw the value of each trial and the best so far, by trial and by epochs trained."""
    found = scored(trials, mode)
    values = [value for _, value in found]
    limits, best = usual_range(values, values[:1], mode), list(accumulate(values, min if mode == "min" else max))
    words = f"{fitting(metric)} is {number(values[0])} as written, and {number(best[-1])} in the best trial."
    if beyond := sum(not limits[0] <= value <= limits[1] for value in values):
        words += f" Not shown: {counted(beyond, 'trial')} far worse than most."
    for label, places, text in (
        ("trial", [trial.number for trial, _ in found], words),
        ("epochs", [*accumulate(trial.epochs for trial, _ in found)], "Hollow points are trials that paused."),
    ):

        def draw(axes: list[Axes], places: Sequence[int] = places, label: str = label) -> None:
            for (trial, value), place in zip(found, places, strict=True):
                if limits[0] <= value <= limits[1]:
                    style = "full" if trial.is_complete else "none"
                    axes[0].plot(place, value, "o", color=COLOURS[0], fillstyle=style)
            axes[0].step(places, best, where="post", color=COLOURS[1], label="best so far")
            axes[0].axhline(values[0], color=INK, linestyle="--", linewidth=1, label="as written")
            limit(axes[0], values, limits)
            axes[0].set(xlabel=label, ylabel=fitting(metric))
            axes[0].legend()

        yield drawn(f"search_by_{label}", f"{fitting(metric)} by {label}", text, draw, size=(4.2, 3.0))


def scatters(space: Space, trials: Sequence[Trial], metric: str, mode: Mode) -> list[Figure]:
    """Draw the metric by the value of each parameter."""
    found = scored(trials, mode)
    parameters = [each for each in space.every() if any(each.name in trial.values for trial, _ in found)]
    values = [value for _, value in found]
    low, high = usual_range(values, values[:1], mode)
    shown = [(trial, value) for trial, value in found if low <= value <= high]
    return [scatter(each, shown, metric) for each in parameters[:MOST_PARAMETERS]]


def scatter(parameter: Parameter, found: Sequence[tuple[Trial, float]], metric: str) -> Figure:
    name = parameter.name
    points = [(trial, value) for trial, value in found if name in trial.values]
    options = list(parameter.dimension.options)

    def draw(axes: list[Axes]) -> None:
        for trial, value in points:
            place = options.index(str(trial.values[name])) if options else trial.values[name]
            style = "full" if trial.is_complete else "none"
            axes[0].plot(place, value, "o", color=COLOURS[trial.number == 0], fillstyle=style)
        if options:
            axes[0].set_xticks(range(len(options)), [fitting(each, 12) for each in options])
        elif parameter.is_log:
            axes[0].set_xscale("log")
            low, high = parameter.dimension.bounds
            axes[0].xaxis.set_major_locator(LogLocator(subs=(1,) if high > 100 * low else (1, 2, 5), numticks=6))
            plain_powers(axes[0].xaxis)
        axes[0].set(xlabel=fitting(name, 40), ylabel=fitting(metric))

    is_written = bool(points) and points[0][0].number == 0
    words = counted(len(points), "trial") + "; the config as written is of another colour" * is_written
    return drawn(
        f"search_{file_word(name)}", f"{fitting(metric)} by {fitting(name, 40)}", f"{words}.", draw, size=(4.2, 3.0)
    )


def importance(found: Mapping[str, float], trials: int, record: SearchRecord) -> Any:
    """Render the importance of the parameters, with a warning if it rests on few trials."""
    if not found:
        return ""
    assert record.measured is not None
    names, shares = zip(*sorted(found.items(), key=lambda item: item[1]), strict=True)

    def draw(axes: list[Axes]) -> None:
        axes[0].barh(range(len(names)), shares, color=COLOURS[0])
        axes[0].set_yticks(range(len(names)), [fitting(name, 40) for name in names])
        axes[0].set(xlabel="share", xlim=(0, 1))

    after = counted(record.measured.rungs[0], "epoch")
    top = f"{names[-1]} has {shares[-1]:.0%} of the differences in {record.metric} after {after}."
    warning = f" With fewer than {FEW_TRIALS} trials this is mostly chance." if trials < FEW_TRIALS else ""
    size = (6.0, 1.0 + 0.35 * len(names))
    return figures([drawn("search_importance", "Importance of the parameters", top + warning, draw, size=size)])


def curves_figure(trials: Sequence[Trial], record: SearchRecord, best: int) -> Figure:
    """Draw the metric of every trial by epoch, and the epochs at which trials were compared."""
    assert record.measured is not None
    *pauses, last = record.measured.rungs
    values = [value for trial in trials for value in trial.curve if math.isfinite(value)]
    special = [value for trial in trials if trial.number in (0, best) for value in trial.curve if math.isfinite(value)]
    limits = usual_range(values, special, record.measured.mode)

    def draw(axes: list[Axes]) -> None:
        for trial in sorted(trials, key=lambda each: each.number in (0, best)):
            # Lines leave the axis at twice its height: matplotlib draws no numbers of any size.
            edges = limits[0] - (limits[1] - limits[0]), limits[1] + (limits[1] - limits[0])
            points = [(epoch, min(max(value, edges[0]), edges[1])) for epoch, value in enumerate(trial.curve, 1)]
            points = [point for point in points if math.isfinite(point[1])]
            if points:
                named = {best: (COLOURS[1], 2.2, f"trial {best}"), 0: (COLOURS[0], 1.8, "as written")}
                colour, width, label = named.get(trial.number, (INK, 0.7, None))
                style: dict[str, Any] = {"color": colour, "linewidth": width, "label": label, "markersize": 3}
                style["marker"] = "o" if len(points) == 1 else None
                axes[0].plot(*zip(*thinned(points, None), strict=True), **style)
        limit(axes[0], values, limits)
        for epoch in pauses:
            axes[0].axvline(epoch, color=INK, linewidth=0.8, linestyle=":")
        axes[0].set(ylabel=fitting(record.metric))
        epochs(axes[0], [(1, 0.0), (max(last, *(each.epochs for each in trials)), 0.0)])
        axes[0].legend()

    compared = f"{', '.join(map(str, pauses))} of {counted(last, 'epoch')}"
    stages = f"Trials were compared after {compared} (dotted)." if pauses else "No trial paused."
    return drawn("search_curves", f"{fitting(record.metric)} by epoch", stages, draw, size=(6.4, 3.6))
