"""The signature of `dltool export`."""

from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from dltool.console.frame import frame
from dltool.console.options import AllowedCode, Json, MovedData, RunFolder


def export(
    run: RunFolder,
    formats: Annotated[
        list[str] | None,
        Argument(
            metavar="[FORMAT…]",
            help="saved_model, onnx, litert, openvino, or all. Default: list which are possible, and write nothing.",
        ),
    ] = None,
    precision: Annotated[
        str, Option(help="float32, float16, dynamic_int8 or int8; only litert has others than float32.")
    ] = "float32",
    calibration: Annotated[int, Option(metavar="N", help="Training rows from which the ranges for int8 follow.")] = 500,
    batch: Annotated[
        int | None, Option(metavar="N", help="A fixed batch size, which litert needs for recurrent layers.")
    ] = None,
    tolerance: Annotated[
        float | None,
        Option(help="The most difference, as a share of an output's range. Default: 1e-5, with 16 bits 5e-3."),
    ] = None,
    allow_loss: Annotated[
        str | None,
        Option(metavar="SHARE", help="With int8, how much accuracy may be lost, or an error may grow. Default: 1%."),
    ] = None,
    layout: Annotated[
        str | None, Option(metavar="triton", help="Also write the model repository of Triton, for onnx.")
    ] = None,
    out: Annotated[
        Path | None, Option(metavar="DIR", help="The folder for the exports.", show_default="exports/ in the run")
    ] = None,
    moved: MovedData = None,
    allow_code: AllowedCode = None,
    as_json: Json = False,
) -> None:
    """Write a run's model for other programs, each file verified against the model before it is written."""
    with frame(as_json, allow_code) as within:
        from dltool.commands import export as command
        from dltool.console.results import show
        from dltool.exporting.export_options import ExportOptions, share_of

        if formats:
            options = ExportOptions(precision, calibration, batch, tolerance, share_of(allow_loss), layout)
            work = partial(command.export, run, formats, options, out, moved or ())
            within.carry_out(work, is_silent=as_json)
        show(command.foresee(run, batch), as_json=as_json)
