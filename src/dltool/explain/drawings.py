"""Figures of explanations: maps beside the images that they are of, and texts with underlined words."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from dltool.evaluation.figures.drawing import COLOURS, DARK, INK, drawn, fitting
from dltool.evaluation.figures.figure import Figure

FOR, AGAINST = COLOURS[1], COLOURS[0]
LEGEND = "orange places speak for the class, blue ones against it"
SIDE = 1.6
"""Inches of a view."""
STRONG = 0.99
"""Places above this quantile have the full colour."""
LARGEST_SIDE = 96
"""Pixels of a drawn map, so that a figure stays below the megabyte that reports read."""
WIDEST = 92
"""Characters of a line of text."""
CHARACTER, LINE = 7.3, 38.0
"""Points of a character and of a line."""
STRONGEST = 2
"""Words of a text that have a number, as multiples of its square root."""


@dataclass(frozen=True)
class View:
    """A small drawing below its title: an image (height, width) or (height, width, 3) of 0 to 1, or a signed map
    (height, width), of that image if it is given."""

    title: str
    image: np.ndarray | None = None
    values: np.ndarray | None = None


def map_figure(
    name: str, title: str, description: str, rows: Sequence[Sequence[View]], names: Sequence[str] = ()
) -> Figure:
    """Draw rows of views of one size. The strongest places of each map have the full colour. `names` are those of the
    axes: to the right, and upwards."""
    height, width = np.asarray(rows[0][-1].values).shape
    # Long sounds would be lines.
    ratio = min(max(height / width, 0.25), 2.0)
    columns = max(map(len, rows))

    def draw(axes: list[Axes]) -> None:
        (ax,) = axes
        for row, views in enumerate(rows):
            top = -row * (ratio + 0.25)
            for left, view in enumerate(views):
                box = (left * 1.08, left * 1.08 + 1, top - ratio, top)
                ax.text(left * 1.08, top + 0.05, fitting(view.title), fontsize=8.5)
                if view.image is not None:
                    grey = view.image if view.values is None or view.image.ndim == 2 else view.image.mean(-1)
                    alpha = 1.0 if view.values is None else 0.2
                    ax.imshow(thinned(grey), "gray", vmin=0, vmax=1, alpha=alpha, extent=box, interpolation="none")
                if view.values is not None:
                    ax.imshow(coloured(thinned(view.values)), extent=box, interpolation="none")
        bottom = -len(rows) * (ratio + 0.25) + 0.2
        for label, place in zip(names, ((0.5, bottom - 0.02), (-0.02, bottom + 0.05 + ratio / 2)), strict=False):
            sides = {"ha": "right", "va": "center", "rotation": 90} if place[0] < 0 else {"ha": "center", "va": "top"}
            ax.text(*place, f"{label} →", fontsize=8.5, **sides)
        edge = -0.2 if len(names) > 1 else 0
        ax.set(xlim=(edge, columns * 1.08), ylim=(bottom - 0.2 * bool(names), 0.25), aspect="auto")
        ax.set_axis_off()

    return drawn(name, title, description, draw, size=(SIDE * columns * 1.08, SIDE * len(rows) * (ratio + 0.25)))


def thinned(values: np.ndarray) -> np.ndarray:
    """Return every pixel, or every second one, …"""
    step = max(1, -(-max(values.shape[:2]) // LARGEST_SIDE))
    return values[::step, ::step]


def coloured(values: np.ndarray) -> np.ndarray:
    """Return a signed map (height, width) in two colours, more opaque the larger its values, (height, width, 4)."""
    strength = np.clip(np.abs(values) / max(float(np.quantile(np.abs(values), STRONG)), 1e-12), 0, 1)
    colours = np.where((values > 0)[..., None], to_rgb(FOR), to_rgb(AGAINST))
    return np.concatenate([colours, strength[..., None]], axis=-1)


def text_figure(
    name: str, title: str, description: str, texts: Sequence[tuple[str, Sequence[str], np.ndarray]]
) -> Figure:
    """Draw texts, each a label, its words and their values (words,): a solid line below words that speak for the class,
    a dashed one below those against it, thicker the more they do. The strongest have their value below."""
    parts, y = [], 0.0
    for label, words, values in texts:
        y += LINE
        parts.append(
            f'<text x="0" y="{y - 14:.0f}" font-weight="bold" fill="{INK}">{html.escape(fitting(label, WIDEST))}</text>'
        )
        x, largest = 0.0, max(float(np.abs(values).max(initial=0)), 1e-12)
        strong = set(np.argsort(-np.abs(values))[: int(STRONGEST * len(values) ** 0.5)].tolist())
        y += 8
        for index, (word, value) in enumerate(zip(words, values.tolist(), strict=True)):
            shown = fitting(word)
            if x and x + len(shown) > WIDEST:
                x, y = 0.0, y + LINE
            left, right, share = x * CHARACTER, (x + len(shown)) * CHARACTER, abs(value) / largest
            colour, dashes = (FOR, "") if value > 0 else (AGAINST, ' stroke-dasharray="3 2"')
            parts.append(f'<text x="{left:.1f}" y="{y:.0f}" fill="{INK}">{html.escape(shown)}</text>')
            if share >= 0.05:
                parts.append(
                    f'<line x1="{left:.1f}" x2="{right:.1f}" y1="{y + 4:.0f}" y2="{y + 4:.0f}" stroke="{colour}" '
                    f'stroke-width="{0.7 + 2.8 * share:.1f}"{dashes}/>'
                )
            if index in strong and share >= 0.05:
                parts.append(f'<text x="{left:.1f}" y="{y + 16:.0f}" font-size="9" fill="{INK}">{value:+.2f}</text>')
            x += max(len(shown), 6 if index in strong else 0) + 1
        y += 12
    width, height = WIDEST * CHARACTER + 20, y + 16
    size = f'width="{width:.0f}pt" height="{height:.0f}pt" viewBox="0 0 {width:.0f} {height:.0f}"'
    font = 'font-family="DejaVu Sans Mono, monospace" font-size="12"'
    dark = f"<style>@media screen and (prefers-color-scheme: dark){{text{{fill:{DARK[INK]}}}}}</style>"
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>{dark}\n' + "\n".join(parts) + "\n</svg>\n"
    return Figure(name, title, description, svg)
