"""`dltool train`: from a config to a run directory.

Reads as the architecture: check the config, read the data, build the model, create the run, complete it.
"""

import io
import secrets
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dltool.config.keras.objects import UNKNOWN
from dltool.config.load import Document, build_config, with_settings
from dltool.config.schema import Config
from dltool.config.text.dump import dump_yaml, origins
from dltool.config.text.tree import format_path
from dltool.data.checked import checked_config, checked_with
from dltool.data.dataset import load_data
from dltool.errors import DltoolError, RunError
from dltool.experiment.clock import Clock
from dltool.experiment.finishing import TrainingOutcome, complete
from dltool.experiment.opening import RESUMED_PARTS, Experiment, new_experiment, places_outside, weight_files
from dltool.experiment.overrides import departures
from dltool.experiment.reporting import report_of_training
from dltool.experiment.signals import StopRequests, stop_requests
from dltool.imports import Import, import_keras
from dltool.keras_names import ALLOWED
from dltool.machine import describe_machine, git_commit
from dltool.runs.directory import create
from dltool.runs.files import encode_json
from dltool.runs.recorded_data import recorded_contents
from dltool.tracking import refuse_missing_extras

if TYPE_CHECKING:
    from dltool.experiment.listener import Progress
    from dltool.model.build import BuiltModel

SMOKE_EPOCHS = 2
SMOKE_BATCHES = 2
MOST_SMOKE_ROWS = 512


def train(
    document: Document,
    *,
    runs: Path,
    progress: "Progress",
    most_rows: int | None = None,
    is_kept: bool = True,
    is_profiled: bool = False,
) -> TrainingOutcome:
    """Train, validate and test; leave a run below `runs`. `most_rows` keeps so many examples of each part.

    Without `is_kept`, nobody is told where the run is. With `is_profiled`, the run holds where the time went.

    Raises:
        DltoolError: as its classes say. Before the run directory exists, nothing has been written.
    """
    with stop_requests() as stops:
        return train_until_stopped(document, runs, progress, stops, most_rows, is_kept, is_profiled)


def train_until_stopped(
    document: Document,
    runs: Path,
    progress: "Progress",
    stops: StopRequests,
    most_rows: int | None = None,
    is_kept: bool = True,
    is_profiled: bool = False,
) -> TrainingOutcome:
    clock = Clock()
    config, _ = checked_config(document)
    refuse_missing_extras(config.track)
    tensorflow = Import(import_keras)
    progress.stage("reading the data")
    with clock.phase("data"), tensorflow.quiet_failures():
        dataset = load_data(config.data, config.seed, most_rows)
        config = dataset.in_force(checked_with(document, dataset.facts))
    for warning in dataset.warnings:
        progress.warn(warning)
    progress.stage("importing TensorFlow")
    with clock.phase("import"):
        tensorflow.wait()
        from dltool.training.fit import prepare_fit
    progress.stage("building the model")
    with clock.phase("build"):
        experiment = replace(new_experiment(config, dataset), is_kept=is_kept)
        fitting = prepare_fit(experiment.built, config, dataset)
        fitting.profile.is_wanted = is_profiled
    settings = departures(document, config)
    progress.prepared(config, dataset.facts, experiment.built.full.count_params(), settings)
    git = git_commit(document.path.absolute().parent)
    record = new_record(document, experiment, fitting.strategy.record(), most_rows, git)
    outside = places_outside(config, RESUMED_PARTS)
    with create(runs, config.name, record, first_files(document, experiment)) as run:
        progress.run_created(run, is_kept=is_kept)
        for place in outside if is_kept else ():
            progress.warn(f"this run cannot be resumed: {format_path(place)} names something outside it")
        outcome = complete(run, experiment, fitting, progress, clock, stops)
        if is_kept:
            report_of_training(run, experiment, outcome.assessment, progress, stops)
        return outcome


