"""The progress of training: a live row on a terminal, plain lines and signs of life without one."""

import math
import re
import textwrap
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Self

from dltool.console.capture import Capture
from dltool.console.epochs import EpochTable, RunningEpoch, labelled
from dltool.console.glyphs import glyphs_for
from dltool.console.live import LiveLines, can_be_live, fitted, width_of
from dltool.console.part_table import PartTable
from dltool.environment import concealed
from dltool.text import duration, number, printable

if TYPE_CHECKING:
    from dltool.config.schema import Config
    from dltool.data.facts import Facts
    from dltool.runs.files import Run
    from dltool.training.state import EpochRecord

SECONDS_BETWEEN_FRAMES = 0.1
SECONDS_BETWEEN_HEARTBEATS = 55.0
"""A log without a line for a minute looks like a process that hangs."""
SECONDS_BETWEEN_ROWS = 1.0
MOST_FAST_ROWS = 100
"""After so many rows, at most one is printed in SECONDS_BETWEEN_ROWS."""
WIDEST_SPARK = 60


class TrainingProgress:
    """Writes events to the terminal, and a line for every epoch to the run's log.

    A thread draws the live row or writes signs of life, so that training does not wait for the terminal. With `quiet`,
    only warnings reach the terminal."""

    def __init__(self, capture: Capture, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self.capture, self.quiet, self.clock = capture, quiet, clock
        self.is_live = can_be_live(capture.terminal) and not quiet
        self.live = LiveLines(capture.terminal)
        self.glyphs = glyphs_for(capture.terminal.encoding)
        self.is_kept = True
        self.activity, self.since = "", clock()
        self.running: RunningEpoch | None = None
        self.examples = 0
        self.table = EpochTable("loss")
        self.course: list[float] = []
        self.best: EpochRecord | None = None
        self.unprinted: tuple[EpochRecord, bool, int] | None = None
        self.rows = 0
        self.parts: PartTable | None = None
        self.is_part = False
        self.warned: set[str] = set()
        self.last_row = self.last_sign_of_life = clock()
        self.lock = threading.RLock()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.keep_alive, daemon=True)

    def __enter__(self) -> Self:
        if not self.quiet:
            self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        if self.thread.ident is not None:
            self.thread.join()
        self.finish_rows()
        self.live.clear()

    # --- called by commands ---

    def stage(self, name: str) -> None:
        self.capture.write(f"{name} …")
        with self.lock:
            self.finish_rows()
            self.running = None
            self.activity, self.since = name, self.clock()
            self.tick()

    def warn(self, message: str) -> None:
        # Folds differ in numbers and places alone: one of them speaks for all on the screen, and the log has each.
        kind = re.sub(r"[\d,]+", "#", message.partition(": ")[0])
        is_known = self.is_part and kind in self.warned
        self.warned.add(kind)
        message = concealed(f"{self.parts.words}: {message}" if self.is_part and self.parts else message)
        self.capture.write(f"warning: {message}")
        if not is_known:
            self.put(f"warning: {message}", bold="warning:")

    def prepared(self, config: "Config", facts: "Facts", parameters: int, settings: Sequence[str] = ()) -> None:
        usual = "val_loss" if facts.validation_examples else "loss"
        self.table = EpochTable(config.training.checkpoint.monitor or usual)
        self.examples = facts.examples
        if self.is_part:
            return
        self.say(f"{config.name}: {facts.in_words}, {parameters:,} parameters")
        self.say(f"{' · '.join(f'{size:,} {name}' for name, size in facts.sizes.items() if size)} examples")
        for setting in settings:
            self.say(setting)

    def run_created(self, run: "Run", *, is_kept: bool) -> None:
        if self.is_part:
            # The log of the run has everything.
            return
        self.is_kept = is_kept
        self.capture.move_to(run.log)
        if is_kept:
            self.say(f"run {run.path}")

    def run_resumed(self, history: Sequence["EpochRecord"], best_epoch: int | None) -> None:
        self.course = [self.monitored(record) for record in history]
        self.best = next((record for record in history if record.epoch == best_epoch), None)
        if self.is_part:
            return
        where = f"after epoch {history[-1].epoch}" if history else "in epoch 1"
        self.say(f"resumes {where}{f'; {self.table.monitor} {self.best_words()}' if self.best else ''}")

    def part_begins(self, words: str, number: int, count: int) -> None:
        with self.lock:
            self.finish_rows()
            self.running, self.course, self.best, self.activity, self.is_part = None, [], None, "", True
            self.parts = self.parts or PartTable(words, number, count, self.clock())
            self.parts.begins(words, number, self.clock())
        self.capture.write(f"{words} …")

    def part_ends(self, test: Mapping[str, float], seconds: float) -> None:
        with self.lock:
            self.is_part, self.running = False, None
            assert self.parts is not None
            for line in self.parts.ends(test, seconds, self.room() if self.is_live else None):
                self.say(line)

    def ended_early(self, status: str) -> None:
        if self.is_kept:
            # The error message on the screen names the run.
            self.capture.write(status)
        else:
            self.say(f"{status}; nothing is kept")

    # --- called by the training loop ---

    def epoch_begins(self, epoch: int, epochs: int, steps: int) -> None:
        with self.lock:
            before = self.running
            now = self.clock()
            seconds = None if before is None else now - before.began
            self.running = RunningEpoch(epoch, epochs, steps, self.examples, now, seconds)

    def steps_done(self, step: int, logs: Mapping[str, float]) -> None:
        if self.running is not None:
            self.running.reached(step, logs, self.clock())

    def validation_begins(self) -> None:
        if self.running is not None:
            self.running.is_validating = True

    def epoch_ends(self, record: "EpochRecord", is_best: bool) -> None:
        epochs = self.running.epochs if self.running else record.epoch
        self.capture.write(labelled(record, is_best, epochs, self.table.monitor))
        if self.quiet or self.is_part:
            return
        with self.lock:
            self.best = record if is_best else self.best
            self.course.append(self.monitored(record))
            now = self.clock()
            self.unprinted = (record, is_best, epochs)
            if self.rows < MOST_FAST_ROWS or now - self.last_row >= SECONDS_BETWEEN_ROWS or record.epoch == epochs:
                self.print_row()
            elif self.rows == MOST_FAST_ROWS:
                self.rows += 1
                self.put("epochs are fast: from here on some are not shown; the run's log.txt has all")

    # --- the terminal ---

    def print_row(self) -> None:
        """Print the row of the last finished epoch, once."""
        if self.unprinted is None:
            return
        (record, is_best, epochs), self.unprinted = self.unprinted, None
        self.rows += 1
        self.last_row = self.clock()
        if not self.is_live:
            self.put(labelled(record, is_best, epochs, self.table.monitor))
            return
        for line in self.table.lines(record, is_best, epochs, self.room()):
            self.live.above(line)

    def finish_rows(self) -> None:
        """Print the last row and the curve of the monitored metric."""
        with self.lock:
            self.print_row()
            if self.running and self.is_live and len(self.course) > 1:
                self.live.above(self.course_line(self.room()))

    def say(self, text: str) -> None:
        """Print a permanent line, on the screen and in the log."""
        self.capture.write(text)
        if not self.quiet:
            self.put(text)

    def put(self, text: str, bold: str = "") -> None:
        """Print a permanent line on the screen; its beginning is `bold`."""
        with self.lock:
            self.last_sign_of_life = self.clock()
            text = printable(text)
            if self.is_live:
                # Between words: a path is never broken.
                text = textwrap.fill(
                    text, max(self.room(), 20), subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
                )
                text = f"\x1b[1m{bold}\x1b[0m{text.removeprefix(bold)}" if bold else text
            self.live.above(text)

    def keep_alive(self) -> None:
        while not self.ended.wait(SECONDS_BETWEEN_FRAMES if self.is_live else 1.0):
            self.tick()

    def tick(self) -> None:
        """Draw the live row; without a terminal, write a sign of life after long silence."""
        with self.lock:
            now = self.clock()
            if self.is_live:
                self.live.draw(self.live_lines(now))
            elif not self.quiet and now - self.last_sign_of_life >= SECONDS_BETWEEN_HEARTBEATS:
                began = self.running.began if self.running else self.since
                doing = self.running.doing() if self.running else self.activity
                self.say(f"{doing or 'starting'} ({duration(now - began)} so far)")

    def live_lines(self, now: float) -> list[str]:
        room = self.room()
        if self.is_part and self.parts is not None:
            inside = self.running.doing() if self.running else self.activity
            return [self.parts.line(inside, room, now)]
        if self.running is None:
            return [fitted([(0, f"{self.activity}, {duration(now - self.since)}" if self.activity else "")], room)]
        course = [self.course_line(room)] if len(self.course) > 1 else []
        return [self.running.line(room, self.glyphs, now), *course]

    def course_line(self, room: int) -> str:
        """Return the curve of the monitored metric, and its best value."""
        name, now = printable(self.table.monitor), f"now {number(self.course[-1])}"
        best = [(0, self.best_words())] if self.best else []
        taken = sum(len(text) + 2 for text in (name, now, *(text for _, text in best)))
        spark = self.glyphs.spark(self.course, max(8, min(WIDEST_SPARK, room - taken)))
        return fitted([(1, name), (2, spark), (3, now), *best], room)

    def monitored(self, record: "EpochRecord") -> float:
        return record.logs.get(self.table.monitor, math.nan)

    def best_words(self) -> str:
        return f"best {number(self.monitored(self.best))} in epoch {self.best.epoch}" if self.best else ""

    def room(self) -> int:
        # Terminals differ in the last column.
        return max(1, width_of(self.capture.terminal) - 1)
