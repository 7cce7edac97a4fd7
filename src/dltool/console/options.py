"""Arguments and options shared by several commands."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

ConfigFile = Annotated[Path, Argument(metavar="CONFIG", help="The YAML file of the experiment.")]
RunFolder = Annotated[
    Path, Argument(metavar="RUN", help="A run directory, such as runs/mnist/0001 or runs/mnist/latest.")
]
Settings = Annotated[
    list[str] | None,
    Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a value, such as training.epochs=1, or append to a list: training.metrics+=AUC. Repeatable.",
    ),
]
MovedData = Annotated[
    list[str] | None,
    Option(
        "--set",
        metavar="KEY=PATH",
        help="The new location of the data, such as data.source.csv.path=new/place.csv. Repeatable.",
    ),
]
Json = Annotated[bool, Option("--json", help="Print one JSON document on stdout.")]
RunsFolder = Annotated[
    Path | None, Option("--runs", metavar="DIR", help="The folder that holds the runs.", show_default="runs")
]
AllowedCode = Annotated[
    list[Path] | None,
    Option(
        "--allow-code", metavar="FILE.py", help="Run this file to use its Keras layers, losses and metrics. Repeatable."
    ),
]
Quiet = Annotated[bool, Option("--quiet", help="Print only warnings and errors.")]
Filters = Annotated[
    list[str] | None,
    Option("--filter", metavar="CONDITION", help="A condition such as accuracy>0.9 or status=completed. Repeatable."),
]
Sort = Annotated[
    str | None, Option("--sort", metavar="KEY[:desc]", help="A column, or a metric such as accuracy or val_loss.")
]
FoldCount = Annotated[
    int | None, Option("--folds", metavar="K", help="Cross-validate in K folds; overrides data.split.folds.")
]
SeedCount = Annotated[int | None, Option("--seeds", metavar="S", help="Train with S seeds; overrides training.seeds.")]
Folds = Annotated[bool, Option("--folds", help="List the runs of folds and seeds too.")]
Yes = Annotated[bool, Option("--yes", help="Do not ask for confirmation.")]


def with_counts(settings: list[str] | None, folds: int | None, seeds: int | None) -> list[str]:
    """Return the `--set` arguments, with those that `--folds` and `--seeds` stand for."""
    short = {"data.split.folds": folds, "training.seeds": seeds}
    return [*(settings or ()), *(f"{key}={value}" for key, value in short.items() if value is not None)]
