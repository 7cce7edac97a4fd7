"""The arguments and options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML file of the experiment.")]
RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run directory, such as runs/mnist/0001 or runs/mnist/latest.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a value, such as training.epochs=1. Repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
RunsFolder = Annotated[
    Path | None, typer.Option("--runs", metavar="DIR", help="The folder that holds the runs.", show_default="runs")
]
AllowedCode = Annotated[
    list[Path] | None,
    typer.Option(
        "--allow-code", metavar="FILE.py", help="Run this file: its Keras layers, losses and metrics. Repeatable."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but warnings and errors.")]
Filters = Annotated[
    list[str] | None,
    typer.Option("--filter", metavar="CONDITION", help="Such as accuracy>0.9 or status=completed. Repeatable."),
]
Sort = Annotated[
    str | None, typer.Option("--sort", metavar="KEY[:desc]", help="A column, or a metric such as accuracy or val_loss.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
