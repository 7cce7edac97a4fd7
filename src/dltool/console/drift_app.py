"""The signature of `dltool drift`."""

from functools import partial
from typing import Annotated

from typer import Argument, Option

from dltool.console.frame import frame
from dltool.console.options import AllowedCode, Json, RunFolder


def drift(
    run: RunFolder,
    files: Annotated[
        list[str], Argument(metavar="FILE…", help="New data in the format of the run's source; - is standard input.")
    ],
    expect: Annotated[
        list[str] | None,
        Option(metavar="BOUND", help='A bound: "drifted == 0", "auc <= 0.6" or "age <= 0.1". Repeatable.'),
    ] = None,
    allow_code: AllowedCode = None,
    as_json: Json = False,
) -> None:
    """Has new data drifted from the training data? By column, by a classifier, and by the model's predictions."""
    with frame(as_json, allow_code) as within:
        from dltool.commands.drift import drift as run_drift

        within.carry_out(partial(run_drift, run, files, expect or ()), is_silent=as_json)
