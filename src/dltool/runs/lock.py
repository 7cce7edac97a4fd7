"""The lock of a run's single writer: an operating system lock that ends with the process."""

import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dltool.durable_files import disk_errors, open_in_place
from dltool.errors import MachineError, RunError
from dltool.text import os_words

LOCK = "lock"
PATIENCE = 0.1
"""Seconds. A process that only tests the lock holds it for some microseconds."""


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock of the run at `path` until the block or the process ends.

    Raises RunError: another process, which is named, holds it; MachineError: locks do not work."""
    file = path / LOCK
    with disk_errors(file):
        descriptor = open_in_place(file)
    try:
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise MachineError(f"{os_words(error)}: cannot lock {file}") from error
                if time.monotonic() > give_up:
                    holder = " ".join(os.pread(descriptor, 300, 0).decode("ascii", "replace").split())
                    message = f"{path} is in use by {holder or 'another process'}"
                    raise RunError(message, "wait for it to end, or stop it") from error
                time.sleep(0.02)
        # Runs can be removed even when the disk is full.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode("ascii", "replace"), 0)
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Return whether a living process writes the run at `path`."""
    try:
        descriptor = os.open(path / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EWOULDBLOCK, errno.EACCES)
    finally:
        os.close(descriptor)
    return False
