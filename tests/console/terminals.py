"""A terminal to look at: what a stream of text and escape sequences leaves on its screen."""

import io
from dataclasses import dataclass

import pyte

from dltool.console.capture import Capture
from dltool.console.progress import TrainingProgress
from dltool.training.state import EpochRecord


class Terminal(io.StringIO):
    """Takes what is written to it as a terminal of `columns` does."""

    def __init__(self, columns: int = 80, encoding: str = "utf-8", is_terminal: bool = True) -> None:
        super().__init__()
        self.screen = pyte.Screen(columns, 40)
        self.stream = pyte.Stream(self.screen)
        self.name = encoding
        self.is_terminal = is_terminal

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.name

    def isatty(self) -> bool:
        return self.is_terminal

    def write(self, text: str) -> int:
        self.stream.feed(text.replace("\n", "\r\n"))
        return super().write(text)

    def shown(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip() + "\n"


@dataclass
class Clock:
    """Seconds that pass when told."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def progress_on(terminal: Terminal, clock: Clock, log: io.StringIO | None = None) -> TrainingProgress:
    """Without its thread: what it does every now and then is done by calling `tick`."""
    return TrainingProgress(Capture(terminal, log or io.StringIO()), clock=clock)


def epoch(number: int, value: float = 0.5, seconds: float = 4.0) -> EpochRecord:
    logs = {"loss": value, "accuracy": 1 - value, "val_loss": value + 0.01, "val_accuracy": 0.99 - value}
    return EpochRecord(number, logs, 1e-3, seconds)
