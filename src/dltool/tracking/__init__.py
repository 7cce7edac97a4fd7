"""Runs shown elsewhere too: what is in the record of a run, sent on in the background while it trains."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Thread
from typing import Any, Literal, Protocol

from dltool.errors import MachineError, Problem
from dltool.installation import install_extra
from dltool.runs.files import Run, Status

TrackerName = Literal["tensorboard", "mlflow"]
NEEDED: Mapping[str, Sequence[str]] = {"tensorboard": ("tensorboard",), "mlflow": ("mlflow", "sqlalchemy", "alembic")}
"""The packages of each extra that must be there."""
SECONDS_TO_FINISH = 60
"""How long the end of a training waits for a tracker that is slow."""
Line = Mapping[str, Any]


class Tracker(Protocol):
    """Where the record of one run is sent. What it raises is shown as a warning; a new one is then made, and sent all
    lines again."""

    def send(self, lines: Sequence[Line]) -> None:
        """Adds the next lines of metrics.jsonl."""

    def close(self, status: Status) -> None:
        """The training has ended, and the run's files are all written."""


def refuse_missing_extras(names: Sequence[str]) -> None:
    """Raises MachineError where a tracker's package is not installed."""
    missing = [name for name in names if any(importlib.util.find_spec(package) is None for package in NEEDED[name])]
    if missing:
        raise MachineError(
            Problem(None, f"track: {name} needs a package that is not installed", install_extra(name))
            for name in missing
        )


def make_tracker(name: str, run: Run) -> Tracker:
    if name == "tensorboard":
        from dltool.tracking.tensorboard import TensorBoardTracker

        return TensorBoardTracker(run)
    from dltool.tracking.mlflow import MlflowTracker

    return MlflowTracker(run)


class Tracking:
    """The trackers of a training. Nothing here ever raises, waits for a tracker before the end, or touches the model.

    metrics.jsonl is the truth: each tracker is sent all its lines, also those of the time before a resumption, and
    leaves out what it has.
    """

    def __init__(self, names: Sequence[str], run: Run, warn: Callable[[str], None]) -> None:
        lines = run.read_metrics() if names else []
        self.warn = warn
        self.couriers = [Courier(name, run, lines) for name in dict.fromkeys(names)]

    def add(self, line: Line) -> None:
        """An epoch has ended, and its line is in the run."""
        for courier in self.couriers:
            courier.lines.append(line)
            courier.wake.set()
        self.show_failures()

    def close(self, status: Status) -> None:
        """Waits until everything is sent, but not for ever."""
        for courier in self.couriers:
            courier.end_with(status)
        for courier in self.couriers:
            courier.join(SECONDS_TO_FINISH)
            if courier.is_alive():
                self.warn(f"{courier.tracker_name} does not answer: its tracking of this run is not complete")
        self.show_failures()

    def show_failures(self) -> None:
        for courier in self.couriers:
            if courier.failure and not courier.is_failure_shown:
                courier.is_failure_shown = True
                self.warn(f"tracking by {courier.tracker_name} has failed: {courier.failure}")


class Courier(Thread):
    """Sends the lines to one tracker whenever there are new ones. After a failure the next epoch tries again."""

    def __init__(self, name: str, run: Run, lines: Sequence[Line]) -> None:
        super().__init__(name=f"tracking by {name}", daemon=True)
        self.tracker_name, self.run_files = name, run
        self.lines = list(lines)
        self.wake = Event()
        self.status: Status | None = None
        self.failure = ""
        self.is_failure_shown = False
        self.start()

    def end_with(self, status: Status) -> None:
        self.status = status
        self.wake.set()

    def run(self) -> None:
        tracker: Tracker | None = None
        sent = 0
        while True:
            status, count = self.status, len(self.lines)
            try:
                tracker = tracker or make_tracker(self.tracker_name, self.run_files)
                tracker.send(self.lines[sent:count])
                sent = count
                if status is not None:
                    tracker.close(status)
            except Exception as error:  # noqa: BLE001 (whatever a tracker raises, the training goes on)
                self.failure = (str(error) or type(error).__name__).splitlines()[0]
                tracker, sent = None, 0
            if status is not None:
                return
            self.wake.wait()
            self.wake.clear()
