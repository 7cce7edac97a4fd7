"""`dltool runs`: list runs with their results."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from dltool.errors import ConfigError
from dltool.runs.configs import MOST_COMPARED, differences_in_short
from dltool.runs.directory import refuse_no_runs_folder
from dltool.runs.selection import selected
from dltool.runs.summaries import RunSummary, summaries
from dltool.text import did_you_mean, near


def list_runs(
    folder: Path | None, conditions: Iterable[str], sort: str | None
) -> tuple[list[RunSummary], Mapping[Path, str], Path]:
    """Return the runs that meet all conditions, the config values that distinguish each, and their folder.

    Raises ConfigError: the folder does not exist, or a condition or an order is invalid."""
    runs = folder or Path("runs")
    refuse_no_runs_folder(runs)
    if folder is not None and not runs.is_dir():
        beside = [item.name for item in runs.absolute().parent.glob("*") if item.is_dir()]
        hint = did_you_mean(str(runs.with_name(name)) for name in near(runs.name, beside))
        raise ConfigError(f"there is no folder {runs}", hint or "dltool runs lists those in runs")
    found = selected(summaries(runs), conditions, sort)
    compared = [run.path for run in found if run.status != "broken"] if len(found) <= MOST_COMPARED else []
    return found, differences_in_short(compared), runs
