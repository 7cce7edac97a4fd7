"""`dltool resume RUN`: go on with a training that was stopped, to the same bits as if it never had been."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dltool.checkpoint_file import newest_checkpoint
from dltool.commands.changes import machine_changes
from dltool.commands.clock import Clock
from dltool.commands.completion import TrainingOutcome, complete, metrics_line
from dltool.commands.experiment import recorded_data, recorded_experiment
from dltool.commands.signals import StopRequests, stop_requests
from dltool.config.dump import dump_yaml
from dltool.config.schema import Config
from dltool.durable_files import atomic_write
from dltool.errors import ConfigError, MachineError, Problem
from dltool.run_directory import open_run
from dltool.run_files import Run

if TYPE_CHECKING:
    from dltool.commands.progress import Progress
    from dltool.training.state import TrainingState


def resume(path: Path, *, epochs: int | None, allow_change: bool, progress: "Progress") -> TrainingOutcome | None:
    """Go on from the newest checkpoint that verifies. None where the run is complete and nothing is left to do.

    `epochs` gives the run another number of epochs. `allow_change` goes on although the machine differs.

    Raises:
        DataError: the data has changed.
        MachineError: what can change bits differs from the run's record.
        RunError: the run is in use, or damaged.
        DltoolError: whatever ends a training.
    """
    run = open_run(path)
    with stop_requests() as stops, run.locked():
        if epochs is None and run.read_json(run.record).get("status") == "completed":
            return None
        return resume_locked(run, epochs, allow_change, progress, stops)


def resume_locked(
    run: Run, epochs: int | None, allow_change: bool, progress: "Progress", stops: StopRequests
) -> TrainingOutcome:
    clock = Clock()
    record = run.read_json(run.record)
    checkpoint, skipped = newest_checkpoint(run.checkpoints)
    for reason in skipped:
        progress.warn(f"an older checkpoint is used: {reason}")
    progress.stage("reading the data")
    with clock.phase("data"):
        config, dataset = recorded_data(run)
    position = {**checkpoint.state["position"]}
    if epochs is not None:
        config = with_epochs(run, config, epochs, position["epoch"])
        position["stop"] = False
    progress.stage("importing TensorFlow")
    with clock.phase("import"):
        from dltool.training.state import TrainingState
    progress.stage("building the model")
    with clock.phase("build"):
        experiment = recorded_experiment(run, config, dataset)
    refuse_changes(record, experiment.pinned, allow_change, progress)
    progress.prepared(config.name, dataset.facts, experiment.built.full.count_params())
    progress.run_created(run)
    start = TrainingState(list(checkpoint.arrays), {**checkpoint.state, "position": position})
    go_back_to(run, record, start)
    return complete(run, experiment, progress, clock, stops, start)


def with_epochs(run: Run, config: Config, epochs: int, finished: int) -> Config:
    """The config with another number of epochs, in the run too.

    Raises:
        ConfigError: fewer than have been run.
    """
    if epochs <= finished:
        raise ConfigError(f"the run has {finished} epochs already", f"--epochs {finished + 1} or more goes on")
    longer = config.model_copy(update={"training": config.training.model_copy(update={"epochs": epochs})})
    atomic_write(run.resolved, dump_yaml(longer).encode())
    return longer


def refuse_changes(record: dict[str, Any], pinned: Any, allow_change: bool, progress: "Progress") -> None:
    """Raises MachineError where something that can change bits differs, unless that is allowed; then it warns."""
    changes = machine_changes(record, pinned)
    if not allow_change and changes:
        hint = "--allow-change goes on all the same, without the promise of the same bits"
        raise MachineError([Problem(None, str(change), hint) for change in changes])
    for change in changes:
        progress.warn(f"{change}: the result may differ in its last bits from a run never stopped")


def go_back_to(run: Run, record: dict[str, Any], start: "TrainingState") -> None:
    """Make the run's files those of the moment of the checkpoint."""
    from dltool.training.fit import EpochRecord

    run.write_metrics([metrics_line(EpochRecord(**line)) for line in start.state["position"]["history"]])
    run.results.unlink(missing_ok=True)
    run.update("running", resumed=[*record.get("resumed", []), time.strftime("%Y-%m-%dT%H:%M:%S%z")])
