"""Streams that do not fail a command: an encoding without some character, a stderr that is full or closed."""

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

PLAINER = {"×": "x", "·": "-", "…": "...", "→": "->", "≥": ">=", "“": '"', "”": '"'}
"""What old encodings lack, of what the program says."""


def plainer(error: UnicodeError) -> tuple[str, int]:
    """For what an encoding lacks: something like it, or else an escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    texts = (PLAINER.get(each) or each.encode("ascii", "backslashreplace").decode() for each in lacking)
    return "".join(texts), error.end


PLAIN = "dltool.plainer"
codecs.register_error(PLAIN, plainer)


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
    return io.TextIOWrapper(buffered, encoding=encoding, errors=PLAIN, line_buffering=True)


@contextlib.contextmanager
def safe_streams() -> Iterator[None]:
    """Until the end of the block, stderr never fails, and stdout has plainer characters for what its encoding lacks."""
    original = sys.stderr
    if original is None:
        # Descriptor 2 must not become that of the next file that is opened.
        null = os.open(os.devnull, os.O_WRONLY)
        if null != 2:
            os.dup2(null, 2)
            os.close(null)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=PLAIN)
    sys.stderr = message_stream(2, "utf-8" if original is None else original.encoding, closefd=False)
    try:
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = original
