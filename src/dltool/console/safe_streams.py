"""Streams that never fail a command: characters the encoding lacks, a full or closed stderr."""

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

PLAINER = {"×": "x", "·": "-", "…": "...", "→": "->", "≥": ">=", "“": '"', "”": '"'}
"""Replacements for characters that old encodings lack."""


def plainer(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that an encoding lacks, or escape them."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    texts = (PLAINER.get(each) or each.encode("ascii", "backslashreplace").decode() for each in lacking)
    return "".join(texts), error.end


PLAIN = "dltool.plainer"
codecs.register_error(PLAIN, plainer)


class Forgiving(io.FileIO):
    """A file for messages that silently drops what cannot be written."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def message_stream(descriptor: int, encoding: str, closefd: bool = True) -> TextIO:
    """Return a text stream to `descriptor` that never fails."""
    buffered = io.BufferedWriter(Forgiving(descriptor, "w", closefd=closefd))
    return io.TextIOWrapper(buffered, encoding=encoding, errors=PLAIN, line_buffering=True)


@contextlib.contextmanager
def safe_streams() -> Iterator[None]:
    """Make stderr never fail, and stdout replace characters that its encoding lacks, during the block."""
    original = sys.stderr
    if original is None:
        # The next opened file must not get descriptor 2.
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
