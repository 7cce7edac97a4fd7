"""Keeps the output of native libraries off the screen.

TensorFlow's C++ code writes to file descriptor 2 at any log level. While a capture is active, descriptor 2 and Python's
stdout lead to a file. The console writes to a duplicate of the original descriptor, or to a notebook's stream."""

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
from dltool.environment import EXPRESSIONS, concealed
from dltool.errors import MachineError
from dltool.meeting import TERMINALS


@dataclass
class Capture:
    """The file for native output. `terminal` is the real stderr."""

    terminal: TextIO
    file: TextIO

    def move_to(self, log: Path) -> None:
        """Continue in `log`, with what was captured so far. Raises MachineError, and RunError: `log` is no file."""
        self.file.flush()
        self.file.seek(0)
        with disk_errors(log):
            new = open(open_in_place(log, os.O_APPEND), "a+", encoding="utf-8", errors="replace")  # noqa: SIM115
            if EXPRESSIONS:
                # Callbacks may print what they read from the environment: until the end of the capture, it is there.
                os.fchmod(new.fileno(), 0o600)
            new.write(self.file.read())
            new.flush()
        os.dup2(new.fileno(), 2)
        self.file.close()
        self.file = new

    def write(self, line: str) -> None:
        """Write a line of our own to the log."""
        # The log is optional: other files report a full disk.
        with contextlib.suppress(OSError):
            self.file.write(concealed(line) + "\n")
            self.file.flush()

    def conceal(self) -> None:
        """Remove values of the environment that native code or a callback has printed."""
        with contextlib.suppress(OSError):
            self.file.seek(0)
            text = self.file.read()
            if (changed := concealed(text)) != text:
                self.file.truncate(0)
                self.file.write(changed)
                self.file.flush()


@contextlib.contextmanager
def captured_chatter(notebook: TextIO | None = None) -> Iterator[Capture]:
    """Capture until the end of the block. Messages go to the `notebook`, if given."""
    sys.stderr.flush()
    before = message_stream(os.dup(2), sys.stderr.encoding)
    stdout = sys.stdout
    try:
        file = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 (closed below)
    except OSError as error:
        hint = "free some space, or set TMPDIR to a folder with room"
        raise MachineError(f"no temporary file can be written: {error.strerror}", hint) from error
    capture = Capture(notebook or before, file)
    TERMINALS.append(capture.terminal)
    os.dup2(file.fileno(), 2)
    # Not the file itself: the stream stays open if somebody keeps it.
    sys.stdout = message_stream(2, "utf-8", closefd=False)
    try:
        yield capture
    finally:
        sys.stderr.flush()
        sys.stdout.flush()
        sys.stdout = stdout
        TERMINALS.remove(capture.terminal)
        os.dup2(before.fileno(), 2)
        capture.conceal()
        with contextlib.suppress(OSError):
            capture.file.close()
        before.close()
