"""`dltool resume RUN`: go on with a training that was stopped, to the same bits as if it never had been."""

from pathlib import Path
from typing import TYPE_CHECKING

from dltool.commands.signals import stop_requests
from dltool.run_directory import open_run

if TYPE_CHECKING:
    from dltool.commands.completion import TrainingOutcome
    from dltool.commands.progress import Progress


def resume(path: Path, *, epochs: int | None, allow_change: bool, progress: "Progress") -> "TrainingOutcome | None":
    """Go on from the newest checkpoint that verifies. None where the run is complete and nothing is left to do.

    `epochs` gives the run another number of epochs. `allow_change` goes on although the machine differs.

    Raises:
        DataError: the data has changed.
        MachineError: what can change bits differs from the run's record.
        RunError: the run is in use, or damaged.
        DltoolError: whatever ends a training.
    """
    run = open_run(path)
    # What takes time to import comes after the lock: a second writer is turned away at once.
    with stop_requests() as stops, run.locked():
        if epochs is None and run.read_json(run.record).get("status") == "completed":
            return None
        from dltool.commands.resumption import resume_locked

        return resume_locked(run, epochs, allow_change, progress, stops)
