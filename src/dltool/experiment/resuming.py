"""Resuming a locked run from its newest valid checkpoint."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dltool.config.schema import MOST_EPOCHS, Config
from dltool.config.text.dump import dump_yaml
from dltool.config.text.yaml_reader import MOST_BYTES
from dltool.data.dataset import Dataset
from dltool.durable_files import disk_errors
from dltool.errors import ConfigError, MachineError, Problem, RunError
from dltool.experiment.finishing import TrainingOutcome, complete, metrics_line, report_of_training
from dltool.experiment.joining import Met, joined
from dltool.experiment.new_training import PLAIN, Terms
from dltool.experiment.opening import (
    Experiment,
    new_experiment,
    recorded_data,
    recorded_model,
    recorded_strategy,
)
from dltool.experiment.refusals import refuse_files, require_code
from dltool.experiment.stages import Stages
from dltool.experiment.teaching import prepared_steps
from dltool.machine import describe_machine
from dltool.runs.checkpoint_file import REMOVED, Checkpoint, has_checkpoints, newest_checkpoint
from dltool.runs.checkpoint_state import check_saved_state
from dltool.runs.files import Run, digest
from dltool.runs.recorded import Change, machine_changes, recorded_config, refuse_unset
from dltool.runs.records import RunRecord, in_sentence, read_record, recorded_threads
from dltool.runs.start_record import kept_start
from dltool.tracking import refuse_missing_extras

if TYPE_CHECKING:
    from dltool.experiment.listener import Progress


def resume_locked(
    run: Run, epochs: int | None, allow_change: bool, settings: Sequence[str], stages: Stages, terms: Terms = PLAIN
) -> TrainingOutcome:
    """Resume as :func:`dltool.commands.resume.resume`; of `terms`, `read`, `is_kept`, `is_tested` and `parts` count."""
    progress = stages.progress
    require_code(run, f"resume {run.path}" + (f" --epochs {epochs}" if epochs else ""))
    record = read_record(run)
    finish_new_config(run, record)
    may_differ = () if epochs is None else ("training.epochs",)
    whole = recorded_config(run, may_differ, settings)
    parts = terms.parts(whole)
    if epochs is not None:
        refuse_extension(run, whole, parts is not None)
    checkpoint = usable_checkpoint(run, progress) if whole.data.is_refit else None
    with stages.reading(trains=True):
        config, dataset = recorded_data(run, may_differ, settings, terms.read if parts is None else parts.read)
        refuse_unset(config, RunError, "training.callbacks", *(() if checkpoint else ("model.layers",)))
        refuse_missing_extras(config.track)
        # recorded_model checks the model's files.
        refuse_files(run, config, ("training",))
        position: dict[str, Any] = {**checkpoint.state["position"]} if checkpoint else {"epoch": 0}
        if epochs is not None:
            config = with_epochs(config, epochs, position["epoch"])
            position["stop"] = False
    from dltool.training.state import TrainingState
    from dltool.training.worker_state import state_of_worker

    with stages.building():
        experiment = recorded_experiment(run, config, dataset, checkpoint is None, terms)
        if checkpoint:
            refuse_other_model(checkpoint, experiment.built.core)
        changes = refuse_changes(record, experiment.pinned, allow_change, progress)
        fitting = prepared_steps(experiment, recorded_strategy(run), record.teacher)
    progress.prepared(config, dataset.facts, experiment.built.full.count_params())
    progress.run_created(run, is_kept=terms.is_kept)
    state = None if checkpoint is None else {**checkpoint.state, "position": position}
    noted = noted_resumption(record, changes, experiment.pinned)
    go_back_to(run, noted, state, None if epochs is None else config, progress)
    start = None if checkpoint is None or state is None else TrainingState(list(checkpoint.arrays), state)
    if start is not None and terms.meeting is None:
        start = state_of_worker(start, 0, 1)
    outcome = complete(run, experiment, fitting, stages, start, parts)
    if terms.is_kept and run.whole is None:
        report_of_training(run, experiment, outcome.assessment, stages, parts)
    return outcome


def recorded_experiment(run: Run, config: Config, dataset: Dataset, starts_over: bool, terms: Terms) -> Experiment:
    """Build the model of a run on its data, with the other workers of the terms' cluster, if any."""
    prepare, size = None, {}
    if terms.meeting is not None:
        from dltool.training.numerics import pin

        starts_over = terms.meeting.of_chief(starts_over)[0]
        pinned = pin(config.seed, recorded_threads(run, read_record(run)))
        prepare = joined(terms.meeting, config, dataset, pinned)
        size = {} if prepare is None else {"workers": terms.meeting.cluster.size}
    built, found = recorded_model(run, config, dataset.facts, starts_over)
    return Experiment(config, dataset, built, {**found, **size}, terms.is_kept, terms.is_tested, prepare)


def repeated_experiment(run: Run, config: Config, dataset: Dataset, meeting: Met) -> Experiment:
    """Build the model of a run anew, with the other workers of the meeting, if any, to train it again from the start:
    it is neither tracked nor explained. Raises as :func:`dltool.experiment.opening.new_experiment`."""
    config = config.model_copy(update={"track": (), "explain": False})
    return new_experiment(config, dataset, recorded_threads(run, read_record(run)), kept_start(run), meeting)


