"""`dltool train`: check the config, read the data, build the model, create the run, complete it."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dltool.config.keras.objects import UNKNOWN
from dltool.config.load import Document, build_config, with_settings
from dltool.config.schema import Config
from dltool.config.text.dump import origins
from dltool.config.text.tree import ARGUMENTS
from dltool.data.checked import checked_config, checked_with
from dltool.data.dataset import load_data
from dltool.errors import RunError
from dltool.experiment.finishing import TrainingOutcome, complete, report_of_training
from dltool.experiment.new_run import new_run, temporary_runs
from dltool.experiment.opening import new_experiment, prepared_steps
from dltool.experiment.signals import stop_requests
from dltool.experiment.stages import Stages
from dltool.machine import git_commit
from dltool.runs.directory import refuse_unwritable
from dltool.runs.recorded import with_table_at
from dltool.text import counted
from dltool.tracking import refuse_missing_extras

if TYPE_CHECKING:
    from dltool.experiment.listener import Progress

SMOKE_EPOCHS = 2
SMOKE_BATCHES = 2
MOST_SMOKE_ROWS = 512
CHOICES = {
    ("training", "checkpoint", "monitor"): "best epoch by {}",
    ("data", "split", "stratify"): "splits stratified by class",
}
"""Descriptions of defaults that are inferred from the data."""


def train(
    document: Document,
    *,
    runs: Path,
    progress: "Progress",
    most_rows: int | None = None,
    is_kept: bool = True,
    is_profiled: bool = False,
    ends_process: bool = True,
) -> TrainingOutcome:
    """Train, validate and test; create a run below `runs`. `most_rows` limits the examples of each split.

    Without `is_kept`, the run's location is not shown. With `is_profiled`, the run holds a profile. A second SIGINT
    ends the process if `ends_process`, else the training.

    Raises DltoolError: see its classes. Before the run directory exists, nothing has been written."""
    with stop_requests(ends_process) as stops:
        stages = Stages(progress, stops)
        config, _ = checked_config(document)
        refuse_missing_extras(config.track)
        refuse_unwritable(runs / config.name)
        with stages.reading(trains=True):
            dataset = load_data(config.data, config.seed, most_rows)
            config = dataset.in_force(checked_with(document, dataset.facts))
            for warning in dataset.warnings:
                progress.warn(warning)
        with stages.building():
            experiment = new_experiment(config, dataset, is_kept=is_kept)
            fitting = prepared_steps(experiment)
            fitting.profile.is_wanted = is_profiled
            if config.training.precision == "mixed_float16" and not experiment.pinned["gpus"]:
                progress.warn("mixed_float16 is many times slower than float32 without a GPU; try mixed_bfloat16")
        progress.prepared(config, dataset.facts, experiment.built.full.count_params(), overrides(document, config))
        git = git_commit(document.path.absolute().parent)
        with new_run(runs, document, experiment, fitting, progress, most_rows=most_rows, git=git) as run:
            if document.table is not None:
                experiment = replace(experiment, config=with_table_at(config, str(run.table)))
            outcome = complete(run, experiment, fitting, stages)
            if is_kept:
                report_of_training(run, experiment, outcome.assessment, stages)
            return outcome


def overrides(document: Document, config: Config) -> list[str]:
    """Describe arguments, values from other files and inferred values, a line each. `config` has facts of the data."""
    found = origins(document, config)
    arguments = [text for text in document.texts if text.startswith(tuple(f"{name} " for name in ARGUMENTS))]
    files = Counter(origin.origin.rsplit(":", 2)[0] for origin in found if origin.origin.count(":") >= 2)
    others = {name: count for name, count in files.items() if name in document.texts and name not in arguments}
    others.pop(document.shown_as, None)
    chosen = [
        CHOICES[origin.path].format(origin.value)
        for origin in found
        if origin.path in CHOICES and origin.origin == "default" and origin.value is not False
    ]
    lines = [f"overridden by {', '.join(arguments)}"] if arguments else []
    lines += [f"{counted(count, 'value')} from {name}, which the config extends" for name, count in others.items()]
    return lines + ([f"inferred: {', '.join(chosen)}"] if chosen else [])


def smoke(document: Document, progress: "Progress") -> TrainingOutcome:
    """Train two epochs of two batches, save, reload and evaluate, in a temporary folder.

    Raises DltoolError: as :func:`train` and `evaluate`; RunError: the reloaded model gives other results."""
    from dltool.commands.evaluate import evaluate

    small = for_smoke(document)
    batch_size: Any = checked_config(small)[0].training.batch_size
    # Batches may be large or depend on the data.
    rows = MOST_SMOKE_ROWS if batch_size is UNKNOWN else min(MOST_SMOKE_ROWS, SMOKE_BATCHES * batch_size)
    with temporary_runs("dltool-smoke-") as folder:
        outcome = train(small, runs=folder, progress=progress, most_rows=rows, is_kept=False)
        progress.stage("reloading")
        expected = outcome.results["test"]
        found = evaluate(outcome.run, progress=progress, draws=False).record()["metrics"] if expected else {}
        # Compared as strings, where NaN equals NaN.
        if repr(found) != repr(expected):
            raise RunError(f"the reloaded model gives {found}; after training it gave {expected}")
    return outcome


def for_smoke(document: Document) -> Document:
    """Return the document with few epochs, or one of each phase, and without tracking and expectations."""
    training = build_config(document).training
    if training.phases is not None:
        few = [f"training.phases[{number}].epochs=1" for number in range(len(training.phases))]
    else:
        epochs: Any = training.epochs
        few = [f"training.epochs={SMOKE_EPOCHS if epochs is UNKNOWN else min(epochs, SMOKE_EPOCHS)}"]
    return with_settings(document, [*few, "expect={}", "track=[]"])
