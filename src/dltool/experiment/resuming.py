"""What resuming does once the run is this process's own: from the newest checkpoint that verifies to the end."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dltool.config.schema import MOST_EPOCHS, Config
from dltool.config.text.dump import dump_yaml
from dltool.config.text.yaml_reader import MOST_BYTES
from dltool.durable_files import atomic_write, disk_errors
from dltool.errors import ConfigError, MachineError, Problem, RunError
from dltool.experiment.finishing import TrainingOutcome, complete, metrics_line, report_of_training
from dltool.experiment.opening import prepared_steps, recorded_data, recorded_experiment, recorded_strategy
from dltool.experiment.refusals import refuse_files, require_code
from dltool.experiment.signals import StopRequests
from dltool.experiment.stages import Stages
from dltool.machine import describe_machine
from dltool.runs.changes import Change, machine_changes, said
from dltool.runs.checkpoint_file import Checkpoint, has_checkpoints, newest_checkpoint
from dltool.runs.checkpoint_state import check_saved_state
from dltool.runs.files import Run, digest
from dltool.runs.records import RunRecord, read_record
from dltool.tracking import refuse_missing_extras

if TYPE_CHECKING:
    from dltool.experiment.listener import Progress


def resume_locked(
    run: Run, epochs: int | None, allow_change: bool, progress: "Progress", stops: StopRequests
) -> TrainingOutcome:
    """As :func:`dltool.commands.resume.resume`."""
    stages = Stages(progress, stops)
    require_code(run, f"resume {run.path}" + (f" --epochs {epochs}" if epochs else ""))
    record = read_record(run)
    finish_new_config(run, record)
    checkpoint = usable_checkpoint(run, progress)
    with stages.reading(trains=True):
        config, dataset = recorded_data(run, () if epochs is None else ("training.epochs",))
        refuse_missing_extras(config.track)
        # Of the model, whoever builds it takes care.
        refuse_files(run, config, ("training",))
        position: dict[str, Any] = {**checkpoint.state["position"]} if checkpoint else {"epoch": 0}
        if epochs is not None:
            config = with_epochs(config, epochs, position["epoch"])
            position["stop"] = False
    from dltool.training.state import TrainingState

    with stages.building():
        experiment = recorded_experiment(run, config, dataset, is_pretrained=checkpoint is None)
        if checkpoint:
            refuse_other_model(checkpoint, experiment.built.core)
        changes = refuse_changes(record, experiment.pinned, allow_change, progress)
        fitting = prepared_steps(experiment, recorded_strategy(run))
    progress.prepared(config, dataset.facts, experiment.built.full.count_params())
    progress.run_created(run, is_kept=True)
    state = None if checkpoint is None else {**checkpoint.state, "position": position}
    noted = noted_resumption(record, changes, experiment.pinned)
    go_back_to(run, noted, state, None if epochs is None else config, progress)
    start = None if checkpoint is None or state is None else TrainingState(list(checkpoint.arrays), state)
    outcome = complete(run, experiment, fitting, stages, start)
    report_of_training(run, experiment, outcome.assessment, stages)
    return outcome


def usable_checkpoint(run: Run, progress: "Progress") -> Checkpoint | None:
    """The newest checkpoint that verifies; None where the run was killed before its first, and begins anew.

    Raises:
        RunError: none of the checkpoints can be used, or they were removed.
    """
    if not has_checkpoints(run.checkpoints) and not run.read_metrics():
        progress.warn("the run was stopped before its first checkpoint, and begins anew")
        return None
    if not has_checkpoints(run.checkpoints):
        hint = "without one, nothing can go on: `dltool runs prune --checkpoints` removes them; train a new run"
        raise RunError(f"there is no checkpoint in {run.checkpoints}", hint)
    checkpoint, skipped = newest_checkpoint(run.checkpoints)
    for reason in skipped:
        progress.warn(f"an older checkpoint is used: {reason}")
    check_saved_state(checkpoint, run.checkpoints)
    return checkpoint


def with_epochs(config: Config, epochs: int, finished: int) -> Config:
    """The config with another number of epochs. Of several phases, the last one gets more or fewer.

    Raises:
        ConfigError: fewer than have been run, or more than a config may have.
    """
    if epochs > MOST_EPOCHS:
        raise ConfigError(f"--epochs: must be at most {MOST_EPOCHS:,}, got {epochs}")
    if epochs <= finished:
        raise ConfigError(f"the run has {finished} epochs already", f"--epochs {finished + 1} or more goes on")
    training = config.training
    *before, last = training.parts
    earlier = sum(phase.epochs for phase in before)
    if epochs <= earlier:
        raise ConfigError(f"the phases before the last have {earlier} epochs", f"--epochs {earlier + 1} or more")
    update: dict[str, Any] = {"epochs": epochs}
    if training.phases is not None:
        update = {"phases": (*before, last.model_copy(update={"epochs": epochs - earlier}))}
    return config.model_copy(update={"training": training.model_copy(update=update)})


def refuse_other_model(checkpoint: Checkpoint, core: Any) -> None:
    """Raises RunError where the checkpoint is of another model than `core`, before anything of the run is changed."""
    from dltool.training.state import uncounted

    model = [(uncounted(variable.path), tuple(variable.shape)) for variable in core.variables]
    saved = [(name, array.shape) for name, array in checkpoint.arrays if name.startswith("core/")]
    hint = "the config is not the one of the run; train a new run"
    if len(saved) != len(model):
        raise RunError(f"the config's model has {len(model)} variables, and the checkpoint's has {len(saved)}", hint)
    for (name, shape), (saved_name, saved_shape) in zip(model, saved, strict=True):
        if saved_name.split("/", 2)[-1] != name or saved_shape != shape:
            theirs = f"{saved_name.split('/', 2)[-1][:100]} {list(saved_shape)}"
            raise RunError(f"the config's model has {name} {list(shape)} where the checkpoint has {theirs}", hint)


def refuse_changes(
    record: RunRecord, pinned: Mapping[str, Any], allow_change: bool, progress: "Progress"
) -> list[Change]:
    """Raises MachineError where something that can change bits differs, unless that is allowed; then it warns."""
    changes = machine_changes(record, pinned)
    if not allow_change and changes:
        hint = "--allow-change goes on all the same, without the promise of the same bits"
        raise MachineError([Problem(None, str(change), hint) for change in changes])
    for change in changes:
        progress.warn(f"{change}: the result may differ in its last bits from a run never stopped")
    return changes


def noted_resumption(record: RunRecord, changes: Sequence[Change], pinned: Mapping[str, Any]) -> dict[str, Any]:
    """What run.json says of a resumption: when, and what was allowed to differ. The machine is then the new one."""
    allowed = [{"what": change.what, "was": said(change.was), "now": said(change.now)} for change in changes]
    entry = {"at": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "changes": allowed}
    fields = {"resumed": [*record.resumed, entry]}
    return fields | ({"machine": describe_machine(), "pinned": dict(pinned)} if changes else {})


def go_back_to(
    run: Run,
    noted: Mapping[str, Any],
    state: Mapping[str, Any] | None,
    new_config: Config | None,
    progress: "Progress",
) -> None:
    """Make the run's files those of the moment of the checkpoint with `state`, or of the beginning."""
    from dltool.training.state import EpochRecord

    history = [EpochRecord(**line) for line in state["position"]["history"]] if state else []
    best_epoch = state["best"]["epoch"] if state else None
    try:
        note(run, noted, new_config)
        with disk_errors(run.results, "remove"):
            run.results.unlink(missing_ok=True)
            if best_epoch is None:
                # Of an epoch that is run again. Where the state has best weights, the training writes them.
                run.best_weights.unlink(missing_ok=True)
        run.write_metrics([metrics_line(record) for record in history])
    except MachineError as error:
        # A completed run that was to get more epochs may still be the old one.
        error.kept, error.can_resume = str(run.path), not run.is_complete()
        raise
    if state:
        progress.goes_on(history, best_epoch)


def note(run: Run, noted: Mapping[str, Any], new_config: Config | None) -> None:
    """Write what is `noted` into run.json, the first of all files: from then on the run is unfinished, and `new_config`
    is its config, if there is one.
    """
    if new_config is None:
        run.update("running", **noted)
        return
    text = dump_yaml(new_config)
    run.update("running", **noted, resolved=text, replaced=digest(run.read(run.resolved, MOST_BYTES)))
    atomic_write(run.resolved, text.encode())


def finish_new_config(run: Run, record: RunRecord) -> None:
    """Write the config that run.json has, where a process was killed in :func:`note` before it could."""
    text = record.resolved
    if text is not None and digest(run.read(run.resolved, MOST_BYTES)) == record.replaced:
        atomic_write(run.resolved, text.encode("utf-8", "replace"))
