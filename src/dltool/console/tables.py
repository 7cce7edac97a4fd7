"""What runs, init --list, describe and doctor show."""

import shlex
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from dltool.console.streams import data_text, show_json, stdout_console
from dltool.text import duration, number

if TYPE_CHECKING:
    from dltool.commands.describe import Description
    from dltool.commands.doctor import Check
    from dltool.commands.init import Template
    from dltool.commands.runs import RunSummary

STATUS_STYLES = {"completed": "green", "running": "cyan", "ok": "green", "warning": "yellow"}


def plain_table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def show_runs(runs: Iterable["RunSummary"], folder: Path, as_json: bool) -> None:
    runs = list(runs)
    if as_json:
        show_json({"runs": [{**asdict(run), "path": str(run.path), "test": dict(run.test)} for run in runs]})
        return
    console = stdout_console()
    if not runs:
        console.print(data_text(f"no runs in {folder}"))
        console.print("next  dltool train CONFIG", style="dim")
        return
    table = plain_table("run", "status", "started", "epochs", "best", "test", "took")
    for run in runs:
        best = f"{run.monitor} {number(run.value)}" if run.monitor and run.value is not None else ""
        table.add_row(
            data_text(run.path),
            Text(run.status, STATUS_STYLES.get(run.status, "red")),
            (run.started or "")[:16].replace("T", " "),
            "" if run.epochs is None else str(run.epochs),
            data_text(best),
            data_text("  ".join(f"{name} {number(value)}" for name, value in run.test.items())),
            "" if run.seconds is None else duration(run.seconds),
        )
    console.print(table)
    for run in runs:
        if run.reason:
            console.print(data_text(f"{run.path}: {run.reason.splitlines()[0]}"), style="dim")
    console.print(data_text(f"next  {next_step(runs)}"), style="dim")


def next_step(runs: list["RunSummary"]) -> str:
    """What to do with the last run, or else with one that is complete."""
    if runs[-1].can_resume:
        return f"dltool resume {shlex.quote(str(runs[-1].path))}"
    completed = [run.path for run in runs if run.status == "completed"]
    return f"dltool evaluate {shlex.quote(str(completed[-1]))}" if completed else "dltool train CONFIG"


def show_templates(templates: Iterable["Template"]) -> None:
    console = stdout_console()
    table = plain_table("template", "what it trains")
    table.columns[1].no_wrap = False
    for template in templates:
        table.add_row(template.name, data_text(template.summary))
    console.print(table)
    console.print("next  dltool init digits > digits.yaml", style="dim")


def show_descriptions(descriptions: Iterable["Description"]) -> None:
    """Each meaning of a name: what it is, its arguments, how to write it."""
    console = stdout_console()
    for index, description in enumerate(descriptions):
        if index:
            console.print()
        console.print(Text(description.name, "bold") + Text(f"  {description.kind}", "dim"))
        if description.summary:
            console.print(data_text(description.summary))
        for argument in description.arguments:
            default = "" if argument.default is None else f"  default {argument.default}"
            console.print(Text(f"\n  {argument.name}", "cyan") + data_text(f"  {argument.type}{default}", "dim"))
            if argument.doc:
                console.print(data_text(f"      {argument.doc}"))
        if description.example:
            console.print(Text("\nin YAML", "dim"))
            for line in description.example.splitlines():
                console.print(data_text(f"  {line}"))
        if description.url:
            console.print(data_text(description.url), style="dim")


def show_diagnosis(checks: Iterable["Check"], as_json: bool) -> int:
    """Show the findings; the exit code is 5 if one of them keeps training from working."""
    checks = list(checks)
    code = 5 if any(check.status == "problem" for check in checks) else 0
    if as_json:
        show_json({"ok": code == 0, "checks": [asdict(check) for check in checks]})
        return code
    console = stdout_console()
    width = max(len(check.name) for check in checks)
    for check in checks:
        status = Text(f"{check.status:<8}", STATUS_STYLES.get(check.status, "bold red"))
        console.print(status + data_text(f"{check.name:<{width}}  {check.detail}"))
        if check.hint:
            console.print(data_text(f"{'':<8}{'':<{width}}  {check.hint}"), style="dim")
    ending = "next  dltool train CONFIG" if code == 0 else "training will not work before the problems above are solved"
    console.print(ending, style="dim")
    return code
