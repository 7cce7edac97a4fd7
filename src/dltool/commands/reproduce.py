"""`dltool reproduce RUN`: train a run again from its record, and compare bit by bit."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dltool.config.cluster import MOST_WORKERS, Cluster
from dltool.config.load import read_document
from dltool.durable_files import read_file
from dltool.errors import ConfigError, MachineError, RunError
from dltool.experiment.finishing import complete
from dltool.experiment.joining import Met
from dltool.experiment.new_run import new_run, temporary_runs
from dltool.experiment.opening import recorded_data, recorded_strategy
from dltool.experiment.refusals import refuse_files, refuse_other_weights, require_code
from dltool.experiment.resuming import repeated_experiment
from dltool.experiment.signals import StopRequests, stop_requests
from dltool.experiment.stages import Stages
from dltool.experiment.teaching import prepared_steps
from dltool.folds.part_runs import parts_of
from dltool.meeting import meeting_of
from dltool.runs.checkpoint_file import Checkpoint, newest_checkpoint
from dltool.runs.directory import open_run, refuse_unwritable
from dltool.runs.files import Run
from dltool.runs.recorded import chosen, differences, machine_changes, recorded_config, refuse_unset
from dltool.runs.records import read_record
from dltool.text import counted

if TYPE_CHECKING:
    from dltool.experiment.following import Followed
    from dltool.experiment.listener import Progress

COMPARED_RESULTS = ("test", "validation", "best", "epochs", "parameters", "thresholds", "folds", "seeds", "ensemble")


@dataclass(frozen=True)
class Reproduction:
    """Two runs compared. `difference` is the first one, or empty; `again` is None if the second run was removed."""

    run: Path
    again: Path | None
    epochs: int
    difference: str

    def record(self) -> dict[str, Any]:
        again = None if self.again is None else str(self.again)
        found = {"run": str(self.run), "again": again, "identical": not self.difference, "epochs": self.epochs}
        return {**found, "first_difference": self.difference or None}


def reproduce(
    path: Path,
    *,
    into: Path | None,
    settings: Sequence[str] = (),
    cluster: Cluster | None = None,
    progress: "Progress",
) -> "Reproduction | Followed":
    """Train the completed run at `path` again, below `into` or in a temporary folder, and compare.
    `settings` are `--set` arguments with locations of the data. In a `cluster`, only the chief needs the run.

    Raises ConfigError: `into` cannot hold runs, or the run had other workers; MachineError: it is not writable;
    DataError: the data has changed; RunError: the run is not complete, or damaged; DltoolError: training fails."""
    with stop_requests() as stops:
        if cluster is None:
            return reproduced(path, into, settings, progress, stops, None)
        with meeting_of(cluster) as meeting:
            if cluster.is_chief:
                return reproduced(path, into, settings, progress, stops, meeting)
            from dltool.experiment.following import follow

            return follow(None, settings, Stages(progress, stops), meeting, partial(parts_of, meeting=meeting))


def reproduced(
    path: Path, into: Path | None, settings: Sequence[str], progress: "Progress", stops: StopRequests, meeting: Met
) -> Reproduction:
    """Train and compare as :func:`reproduce`, with the workers of the `meeting`, if given."""
    if into is not None:
        refuse_unwritable(into)
        there = next(parent for parent in (into, *into.absolute().parents) if parent.exists())
        if not os.access(there, os.W_OK | os.X_OK):
            raise MachineError(f"{there} is not writable", "use --into with a writable folder")
    run = open_run(path)
    if not run.is_complete():
        raise RunError(f"{run.path} is not complete", f"dltool resume {(run.whole or run).path}")
    require_code(run, f"reproduce {run.path}")
    config = recorded_config(run, settings=settings)
    privacy, count = config.training.privacy, workers_of(run)
    if meeting is not None and not config.has_parts and meeting.cluster.size != count:
        message = f"{run.path} was trained by {counted(count, 'worker')}, and this cluster has {meeting.cluster.size}"
        raise ConfigError(message, "leave out --cluster and TF_CONFIG: dltool starts as many on this machine")
    if privacy is not None and privacy.seed is None:
        message = f"{run.path} is a private run, whose noise no record holds"
        raise RunError(message, "a run with training.privacy.seed can be reproduced; it is for tests, and not private")
    # Read the files for the comparison before hours of training.
    run.read_metrics()
    run.read_json(run.results)
    last_checkpoint(run)
    kept = temporary_runs("dltool-reproduce-") if into is None else contextlib.nullcontext(into)
    with kept as folder:
        again = train_again(run, folder, into is not None, settings, Stages(progress, stops), meeting)
        progress.stage("comparing")
        difference = next(found_differences(run, again), "")
        epochs = sum(len(each.read_metrics()) for each in (run, *run.parts))
    return Reproduction(run.path, again.path if into else None, epochs, difference)


def workers_of(run: Run) -> int:
    """Return how many workers trained a run together. Raises RunError: their number is invalid."""
    count = read_record(run).pinned.get("workers", 1)
    if type(count) is not int or not 0 < count <= MOST_WORKERS:
        raise RunError(f"{run.record}: pinned.workers is not a number of workers", "train a new run")
    return count


def last_checkpoint(run: Run) -> Checkpoint | None:
    """Return the last checkpoint; None of a run that keeps none: a fold or seed, or one that trained its folds alone.
    Raises RunError: it is damaged."""
    if run.whole is not None or not recorded_config(run).data.is_refit:
        return None
    checkpoint, damaged = newest_checkpoint(run.checkpoints)
    if damaged:
        raise RunError(f"the last checkpoint of the run is damaged: {damaged[0]}")
    return checkpoint


def weights_of(run: Run) -> bytes:
    """Return the file of the best weights, the same bytes for the same weights."""
    return run.read(run.best_weights, run.best_weights.stat().st_size)


def train_again(run: Run, folder: Path, is_kept: bool, settings: Sequence[str], stages: Stages, meeting: Met) -> Run:
    progress = stages.progress
    parts = parts_of(recorded_config(run, settings=settings), meeting=meeting)
    if meeting is not None:
        from dltool.experiment.following import packed_run

        meeting.of_chief(["reproduce", None], packed_run(run))
    with stages.reading(trains=True):
        config, dataset = recorded_data(run, settings=settings, read=None if parts is None else parts.read)
        refuse_unset(config, RunError, "training.callbacks", "model.layers")
        refuse_files(run, config)
    old = read_record(run)
    with stages.building():
        experiment = replace(repeated_experiment(run, config, dataset, meeting), is_kept=is_kept)
        refuse_other_weights(old, experiment.built)
        fitting = prepared_steps(experiment, recorded_strategy(run), old.teacher)
    for change in machine_changes(old, experiment.pinned):
        progress.warn(f"{change}: the result may not be bit-identical")
    progress.prepared(config, dataset.facts, experiment.built.full.count_params())
    own = run.own_table
    table = None if own is None else read_file(own.parent, own.name, own.stat().st_size)
    document = replace(read_document(run.resolved), table=table)
    # The recorded commit: git in an untrusted run directory could run programs from it.
    fields: dict[str, Any] = {"command": "reproduce", "most_rows": old.most_rows, "git": old.git}
    further = {} if parts is None else {"parts.json": run.read(run.parts_record)}
    with new_run(folder, document, experiment, fitting, progress, further, **fields) as again:
        complete(again, experiment, fitting, stages, parts=parts)
    return again


def found_differences(run: Run, again: Run) -> Iterator[str]:
    """Describe the differences, the earliest in training first: epochs, then weights, then results."""
    lines, lines_again = run.read_metrics(), again.read_metrics()
    for line, other in zip(lines, lines_again, strict=False):
        for change in differences(line, other):
            if change.name != "seconds":
                yield f"epoch {line.get('epoch')}: {change}"
    if len(lines) != len(lines_again):
        yield f"the number of epochs was {len(lines)} and is {len(lines_again)}"
    yield from different_arrays(run, again)
    results, results_again = (chosen(each.read_json(each.results), COMPARED_RESULTS) for each in (run, again))
    for part, same in zip(run.parts, again.parts, strict=False):
        yield from (f"{part.path.relative_to(run.path)}: {each}" for each in found_differences(part, same))
    for change in differences(results, results_again):
        yield f"results: {change}"


def different_arrays(run: Run, again: Run) -> Iterator[str]:
    """Compare the arrays of the last checkpoints bit by bit, or the best weights that a fold or seed keeps."""
    if run.whole is not None:
        yield from ["the best weights differ"] if weights_of(run) != weights_of(again) else []
        return
    old, new = last_checkpoint(run), last_checkpoint(again)
    if old is None or new is None:
        return
    arrays = dict(new.arrays)
    for name, array in old.arrays:
        other = arrays.pop(name, None)
        if other is None:
            yield f"the final state: {name} is missing"
        elif other.dtype != array.dtype or other.tobytes() != array.tobytes():
            yield f"the final state: {name} differs"
    yield from (f"the final state: {name} is new" for name in arrays)
