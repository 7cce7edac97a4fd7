"""`dltool resume RUN`: resume an interrupted run; the result is bit-identical to an uninterrupted one."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dltool.config.cluster import Cluster
from dltool.errors import ConfigError, DltoolError
from dltool.experiment.signals import StopNow, StopRequests, stop_requests
from dltool.runs.directory import GROUP_RECORDS, open_run
from dltool.runs.files import Run

if TYPE_CHECKING:
    from dltool.curve.outcome import CurveOutcome
    from dltool.experiment.finishing import TrainingOutcome
    from dltool.experiment.following import Followed
    from dltool.experiment.listener import Progress
    from dltool.meeting import Meeting


@dataclass(frozen=True)
class AlreadyComplete:
    """Nothing was left to do. `missed` describes the expectations that the run missed. `can_extend` if further epochs
    could follow."""

    run: Path
    missed: tuple[str, ...]
    can_extend: bool

    def record(self) -> dict[str, Any]:
        return {"run": str(self.run), "status": "completed", "resumed": False, "missed": list(self.missed)}


def resume(
    path: Path,
    *,
    epochs: int | None,
    allow_change: bool,
    settings: Sequence[str] = (),
    cluster: Cluster | None = None,
    progress: "Progress",
) -> "TrainingOutcome | CurveOutcome | AlreadyComplete | Followed":
    """Resume from the newest valid checkpoint, unless the run is complete; write a report that is missing. A learning
    curve trains what is left.

    `epochs` changes the number of epochs. `allow_change` resumes on a different machine. `settings`
    are `--set` arguments with locations of the data. In a `cluster`, only the chief needs the run.

    Raises DataError: the data has changed; MachineError: the machine differs in a way that can change result bits;
    RunError: the run is in use, or damaged; DltoolError: training fails."""
    if os.path.lexists(path / GROUP_RECORDS["curve"]):
        if epochs is not None or allow_change or settings:
            message = f"{path} is a learning curve, which resumes as it began"
            raise ConfigError(message, "leave out --epochs, --allow-change and --set")
        from dltool.commands.curve import resume_curve

        return resume_curve(path, progress)
    with stop_requests() as stops:
        options = epochs, allow_change, settings, progress, stops
        if cluster is None:
            return resume_run(path, *options)
        from dltool.experiment.following import follow
        from dltool.meeting import meeting_of

        with meeting_of(cluster) as meeting:
            if cluster.is_chief:
                return resume_run(path, *options, meeting)
            from dltool.experiment.stages import Stages
            from dltool.folds.part_runs import parts_of

            parts = partial(parts_of, allow_change=allow_change, settings=settings, meeting=meeting)
            return follow(None, settings, Stages(progress, stops), meeting, parts)


def resume_run(
    path: Path,
    epochs: int | None,
    allow_change: bool,
    settings: Sequence[str],
    progress: "Progress",
    stops: StopRequests,
    meeting: "Meeting | None" = None,
) -> "TrainingOutcome | AlreadyComplete":
    """Resume a run as :func:`resume`, with the workers of the `meeting`, if given."""
    run = open_run(path)
    # Before the lock: a completed run may be read-only.
    if epochs is None and run.is_complete():
        if holds_key(run):
            from dltool.runs.checkpoint_file import remove_checkpoints

            with run.locked():
                remove_checkpoints(run.checkpoints)
        write_missing_report(run, settings, progress)
        return already_complete(run)
    # Slow imports come after the lock, so that a second writer fails at once.
    with run.locked():
        if epochs is None and run.is_complete():
            return already_complete(run)
        try:
            if meeting is not None:
                from dltool.experiment.following import packed_run

                meeting.of_chief(["resume", epochs], packed_run(run))
            from dltool.experiment.new_training import Terms
            from dltool.experiment.resuming import resume_locked
            from dltool.experiment.stages import Stages
            from dltool.folds.part_runs import parts_of

            parts = partial(parts_of, allow_change=allow_change, settings=settings, meeting=meeting)
            terms = Terms(parts=parts, meeting=meeting)
            stages = Stages(progress, stops, is_whole=True)
            return resume_locked(run, epochs, allow_change, settings, stages, terms)
        except StopNow as stop:
            stop.kept, stop.can_resume = str(run.path), not run.is_complete()
            raise


def holds_key(run: Run) -> bool:
    """Return whether a complete private run still has the key of its noise: it was killed before it removed it."""
    from dltool.runs.checkpoint_file import has_checkpoints
    from dltool.runs.recorded import recorded_config

    if not has_checkpoints(run.checkpoints):
        return False
    privacy = recorded_config(run).training.privacy
    return privacy is not None and privacy.is_secret


def write_missing_report(run: Run, settings: Sequence[str], progress: "Progress") -> None:
    """Write the report of a complete run that was killed before it did. A failure is a warning: the run is complete."""
    # A fold has none, nor has a trial of a search.
    if os.path.lexists(run.report) or run.whole is not None or not (run.model.exists() or run.parts):
        return
    from dltool.commands.report import report

    try:
        report(run.path, None, progress, settings)
    except DltoolError as error:
        progress.warn(f"the report could not be written: {error}")


def already_complete(run: Run) -> AlreadyComplete:
    # Imported after the lock is taken: it is slow.
    from dltool.runs.checkpoint_file import has_checkpoints
    from dltool.runs.summaries import missed_by

    return AlreadyComplete(run.path, missed_by(run), has_checkpoints(run.checkpoints) and not run.parts)
