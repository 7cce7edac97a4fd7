"""The progress of a search: a row for each trial that comes to rest, and the trial that is trained now."""

import contextlib
import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dltool.console.capture import captured_chatter
from dltool.console.epochs import labelled
from dltool.console.progress import TrainingProgress
from dltool.experiment.silent import Silent
from dltool.text import counted, duration, number, shortened

if TYPE_CHECKING:
    from dltool.console.capture import Capture
    from dltool.experiment.listener import Progress
    from dltool.runs.files import Run
    from dltool.search.rungs import Mode, Trial
    from dltool.search.search_folder import SearchRecord
    from dltool.training.state import EpochRecord

LONGEST_VALUES, LEAST_VALUES = 70, 20
"""Characters of the values of a trial where there is no terminal, and on a narrow one."""


class SearchProgress:
    """Shows a search on the console of a command."""

    def __init__(self, progress: TrainingProgress) -> None:
        self.progress = progress
        self.mode: Mode = "min"
        self.trials: dict[int, Trial] = {}
        self.began, self.earlier = time.monotonic(), 0
        self.record: SearchRecord | None = None

    def warn(self, message: str) -> None:
        self.progress.warn(message)

    def begins(self, record: "SearchRecord", mode: "Mode") -> None:
        self.record, self.mode = record, mode
        assert record.measured is not None
        rungs = record.measured.rungs
        stages = f", compared after {', '.join(map(str, rungs[:-1]))} of {rungs[-1]} epochs" if len(rungs) > 1 else ""
        most = [counted(record.trials, "trial")] if record.is_bounded else ["trials"]
        most += [f"for {duration(record.minutes * 60)}"] if record.minutes else []
        self.progress.say(f"{' '.join(most)}{stages}")
        self.progress.say(f"{'trial':>5}  {'epochs':>6}  {record.metric:>9}  state      values")
        self.began, self.earlier = time.monotonic(), 0

    def row(self, trial: "Trial") -> None:
        if self.record is None:
            return
        self.trials[trial.number] = trial
        best = trial.best(self.mode)
        value = "" if math.isnan(best) else number(best)
        state = "failed" if trial.reason else "completed" if trial.is_complete else "paused"
        short = (f"{name.rpartition('.')[2]} {value}" for name, value in trial.values.items())
        values = trial.reason or (", ".join(short) if trial.number else "the config as written")
        row = f"{trial.number:>5}  {trial.epochs:>6}  {value:>{max(9, len(self.record.metric))}}  {state:<9}"
        room = max(LEAST_VALUES, self.progress.room() - len(row) - 2) if self.progress.is_live else LONGEST_VALUES
        self.progress.say(f"{row}  {shortened(values, room)}")

    @contextlib.contextmanager
    def listening(self, title: str) -> "Iterator[Progress]":
        """Yield the listener of one run, whose native output goes to the log of that run."""
        # Trials from before a resumption took none of its time.
        self.earlier = self.earlier or len(self.trials)
        with captured_chatter() as capture:
            yield RunListener(self, title, capture)

    def outlook(self) -> str:
        """Describe the best trial so far and the time left."""
        done = [each for each in self.trials.values() if not each.reason and not math.isnan(each.best(self.mode))]
        if not done or self.record is None:
            return ""
        best = min(done, key=lambda each: each.rank(self.mode))
        text = f"; best {self.record.metric} {number(best.best(self.mode))} (trial {best.number})"
        spent, new = time.monotonic() - self.began, len(self.trials) - (self.earlier or 1)
        left = spent / new * (self.record.trials - len(self.trials)) if new > 0 else 0.0
        if self.record.deadline is not None:
            left = min(left or math.inf, max(0.0, self.record.deadline - time.time()))
        return text + (f"; about {duration(left)} left" if left else "")


class RunListener(Silent):
    """Listens to one run of a search: its epochs in the line of the search, its events in its own log."""

    def __init__(self, shown: SearchProgress, title: str, capture: "Capture") -> None:
        self.shown, self.title, self.capture = shown, title, capture
        self.epochs = 0

    def stage(self, name: str) -> None:
        self.capture.write(f"{name} …")
        self.shown.progress.stage(f"{self.title}: {name}{self.shown.outlook()}")

    def warn(self, message: str) -> None:
        self.capture.write(f"warning: {message}")
        if not self.shown.trials:
            # Those of the config as written; the others would repeat them.
            self.shown.warn(message)

    def run_created(self, run: "Run", *, is_kept: bool) -> None:
        self.capture.move_to(run.log)

    def ended_early(self, status: str) -> None:
        self.capture.write(status)

    def epoch_begins(self, epoch: int, epochs: int, steps: int) -> None:
        self.epochs = epochs

    def epoch_ends(self, record: "EpochRecord", is_best: bool) -> None:
        self.capture.write(labelled(record, is_best, self.epochs))
        self.shown.progress.stage(f"{self.title}: epoch {record.epoch} of {self.epochs}{self.shown.outlook()}")
