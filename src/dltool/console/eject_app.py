"""The signature of `dltool eject`."""

from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Option

from dltool.console.frame import frame
from dltool.console.options import AllowedCode, Json, MovedData, RunFolder


def eject(
    run: RunFolder,
    out: Annotated[Path, Option(metavar="DIR", help="The new folder for train.py and the files that it needs.")],
    check: Annotated[
        bool, Option("--check/--no-check", help="Run the script for two epochs, and compare its losses with the run's.")
    ] = True,
    moved: MovedData = None,
    allow_code: AllowedCode = None,
    as_json: Json = False,
) -> None:
    """Write a run as a plain Keras script that needs no dltool and gives the same losses."""
    with frame(as_json, allow_code) as within:
        from dltool.commands.eject import eject as run_eject

        within.carry_out(partial(run_eject, run, out, check, moved or ()), is_silent=as_json)
