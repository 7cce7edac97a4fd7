"""Keeps the chatter of native libraries off the screen.

TensorFlow's C++ code writes to file descriptor 2 whatever the log level is. While a capture is active, descriptor 2 and
Python's stdout lead to a file, and the console writes to a duplicate of the descriptor that was there before, or to a
stream that has none, as in a notebook.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from dltool.console.safe_streams import message_stream
from dltool.durable_files import disk_errors, open_in_place


@dataclass
class Capture:
    """Where the chatter goes. `terminal` is the real stderr."""

    terminal: TextIO
    file: TextIO

    def move_to(self, log: Path) -> None:
        """From now on write to `log`, which gets what came so far.

        Raises:
            RunError: `log` is a link, or no file.
            MachineError: the disk refuses.
        """
        self.file.flush()
        self.file.seek(0)
        with disk_errors(log):
            new = open(open_in_place(log, os.O_APPEND), "a+", encoding="utf-8", errors="replace")  # noqa: SIM115
            new.write(self.file.read())
            new.flush()
        os.dup2(new.fileno(), 2)
        self.file.close()
        self.file = new

    def write(self, line: str) -> None:
        """A line of our own for the log."""
        # The log is a courtesy: on a full disk the files that matter report it.
        with contextlib.suppress(OSError):
            self.file.write(line + "\n")
            self.file.flush()


@contextlib.contextmanager
def captured_chatter(notebook: TextIO | None = None) -> Iterator[Capture]:
    """Capture until the end of the block. Messages go to the `notebook`, if that is where we are."""
    sys.stderr.flush()
    before = message_stream(os.dup(2), sys.stderr.encoding)
    stdout = sys.stdout
    file = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 (closed below)
    capture = Capture(notebook or before, file)
    os.dup2(file.fileno(), 2)
    # Not the file itself: whoever keeps this stream for later finds it open.
    sys.stdout = message_stream(2, "utf-8", closefd=False)
    try:
        yield capture
    finally:
        sys.stderr.flush()
        sys.stdout.flush()
        sys.stdout = stdout
        os.dup2(before.fileno(), 2)
        with contextlib.suppress(OSError):
            capture.file.close()
        before.close()
