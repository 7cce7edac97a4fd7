"""Where a training joins the other workers of its cluster: after TensorFlow's settings, before its first operation."""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dltool.config.schema import Config
from dltool.data.dataset import Dataset
from dltool.errors import Interrupted, MachineError, WorkerLost
from dltool.experiment.signals import StopNow, StopRequests
from dltool.meeting import RESUME, Meeting

if TYPE_CHECKING:
    from dltool.training.fit import Fitting

Met = Meeting | None
LOST = 0
"""Asks a run to stop as a signal does; it is no number of a signal."""


def joined(meeting: Met, config: Config, dataset: Dataset, pinned: dict[str, Any]) -> "Callable[..., Fitting] | None":
    """Join the team of the `meeting`; return what prepares one of its workers, None without a meeting. Workers that
    train folds or seeds alone only agree that they are alike.

    The `pinned` settings get the number of workers. Raises as :func:`dltool.training.team.join_team`."""
    if meeting is None:
        return None
    from dltool.training.team import agreed, facts_of, join_team
    from dltool.training.worker_fit import prepare_worker_fit

    if config.has_parts:
        agreed(meeting, facts_of(config, dataset, pinned))
        return None
    team = join_team(meeting, config, dataset, pinned)
    pinned["workers"] = meeting.cluster.size
    return partial(prepare_worker_fit, team)


def folder_of_chief(meeting: Meeting, path: Path | None, file: str) -> Path:
    """Return the folder that the chief gives, which has this file. Raises MachineError: it is not seen here."""
    folder = Path(str(meeting.of_chief(None if path is None else str(path.absolute()))[0]))
    if not (folder / file).is_file():
        message = f"{meeting.cluster.name_of(meeting.cluster.rank)} does not see {folder}"
        raise MachineError(message, "all workers share the folder of runs: --runs /shared/runs")
    return folder


@contextlib.contextmanager
def stopped_when_lost(meeting: Met, stops: StopRequests) -> Iterator[None]:
    """Let the trainings of the block, which have no sums, save their state and stop when another worker is lost. Raises
    WorkerLost then."""
    if meeting is not None:
        meeting.abort_with(lambda reason: stops.received.append(LOST))
    try:
        yield
    except (StopNow, Interrupted, WorkerLost) as error:
        # A signal may have come to all workers.
        if meeting is None or not meeting.reason or any(stops.received):
            raise
        raise WorkerLost(meeting.reason, RESUME) from error
