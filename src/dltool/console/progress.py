"""The progress of a training: a live line on a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from dltool.console.capture import Capture
from dltool.console.text import inputs_and_target
from dltool.text import duration, number, printable

if TYPE_CHECKING:
    from dltool.data.facts import Facts
    from dltool.run_files import Run
    from dltool.training.fit import EpochRecord

BAR_WIDTH = 20
SECONDS_BETWEEN_HEARTBEATS = 60.0
SECONDS_BETWEEN_FRAMES = 0.1


class TrainingProgress:
    """Writes to the terminal what happens, and to the run's log the same lines without the live one.

    With `quiet`, only warnings reach the terminal.
    """

    def __init__(self, capture: Capture, quiet: bool = False) -> None:
        self.capture = capture
        self.quiet = quiet
        self.console = Console(file=capture.terminal, highlight=False, soft_wrap=not capture.terminal.isatty())
        self.is_live = self.console.is_terminal and not self.console.is_dumb_terminal and not quiet
        self.live: Live | None = None
        self.is_kept = True
        self.epoch, self.epochs, self.steps = 0, 0, 0
        self.epoch_started = self.last_sign_of_life = time.monotonic()
        self.last_frame = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.hide()

    # --- what commands call ---

    def stage(self, name: str) -> None:
        self.show(Text(f"{name} …", "dim"))
        self.capture.write(f"{name} …")

    def warn(self, message: str) -> None:
        self.hide()
        self.console.print(Text("warning: ", "yellow") + Text(printable(message)), soft_wrap=True)
        self.capture.write(f"warning: {message}")

    def prepared(self, name: str, facts: "Facts", parameters: int) -> None:
        self.line(f"{name}: {inputs_and_target(facts)}, {parameters:,} parameters")
        parts = f"{facts.examples:,} training"
        parts += f" · {facts.validation_examples:,} validation" if facts.validation_examples else ""
        parts += f" · {facts.test_examples:,} test" if facts.test_examples else ""
        self.line(f"{parts} examples")

    def run_created(self, run: "Run", *, is_kept: bool) -> None:
        self.is_kept = is_kept
        self.capture.move_to(run.log)
        if is_kept:
            self.line(f"run {run.path}")

    def ended_early(self, run: "Run", status: str) -> None:
        if not self.is_kept:
            self.line(f"{status}; nothing is kept")
            return
        # Whoever reports the error says on the screen where what was done is kept.
        self.capture.write(status)

    # --- what the training loop calls ---

    def epoch_begins(self, epoch: int, epochs: int, steps: int) -> None:
        self.epoch, self.epochs, self.steps = epoch, epochs, steps
        self.epoch_started = time.monotonic()

    def steps_done(self, step: int, logs: Mapping[str, float]) -> None:
        self.heartbeat(step)
        now = time.monotonic()
        if not self.is_live or now - self.last_frame < SECONDS_BETWEEN_FRAMES:
            return
        self.last_frame = now
        elapsed = now - self.epoch_started
        left = elapsed / step * (self.steps - step) if step else 0.0
        filled = BAR_WIDTH * step // self.steps
        metrics = "  ".join(f"{name} {number(value)}" for name, value in logs.items())
        line = Text(f"epoch {self.epoch:>{len(str(self.epochs))}}/{self.epochs}  ")
        line.append("━" * filled, "cyan").append("─" * (BAR_WIDTH - filled), "dim")
        line.append(f"  {step}/{self.steps} steps  {duration(left)} left  {metrics}")
        self.show(line)

    def validation_begins(self) -> None:
        self.show(Text(f"epoch {self.epoch}/{self.epochs}  validating …", "dim"))

    def epoch_ends(self, record: "EpochRecord", is_best: bool) -> None:
        metrics = "  ".join(f"{name} {number(value)}" for name, value in record.logs.items() if name != "learning_rate")
        best = "  best so far" if is_best else ""
        counter = f"epoch {record.epoch:>{len(str(self.epochs))}}/{self.epochs}"
        self.line(f"{counter}  {metrics}  {duration(record.seconds)}{best}")

    # --- the terminal ---

    def heartbeat(self, step: int) -> None:
        """In a log, a long epoch must not look like a hang."""
        if not self.is_live and time.monotonic() - self.last_sign_of_life > SECONDS_BETWEEN_HEARTBEATS:
            self.line(f"epoch {self.epoch}/{self.epochs}  step {step}/{self.steps}")

    def line(self, text: str) -> None:
        """A line that stays."""
        self.capture.write(text)
        self.last_sign_of_life = time.monotonic()
        if self.quiet:
            return
        self.hide()
        self.console.print(Text(printable(text)), soft_wrap=True)

    def show(self, line: Text) -> None:
        """The live line, replaced by the next one. Nothing where there is no terminal."""
        if not self.is_live:
            return
        line.no_wrap, line.overflow = True, "ellipsis"
        if self.live is None:
            self.live = Live(
                console=self.console, transient=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
            )
            self.live.start()
        self.live.update(line, refresh=True)

    def hide(self) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None
