"""`dltool runs remove` and `prune`: which runs or checkpoints go, and how much room they take."""

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
    """What goes of a run. `size` is in bytes."""

    path: Path
    what: Literal["run", "checkpoints"]
    size: int


def prunable(
    runs: Sequence[RunSummary], keep: int | None, is_filtered: bool, only_checkpoints: bool = False
) -> list[Path]:
    """Those of `runs` that go: of each name all but the first `keep`. What is running stays, and is not counted.

    Of runs that are not complete, the checkpoints stay too: they are what a resumption needs.

    Raises:
        ConfigError: nothing says which are to stay.
    """
    if keep is None and not is_filtered and not only_checkpoints:
        hint = "such as --keep 3, or --filter status=failed, or --checkpoints"
        raise ConfigError("nothing says which runs are to be removed", hint)
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
    """What will go of the runs at `paths`.

    Raises:
        RunError: one is no run directory, is a link, or is in use.
    """
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
    """Remove it. Raises RunError where a run came into use meanwhile; MachineError where the disk refuses."""
    for removal in removals:
        if removal.what == "run":
            remove(removal.path)
        else:
            run = open_run(removal.path)
            with run.locked():
                remove_checkpoints(run.checkpoints)
    return list(removals)


def size_of(folder: Path, ending: str = "") -> int:
    """Bytes of the files below a folder whose names have the ending. No link is followed."""
    return sum(
        os.lstat(os.path.join(where, name)).st_size
        for where, _, names in os.walk(folder)
        for name in names
        if name.endswith(ending)
    )
