"""`dltool resume RUN`: go on with a training that was stopped, to the same bits as if it never had been."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dltool.errors import ExpectationMissed
from dltool.experiment.signals import StopNow, stop_requests
from dltool.runs.directory import open_run
from dltool.runs.files import Run

if TYPE_CHECKING:
    from dltool.experiment.finishing import TrainingOutcome
    from dltool.experiment.listener import Progress


MOST_MISSED = 20
"""A hostile results.json may hold any number."""


@dataclass(frozen=True)
class AlreadyComplete:
    """Nothing was left to do. `missed` says in words which expectations the run had not met."""

    run: Path
    missed: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        return ExpectationMissed.exit_code if self.missed else 0

    def record(self) -> dict[str, Any]:
        """For `--json`."""
        return {"run": str(self.run), "status": "completed", "resumed": False, "missed": list(self.missed)}


def resume(
    path: Path, *, epochs: int | None, allow_change: bool, progress: "Progress"
) -> "TrainingOutcome | AlreadyComplete":
    """Go on from the newest checkpoint that verifies, unless the run is complete.

    `epochs` gives the run another number of epochs. `allow_change` goes on although the machine differs.

    Raises:
        DataError: the data has changed.
        MachineError: what can change bits differs from the run's record.
        RunError: the run is in use, or damaged.
        DltoolError: whatever ends a training.
    """
    run = open_run(path)
    # Before the lock: a completed run may lie where nothing can be written.
    if epochs is None and run.is_complete():
        return AlreadyComplete(run.path, missed_by(run))
    # What takes time to import comes after the lock: a second writer is turned away at once.
    with stop_requests() as stops, run.locked():
        if epochs is None and run.is_complete():
            return AlreadyComplete(run.path, missed_by(run))
        try:
            from dltool.experiment.resuming import resume_locked

            return resume_locked(run, epochs, allow_change, progress, stops)
        except StopNow as stop:
            stop.kept, stop.can_resume = str(run.path), not run.is_complete()
            raise


def missed_by(run: Run) -> tuple[str, ...]:
    """What results.json says of the expectations that were not met."""
    # Not before the lock is asked for: it takes time to import.
    from dltool.runs.changes import said
    from dltool.runs.records import read_results

    found = read_results(run).expectations
    missed = [(said(name), each) for name, each in found.items() if each.met is False]
    return tuple(f"expected {name} {said(each.bound)}, got {said(each.value)}" for name, each in missed[:MOST_MISSED])
