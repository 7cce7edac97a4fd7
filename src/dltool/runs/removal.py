"""Removal of runs or of their checkpoints: which, their size, and the removal itself.

A run is hidden first, then deleted, so that a kill leaves no partial run."""

import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dltool.durable_files import atomic_write, disk_errors, sync
from dltool.errors import ConfigError, Problem, RunError
from dltool.runs import directory
from dltool.runs.checkpoint_file import remove_checkpoints
from dltool.runs.files import Run, run_lock
from dltool.runs.summaries import RunSummary
from dltool.text import os_words


@dataclass(frozen=True)
class Removal:
    """A run or its checkpoints, to be removed. `size` is in bytes."""

    path: Path
    what: Literal["run", "checkpoints"]
    size: int


def prunable(runs: Sequence[RunSummary], keep: int | None, is_filtered: bool, only_checkpoints: bool) -> list[Path]:
    """Return the runs to remove: all but the first `keep` of each name. Running ones, searches and curves stay,
    and are not counted.

    Checkpoints of incomplete runs stay too, so that those can be resumed. Raises ConfigError: no selection is given."""
    if keep is None and not is_filtered and not only_checkpoints:
        raise ConfigError("no runs are selected for removal", "use --keep 3, --filter status=failed or --checkpoints")
    seen: dict[str, int] = {}
    found = []
    for run in runs:
        if run.kind != "run" or run.status == "running" or (only_checkpoints and run.status != "completed"):
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
        with RunError.collected(problems):
            refuse_no_run(path)
            if not only_checkpoints:
                found.append(Removal(path, "run", size_of(path)))
            elif size := size_of(directory.open_run(path).checkpoints, ".ckpt"):
                found.append(Removal(path, "checkpoints", size))
    RunError.refuse(problems)
    return found


def remove_planned(removals: Iterable[Removal]) -> None:
    """Remove the runs or checkpoints. Raises RunError: a run has come into use; MachineError: the disk refuses."""
    for removal in removals:
        if removal.what == "run":
            remove(removal.path)
        else:
            run = directory.open_run(removal.path)
            with run.locked():
                remove_checkpoints(run.checkpoints)


def size_of(folder: Path, ending: str = "") -> int:
    """Return the bytes of the files below a folder with this name ending. No link is followed."""
    return sum(
        os.lstat(os.path.join(where, name)).st_size
        for where, _, names in os.walk(folder)
        for name in names
        if name.endswith(ending)
    )


def remove(path: Path) -> None:
    """Remove the run at `path` and point `latest` to the newest remaining run. Its number is not used again.

    Raises RunError: it is not a run directory, or is in use; MachineError: the disk refuses."""
    refuse_no_run(path)
    path = path.absolute()
    parent, number = path.parent, int(path.name)
    with run_lock(path), disk_errors(path, "remove"):
        # Renamed within its folder: a full disk may have no room for a new folder.
        hidden = parent / f"{directory.UNFINISHED_PREFIX}{secrets.token_hex(4)}"
        os.rename(path, hidden)
        sync(parent)
        shutil.rmtree(hidden)
        # Now there is room on the disk. Until here `latest`, if it points to this run, preserves its number.
        last = parent / directory.LAST_NUMBER
        if number > max(directory.number_in(last) or 0, directory.newest_number(parent)):
            atomic_write(last, f"{number:04d}\n".encode())
        directory.update_latest(parent)
        directory.remove_abandoned(parent)


def refuse_no_run(path: Path) -> None:
    """Raise RunError unless `path` is a run directory, whole or damaged. Nothing in it is read."""
    absolute, problem = path.absolute(), ""
    try:
        if path.is_symlink():
            problem = f"is a link; name the run itself: {path.parent / os.path.basename(os.readlink(path))}"
        elif not stat.S_ISDIR(os.lstat(path).st_mode):
            problem = "is a file, not a run directory"
        elif not stat.S_ISREG(os.lstat(path / directory.RECORD).st_mode):
            problem = "is not a run: its run.json is not a file"
        elif whole := Run(path).whole:
            raise RunError(
                f"{path} is a part of {whole.path}", f"remove the whole run: dltool runs remove {whole.path}"
            )
        elif not (directory.NUMBER.fullmatch(absolute.name) and directory.NAME.fullmatch(absolute.parent.name)):
            problem = "is not inside a runs folder, such as runs/mnist/0001"
    except FileNotFoundError:
        if group := directory.group_at(path):
            raise RunError(f"{path} is a {group}, not a run", "remove its folder yourself") from None
        problem = "is not a run: it has no run.json" if os.path.lexists(path) else "does not exist"
    except OSError as error:
        raise RunError(f"{path}: {os_words(error)}") from error
    if problem:
        raise RunError(f"{path} {problem}", "dltool runs lists the runs")
