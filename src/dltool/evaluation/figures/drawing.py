"""How figures look, and how they become SVG: small, the same bytes each time, legible on white and on black."""

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import LayoutEngine
from matplotlib.rcsetup import cycler

from dltool.evaluation.figures.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8C6BB1", "#999933")
"""After Okabe and Ito, distinguished by colour-blind eyes too; contrast enough on white and on black."""
INK = "#767676"
STRONG_INK = "#1b1f24"
"""On coloured areas."""
DARK = {INK: "#9aa7b4", STRONG_INK: "#e6edf3"}
"""The inks where the reader's screen is dark."""
LONGEST_NAME = 24
PADDING = 3
"""Points around what is written."""

STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    # "$" in the name of a class is a dollar.
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.grid": True,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "lines.linewidth": 1.6,
    # It would remove points that lie on each other.
    "path.simplify": False,
}


class SideBySide(LayoutEngine):
    """Gives each of the axes in a row the room that what is written around it leaves.

    Matplotlib's own engines measure all that is written twice or more, which takes longer than to draw it.
    """

    _adjust_compatible = False
    _colorbar_gridspec = False

    def execute(self, fig: Any) -> None:
        width, height = fig.bbox.size
        share = width / len(fig.axes)
        for index, axes in enumerate(fig.axes):
            written, inside = axes.get_tightbbox(), axes.bbox
            left = index * share + PADDING + inside.x0 - written.x0
            bottom = PADDING + inside.y0 - written.y0
            right = (index + 1) * share - PADDING - (written.x1 - inside.x1)
            top = height - PADDING - (written.y1 - inside.y1)
            axes.set_position((left / width, bottom / height, (right - left) / width, (top - bottom) / height))


@contextmanager
def style(name: str) -> Iterator[None]:
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        # The reader's own fonts draw the text, and may have the characters that are missing here.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        yield


def drawn(
    name: str,
    title: str,
    description: str,
    draw: Callable[[list[Axes]], None],
    panels: int = 1,
    size: tuple[float, float] = (5.0, 3.6),
) -> Figure:
    """The figure that `draw` makes on so many axes beside each other. `size` is in inches, of 72 points."""
    with style(name):
        canvas = Canvas(figsize=size, layout=SideBySide())
        draw(list(canvas.subplots(1, panels, squeeze=False)[0]))
        return Figure(name, title, description, svg_of(canvas))


def svg_of(canvas: Canvas) -> str:
    buffer = BytesIO()
    # As savefig does, but that draws everything once before.
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    FigureCanvasSVG(canvas).print_svg(buffer, metadata=nothing)  # type: ignore[no-untyped-call]
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*">', "<g>", text)
    text = text.replace("</style>", f"{dark_style()}</style>", 1)
    return re.sub(r"\n\s*", "\n", text).strip() + "\n"


def dark_style() -> str:
    """Return the CSS rules that replace matplotlib's own style attributes where the reader's screen is dark."""
    rules = (
        f'[style*="{paint}: {ink}"]{{{paint}: {light} !important}}'
        for ink, light in DARK.items()
        for paint in ("fill", "stroke")
    )
    return f"@media screen and (prefers-color-scheme: dark){{{''.join(rules)}}}"


def fitting(name: str, longest: int = LONGEST_NAME) -> str:
    """Return the name without what no figure can hold, cut in its middle where it is long."""
    plain = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in name)
    return plain if len(plain) <= longest else f"{plain[: longest // 2]}…{plain[-(longest - longest // 2 - 1) :]}"


def figures_text(value: float) -> str:
    """A number in a figure or its description: three figures that matter."""
    return f"{value:.3g}"
