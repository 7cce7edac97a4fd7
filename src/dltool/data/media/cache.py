"""The cache of decoded images, one file each set: a header, rows of uint8, and the CRC-32 of each row.

A CRC-32 is four bytes, little-endian. The cache holds digests of files, too.

A file is named by its contents and appears complete or not at all; concurrent writers of the same file do no harm. The
least recently used files are removed for new ones."""

import fcntl
import hashlib
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dltool.durable_files import TEMPORARY_PREFIX, atomic_write, sync, temporary_beside

HEADER_BYTES = 4096
"""One page, so that the rows are aligned to pages."""
MAGIC = b"dltool decoded images 2\n"
CHECKSUM_BYTES = 4
SUFFIX = ".pixels"
DIGESTS = ".digests"


@dataclass(frozen=True)
class CacheEntry:
    """A file of rows: `shape` is (rows, height, width, channels); the first row begins at `HEADER_BYTES`."""

    path: Path
    shape: tuple[int, int, int, int]

    @property
    def checksums(self) -> int:
        """Return the position of the first row's checksum."""
        return HEADER_BYTES + math.prod(self.shape)


def cache_folder() -> Path:
    """Return `images` in $DLTOOL_CACHE, or in `dltool` of $XDG_CACHE_HOME or of ~/.cache."""
    own = os.environ.get("DLTOOL_CACHE")
    root = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "dltool"
    return root.expanduser().absolute() / "images"


def find(key: str) -> CacheEntry | None:
    """Return the file of that key, if it exists and is complete. It counts as used."""
    path = path_of(key)
    with suppress(OSError), path.open("rb") as file:
        shape = shape_in(file.read(HEADER_BYTES), key)
        if shape is not None and os.fstat(file.fileno()).st_size == entry_bytes(shape):
            with suppress(OSError):
                os.utime(path)
            return CacheEntry(path, shape)
    return None


def path_of(key: str) -> Path:
    return cache_folder() / (key + SUFFIX)


def entry_bytes(shape: tuple[int, int, int, int]) -> int:
    return HEADER_BYTES + math.prod(shape) + CHECKSUM_BYTES * shape[0]


def header_for(key: str, shape: tuple[int, int, int, int]) -> bytes:
    body = json.dumps({"key": key, "shape": shape}).encode()
    return (MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body + b"\n").ljust(HEADER_BYTES, b"\0")


def shape_in(header: bytes, key: str) -> tuple[int, int, int, int] | None:
    """Return the shape that a header declares; None if it is damaged or has another key."""
    lines = header.rstrip(b"\0").split(b"\n")
    if len(lines) != 4 or lines[0] + b"\n" != MAGIC or hashlib.sha256(lines[2]).hexdigest().encode() != lines[1]:
        return None
    body = json.loads(lines[2])
    rows, height, width, channels = body["shape"]
    return (rows, height, width, channels) if body["key"] == key else None


@contextmanager
def new_entry(key: str, shape: tuple[int, int, int, int], budget: int) -> Iterator[CacheEntry]:
    """Yield a file to write rows into. If the body succeeds, it becomes that of `key`.

    Older files are removed first, as far as `budget` (bytes, for all files together) demands. Raises OSError: the cache
    cannot be written, or the disk is full."""
    path = path_of(key)
    folder = path.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    prune(folder, budget - entry_bytes(shape))
    temporary = temporary_beside(path)
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        # The holder of the lock is alive; an unlocked file is abandoned.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, entry_bytes(shape))
        else:
            os.ftruncate(descriptor, entry_bytes(shape))
        yield CacheEntry(temporary, shape)
        os.pwrite(descriptor, header_for(key, shape), 0)
        # Otherwise a power cut could leave a name without content.
        os.fsync(descriptor)
        os.replace(temporary, path)
        sync(folder)
    except BaseException:
        remove(temporary)
        raise
    finally:
        os.close(descriptor)


def find_digests(key: str, size: int) -> bytes | None:
    """Return the `size` bytes of :func:`keep_digests` under that key, if they are complete. They count as used."""
    path = cache_folder() / (key + DIGESTS)
    with suppress(OSError):
        content = path.read_bytes()
        if len(content) == 32 + size and hashlib.sha256(content[32:]).digest() == content[:32]:
            with suppress(OSError):
                os.utime(path)
            return content[32:]
    return None


def keep_digests(key: str, digests: bytes) -> None:
    """Keep digests under a key. Raises OSError and MachineError: the cache cannot be written, or the disk is full."""
    folder = cache_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    atomic_write(folder / (key + DIGESTS), hashlib.sha256(digests).digest() + digests)


def prune(folder: Path, most: int) -> None:
    """Remove files of dead processes, then the least recently used files, until at most `most` bytes remain."""
    files = []
    for entry in os.scandir(folder):
        if not entry.name.endswith((SUFFIX, DIGESTS)):
            continue
        if entry.name.startswith(TEMPORARY_PREFIX) and is_abandoned(entry.path):
            remove(entry.path)
        elif entry.is_file(follow_symlinks=False):
            status = entry.stat(follow_symlinks=False)
            is_old = not entry.name.startswith(TEMPORARY_PREFIX)
            files.append((status.st_mtime_ns, status.st_size, entry.path if is_old else ""))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= most:
            return
        if path:
            # A process that uses it keeps its open file.
            remove(path)
            total -= size


def is_abandoned(path: str) -> bool:
    """Return whether no process writes the temporary file."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        finally:
            os.close(descriptor)
    return False


def remove(path: str | Path) -> None:
    with suppress(OSError):
        os.unlink(path)
