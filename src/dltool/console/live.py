"""Lines at the bottom of a terminal that the next ones replace."""

import os
from collections.abc import Sequence
from typing import TextIO

from rich.cells import cell_len, set_cell_size

USUAL_WIDTH = 80
CLEAR = "\r\x1b[J"
"""From the cursor to the end of the screen."""


class LiveLines:
    """The cursor waits at the beginning of the first one. What is written next takes their place, and when the window
    gets narrower and the terminal breaks the lines anew, it moves the cursor with them: nothing has to be counted.
    """

    def __init__(self, terminal: TextIO) -> None:
        self.terminal = terminal
        self.lines: Sequence[str] = ()

    def draw(self, lines: Sequence[str]) -> None:
        """Each of them must be narrower than the terminal."""
        self.lines = lines
        self.write(frame(lines))

    def above(self, text: str) -> None:
        """A text that stays, in the place of the lines, which come below it."""
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
    """Whether the terminal can move its cursor."""
    return terminal.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


def width_of(terminal: TextIO) -> int:
    """Columns, as they are now."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(terminal.fileno()).columns or USUAL_WIDTH
    except OSError:
        return USUAL_WIDTH


def fitted(parts: Sequence[tuple[int, str]], room: int, gap: str = "  ") -> str:
    """As many `parts` (their rank, and the text) as there is room for, those of the lowest ranks, in their order."""
    kept = fitting([(rank, cell_len(text)) for rank, text in parts], room, len(gap))
    return cropped(gap.join(parts[index][1] for index in kept), room)


def fitting(sizes: Sequence[tuple[int, int]], room: int, gap: int = 2) -> list[int]:
    """The indices of what has room, by (rank, width), the lowest rank first and in any case."""
    kept: list[int] = []
    left = room
    for index in sorted(range(len(sizes)), key=lambda index: sizes[index][0]):
        needed = sizes[index][1] + (gap if kept else 0)
        if needed <= left or not kept:
            kept.append(index)
            left -= needed
    return sorted(kept)


def cropped(text: str, width: int) -> str:
    """The text, or its beginning and two dots."""
    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 2)) + ".."[:width]
