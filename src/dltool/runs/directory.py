"""The runs folder: create the next run, find one, list all.

    runs/mnist/0001/    one run; the numbers only grow
    runs/mnist/latest   a link to the newest number

A run is created atomically. :class:`~dltool.runs.files.Run` handles its contents."""

import errno
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from shlex import quote
from typing import Any

from dltool import __version__
from dltool.durable_files import disk_errors, read_file, sync, write_tree
from dltool.errors import ConfigError, Problem, RunError
from dltool.installation import UPDATE
from dltool.runs.files import CONTENTS, Run, digest, encode_json, run_lock
from dltool.text import did_you_mean, listed, near, os_words

FORMAT = 1
"""Increased whenever an older dltool could misread a newer run."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
REPOSITORY = (".git", "HEAD", "objects", "refs")
"""Names that make git treat a folder as a repository, whose settings can name programs that git runs."""
LEAST_ROOM = 2**16
"""Bytes that must be free where a run is created. Even a small one needs more."""
MOST_ENTRIES = 10_000
DEEPEST = 10
NUMBER = re.compile(r"[0-9]{4}|[1-9][0-9]{4,8}")
LATEST = "latest"
RECORD = "run.json"
GROUP_RECORDS = {"search": "search.json", "curve": "curve.json"}
"""The records of folders of many runs, which stand beside the runs of a name and are no runs themselves."""
PREPROCESSING = "preprocessing/"
UNFINISHED = ".new"
"""The folder, beside the runs of a name, of runs that are being created."""
UNFINISHED_PREFIX = ".new-"
LAST_NUMBER = ".last-number"
"""The file with the number of the newest run, written when that run is removed."""


@contextmanager
def create(
    runs: Path, name: str, record: Mapping[str, Any], files: Mapping[str, bytes], part: Path | None = None
) -> Iterator[Run]:
    """Create the next run of `name` below `runs` with its first files, and hold its lock during the block. A `part` of
    another run is created at this path instead; the caller holds the lock of that run.

    run.json is `record` with the format, version, status "running", the text of resolved.yaml and the digests of the
    preprocessing files. `files` are the other files by name ("config.yaml", "preprocessing/mean.npy"). Concurrent
    processes get different numbers. After an error nothing is left behind.

    Raises ConfigError: the name is invalid; MachineError: the disk refuses."""
    if not NAME.fullmatch(name):
        message = "a run's name is letters, digits, '.', '_' and '-', and begins with a letter or a digit"
        raise ConfigError(Problem(("name",), message))
    parent = runs / name if part is None else part.parent
    if part is None:
        refuse_no_runs_folder(parent)
    contents = {**files, RECORD: first_record(name, record, files)}
    made = [folder for folder in (parent, *parent.parents) if not os.path.lexists(folder)]
    # Workers create parts at the same time.
    unfinished = parent / (UNFINISHED if part is None else f"{UNFINISHED_PREFIX}{part.name}")
    built = unfinished / f"{UNFINISHED_PREFIX}{secrets.token_hex(4)}"
    with ExitStack() as stack:
        try:
            with disk_errors(parent, "create a run in"):
                while not built.is_dir():
                    # Another process may remove the folder above it in between.
                    with suppress(FileNotFoundError):
                        built.mkdir(parents=True)
                remove_abandoned(built.parent)
                stack.enter_context(run_lock(built))
                write_tree(built, contents)
                built = _rename_to_next_number(built, parent) if part is None else _rename_to(built, part)
                for folder in (parent, *(missing.parent for missing in made)):
                    sync(folder)
                if part is None:
                    update_latest(parent)
        except BaseException:
            shutil.rmtree(built, ignore_errors=True)
            for folder in (unfinished, *made):
                with suppress(OSError):
                    os.rmdir(folder)
            raise
        yield Run(built)


def first_record(name: str, record: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    """Return run.json of a new run, see :func:`create`."""
    found = {"format": FORMAT, "dltool": __version__, "name": name, "status": "running", **record}
    if "resolved.yaml" in files:
        # Detects edits of the config.
        found["resolved"] = files["resolved.yaml"].decode()
    fitted = {file: data for file, data in files.items() if file.startswith(PREPROCESSING)}
    found["preprocessing"] = {file.removeprefix(PREPROCESSING): digest(data) for file, data in fitted.items()}
    return (encode_json(found, indent=2) + "\n").encode()


def refuse_no_runs_folder(runs: Path) -> None:
    """Raise ConfigError if `runs` or a folder above it is a file or a run."""
    for folder in (runs, *runs.parents):
        if os.path.lexists(folder) and not folder.is_dir():
            hint = "name a folder; it is created if missing"
            raise ConfigError(f"{folder} is a file; expected a folder for runs", hint)
    real = runs.resolve()
    for folder in (real, *real.parents):
        if os.path.lexists(folder / RECORD):
            raise ConfigError(f"{folder} is a run; runs cannot be nested", "name a folder outside it")


def refuse_unwritable(runs: Path) -> None:
    """Raise as :func:`refuse_no_runs_folder`, and MachineError if no run could be created below `runs`."""
    refuse_no_runs_folder(runs)
    with disk_errors(runs, "create a run in"):
        nearest_writable(runs)


def new_folder(parent: Path, kind: str) -> Path:
    """Create `parent/KIND-0001`, or the next number, beside the runs of a name: for many runs that belong together.

    Raises ConfigError: `parent` cannot hold runs; MachineError: the disk refuses."""
    refuse_unwritable(parent)
    with disk_errors(parent, f"create a {kind} in"):
        parent.mkdir(parents=True, exist_ok=True)
        taken = (name.removeprefix(f"{kind}-") for name in os.listdir(parent) if name.startswith(f"{kind}-"))
        number = max((int(each) for each in taken if NUMBER.fullmatch(each)), default=0) + 1
        folder = parent / f"{kind}-{number:04d}"
        folder.mkdir()
        sync(parent)
    return folder


def nearest_writable(folder: Path) -> Path:
    """Return `folder`, or the nearest one above it that exists, after writing a nameless file there. Raises OSError."""
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(each))
    with tempfile.TemporaryFile(dir=there) as file:
        file.write(bytes(LEAST_ROOM))
    return there


def open_run(path: Path) -> Run:
    """Return the run at `runs/mnist/0001`, `runs/mnist/latest` or `runs/mnist` (the latest).

    Raises RunError: it does not exist, is not a run, is of a newer dltool, or holds anything but files and folders."""
    try:
        found = _run_path(path)
        # A link to a run, of the user's own, is followed here once; nothing that is written follows any.
        run = Run(found.resolve() if found.is_symlink() else found)
        _check_format(run)
        _check_entries(run.path)
    except OSError as error:
        raise RunError(f"{path}: {os_words(error)}") from error
    return run


def list_runs(runs: Path) -> list[Run]:
    """Return every numbered directory below `runs`, sorted by name and number, without reading it."""
    found = [
        (name.name, int(entry.name), Path(entry.path))
        for name in subfolders(runs)
        if NAME.fullmatch(name.name)
        for entry in subfolders(Path(name.path))
        if NUMBER.fullmatch(entry.name)
    ]
    return [Run(path) for _, _, path in sorted(found)]


def subfolders(path: Path) -> list[os.DirEntry[str]]:
    """Return the folders in a folder, without links to others; none if it cannot be read."""
    try:
        return [entry for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


# --- creating ---


def _rename_to_next_number(unfinished: Path, parent: Path) -> Path:
    number = max(newest_number(parent), *(number_in(parent / name) or 0 for name in (LATEST, LAST_NUMBER)))
    while True:
        number += 1
        path = parent / f"{number:04d}"
        try:
            os.rename(unfinished, path)
        except OSError as error:
            # Another process took the number: a rename never replaces a directory with files.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        else:
            with suppress(OSError):
                os.rmdir(unfinished.parent)
            return path


def _rename_to(unfinished: Path, path: Path) -> Path:
    os.rename(unfinished, path)
    # What a killed process left there.
    shutil.rmtree(unfinished.parent, ignore_errors=True)
    return path


def update_latest(parent: Path) -> None:
    """Point `latest` to the newest run. Each writer looks again after writing, so concurrent writers end at the newest
    run."""
    while True:
        newest = newest_number(parent)
        if not newest:
            # The last run was removed.
            (parent / LATEST).unlink(missing_ok=True)
        if (number_in(parent / LATEST) or 0) == newest:
            return
        temporary = parent / f"{UNFINISHED_PREFIX}{secrets.token_hex(4)}"
        try:
            os.symlink(f"{newest:04d}", temporary)
        except OSError:
            # A file system without links: a text file of the same name holds the number.
            temporary.write_text(f"{newest:04d}\n", encoding="ascii")
        try:
            os.replace(temporary, parent / LATEST)
        except OSError:
            os.unlink(temporary)
            raise
        sync(parent)


def remove_abandoned(folder: Path) -> None:
    """Remove what a killed process left while creating or removing a run, if it is older than a day.

    `folder` has just been changed: its time is now by the clock of its file system, which may differ from ours."""
    now = os.stat(folder).st_mtime
    for entry in os.scandir(folder):
        if not entry.name.startswith(UNFINISHED_PREFIX):
            continue
        # Another process may remove it at the same time.
        with suppress(FileNotFoundError):
            if now - entry.stat(follow_symlinks=False).st_mtime < 86_400 or Run(Path(entry.path)).is_locked():
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)


# --- finding ---


def newest_number(parent: Path) -> int:
    """Return the highest number in use, 0 if there is none. Searches from `latest`: listing 10,000 runs is slow."""
    number = number_in(parent / LATEST)
    if number is None or not os.path.lexists(parent / f"{number:04d}"):
        return max((int(name) for name in os.listdir(parent) if NUMBER.fullmatch(name)), default=0)
    while os.path.lexists(parent / f"{number + 1:04d}"):
        number += 1
    return number


def number_in(file: Path) -> int | None:
    """Return the number of a run, existing or not, that a link points to or a file holds; None without one."""
    try:
        text = os.readlink(file) if file.is_symlink() else read_file(file.parent, file.name, 100).decode("ascii")
    except (OSError, RunError, UnicodeDecodeError):
        return None
    return int(text) if NUMBER.fullmatch(text.strip()) else None


def _run_path(path: Path) -> Path:
    if not os.path.lexists(path):
        raise RunError(f"{path} does not exist", _near_names(path))
    if path.name == LATEST and (path.is_symlink() or path.is_file()):
        return _follow_latest(path)
    if not path.is_dir():
        raise RunError(f"{path} is a file, not a run directory", _near_names(path) or "dltool runs lists the runs")
    if os.path.lexists(path / RECORD):
        return path
    if os.path.lexists(path / LATEST):
        return _follow_latest(path / LATEST)
    if newest := newest_number(path):
        return path / f"{newest:04d}"
    if group := group_at(path):
        raise RunError(f"{path} is a {group}, not a run", f"dltool runs --runs {quote(str(path))} lists its runs")
    inside = sorted(name for name in os.listdir(path) if not name.startswith("."))
    there = f"it holds {listed(inside, 5)}" if inside else "it is empty"
    raise RunError(f"{path} is not a run: it has no run.json; {there}", "dltool runs lists the runs")


def group_at(path: Path) -> str | None:
    """Return "search" or "curve" if its folder is at `path`."""
    return next((kind for kind, record in GROUP_RECORDS.items() if os.path.lexists(path / record)), None)


def _follow_latest(latest: Path) -> Path:
    number = number_in(latest)
    if number is None:
        raise RunError(f"{latest} does not point to a run beside it")
    path = latest.parent / f"{number:04d}"
    if path.is_symlink() or not path.is_dir():
        raise RunError(f"{latest} points to {path.name}, which does not exist", _near_names(path))
    return path


def _check_format(run: Run) -> None:
    record = run.read_json(run.record)
    written_in = record.get("format")
    if not isinstance(written_in, int) or isinstance(written_in, bool) or written_in < 1:
        raise RunError(f"{run.record}: the run format is missing or invalid")
    if written_in > FORMAT:
        wrote = f"dltool {str(record.get('dltool', '(unknown)'))[:40]} wrote it in run format {written_in}"
        message = f"{run.path} is too new: {wrote}, and this is dltool {__version__}, which reads format {FORMAT}"
        raise RunError(message, UPDATE)


def _check_entries(root: Path) -> None:
    """Raise RunError for links, special files, files in place of folders or the reverse, and git repositories."""
    pending, count = [(root, 1)], 0
    while pending:
        folder, depth = pending.pop()
        for entry in os.scandir(folder):
            count += 1
            if count > MOST_ENTRIES or depth > DEEPEST:
                raise RunError(f"{root} holds too many files and folders to be a run directory")
            is_folder = entry.is_dir(follow_symlinks=False)
            if not is_folder and not entry.is_file(follow_symlinks=False):
                raise RunError(f"{entry.path} is neither a file nor a folder; a run directory holds nothing else")
            if depth == 1 and (entry.name if is_folder else f"{entry.name}/") in CONTENTS:
                found, expected = ("folder", "file") if is_folder else ("file", "folder")
                raise RunError(f"{entry.path} is a {found}; expected a {expected}")
            if depth == 1 and entry.name in REPOSITORY:
                raise RunError(f"{entry.path} belongs to a git repository; a run directory must not contain one")
            if is_folder:
                pending.append((Path(entry.path), depth + 1))


def _near_names(path: Path) -> str:
    """Return 'did you mean …' from the names beside the first missing component of the path."""
    while not path.parent.is_dir() and path != path.parent:
        path = path.parent
    beside = sorted(entry.name for entry in subfolders(path.parent) if not entry.name.startswith("."))
    alike = near(path.name, beside) or beside[-1:] * bool(NUMBER.fullmatch(path.name))
    return did_you_mean([str(path.parent / name) for name in alike])
