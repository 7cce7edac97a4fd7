"""Lines at the bottom of a terminal that are redrawn."""

import os
from collections.abc import Sequence
from typing import TextIO

from rich.cells import cell_len, set_cell_size

USUAL_WIDTH = 80
CLEAR = "\r\x1b[J"
"""Clears from the cursor's line to the end of the screen."""


class LiveLines:
    """The cursor stays at the beginning of the first line, and the next output overwrites it. A terminal that rewraps
    lines when it is resized moves the cursor with them."""

    def __init__(self, terminal: TextIO) -> None:
        self.terminal = terminal
        self.lines: Sequence[str] = ()

    def draw(self, lines: Sequence[str]) -> None:
        """Draw the lines. Each must be narrower than the terminal."""
        self.lines = lines
        self.write(frame(lines))

    def above(self, text: str) -> None:
        """Print a permanent text above the lines."""
        self.write(f"{CLEAR}{text}\n{frame(self.lines)}" if self.lines else f"{text}\n")

    def clear(self) -> None:
        if self.lines:
            self.lines = ()
            self.write(CLEAR)

    def write(self, text: str) -> None:
        self.terminal.write(text)
        self.terminal.flush()


def frame(lines: Sequence[str]) -> str:
    up = f"\x1b[{len(lines) - 1}A" if len(lines) > 1 else ""
    return "\r" + "\x1b[K\n".join(lines) + "\x1b[J" + up + "\r"


def can_be_live(terminal: TextIO) -> bool:
    """Return whether the terminal can move its cursor."""
    return terminal.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


def width_of(terminal: TextIO) -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(terminal.fileno()).columns or USUAL_WIDTH
    except OSError:
        return USUAL_WIDTH


def fitted(parts: Sequence[tuple[int, str]], room: int, gap: str = "  ") -> str:
    """Join as many `parts` (rank and text) as fit, lowest ranks first, in their order."""
    kept = fitting([(rank, cell_len(text)) for rank, text in parts], room, len(gap))
    return cropped(gap.join(parts[index][1] for index in kept), room)


def fitting(sizes: Sequence[tuple[int, int]], room: int, gap: int = 2) -> list[int]:
    """Return the indices that fit, by (rank, width). The lowest rank always does."""
    kept: list[int] = []
    left = room
    for index in sorted(range(len(sizes)), key=lambda index: sizes[index][0]):
        needed = sizes[index][1] + (gap if kept else 0)
        if needed <= left or not kept:
            kept.append(index)
            left -= needed
    return sorted(kept)


def cropped(text: str, width: int) -> str:
    """Return the text, cut off with two dots if it is too wide."""
    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 2)) + ".."[:width]
