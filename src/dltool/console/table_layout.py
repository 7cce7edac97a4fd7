"""Tables, and the output of init --list, curve, drift, describe and doctor."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dltool.console.consoles import StreamConsole, data_text, show_json, stdout_console
from dltool.text import counted, number

if TYPE_CHECKING:
    from dltool.commands.doctor import Check
    from dltool.commands.drift import DriftOutcome
    from dltool.config.describe import Description
    from dltool.curve.outcome import CurveOutcome
    from dltool.data.summary import ColumnRow
    from dltool.evaluation.findings import GroupComparison

NARROW = 60
STATUS_STYLES = {"ok": "green", "warning": "yellow"}


def plain_table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def aligned_table(*texts: str, numbers: Iterable[str] = ()) -> Table:
    """Make a table with columns of wrapped `texts` and right-aligned `numbers`."""
    table = plain_table()
    for column in texts:
        table.add_column(column, overflow="fold")
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def show_templates(templates: Mapping[str, str]) -> None:
    console = stdout_console()
    table = plain_table("template", "what it trains")
    table.columns[1].no_wrap = False
    for name, text in templates.items():
        table.add_row(name, data_text(text.partition("\n")[0].removeprefix("# ")))
    console.print(table)
    console.next_step("dltool init digits > digits.yaml")


def show_groups(found: "GroupComparison", console: StreamConsole) -> None:
    """Print the results of each group of examples."""
    from dltool.report.verdict import with_interval

    table = aligned_table(f"{found.output}: group", numbers=("examples", found.metric, "base", "lift"))
    for group in (*found.groups, found.everything):
        value, lift = (with_interval(group.numbers[name]) for name in (found.metric, "lift"))
        table.add_row(data_text(group.group), f"{group.rows:,}", value, number(group.numbers["base"].value), lift)
    console.print(table)


def show_drift(outcome: "DriftOutcome", console: StreamConsole) -> None:
    """Print the columns and predictions that have drifted, or the nearest to it, and what a classifier sees."""
    from dltool.report.verdict import with_interval

    drifted = [each for each in outcome.found if each.is_significant]
    table = aligned_table("column or prediction", "change", numbers=("distance", "p", "missing"))
    for each in drifted or outcome.found[:1]:
        missing = " → ".join(f"{share:.1%}" for share in each.missing) if any(each.missing) else ""
        table.add_row(data_text(each.name), data_text(each.change), f"{each.distance:.3f}", f"{each.p:.2g}", missing)
    of_all = f"{len(drifted)} of {len(outcome.found)} columns and predictions have drifted"
    console.print(data_text(f"{outcome.run}: {counted(outcome.rows, 'example')}; {of_all}"))
    console.print(table)
    if outcome.auc is not None:
        words = "a classifier distinguishes new examples from training examples with an area under the ROC curve of"
        console.print(data_text(f"{words} {with_interval(outcome.auc)}; guessing has 0.5"), soft_wrap=True)
    elif outcome.why:
        console.print(data_text(f"no classifier: {outcome.why}"), soft_wrap=True)
    console.next_step(f"dltool report {shlex.quote(str(outcome.run))}")


def show_curve(outcome: "CurveOutcome", console: StreamConsole) -> None:
    """Print the mean and the range of each size, and what more rows would bring."""
    quantity = outcome.last.quantity
    table = aligned_table(numbers=("training rows", quantity.label, "lowest", "highest", "seeds"))
    for size in outcome.sizes:
        cells = quantity.texts(size.mean, min(size.values), max(size.values))
        table.add_row(f"{size.rows:,}", *cells, str(len(size.values)))
    console.print(table)
    console.print(data_text(outcome.measured), soft_wrap=True)
    console.print(data_text(outcome.words), style="bold", soft_wrap=True)
    console.print(data_text(f"see   {outcome.folder / 'curve.html'}"), soft_wrap=True)


def show_descriptions(descriptions: Iterable["Description"]) -> None:
    """Print each meaning of a name: what it is, its arguments, an example."""
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


def show_diagnosis(checks: Sequence["Check"], as_json: bool) -> int:
    """Print the findings; return exit code 5 if one prevents training."""
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
    if code == 0:
        console.next_step("dltool train CONFIG")
    else:
        console.print("training will not work until the problems above are fixed", style="dim")
    return code


def show_columns(columns: Iterable["ColumnRow"], console: Console) -> None:
    """Print a row for each column of a table, two lines on narrow terminals."""
    table = aligned_table("column", "type", numbers=("missing", "distinct"))
    for heading in ("range", "why"):
        table.add_column(heading, overflow="fold")
    for column in columns:
        name = data_text(column.name)
        if column.use not in ("", "input"):
            name += Text(f" ({column.use})", "dim")
        limits = "" if column.low is None else f"{column.low} to {column.high}"
        missing = f"{column.missing:,}" if column.missing else ""
        if console.width < NARROW:
            console.print(name + Text(f"  {column.type}", "bold"))
            parts = (column.why, missing and f"{missing} missing", limits)
            console.print(Padding(data_text("; ".join(filter(None, parts))), (0, 0, 0, 2)))
        else:
            distinct = "" if column.type == "ignore" else "many" if column.distinct is None else f"{column.distinct:,}"
            table.add_row(name, column.type, missing, distinct, data_text(limits), data_text(column.why))
    if table.rows:
        console.print(table)
