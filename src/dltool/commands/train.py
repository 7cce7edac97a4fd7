"""`dltool train`: one training from a config file, or a short one that tries everything."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dltool.config.cluster import Cluster
from dltool.config.keras.objects import UNKNOWN
from dltool.config.load import Document, build_config, with_settings
from dltool.config.text.yaml_reader import MOST_BYTES
from dltool.data.checked import checked_config
from dltool.errors import ConfigError, RunError
from dltool.experiment.finishing import TrainingOutcome
from dltool.experiment.new_run import temporary_runs
from dltool.experiment.new_training import Terms, train_until_stopped
from dltool.experiment.parts import PartsOf, no_parts
from dltool.experiment.signals import StopRequests, stop_requests
from dltool.experiment.stages import Stages
from dltool.folds.part_runs import parts_of
from dltool.runs.directory import LATEST
from dltool.runs.files import Run

if TYPE_CHECKING:
    from dltool.commands.resume import AlreadyComplete
    from dltool.experiment.following import Followed
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
    ends_process: bool = True,
) -> TrainingOutcome:
    """Train, validate and test; create a run below `runs`. `most_rows` limits the examples of each split.

    Without `is_kept`, the run's location is not shown. With `is_profiled`, the run holds a profile. A second SIGINT
    ends the process if `ends_process`, else the training.

    Raises DltoolError: see its classes. Before the run directory exists, nothing has been written."""
    with stop_requests(ends_process) as stops:
        # A smoke test has few rows, and tries no folds.
        parts: PartsOf = no_parts if most_rows is not None else parts_of
        terms = Terms(most_rows, is_kept, is_profiled, parts=parts)
        return train_until_stopped(document, runs, Stages(progress, stops, is_whole=True), terms)


def train_together(
    document: Document, *, runs: Path, cluster: Cluster | None, resumes: bool, is_profiled: bool, progress: "Progress"
) -> "TrainingOutcome | AlreadyComplete | Followed":
    """Train as :func:`train`, as a worker of the `cluster`, if given: its chief has the run.

    With `resumes`, the newest run of the name is resumed if there is one; nothing is done if it is complete.

    Raises DltoolError: as :func:`train`; WorkerLost: another worker ended before."""
    with stop_requests() as stops:
        if cluster is None:
            terms = Terms(is_profiled=is_profiled, parts=parts_of)
            return train_or_resume(document, runs, progress, stops, terms, resumes)
        from dltool.experiment.following import follow, refuse_unfit
        from dltool.meeting import meeting_of

        refuse_unfit(document, cluster)
        with meeting_of(cluster) as meeting:
            parts = partial(parts_of, meeting=meeting)
            if cluster.is_chief:
                terms = Terms(is_profiled=is_profiled, parts=parts, meeting=meeting)
                return train_or_resume(document, runs, progress, stops, terms, resumes)
            return follow(document, (), Stages(progress, stops), meeting, parts)


def train_or_resume(
    document: Document, runs: Path, progress: "Progress", stops: StopRequests, terms: Terms, resumes: bool
) -> "TrainingOutcome | AlreadyComplete":
    """Begin a run, or resume the newest one of its name; raises ConfigError: that has another config."""
    newest = Run(runs / build_config(document).name / LATEST) if resumes else None
    if newest is not None and newest.record.exists():
        from dltool.commands.resume import resume_run

        if newest.read(newest.config, MOST_BYTES) != document.content:
            message = f"{newest.path} was trained with another config than {document.shown_as}"
            raise ConfigError(message, "give the changed config another name")
        return resume_run(newest.path.resolve(), None, False, (), progress, stops, terms.meeting)
    if terms.meeting is not None:
        terms.meeting.of_chief(["train", None])
    return train_until_stopped(document, runs, Stages(progress, stops, is_whole=True), terms)


def smoke(document: Document, progress: "Progress") -> TrainingOutcome:
    """Train two epochs of two batches, save, reload and evaluate, in a temporary folder.

    Raises DltoolError: as :func:`train` and `evaluate`; RunError: the reloaded model gives other results."""
    from dltool.commands.evaluate import EvaluationChoice, evaluate

    small = for_smoke(document)
    batch_size: Any = checked_config(small)[0].training.batch_size
    # Batches may be large or depend on the data.
    rows = MOST_SMOKE_ROWS if batch_size is UNKNOWN else min(MOST_SMOKE_ROWS, SMOKE_BATCHES * batch_size)
    with temporary_runs("dltool-smoke-") as folder:
        outcome = train(small, runs=folder, progress=progress, most_rows=rows, is_kept=False)
        progress.stage("reloading")
        expected = outcome.results["test"]
        choice = EvaluationChoice(draws=False)
        found = evaluate(outcome.run, choice=choice, progress=progress).record()["metrics"] if expected else {}
        # Compared as strings, where NaN equals NaN.
        if repr(found) != repr(expected):
            raise RunError(f"the reloaded model gives {found}; after training it gave {expected}")
    return outcome


def for_smoke(document: Document) -> Document:
    """Return the document with few epochs, or one of each phase, and without tracking and expectations."""
    config = build_config(document)
    training = config.training
    if training.phases is not None:
        few = [f"training.phases[{number}].epochs=1" for number in range(len(training.phases))]
    else:
        epochs: Any = training.epochs
        few = [f"training.epochs={SMOKE_EPOCHS if epochs is UNKNOWN else min(epochs, SMOKE_EPOCHS)}"]
    # It tries the model of the run, and no folds.
    refit = [] if config.data.is_refit else ["data.final=refit"]
    return with_settings(document, [*few, "expect={}", "track=[]", *refit])
