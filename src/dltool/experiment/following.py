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
from dltool.experiment.resuming import finish_new_config, recorded_experiment, with_epochs
from dltool.experiment.signals import StopNow, StopRequests
from dltool.experiment.silent import Silent
from dltool.experiment.stages import Stages
from dltool.experiment.teaching import prepared_steps
from dltool.meeting import Meeting
from dltool.runs.files import Run
from dltool.runs.records import read_record

if TYPE_CHECKING:
    from dltool.experiment.listener import Progress
    from dltool.training.fit import Fitting

SENT = ("config.yaml", "resolved.yaml", "run.json", "split.npz", "origins.json")
SENT_FOLDERS = ("preprocessing", "start")
"""What other workers need of a run to resume it."""


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
    document: Document | None, settings: Sequence[str], progress: "Progress", stops: StopRequests, meeting: Meeting
) -> Followed:
    """Do what the chief says: train the config of the `document`, or the run that it resumes, or nothing.

    Raises ConfigError: the chief trains a config, and this worker has none; else as the chief, or WorkerLost."""
    told, content = meeting.of_chief()
    stages = Stages(progress, stops)
    if told == "done":
        return Followed(meeting.cluster.rank, meeting.cluster.size)
    command, epochs = told
    if command == "resume":
        return follow_resumed_run(epochs, content, settings, stages, meeting)
    if document is None:
        raise ConfigError("the chief trains a new run, and this worker resumes one", "start all with the same command")
    return follow_new_run(document, stages, meeting)


def follow_new_run(document: Document, stages: Stages, meeting: Meeting) -> Followed:
    """Train along with the chief's new run. Raises DltoolError: as the chief, or WorkerLost."""
    config, _ = checked_config(document)
    with stages.reading(trains=True):
        dataset = load_data(config.data, config.seed)
        config = dataset.in_force(checked_with(document, dataset.facts))
    with stages.building():
        experiment = new_experiment(config, dataset, meeting=meeting)
        fitting = prepared_steps(experiment)
    return followed(experiment, fitting, stages, meeting)


def follow_resumed_run(
    epochs: int | None, content: bytes, settings: Sequence[str], stages: Stages, meeting: Meeting
) -> Followed:
    """Train along with the run that the chief resumes, whose files `content` holds, see :func:`packed_run`. `settings`
    are the location of the data here. Raises DltoolError: as the chief, or WorkerLost."""
    with tempfile.TemporaryDirectory(prefix="dltool-worker-") as folder:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            archive.extractall(folder)
        run = Run(Path(folder))
        finish_new_config(run, read_record(run))
        may_differ = () if epochs is None else ("training.epochs",)
        with stages.reading(trains=True):
            config, dataset = recorded_data(run, may_differ, settings)
            config = config if epochs is None else with_epochs(config, epochs, 0)
        with stages.building():
            experiment = recorded_experiment(run, config, dataset, False, Terms(meeting=meeting))
            fitting = prepared_steps(experiment, recorded_strategy(run))
        return followed(experiment, fitting, stages, meeting)


def packed_run(run: Run) -> bytes:
    """Return the files of a run that other workers need, as a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        inside = [path for folder in SENT_FOLDERS for path in sorted((run.path / folder).rglob("*"))]
        for path in [*(run.path / name for name in SENT), *inside]:
            if path.is_file():
                archive.write(path, path.relative_to(run.path).as_posix())
    return buffer.getvalue()


def followed(experiment: Experiment, fitting: "Fitting", stages: Stages, meeting: Meeting) -> Followed:
    from dltool.training.fit import fit

    nothing = Silent().nothing
    try:
        with stages.stops.patient():
            fit(fitting, observer=Silent(), save_state=nothing, save_best=nothing, should_stop=stages.stops.asked)
            meeting.wait_for_end()
    except (DltoolError, StopNow) as error:
        error.kept = "the run of worker 0"
        raise
    return Followed(meeting.cluster.rank, meeting.cluster.size)
