"""The rows of training: the running epoch, and a table of finished epochs, as wide as the terminal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.cells import cell_len

from dltool.console.glyphs import Glyphs
from dltool.console.live import cropped, fitted, fitting
from dltool.runs.repeats import VALIDATION, repeats
from dltool.text import duration, largest_of, number, printable, short

if TYPE_CHECKING:
    from dltool.training.state import EpochRecord

ROWS_OF_A_HEADER = 25
"""The header is repeated after so many rows."""
SMALLEST_COLUMN = 6
WIDEST_NAME = 24
BEST = "best"


def labelled(record: "EpochRecord", is_best: bool, epochs: int, monitor: str = "") -> str:
    """Return a finished epoch as a line that needs no header: for files, pipes and screen readers."""
    hidden = repeats([record.logs], monitor)
    metrics = "  ".join(f"{name} {number(value)}" for name, value in record.logs.items() if name not in hidden)
    best = "  best so far" if is_best else ""
    return f"epoch {counter(record.epoch, epochs)}  {metrics}  {duration(record.seconds)}{best}"


def counter(epoch: int, epochs: int) -> str:
    return f"{epoch:>{len(str(epochs))}}/{epochs}"


class EpochTable:
    """Finished epochs. Printed rows are final, so the last epoch marked best is the best."""

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor
        self.widths: dict[str, int] = {}
        self.largest: dict[str, float] = {}
        self.hidden: frozenset[str] | None = None
        self.header = ""
        self.rows = 0

    def lines(self, record: "EpochRecord", is_best: bool, epochs: int, room: int) -> list[str]:
        """Return the row, below a header if the columns are new or the last header is far up."""
        hidden = repeats([record.logs], self.monitor)
        self.hidden = hidden if self.hidden is None else self.hidden & hidden
        logs = {name: value for name, value in record.logs.items() if name not in self.hidden}
        for name, value in logs.items():
            # Training and validation have the same decimals.
            both = name.removeprefix(VALIDATION)
            self.largest[both] = largest_of([value, self.largest.get(both)])
        cells = {
            "epoch": counter(record.epoch, epochs),
            **{name: number(value, self.largest[name.removeprefix(VALIDATION)]) for name, value in logs.items()},
            "learning rate": f"{record.learning_rate:.3g}",
            "time": duration(record.seconds),
            "": BEST if is_best else "",
        }
        for name, text in cells.items():
            smallest = self.widths.get(name, len(BEST) if name == "" else SMALLEST_COLUMN)
            self.widths[name] = max(smallest, cell_len(heading(name)), cell_len(text))
        names = list(cells)
        shown = [names[index] for index in fitting([(self.rank(name), self.widths[name]) for name in names], room)]
        header = self.row({name: heading(name) for name in shown})
        lines = [self.row({name: cells[name] for name in shown})]
        if header != self.header or self.rows % ROWS_OF_A_HEADER == 0:
            lines.insert(0, header)
            self.header, self.rows = header, 0
        self.rows += 1
        return lines

    def rank(self, name: str) -> int:
        """Return the rank of a column; on narrow terminals the largest are dropped first."""
        first = ("epoch", "", self.monitor, "val_loss", "loss", "time")
        if name in first:
            return first.index(name)
        return 8 if name == "learning rate" else 6 if name.startswith("val_") else 7

    def row(self, cells: Mapping[str, str]) -> str:
        texts = [" " * (self.widths[name] - cell_len(text)) + text for name, text in cells.items() if name]
        return "  ".join([*texts, cells.get("", "")]).rstrip()


def heading(name: str) -> str:
    return cropped(printable(name), WIDEST_NAME)


@dataclass
class RunningEpoch:
    """The current epoch. Times are of a monotonic clock, in seconds."""

    epoch: int
    epochs: int
    steps: int
    examples: int
    began: float
    last_seconds: float | None = None
    """The duration of the previous epoch."""
    step: int = 0
    logs: Mapping[str, float] = field(default_factory=dict)
    is_validating: bool = False
    first: tuple[int, float] | None = None
    last: tuple[int, float] | None = None

    def reached(self, step: int, logs: Mapping[str, float], now: float) -> None:
        self.step, self.logs = step, logs
        self.last = (step, now)
        # Earlier time includes compilation and the steps of a resumed epoch.
        self.first = self.first or self.last

    def steps_per_second(self) -> float | None:
        """Return the rate, None if it is not known yet."""
        if self.first is None or self.last is None or self.last[1] <= self.first[1]:
            return None
        return (self.last[0] - self.first[0]) / (self.last[1] - self.first[1])

    def doing(self) -> str:
        """Describe the activity, for a log."""
        what = "validating" if self.is_validating else f"step {self.step:,} of {self.steps:,}"
        return f"epoch {self.epoch}/{self.epochs}, {what}"

    def line(self, room: int, glyphs: Glyphs, now: float) -> str:
        """Format the live row: a bar, the rate and the time left, as far as they fit."""
        name = f"epoch {counter(self.epoch, self.epochs)}"
        fraction = self.step / self.steps
        if self.is_validating:
            return fitted([(0, name), (1, f"validating, {duration(now - self.began)}")], room)
        # The time left shrinks between two reports.
        rate = self.steps_per_second()
        parts = [(0, name), (2, glyphs.bar(fraction, max(8, min(24, room // 5)))), (1, f"{int(100 * fraction):>3} %")]
        if rate:
            seen = self.last[1] if self.last else now
            left = max(0.0, (self.steps - self.step) / rate - (now - seen))
            parts.append((1, f"{duration(left)} left"))
            parts.append((3, f"{short(round(rate * self.examples / self.steps))} examples/s"))
            if self.last_seconds is not None and self.epoch < self.epochs:
                rest = left + (self.epochs - self.epoch) * self.last_seconds
                parts.append((5, f"training at most {duration(rest)}"))
        else:
            parts.append((1, f"{duration(now - self.began)} so far"))
        parts.append((4, f"{self.step:,}/{self.steps:,} steps"))
        parts += [(6, f"{printable(metric)} {number(value)}") for metric, value in self.logs.items()]
        return fitted(parts, room)
