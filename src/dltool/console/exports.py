"""What `dltool export` and `dltool eject` print."""

import shlex
from typing import TYPE_CHECKING

from rich.text import Text

from dltool.console.consoles import StreamConsole, data_text
from dltool.installation import install_extra
from dltool.text import counted, size_text

if TYPE_CHECKING:
    from dltool.commands.eject import EjectionOutcome
    from dltool.commands.export import ExportForecast, ExportOutcome


def show_forecast(outcome: "ExportForecast", console: StreamConsole) -> None:
    """Print a line for each format: whether it is possible, and how or why not."""
    for each in outcome.forecasts:
        verdict = Text("no   ", "red") if each.why else Text("yes  ", "green")
        console.print(Text(f"{each.format:<12} ") + verdict + data_text(each.description))
        if not each.why and each.missing_packages:
            console.print(Text(" " * 18) + data_text(install_extra(each.format)))
    for possible in [each.format for each in outcome.forecasts if not each.why][:1]:
        console.next_step(f"dltool export {shlex.quote(str(outcome.run))} {possible}")


def show_exports(outcome: "ExportOutcome", console: StreamConsole) -> None:
    """Print the differences, the size and the latency of each export."""
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


def show_ejection(outcome: "EjectionOutcome", console: StreamConsole) -> None:
    console.print(data_text(outcome.checked), soft_wrap=True)
    console.print(data_text(f"files {', '.join(outcome.files)} in {outcome.out}"), soft_wrap=True)
    console.next_step(f"cd {shlex.quote(str(outcome.out))} && python train.py")
