"""The signature of `dltool serve`, and its processes' work."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.synchronize import Semaphore
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from dltool.console.frame import frame
from dltool.console.options import AllowedCode
from dltool.exporting.export_options import Engine
from dltool.imports import begin_own_process

if TYPE_CHECKING:
    from dltool.serving.server import Setup

MEGABYTE = 10**6


def serve(
    runs: Annotated[list[Path], Argument(metavar="RUN…", help="Run directories, such as runs/mnist/latest.")],
    host: Annotated[
        str, Option(help="The address to listen at. 0.0.0.0 is every address of this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="The port to listen at; 0 is any free one.")] = 8000,
    workers: Annotated[int, Option(min=1, help="Processes that answer; each loads the models.")] = 1,
    engine: Annotated[
        Engine, Option(help="What computes the models; auto is a verified ONNX export, if there is one.")
    ] = "auto",
    follow: Annotated[bool, Option("--follow", help="Load newer runs as RUN points to them.")] = False,
    api_key_file: Annotated[
        Path | None, Option(metavar="FILE", help="The file with the key that requests must name.")
    ] = None,
    max_rows: Annotated[int, Option(min=1, help="The most rows of a request.")] = 10_000,
    max_body: Annotated[int, Option(metavar="MB", min=1, help="The most megabytes of a request.")] = 16,
    timeout: Annotated[
        float, Option(metavar="SECONDS", min=0.1, help="The most seconds for a request to arrive, and for its answer.")
    ] = 30.0,
    allow_code: AllowedCode = None,
) -> None:
    """Answer over HTTP with the best models of runs, until the process is told to end."""
    with frame(allow_code=allow_code):
        from dltool.commands.serve import incomplete, require_packages, setup_for

        require_packages()
        from dltool.serving.limits import Limits

        limits, code = Limits(body=max_body * MEGABYTE, rows=max_rows, seconds=timeout), allow_code or ()
        setup = setup_for(runs, limits, engine, follows=follow, key_file=api_key_file, allow_code=code)
        for path in incomplete(runs):
            note(f"warning: {path} is not complete: its best weights so far answer")
        for line in setup.notes:
            note(line)
        serve_at(setup, host, port, workers)


def serve_at(setup: "Setup", host: str, port: int, workers: int) -> None:
    """Serve at an address, in this process or in several. Raises MachineError: the address cannot be listened at."""
    from dltool.serving.server import listening

    with listening(host, port) as door:
        address, number = door.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address

        def ready() -> None:
            typer.echo(f"{', '.join(setup.paths)} at http://{shown}:{number}")

        if setup.key is None and address not in ("127.0.0.1", "::1"):
            note(f"warning: {address} is open to other machines, and no --api-key-file keeps anyone out")
        if workers > 1:
            from dltool.serving.workers import Workers

            raise typer.Exit(Workers(setup, door, work).serve(workers, note, ready))
        serve_loaded(setup, door, ready)


def note(line: str) -> None:
    # A server goes on if nobody reads it any more.
    with contextlib.suppress(OSError):
        typer.echo(line, err=True)


def serve_loaded(setup: "Setup", door: socket, ready: Callable[[], None]) -> None:
    """Load the models, quietly, and serve them."""
    from dltool.console.capture import captured_chatter

    with captured_chatter():
        from dltool.serving.server import loaded, serve_here

        service = loaded(setup, note)
    serve_here(setup, service, door, ready)


def end_with_parent() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def work(setup: "Setup", door: socket, is_ready: Semaphore) -> None:
    """Serve in a process of its own, until the one that watches over it ends, however that happens."""
    begin_own_process()
    threading.Thread(target=end_with_parent, daemon=True).start()
    with frame(allow_code=setup.allow_code):
        serve_loaded(setup, door, is_ready.release)
    # The end of an interpreter with TensorFlow takes seconds.
    os._exit(0)
