"""Where a training joins the other workers of its cluster: after TensorFlow's settings, before its first operation."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from dltool.config.schema import Config
from dltool.data.dataset import Dataset
from dltool.meeting import Meeting

if TYPE_CHECKING:
    from dltool.training.fit import Fitting

Met = Meeting | None


def joined(meeting: Met, config: Config, dataset: Dataset, pinned: dict[str, Any]) -> "Callable[..., Fitting] | None":
    """Join the team of the `meeting`; return what prepares one of its workers, None without a meeting.

    The `pinned` settings get the number of workers. Raises as :func:`dltool.training.team.join_team`."""
    if meeting is None:
        return None
    from dltool.training.team import join_team
    from dltool.training.worker_fit import prepare_worker_fit

    team = join_team(meeting, config, dataset, pinned)
    pinned["workers"] = meeting.cluster.size
    return partial(prepare_worker_fit, team)
