"""What a worker of a cluster does: the chief trains as a process alone would, and the others follow it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dltool.config.cluster import Cluster
from dltool.config.cluster_checks import cluster_problems
from dltool.config.load import Document
from dltool.data.checked import checked_config
from dltool.errors import ConfigError
from dltool.experiment.following import Followed, follow_new_run, follow_resumed_run
from dltool.experiment.signals import StopRequests
from dltool.experiment.stages import Stages
from dltool.meeting import Meeting, meeting_of

if TYPE_CHECKING:
    from dltool.experiment.listener import Progress

__all__ = ["follow", "meeting_of", "refuse_unfit"]


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
