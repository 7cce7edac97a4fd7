"""Run dltool as `python -m dltool` or `dltool`: a process from its arguments to its exit code."""

import atexit
import contextlib
import os
import sys

from dltool import cli


def main() -> None:
    """Run the command line. A process that has loaded TensorFlow exits at once after all output: interpreter shutdown
    would take 0.7 s."""
    codes: list[int] = []

    def end() -> None:
        if codes and "tensorflow" in sys.modules:
            for stream in (sys.stdout, sys.stderr):
                # A stream may be full, closed or None.
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    stream.flush()
            os._exit(codes[0])

    # The handler registered first runs last, after the threads and all other handlers.
    atexit.register(end)
    try:
        cli.main()
    except SystemExit as stop:
        codes += [stop.code] if isinstance(stop.code, int) else []
        raise


if __name__ == "__main__":
    main()
