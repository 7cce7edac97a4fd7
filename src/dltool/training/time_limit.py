"""The end of a process that native code keeps waiting, and that lets no other thread of Python run."""

import contextlib
import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator

from dltool.errors import WorkerLost
from dltool.meeting import TERMINALS

WATCH = """
import os, select, sys
process, signal, seconds, message = sys.argv[1:]
if not select.select([sys.stdin], [], [], float(seconds))[0]:
    print(message, file=sys.stderr, flush=True)
    os.kill(int(process), int(signal))
"""
"""A second process, which ends without a word when the first one closes its input, or is no more."""


@contextlib.contextmanager
def ended_after(seconds: float, message: str) -> Iterator[None]:
    """Write `message` to the terminal and end this process with the code of WorkerLost if the block takes longer.

    A handler in Python would wait for the lock that native code holds. C's `_exit` as the handler does not; it gets the
    number of its signal, so that the signal with the number of the code gives this code."""
    libc, number = ctypes.CDLL(None), WorkerLost.exit_code
    libc.signal.restype, libc.signal.argtypes = ctypes.c_void_p, (ctypes.c_int, ctypes.c_void_p)
    before = libc.signal(number, ctypes.cast(libc._exit, ctypes.c_void_p))
    command = [sys.executable, "-I", "-c", WATCH, *map(str, (os.getpid(), number, seconds, message))]
    terminal = TERMINALS[-1].fileno() if TERMINALS else None
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=terminal):
        try:
            yield
        finally:
            libc.signal(number, before)
