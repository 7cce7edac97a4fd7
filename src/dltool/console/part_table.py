"""The rows of the folds or seeds of a run: one for each that is complete, and the time left for the others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.cells import cell_len

from dltool.console.epochs import heading
from dltool.console.live import cropped, fitting
from dltool.runs.repeats import repeats
from dltool.text import duration, number, numbers

WIDTH = 8
"""Least width of a column of numbers."""


@dataclass
class PartTable:
    """The parts of a run. `words` name the one in progress, the `number` of `count`, which began at `began`."""

    words: str
    number: int
    count: int
    began: float
    longest: float = 0.0
    """The seconds of the slowest part so far."""
    names: list[str] = field(default_factory=list)
    widths: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # The chief of N workers trains every N-th part.
        self.workers = self.number

    def begins(self, words: str, number: int, now: float) -> None:
        self.words, self.number, self.began = words, number, now

    def name(self) -> str:
        return f"{self.words} ({self.number}/{self.count})"

    def ends(self, test: Mapping[str, float], seconds: float, room: int | None) -> list[str]:
        """Return the row of the part that is complete, after so many seconds: a line, or if there is `room`, a row of
        as many columns as fit, below a header if it is the first."""
        self.longest = max(self.longest, seconds)
        if not self.names:
            hidden = repeats([test])
            self.names = [name for name in test if name not in hidden]
        cells = {name: number(test[name]) if name in test else "" for name in self.names}
        if room is None:
            return ["  ".join([self.name(), *(f"{name} {text}" for name, text in cells.items()), duration(seconds)])]
        first = not self.widths
        cells |= {"time": duration(seconds)}
        for name, text in cells.items():
            self.widths[name] = max(self.widths.get(name, WIDTH), cell_len(heading(name)), cell_len(text))
        # Repeats and numbers of seeds have other lengths.
        start = max(cell_len(self.name()) + 2, 16)
        sizes = [(index, self.widths[name]) for index, name in enumerate(cells)]
        shown = [list(cells)[index] for index in fitting(sizes, room - start)]
        rows = [[f"{heading(name):>{self.widths[name]}}" for name in shown]] * first
        rows.append([" " * (self.widths[name] - cell_len(cells[name])) + cells[name] for name in shown])
        titles = [""] * first + [self.name()]
        return [cropped(f"{title:<{start}}{'  '.join(row)}", room) for title, row in zip(titles, rows, strict=True)]

    def left(self, now: float) -> str:
        """Return the time left for all parts, empty before the first is complete."""
        if not self.longest:
            return ""
        further = (self.count - self.number) // self.workers
        seconds = self.longest * further + max(0.0, self.longest - (now - self.began))
        return f"about {duration(seconds)} left for all {self.count}"

    def line(self, inside: str, room: int, now: float) -> str:
        """Return the live row: the part, what happens `inside` it, and the time left."""
        left = self.left(now)
        return cropped("  ".join(filter(None, (self.name(), left, inside))), room)


def part_lines(results: Mapping[str, Any]) -> list[str]:
    """Return the metrics of all folds or seeds, a line each: the value, its interval, and how far the parts spread."""
    from dltool.runs.part_records import part_results

    parts = part_results(results)
    if parts is None:
        return []
    hidden = repeats([{name: each.shown or 0.0 for name, each in parts.metrics.items()}])
    found = {name: each for name, each in parts.metrics.items() if name not in hidden and each.shown is not None}
    lines = []
    for name, each in found.items():
        value, *ends = numbers([each.shown or 0.0, *(each.interval or ())])
        between = f" ({' to '.join(ends)})" if ends else ""
        lines.append(f"{name} {value}{between}, standard deviation {parts.spread_words(each)}")
    return [f"{'' if index else 'all':<4}  {line}" for index, line in enumerate(lines)]


def fold_sizes(folds: Sequence[Sequence[int]]) -> Iterator[str]:
    """Yield "247 to 248 training", and the same of validation and test."""
    for name, sizes in zip(("training", "validation", "test"), zip(*folds, strict=True), strict=True):
        least, most = min(sizes), max(sizes)
        if most:
            yield f"{least:,} {name}" if least == most else f"{least:,} to {most:,} {name}"
