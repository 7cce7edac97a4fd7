"""The signature of `dltool export`, and what it prints."""

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.text import Text
from typer import Argument, Option

from dltool.console.frame import frame
from dltool.console.options import AllowedCode, Json, MovedData, RunFolder

if TYPE_CHECKING:
    from dltool.commands.export import ExportForecast, ExportOutcome
    from dltool.console.consoles import StreamConsole


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
        from dltool.exporting.options import ExportOptions, share_of

        if not formats:
            show(command.foresee(run, batch), as_json=as_json)
            return
        loss = None if allow_loss is None else share_of(allow_loss)
        options = ExportOptions(precision, calibration, batch, tolerance, loss, layout)
        work = partial(command.export, run, formats, options, out, moved or ())
        within.carry_out(work, is_silent=as_json)


def show_forecast(outcome: "ExportForecast", console: "StreamConsole") -> None:
    """Print a line for each format: whether it is possible, and how or why not."""
    from dltool.console.consoles import data_text
    from dltool.exporting.foreseen import missing_packages
    from dltool.installation import install_extra

    for each in outcome.forecasts:
        verdict = Text("no   ", "red") if each.why else Text("yes  ", "green")
        console.print(Text(f"{each.format:<12} ") + verdict + data_text(each.description))
        if not each.why and missing_packages(each.format):
            console.print(Text(" " * 18) + data_text(install_extra(each.format)))
    possible = next(each.format for each in outcome.forecasts if not each.why)
    console.next_step(f"dltool export {shlex.quote(str(outcome.run))} {possible}")


def show_exports(outcome: "ExportOutcome", console: "StreamConsole") -> None:
    """Print the differences, the size and the latency of each export."""
    from dltool.console.consoles import data_text
    from dltool.text import counted, size_text

    for folder, record in outcome.exports.items():
        console.print(Text("in    ", "bold") + data_text(folder))
        rows = record["rows"]
        console.print(
            data_text(f"verified on {counted(rows['test'], 'test row')} and {counted(rows['made'], 'made row')}")
        )
        for name, each in record["outputs"].items():
            parts = [f"largest difference {each['max_difference']:.1e}, of made rows {each['max_difference_made']:.1e}"]
            if "same_class" in each and rows["test"]:
                parts.append(f"same class {each['same_class']:,} of {rows['test']:,}")
            if "score" in each:
                parts.append(f"{each['score']} {each['of_export']:.4g}, of the model {each['of_model']:.4g}")
            console.print(data_text(f"{name}: {'; '.join(parts)}"))
        latency = record["latency"]["1"]["median_ms"]
        console.print(data_text(f"{size_text(record['bytes'])}, {latency:g} ms for one row"))
