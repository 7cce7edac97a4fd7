"""Streams that do not fail a command: an encoding without some character, a stderr that is full or closed."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO


class Forgiving(io.FileIO):
    """A file for messages: what it cannot take is lost, and nobody is told, for there is nowhere left to tell it."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def message_stream(descriptor: int, encoding: str, closefd: bool = True) -> TextIO:
    """Text to `descriptor` that never fails."""
    buffered = io.BufferedWriter(Forgiving(descriptor, "w", closefd=closefd))
    return io.TextIOWrapper(buffered, encoding=encoding, errors="backslashreplace", line_buffering=True)


@contextlib.contextmanager
def safe_streams() -> Iterator[None]:
    """Until the end of the block, stderr never fails, and stdout shows what its encoding lacks as escapes."""
    original = sys.stderr
    if original is None:
        # Descriptor 2 must not become that of the next file that is opened.
        null = os.open(os.devnull, os.O_WRONLY)
        if null != 2:
            os.dup2(null, 2)
            os.close(null)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stderr = message_stream(2, "utf-8" if original is None else original.encoding, closefd=False)
    try:
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = original