def refuse_extension(run: Run, config: Config, has_parts: bool) -> None:
    """Raise ConfigError if more epochs would not continue what the run has trained."""
    if config.training.privacy is not None:
        reason = "is a private run, whose noise has its epochs"
    elif has_parts:
        reason = f"has {'folds' if config.data.split.has_folds else 'seeds'}, which would have fewer epochs"
    else:
        return
    raise ConfigError(f"{run.path} {reason}", "train a new run with more epochs")


def usable_checkpoint(run: Run, progress: "Progress") -> Checkpoint | None:
    """Return the newest valid checkpoint, None if the run was killed before its first. Raises RunError: none is valid,
    or they were removed."""
    if not has_checkpoints(run.checkpoints):
        if not run.read_metrics():
            progress.warn("the run was stopped before its first checkpoint and starts over")
            return None
        raise RunError(f"there is no checkpoint in {run.checkpoints}", f"{REMOVED}: train a new run")
    checkpoint, skipped = newest_checkpoint(run.checkpoints)
    for reason in skipped:
        progress.warn(f"using an older checkpoint: {reason}")
    check_saved_state(checkpoint, run.checkpoints)
    return checkpoint


def with_epochs(config: Config, epochs: int, finished: int) -> Config:
    """Return the config with other epochs, of the last phase if it has several. Raises ConfigError: too few or many."""
    if epochs > MOST_EPOCHS:
        raise ConfigError(f"--epochs: must be at most {MOST_EPOCHS:,}, got {epochs}")
    if epochs <= finished:
        raise ConfigError(f"the run has {finished} epochs already", f"use --epochs {finished + 1} or more")
    training = config.training
    *before, last = training.parts
    earlier = sum(phase.epochs for phase in before)
    if epochs <= earlier:
        raise ConfigError(f"the phases before the last have {earlier} epochs", f"use --epochs {earlier + 1} or more")
    update: dict[str, Any] = {"epochs": epochs}
    if training.phases is not None:
        update = {"phases": (*before, last.model_copy(update={"epochs": epochs - earlier}))}
    return config.model_copy(update={"training": training.model_copy(update=update)})


def refuse_other_model(checkpoint: Checkpoint, core: Any) -> None:
    """Raise RunError if the checkpoint does not match the model `core`, before the run is changed."""
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
    """Raise MachineError if something that can change result bits differs; if that is allowed, warn."""
    changes = machine_changes(record, pinned)
    hint = "--allow-change resumes anyway; the result may not be bit-identical"
    as_before = f"resume in as many processes as before: --workers {record.pinned.get('workers', 1)} on one machine; "
    problems = (Problem(None, str(each), as_before * (each.name == "workers") + hint) for each in changes)
    MachineError.refuse(() if allow_change else problems)
    for change in changes:
        progress.warn(f"{change}: the result may not be bit-identical to an uninterrupted run")
    return changes


def noted_resumption(record: RunRecord, changes: Sequence[Change], pinned: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of run.json about resuming: the time, the allowed changes and, if any, the new machine."""
    allowed = [{"what": edit.name, "was": in_sentence(edit.old), "now": in_sentence(edit.new)} for edit in changes]
    entry = {"at": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "changes": allowed}
    fields = {"resumed": [*record.resumed, entry]}
    return fields | ({"machine": describe_machine(), "pinned": dict(pinned)} if changes else {})


def go_back_to(
    run: Run, noted: Mapping[str, Any], state: Mapping[str, Any] | None, new_config: Config | None, progress: "Progress"
) -> None:
    """Reset the run's files to the checkpoint with `state`, or to the beginning. run.json gets the fields `noted`. A
    `new_config` becomes the run's config."""
    from dltool.training.state import EpochRecord

    history = [EpochRecord(**line) for line in state["position"]["history"]] if state else []
    best_epoch = state["best"]["epoch"] if state else None
    try:
        # Before any other file: the run is then unfinished.
        if new_config is None:
            run.update("running", **noted)
        else:
            text = dump_yaml(new_config)
            run.update("running", **noted, resolved=text, replaced=digest(run.read(run.resolved, MOST_BYTES)))
            run.write(run.resolved, text.encode())
        with disk_errors(run.results, "remove"):
            run.results.unlink(missing_ok=True)
            if best_epoch is None:
                # From an epoch that is repeated. Training writes the best weights in the state.
                run.best_weights.unlink(missing_ok=True)
        run.write_metrics([metrics_line(record) for record in history])
    except MachineError as error:
        # A completed run that was extended may still be complete.
        error.kept, error.can_resume = str(run.path), not run.is_complete()
        raise
    if state:
        progress.run_resumed(history, best_epoch)


def finish_new_config(run: Run, record: RunRecord) -> None:
    """Write the config from run.json if a process was killed in :func:`go_back_to` before it did."""
    text = record.resolved
    if text is not None and digest(run.read(run.resolved, MOST_BYTES)) == record.replaced:
        run.write(run.resolved, text.encode("utf-8", "replace"))
