"""Style of the figures, and their SVG: small, reproducible, legible on light and dark pages."""

import re
import warnings
from collections.abc import Callable
from io import BytesIO
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import LayoutEngine
from matplotlib.rcsetup import cycler
from matplotlib.ticker import ScalarFormatter

from dltool.evaluation.figures.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8C6BB1", "#999933")
"""After Okabe and Ito: distinguishable with colour blindness, with contrast on white and black."""
INK = "#767676"
STRONG_INK = "#1b1f24"
"""Text on coloured areas."""
DARK = {INK: "#9aa7b4", STRONG_INK: "#e6edf3"}
"""Text colours in dark mode."""
LONGEST_NAME = 24
PADDING = 3
"""Points around labels."""
MOST_LAYOUTS = 3
"""Axes are placed again if the labels of their ticks have become longer."""

Draw = Callable[[list[Axes]], None]
STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    # Class names may contain "$".
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
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-4, 6),
    "axes.grid": True,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "lines.linewidth": 1.6,
    # Simplifying would remove coincident points.
    "path.simplify": False,
}


class Thousands(ScalarFormatter):
    """Formatter of ticks that writes 1,150, as the text beside the figure does."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return re.sub(r"\B(?=(\d{3})+$)", ",", super().__call__(x, pos))


def label_lengths(fig: Any) -> list[int]:
    """Return the characters of the longest tick label of each axis. The ticks depend on the size of the axes."""
    all_axis = [axis for axes in fig.axes for axis in (axes.xaxis, axes.yaxis)]
    labels = (axis.get_major_formatter().format_ticks(axis.get_majorticklocs()) for axis in all_axis)
    return [max(map(len, each), default=0) for each in labels]


class SideBySide(LayoutEngine):
    """Layout engine that places axes in a row, inside their labels.

    Matplotlib's own engines measure all labels at least twice, which takes longer than drawing."""

    _adjust_compatible = False
    _colorbar_gridspec = False

    def execute(self, fig: Any) -> None:
        lengths = label_lengths(fig)
        for _ in range(MOST_LAYOUTS):
            self.place(fig)
            before, lengths = lengths, label_lengths(fig)
            if not any(now > then for now, then in zip(lengths, before, strict=True)):
                break

    def place(self, fig: Any) -> None:
        width, height = fig.bbox.size
        share = width / len(fig.axes)
        for index, axes in enumerate(fig.axes):
            written, inside = axes.get_tightbbox(), axes.bbox
            left = index * share + PADDING + inside.x0 - written.x0
            bottom = PADDING + inside.y0 - written.y0
            right = (index + 1) * share - PADDING - (written.x1 - inside.x1)
            top = height - PADDING - (written.y1 - inside.y1)
            axes.set_position((left / width, bottom / height, (right - left) / width, (top - bottom) / height))


def drawn(
    name: str, title: str, description: str, draw: Draw, panels: int = 1, size: tuple[float, float] = (5.0, 3.6)
) -> Figure:
    """Return the figure that `draw` makes on `panels` axes in a row. `size` is in inches of 72 points."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        # The reader's fonts may have the missing characters.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        canvas = Canvas(figsize=size, layout=SideBySide())
        all_axes = list(canvas.subplots(1, panels, squeeze=False)[0])
        for axis in (axis for axes in all_axes for axis in (axes.xaxis, axes.yaxis)):
            axis.set_major_formatter(Thousands())
        draw(all_axes)
        return Figure(name, title, description, svg_of(canvas))


def svg_of(canvas: Canvas) -> str:
    buffer = BytesIO()
    # savefig would draw everything twice.
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    FigureCanvasSVG(canvas).print_svg(buffer, metadata=nothing)  # type: ignore[no-untyped-call]
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*">', "<g>", text)
    # Rules that replace matplotlib's style attributes in dark mode.
    inks = [(paint, ink, light) for ink, light in DARK.items() for paint in ("fill", "stroke")]
    rules = "".join(f'[style*="{paint}: {ink}"]{{{paint}: {light} !important}}' for paint, ink, light in inks)
    text = text.replace("</style>", f"@media screen and (prefers-color-scheme: dark){{{rules}}}</style>", 1)
    return re.sub(r"\n\s*", "\n", text).strip() + "\n"


def fitting(name: str, longest: int = LONGEST_NAME) -> str:
    """Return the name with escapes for unprintable characters, shortened in the middle."""
    plain = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in name)
    return plain if len(plain) <= longest else f"{plain[: longest // 2]}…{plain[-(longest - longest // 2 - 1) :]}"