def new_record(
    document: Document,
    experiment: Experiment,
    strategy: Mapping[str, Any],
    most_rows: int | None,
    git: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What run.json says of a run from its start."""
    dataset = experiment.dataset
    return {
        "id": secrets.token_hex(16),
        "command": "train",
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "config": document.shown_as,
        "seed": experiment.config.seed,
        "resumable": not places_outside(experiment.config, RESUMED_PARTS),
        "most_rows": most_rows,
        "data": {**recorded_contents(dataset), **dataset.facts.record(), "warnings": list(dataset.warnings)},
        "machine": describe_machine(),
        "pinned": dict(experiment.pinned),
        "strategy": strategy,
        "weights": weight_files(experiment.built),
        "git": git,
        "code": [{"file": code.shown_as, "sha256": code.sha256} for code in ALLOWED],
    }


def first_files(document: Document, experiment: Experiment) -> dict[str, bytes]:
    """The files of a run that never change."""
    split = experiment.dataset.split
    buffer = io.BytesIO()
    np.savez(buffer, train=split.train, validation=split.validation, test=split.test)
    return {
        "config.yaml": document.content,
        "resolved.yaml": dump_yaml(experiment.config).encode(),
        "split.npz": buffer.getvalue(),
        "origins.json": (encode_json(decided_at(document, experiment.config), indent=1) + "\n").encode(),
        **preprocessing_files(experiment.built),
    }


def decided_at(document: Document, config: Config) -> dict[str, str]:
    """Where each value in force was decided, by its place in the config; what was written there, where that differs."""
    return {
        format_path(found.path): f"{found.origin} ({found.written})" if found.written else found.origin
        for found in origins(document, config)
    }


def preprocessing_files(built: "BuiltModel") -> dict[str, bytes]:
    """What the preprocessing layers learnt, as files of the run."""
    from dltool.model.preprocessing import save_preprocessing

    with tempfile.TemporaryDirectory() as folder:
        save_preprocessing(built.learnt.layers, built.learnt.columns, Path(folder))
        files = [file for file in sorted(Path(folder).rglob("*")) if file.is_file()]
        return {f"preprocessing/{file.relative_to(folder).as_posix()}": file.read_bytes() for file in files}


def smoke(document: Document, progress: "Progress") -> TrainingOutcome:
    """Everything in seconds: two epochs of two batches, saved, reloaded and evaluated, in a folder that is removed.

    Raises:
        DltoolError: whatever :func:`train` and `evaluate` raise; RunError where the two do not agree.
    """
    from dltool.commands.evaluate import evaluate

    small = for_smoke(document)
    config, _ = checked_config(small)
    try:
        with tempfile.TemporaryDirectory(prefix="dltool-smoke-") as folder:
            outcome = train(small, runs=Path(folder), progress=progress, most_rows=smoke_rows(config), is_kept=False)
            progress.stage("reloading")
            expected = outcome.results["test"]
            # As texts, in which NaN equals NaN.
            if expected and repr(found := evaluate(outcome.run, "test").metrics) != repr(expected):
                raise RunError(f"the reloaded model gives {found}, and gave {expected} after training")
    except DltoolError as error:
        error.kept = ""
        raise
    return outcome


def for_smoke(document: Document) -> Document:
    """The document with few epochs, or one of each phase, untracked, and without expectations, which they would not
    meet."""
    training = build_config(document).training
    if training.phases is not None:
        few = [f"training.phases[{number}].epochs=1" for number in range(len(training.phases))]
    else:
        epochs: Any = training.epochs
        few = [f"training.epochs={SMOKE_EPOCHS if epochs is UNKNOWN else min(epochs, SMOKE_EPOCHS)}"]
    return with_settings(document, [*few, "expect={}", "track=[]"])


def smoke_rows(config: Config) -> int:
    """Two batches; fewer rows where the batches are large or their size depends on the data."""
    batch_size: Any = config.training.batch_size
    rows: int = MOST_SMOKE_ROWS if batch_size is UNKNOWN else SMOKE_BATCHES * batch_size
    return min(MOST_SMOKE_ROWS, rows)
