"""Removal of a run: it is hidden first, then deleted, so that a kill leaves no partial run."""

import os
import secrets
import shutil
import stat
from pathlib import Path

from dltool.durable_files import atomic_write, disk_errors, sync
from dltool.errors import RunError
from dltool.runs import lock
from dltool.runs.directory import (
    LAST_NUMBER,
    NAME,
    NUMBER,
    RECORD,
    UNFINISHED_PREFIX,
    last_number,
    newest_number,
    remove_abandoned,
    update_latest,
)
from dltool.text import os_words


def remove(path: Path) -> None:
    """Remove the run at `path` and point `latest` to the newest remaining run. Its number is not used again.

    Raises:
        RunError: it is not a run directory, or is in use.
        MachineError: the disk refuses."""
    refuse_no_run(path)
    path = path.absolute()
    parent, number = path.parent, int(path.name)
    descriptor = lock.acquire(path)
    try:
        with disk_errors(path, "remove"):
            # Renamed within its folder: a full disk may have no room for a new folder.
            hidden = parent / f"{UNFINISHED_PREFIX}{secrets.token_hex(4)}"
            os.rename(path, hidden)
            sync(parent)
            shutil.rmtree(hidden)
            # Now there is room on the disk. Until here `latest`, if it points to this run, preserves its number.
            if number > max(last_number(parent), newest_number(parent)):
                atomic_write(parent / LAST_NUMBER, f"{number:04d}\n".encode())
            update_latest(parent)
            remove_abandoned(parent)
    finally:
        os.close(descriptor)


def refuse_no_run(path: Path) -> None:
    """Raise RunError unless `path` is a run directory, whole or damaged. Nothing in it is read."""
    problem = ""
    try:
        is_folder = stat.S_ISDIR(os.lstat(path).st_mode)
        is_recorded = is_folder and stat.S_ISREG(os.lstat(path / RECORD).st_mode)
    except FileNotFoundError:
        is_folder, is_recorded = os.path.lexists(path), False
        problem = "is not a run: it has no run.json" if is_folder else "does not exist"
    except OSError as error:
        raise RunError(f"{path}: {os_words(error)}") from error
    absolute = path.absolute()
    if path.is_symlink():
        problem = f"is a link; name the run itself: {path.parent / os.path.basename(os.readlink(path))}"
    elif not problem and not is_folder:
        problem = "is a file, not a run directory"
    elif not problem and not is_recorded:
        problem = "is not a run: its run.json is not a file"
    elif not problem and not (NUMBER.fullmatch(absolute.name) and NAME.fullmatch(absolute.parent.name)):
        problem = "is not inside a runs folder, such as runs/mnist/0001"
    if problem:
        raise RunError(f"{path} {problem}", "dltool runs lists the runs")
