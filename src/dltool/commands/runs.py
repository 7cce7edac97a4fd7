"""`dltool runs`: list runs with their results, and remove some."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dltool.runs.configs import MOST_COMPARED, differences_in_short
from dltool.runs.directory import refuse_no_runs_folder
from dltool.runs.removal import Removal, planned, prunable
from dltool.runs.selection import selected
from dltool.runs.summaries import RunSummary, require_folder, summaries

RUNS = Path("runs")


def list_runs(
    folder: Path | None, conditions: Iterable[str], sort: str | None
) -> tuple[list[RunSummary], Mapping[Path, str], Path]:
    """The runs for which all conditions hold, what the config of each has and others of its name have not, and their
    folder.

    Raises:
        ConfigError: there is no such folder, or a condition or an order is none.
    """
    if folder is None:
        folder = RUNS
        refuse_no_runs_folder(folder)
    else:
        require_folder(folder)
    found = selected(summaries(folder), conditions, sort)
    compared = [run.path for run in found if run.status != "broken"] if len(found) <= MOST_COMPARED else []
    return found, differences_in_short(compared), folder


def to_prune(
    folder: Path | None, conditions: Sequence[str], sort: str | None, keep: int | None, only_checkpoints: bool
) -> list[Removal]:
    """What goes of the runs for which all conditions hold; of each name the first `keep` by the order stay.

    Raises:
        ConfigError: nothing says which are to stay.
        RunError: a run is in use.
    """
    runs, *_ = list_runs(folder, conditions, sort or "number:desc")
    return planned(prunable(runs, keep, bool(conditions), only_checkpoints), only_checkpoints)
