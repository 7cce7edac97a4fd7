"""`python -m dltool` is `dltool`: the life of a process, from its arguments to its exit code."""

import atexit
import contextlib
import os
import sys

from dltool import cli


def main() -> None:
    """The entry point.

    Once everything is written, closed and said, a process that has TensorFlow ends at once: taking the interpreter down
    piece by piece would last 0.7 s.
    """
    codes: list[int] = []

    def end() -> None:
        if codes and "tensorflow" in sys.modules:
            for stream in (sys.stdout, sys.stderr):
                # A stream may be full, closed, or None from the start.
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    stream.flush()
            os._exit(codes[0])

    # What is registered first is called last, after the threads and all other handlers.
    atexit.register(end)
    try:
        cli.main()
    except SystemExit as stop:
        codes += [stop.code] if isinstance(stop.code, int) else []
        raise


if __name__ == "__main__":
    main()
