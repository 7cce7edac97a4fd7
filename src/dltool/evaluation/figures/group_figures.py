"""Figures of groups of examples, and of a membership-inference attack."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from dltool.evaluation.figures.drawing import COLOURS, INK, drawn, fitting
from dltool.evaluation.figures.figure import Figure
from dltool.evaluation.findings import Audit, GroupComparison
from dltool.evaluation.membership import privacy_bound
from dltool.text import number

MOST_DRAWN = 20
LONGEST = 36


def groups_figure(name: str, found: GroupComparison) -> Figure:
    """Draw the metric of each group with its interval, and its base: the groups with the smallest lift."""
    shown, metric = found.groups[:MOST_DRAWN], found.metric

    def draw(axes: list[Axes]) -> None:
        (only,) = axes
        for place, group in enumerate(reversed(shown)):
            value, labels = group.numbers[metric], ("this model", "base") if place == 0 else (None, None)
            if value.low is not None and value.high is not None:
                only.plot([value.low, value.high], [place, place], color=COLOURS[0], linewidth=3, alpha=0.5)
            only.plot([value.value], [place], "o", color=COLOURS[0], label=labels[0])
            base = group.numbers["base"].value
            only.plot([base], [place], "|", color=COLOURS[1], markersize=13, markeredgewidth=2.5, label=labels[1])
        only.set(xlabel=metric, ylim=(-0.6, len(shown) - 0.4))
        only.set_yticks(range(len(shown)), [fitting(group.group, LONGEST) for group in reversed(shown)])
        only.grid(visible=False, axis="y")
        only.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)

    value, base = shown[0].numbers[metric].value, shown[0].numbers["base"].value
    least = f"The smallest lift is that of {shown[0].group}, {number(value)} against {number(base, value)}"
    description = f"{metric.capitalize()} by group with 95 % intervals, and the base of each. {least}."
    return drawn(name, f"{metric.capitalize()} by group", description, draw, size=(6.0, 1.1 + 0.28 * len(shown)))


def membership_figure(found: Audit, privacy: Mapping[str, float] | None = None) -> Figure:
    """Draw the ROC curve of the attack on logarithmic axes, which show the few who are exposed, the diagonal of
    guessing, and the bound that the epsilon and delta in `privacy` set."""
    points = [(x, y) for x, y in zip(found.false, found.true, strict=True) if x > 0 and y > 0]
    least = min(min(point) for point in points)

    def draw(axes: list[Axes]) -> None:
        (only,) = axes
        along = np.geomspace(least, 1, 50)
        only.plot(along, along, color=INK, linewidth=1, linestyle="--", label="guessing")
        if privacy is not None:
            only.plot(along, privacy_bound(along, privacy), color=COLOURS[1], label="bound of privacy")
        only.plot(*zip(*points, strict=True), color=COLOURS[0], label=f"by the loss, AUC {number(found.auc.value)}")
        only.set(xscale="log", yscale="log", xlim=(least, 1), ylim=(least, 1.05))
        for axis in (only.xaxis, only.yaxis):
            axis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
            axis.set_minor_formatter(lambda share, _: "")
        only.set(xlabel="test examples predicted as training examples", ylabel="training examples recognized")
        only.legend(loc="upper left")

    description = (
        f"ROC curve of the attack on logarithmic axes, area {number(found.auc.value)}; the diagonal is guessing."
    )
    return drawn("membership", "Training examples recognized by their loss", description, draw, size=(5.0, 3.8))
