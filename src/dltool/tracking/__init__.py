"""Sends the record of a run to other trackers, in the background during training."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Thread
from typing import Any, Literal, Protocol

from dltool.errors import MachineError, Problem
from dltool.installation import install_extra
from dltool.runs.files import Run, Status

TrackerName = Literal["tensorboard", "mlflow"]
NEEDED: Mapping[str, Sequence[str]] = {"tensorboard": ("tensorboard",), "mlflow": ("mlflow", "sqlalchemy", "alembic")}
"""The required packages of each extra."""
SECONDS_TO_FINISH = 60
"""How long the end of training waits for a slow tracker."""
Line = Mapping[str, Any]


class Tracker(Protocol):
    """Receives the record of one run. Its exceptions become warnings; a new tracker is then made, which is sent all
    lines."""

    def send(self, lines: Sequence[Line]) -> None:
        """Add the next lines of metrics.jsonl."""

    def close(self, status: Status) -> None:
        """End the run. All its files are written."""


def refuse_missing_extras(names: Sequence[str]) -> None:
    """Raise MachineError if the package of a tracker is not installed."""
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
    """The trackers of a run. Nothing here raises, waits for a tracker before the end, or changes the model.

    Each tracker is sent all lines of metrics.jsonl, including those from before a resume, and skips known epochs."""

    def __init__(self, names: Sequence[str], run: Run, warn: Callable[[str], None]) -> None:
        lines = run.read_metrics() if names else []
        self.warn = warn
        self.couriers = [Courier(name, run, lines) for name in dict.fromkeys(names)]

    def add(self, line: Line) -> None:
        """Announce the end of an epoch, whose line is written."""
        for courier in self.couriers:
            courier.lines.append(line)
            courier.wake.set()
        self.show_failures()

    def close(self, status: Status) -> None:
        """Wait until everything is sent, for a limited time."""
        for courier in self.couriers:
            courier.status = status
            courier.wake.set()
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
    """Sends new lines to one tracker. After a failure the next epoch tries again."""

    def __init__(self, name: str, run: Run, lines: Sequence[Line]) -> None:
        super().__init__(name=f"tracking by {name}", daemon=True)
        self.tracker_name, self.run_files = name, run
        self.lines = list(lines)
        self.wake = Event()
        self.status: Status | None = None
        self.failure = ""
        self.is_failure_shown = False
        self.start()

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
