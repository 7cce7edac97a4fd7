"""The signature of `dltool curve`."""

from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Option

from dltool.console.frame import frame
from dltool.console.options import AllowedCode, ConfigFile, Json, Quiet, RunsFolder, Settings


def curve(
    config: ConfigFile,
    settings: Settings = None,
    sizes: Annotated[int, Option(help="Numbers of training rows, each twice the one before, up to all.")] = 6,
    seeds: Annotated[int, Option(help="Runs of each size, with the config's seed and those after it.")] = 3,
    to: Annotated[
        str, Option(metavar="TIMES", help="The multiple of the training rows to predict the error for, at most 4x.")
    ] = "4x",
    runs: RunsFolder = None,
    allow_code: AllowedCode = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Would more data help? Train on fractions of the training rows, and predict the error of more rows."""
    with frame(as_json, allow_code) as within:
        document = within.read(config, settings)
        from dltool.commands.curve import curve as run_curve

        folder = runs or Path("runs")
        work = partial(run_curve, document, sizes=sizes, seeds=seeds, to=to, runs=folder)
        within.carry_out(work, is_silent=quiet or as_json, is_quiet=quiet)
