"""Bars and spark lines, in characters that the terminal's encoding has."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Glyphs:
    """`levels` are the heights of a spark line, the lowest first."""

    done: str
    left: str
    levels: str

    def bar(self, fraction: float, width: int) -> str:
        done = int(width * min(1.0, max(0.0, fraction)))
        return self.done * done + self.left * (width - done)

    def spark(self, values: Sequence[float], width: int, beside: Sequence[float] = ()) -> str:
        """Draw `values` in at most `width` characters, a space for each non-finite one. The scale spans `values` and
        those `beside` them. If there are too many, every n-th is shown, and the last."""
        shown = values[:: -max(1, -(-len(values) // width))][::-1]
        finite = [value for value in (*shown, *beside) if math.isfinite(value)]
        low, high = min(finite, default=0.0), max(finite, default=0.0)
        top = len(self.levels) - 1
        # Halved first: the difference of two large numbers may be infinite.
        span = (high / 2 - low / 2) or 1.0
        steps = [(value / 2 - low / 2) / span if math.isfinite(value) else None for value in shown]
        return "".join(" " if step is None else self.levels[round(step * top)] for step in steps)


UNICODE = Glyphs("━", "╌", "▁▂▃▄▅▆▇█")
ASCII = Glyphs("#", ".", "_.-=*#")


def glyphs_for(encoding: str | None) -> Glyphs:
    try:
        (UNICODE.done + UNICODE.left + UNICODE.levels).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE
