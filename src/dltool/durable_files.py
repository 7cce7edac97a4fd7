"""Files that are either old or new, never half, and reading that follows nobody's links.

Writing: a temporary file in the same folder, fsync, rename, fsync of the folder. A failing disk is a
:class:`~dltool.errors.MachineError`. Reading: no links, FIFOs, devices or giants below a given root; finding one is a
:class:`~dltool.errors.RunError`."""

import errno
import fcntl
import glob
import os
import secrets
import shutil
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from dltool.errors import ConfigError, DiskError, RunError
from dltool.text import os_words

TEMPORARY_PREFIX = ".tmp-"
PAGE = (".html", ".htm")


@contextmanager
def disk_errors(path: Path, doing: str = "write") -> Iterator[None]:
    """Turn an OSError of the body into a DiskError: "no space left on device: cannot write runs/a/0001/log.txt"."""
    try:
        yield
    except OSError as error:
        hint = "free some space, then try again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise DiskError(f"{os_words(error)}: cannot {doing} {path}", hint) from error


def refuse_full_disk(message: str) -> None:
    """Raise OSError if the message of another program says that it could write no more."""
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        if os.strerror(number) in message:
            raise OSError(number, os.strerror(number))


def temporary_beside(path: Path) -> Path:
    """Return a new name in the same folder, with the same ending (Keras decides by it how to save)."""
    return path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(4)}-{path.name}")


def sync(path: Path) -> None:
    """Bring a file, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot sync a folder.
        if error.errno != errno.EINVAL or not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise
    finally:
        os.close(descriptor)


@contextmanager
def held_folder(folder: Path, root: Path | None) -> Iterator[Path]:
    """Open `folder`, which is `root` or below it, and yield a path that means this folder whatever others rename or
    link. Without a `root`, yield `folder`. Raises as :func:`open_below`."""
    if root is None:
        yield folder
        return
    whole = root.absolute()
    descriptor = open_below(whole.parent, (whole.name, *folder.relative_to(root).parts), os.O_DIRECTORY, folder)
    try:
        held = Path(f"/proc/self/fd/{descriptor}")
        # Without /proc, only links made before this moment are refused.
        yield held if held.exists() else folder
    finally:
        os.close(descriptor)


@contextmanager
def atomic_path(path: Path, root: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path to write a file at; when the body ends well, `path` becomes that file.

    Until then, and when the body fails or the process dies, whatever was at `path` stays. Raises MachineError. Below a
    `root` no link is followed, see :func:`held_folder`."""
    with disk_errors(path), held_folder(path.parent, root) as folder:
        temporary = temporary_beside(folder / path.name)
        try:
            yield temporary
            sync(temporary)
            os.replace(temporary, folder / path.name)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        sync(folder)


def atomic_write(path: Path, data: bytes, root: Path | None = None) -> None:
    """Replace the file as a whole. Raises as :func:`atomic_path`."""
    with atomic_path(path, root) as temporary, open(temporary, "xb") as file:
        file.write(data)


def write_tree(root: Path, files: Mapping[str, bytes]) -> None:
    """Write new files by their names below `root`, folders too, and bring all of it to the disk. Raises OSError."""
    folders = {root}
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        folders.add(path.parent)
    for folder in folders:
        sync(folder)


def replace_folder(path: Path, files: Mapping[str, bytes], root: Path) -> None:
    """Replace a folder, and all that is in it, by one with these files. Raises as :func:`atomic_path`. A process that
    dies meanwhile leaves the old, the new or none, and temporary folders, which the next call for `path` removes."""
    with disk_errors(path), held_folder(path.parent, root) as folder, only_writer(folder) as is_only:
        new = folder / path.name
        for left in folder.glob(f"{TEMPORARY_PREFIX}????????-{glob.escape(path.name)}") if is_only else ():
            shutil.rmtree(left, ignore_errors=True)
        built, old = temporary_beside(new), temporary_beside(new)
        try:
            built.mkdir()
            write_tree(built, files)
            if new.exists():
                os.rename(new, old)
            os.rename(built, new)
            sync(folder)
        except BaseException:
            shutil.rmtree(built, ignore_errors=True)
            raise
        if old.exists():
            shutil.rmtree(old)


@contextmanager
def only_writer(folder: Path) -> Iterator[bool]:
    """Wait until no other process is in this block with `folder`. Yield whether its file system has such locks."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def remove_temporaries(directory: Path) -> None:
    """Remove what killed writers left in a folder. For the only writer of that folder."""
    with disk_errors(directory, "clean up"):
        for entry in os.scandir(directory):
            if not entry.name.startswith(TEMPORARY_PREFIX):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)


def open_file(root: Path, relative: str) -> BinaryIO:
    """Open a regular file below `root` for reading. Raises RunError for a link or anything else in the way."""
    parts = PurePosixPath(relative).parts
    if not parts or parts[0] == "/" or ".." in parts:
        raise RunError(f"{root}: {relative!r} is not a path inside it")
    shown = root / relative
    try:
        # Without O_NONBLOCK, opening a FIFO waits for a writer.
        descriptor = open_below(root, parts, os.O_NONBLOCK, shown)
    except OSError as error:
        raise RunError(f"{shown}: {os_words(error)}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RunError(f"{shown} is not a file")
    return open(descriptor, "rb")


def open_below(root: Path, parts: Sequence[str], last: int, shown: Path) -> int:
    """Open what `parts` name below `root`, the final one with the flags `last`; follow no link but `root`. `shown` is
    its path in messages. Raises RunError: it is missing or behind a link; and OSError."""
    flags = os.O_RDONLY | os.O_CLOEXEC
    try:
        descriptor = os.open(root, flags | os.O_DIRECTORY)
        for depth, part in enumerate(parts, 1):
            deeper = os.O_NOFOLLOW | (last if depth == len(parts) else os.O_DIRECTORY)
            parent = descriptor
            try:
                descriptor = os.open(part, flags | deeper, dir_fd=parent)
            finally:
                os.close(parent)
    except FileNotFoundError:
        raise RunError(f"{shown} is missing") from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise RunError(f"{shown} is or stands behind a link; a run directory holds none") from error
        raise
    return descriptor


def open_in_place(path: Path, flags: int = 0) -> int:
    """Open a file of a run to change it in place, and create it if it is missing. Never another file through a link.

    Raises RunError if `path` is a link, not a regular file, or has a second name (a hard link); and OSError."""
    flags |= os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise RunError(f"{path} is not a file; a run directory holds no links") from error
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        what = "has a second name, a hard link" if stat.S_ISREG(status.st_mode) else "is not a file"
        raise RunError(f"{path} {what}: writing to it could change something outside the run", "copy the run directory")
    return descriptor


def read_file(root: Path, relative: str, limit: int) -> bytes:
    """Read a regular file below `root`, at most `limit` bytes. Raises RunError."""
    with open_file(root, relative) as file:
        try:
            data = file.read(limit + 1)
        except OSError as error:
            raise RunError(f"{root / relative}: {os_words(error)}") from error
    if len(data) > limit:
        raise RunError(f"{root / relative} is larger than the {limit:,} bytes it may have")
    return data


def refuse_no_file(option: str, file: Path, endings: Collection[str]) -> None:
    """Raises ConfigError, with the `option` that names it: another ending, a folder, or no folder to be in."""
    if file.suffix.lower() not in endings:
        hint = f"{option} {file.stem or 'name'}{next(iter(endings))}"
        raise ConfigError(f"{option} {file}: its name must end in {' or '.join(endings)}", hint)
    if file.is_dir():
        raise ConfigError(f"{option} {file} is a folder; expected a file")
    if not file.parent.is_dir():
        raise ConfigError(f"{option} {file}: there is no folder {file.parent}")
