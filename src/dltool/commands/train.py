"""`dltool train`: from a config to a run directory.

Reads as the architecture: check the config, read the data, build the model, create the run, complete it.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dltool.config.keras.objects import UNKNOWN
from dltool.config.load import Document, build_config, with_settings
from dltool.config.schema import Config
from dltool.config.text.tree import format_path
from dltool.data.checked import checked_config, checked_with
from dltool.data.dataset import load_data
from dltool.errors import DltoolError, RunError
from dltool.experiment.finishing import TrainingOutcome, complete
from dltool.experiment.opening import Stages, new_experiment, prepared_steps
from dltool.experiment.overrides import departures
from dltool.experiment.recording import new_run
from dltool.experiment.refusals import RESUMED_PARTS, places_outside
from dltool.experiment.reporting import report_of_training
from dltool.experiment.signals import StopRequests, stop_requests
from dltool.machine import git_commit
from dltool.tracking import refuse_missing_extras

if TYPE_CHECKING:
    from dltool.experiment.listener import Progress

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
    stages = Stages(progress, stops)
    config, _ = checked_config(document)
    refuse_missing_extras(config.track)
    with stages.reading(trains=True):
        dataset = load_data(config.data, config.seed, most_rows)
        config = dataset.in_force(checked_with(document, dataset.facts))
        for warning in dataset.warnings:
            progress.warn(warning)
    with stages.building():
        experiment = new_experiment(config, dataset, is_kept=is_kept)
        fitting = prepared_steps(experiment)
        fitting.profile.is_wanted = is_profiled
    settings = departures(document, config)
    progress.prepared(config, dataset.facts, experiment.built.full.count_params(), settings)
    git = git_commit(document.path.absolute().parent)
    with new_run(runs, document, experiment, fitting, most_rows, git) as run:
        progress.run_created(run, is_kept=is_kept)
        for place in places_outside(config, RESUMED_PARTS) if is_kept else ():
            progress.warn(f"this run cannot be resumed: {format_path(place)} names something outside it")
        outcome = complete(run, experiment, fitting, stages)
        if is_kept:
            report_of_training(run, experiment, outcome.assessment, stages)
        return outcome


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
            found = evaluate(outcome.run, "test", progress=progress, draws=False).metrics if expected else {}
            # As texts, in which NaN equals NaN.
            if repr(found) != repr(expected):
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
