"""The signature of `dltool explain`."""

from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from dltool.console.frame import frame
from dltool.console.options import AllowedCode, Json, MovedData, RunFolder


def explain(
    run: RunFolder,
    files: Annotated[
        list[str] | None,
        Argument(metavar="[FILE…]", help="New data in the format of the run's source. Default: the test split."),
    ] = None,
    method: Annotated[
        list[str] | None,
        Option(
            metavar="METHOD",
            help="IntegratedGradients, Occlusion or GradCAM; of tables Permutation, PartialDependence or "
            "IntegratedGradients. Repeatable. Default: those that suit the data.",
        ),
    ] = None,
    examples: Annotated[int, Option(help="The most examples to explain.")] = 200,
    class_name: Annotated[
        str | None, Option("--class", metavar="NAME", help="The class to explain instead of the predicted one.")
    ] = None,
    out: Annotated[Path | None, Option(metavar="FILE.html", help="Write a page with the explanation too.")] = None,
    moved: MovedData = None,
    allow_code: AllowedCode = None,
    as_json: Json = False,
) -> None:
    """Show what the predictions of a run depend on, each method with its proof."""
    with frame(as_json, allow_code) as within:
        from dltool.commands.explain import explain as run_explain
        from dltool.config.explain_options import Asked

        asked = Asked(method or (), examples, class_name)
        within.carry_out(partial(run_explain, run, files or (), asked, out, moved or ()), is_silent=as_json)
