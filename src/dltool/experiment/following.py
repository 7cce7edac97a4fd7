"""A worker of a cluster that is not its chief: it trains along, and writes nothing."""

import io
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dltool.config.cluster import Cluster
from dltool.config.cluster_checks import cluster_problems
from dltool.config.load import Document
from dltool.data.checked import checked_config, checked_with
from dltool.data.dataset import load_data
from dltool.errors import ConfigError, DltoolError
from dltool.experiment.new_training import Terms
from dltool.experiment.opening import Experiment, new_experiment, recorded_data, recorded_strategy
from dltool.experiment.parts import Parts, PartsOf
from dltool.experiment.resuming import finish_new_config, recorded_experiment, repeated_experiment, with_epochs
from dltool.experiment.signals import StopNow
from dltool.experiment.silent import Silent
from dltool.experiment.stages import Stages
from dltool.experiment.teaching import prepared_steps
from dltool.meeting import Meeting
from dltool.runs.files import Run
from dltool.runs.recorded import recorded_config
from dltool.runs.records import read_record

if TYPE_CHECKING:
    from dltool.training.fit import Fitting

SENT = ("config.yaml", "resolved.yaml", "run.json", "split.npz", "origins.json")
SENT_FOLDERS = ("preprocessing", "start")
"""What other workers need of a run to train it."""


@dataclass(frozen=True)
class Followed:
    """The training is complete; the chief has the run."""

    rank: int
    size: int

    def record(self) -> dict[str, Any]:
        return {"worker": self.rank, "workers": self.size, "status": "completed"}


def refuse_unfit(document: Document, cluster: Cluster) -> None:
    """Raise ConfigError if the workers cannot train the config together, before any waits for another."""
    ConfigError.refuse(cluster_problems(checked_config(document)[0], cluster.size))


def follow(
    document: Document | None, settings: Sequence[str], stages: Stages, meeting: Meeting, parts_of: PartsOf
) -> Followed:
    """Do what the chief says: train the config of the `document`, or the run that it resumes or reproduces, or nothing.
    `parts_of` returns the parts of a run, of which this worker trains some.

    Raises ConfigError: the chief trains a config, and this worker has none; else as the chief, or WorkerLost."""
    told, content = meeting.of_chief()
    if told == "done":
        return Followed(meeting.cluster.rank, meeting.cluster.size)
    command, epochs = told
    if command != "train":
        terms = Terms(meeting=meeting, parts=parts_of)
        return follow_recorded_run(epochs, content, settings, stages, terms, is_again=command == "reproduce")
    if document is None:
        raise ConfigError("the chief trains a new run, and this worker an old one", "start all with the same command")
    return follow_new_run(document, stages, meeting, parts_of)


def follow_new_run(document: Document, stages: Stages, meeting: Meeting, parts_of: PartsOf) -> Followed:
    """Train along with the chief's new run. Raises DltoolError: as the chief, or WorkerLost."""
    config, _ = checked_config(document)
    parts = parts_of(config)
    with stages.reading(trains=True):
        dataset = load_data(config.data, config.seed, read=None if parts is None else parts.read)
        config = dataset.in_force(checked_with(document, dataset.facts))
    with stages.building():
        experiment = new_experiment(config, dataset, meeting=meeting)
        work = parts or prepared_steps(experiment)
    return followed(experiment, work, stages, meeting)


def follow_recorded_run(
    epochs: int | None, content: bytes, settings: Sequence[str], stages: Stages, terms: Terms, *, is_again: bool
) -> Followed:
    """Train along with the run that the chief resumes, or reproduces if it trains `is_again`. `content` has its files,
    see :func:`packed_run`, and `settings` the location of the data here.

    Raises DltoolError: as the chief, or WorkerLost."""
    assert terms.meeting is not None
    with tempfile.TemporaryDirectory(prefix="dltool-worker-") as folder:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            archive.extractall(folder)
        run = Run(Path(folder))
        finish_new_config(run, read_record(run))
        may_differ = () if epochs is None else ("training.epochs",)
        parts = terms.parts(recorded_config(run, may_differ, settings))
        with stages.reading(trains=True):
            config, dataset = recorded_data(run, may_differ, settings, None if parts is None else parts.read)
            config = config if epochs is None else with_epochs(config, epochs, 0)
        with stages.building():
            again = repeated_experiment(run, config, dataset, terms.meeting) if is_again else None
            experiment = again or recorded_experiment(run, config, dataset, False, terms)
            work = parts or prepared_steps(experiment, recorded_strategy(run))
        return followed(experiment, work, stages, terms.meeting)


def packed_run(run: Run) -> bytes:
    """Return the files of a run that other workers need, as a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        inside = [path for folder in SENT_FOLDERS for path in sorted((run.path / folder).rglob("*"))]
        for path in [*(run.path / name for name in SENT), *inside]:
            if path.is_file():
                archive.write(path, path.relative_to(run.path).as_posix())
    return buffer.getvalue()


def followed(experiment: Experiment, work: "Parts | Fitting", stages: Stages, meeting: Meeting) -> Followed:
    """Train this worker's parts of the run, or its share of each batch, and wait for the chief."""
    from dltool.training.fit import Fitting, fit

    nothing = Silent().nothing
    try:
        if not isinstance(work, Fitting):
            work.follow(experiment, stages)
            meeting.wait_for_end()
            return Followed(meeting.cluster.rank, meeting.cluster.size)
        with stages.stops.patient():
            fit(work, observer=Silent(), save_state=nothing, save_best=nothing, should_stop=stages.stops.asked)
            meeting.wait_for_end()
    except (DltoolError, StopNow) as error:
        error.kept, error.can_resume = "the run of worker 0", False
        raise
    return Followed(meeting.cluster.rank, meeting.cluster.size)
