"""`dltool runs remove` and `prune`: which runs or checkpoints to remove, and their size."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dltool.errors import ConfigError, Problem, RunError
from dltool.runs.checkpoint_file import remove_checkpoints
from dltool.runs.directory import open_run
from dltool.runs.summaries import RunSummary
from dltool.runs.trash import refuse_no_run, remove


@dataclass(frozen=True)
class Removal:
    """A run or its checkpoints, to be removed. `size` is in bytes."""

    path: Path
    what: Literal["run", "checkpoints"]
    size: int


def prunable(
    runs: Sequence[RunSummary], keep: int | None, is_filtered: bool, only_checkpoints: bool = False
) -> list[Path]:
    """Return the runs to remove: all but the first `keep` of each name. Running ones stay, and are not counted.

    Checkpoints of incomplete runs stay too, so that those can be resumed. Raises ConfigError: no selection is given."""
    if keep is None and not is_filtered and not only_checkpoints:
        hint = "use --keep 3, --filter status=failed or --checkpoints"
        raise ConfigError("no runs are selected for removal", hint)
    seen: dict[str, int] = {}
    found = []
    for run in runs:
        if run.status == "running" or (only_checkpoints and run.status != "completed"):
            continue
        seen[run.name] = seen.get(run.name, 0) + 1
        if seen[run.name] > (keep or 0):
            found.append(run.path)
    return found


def planned(paths: Iterable[Path], only_checkpoints: bool = False) -> list[Removal]:
    """Return what would be removed at `paths`. Raises RunError: one is not a run directory, is a link, or is in use."""
    found: list[Removal] = []
    problems: list[Problem] = []
    for path in dict.fromkeys(paths):
        try:
            refuse_no_run(path)
            if only_checkpoints:
                found.append(Removal(path, "checkpoints", size_of(open_run(path).checkpoints, ".ckpt")))
            else:
                found.append(Removal(path, "run", size_of(path)))
        except RunError as error:
            problems += error.problems
    if problems:
        raise RunError(problems)
    return [removal for removal in found if removal.size or not only_checkpoints]


def remove_planned(removals: Sequence[Removal]) -> list[Removal]:
    """Remove the runs or checkpoints.

    Raises:
        RunError: a run has come into use.
        MachineError: the disk refuses."""
    for removal in removals:
        if removal.what == "run":
            remove(removal.path)
        else:
            run = open_run(removal.path)
            with run.locked():
                remove_checkpoints(run.checkpoints)
    return list(removals)


def size_of(folder: Path, ending: str = "") -> int:
    """Return the bytes of the files below a folder with this name ending. No link is followed."""
    return sum(
        os.lstat(os.path.join(where, name)).st_size
        for where, _, names in os.walk(folder)
        for name in names
        if name.endswith(ending)
    )
