"""The output of `compare`: values that differ, metrics with their significance, and curves as sparklines."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from dltool.console.consoles import data_text, show_json, stdout_console
from dltool.console.glyphs import glyphs_for
from dltool.console.table_layout import aligned_table, plain_table
from dltool.evaluation.bootstrap import Interval
from dltool.report.differences import Comparison
from dltool.report.differences import as_json as document
from dltool.report.paired_values import LETTERS
from dltool.report.ranking import MetricDifference, MetricRow, shown_with_sign, significance
from dltool.text import number, printable

SPARK_WIDTH = 24
MOST_ROWS = 30
DROPPED = ("first", "by epoch", "last")
"""Columns of the curves, in the order in which they are dropped on narrow terminals."""


def show_comparison(found: Comparison, page: Path | None, as_json: bool) -> None:
    if as_json:
        show_json(document(found))
        return
    console = stdout_console()
    letters = LETTERS[: len(found.runs)]
    for letter, path in zip(letters, found.runs, strict=True):
        console.print(Text(f"{letter}  ", "bold") + data_text(path))
    console.print(data_text(found.verdict, "bold"))
    for remark in found.remarks:
        console.print(data_text(remark), style="dim")
    if found.metrics:
        console.print(metric_table(found.metrics, letters))
    parts = {"config": found.config, "training": found.results, "data": found.data, "environment": found.environment}
    for name, rows in parts.items():
        if rows:
            table = aligned_table(name, *letters)
            for row in rows[:MOST_ROWS]:
                values = (data_text(value) if value else Text("-", "dim") for value in row.values)
                table.add_row(data_text(row.name), *values)
            console.print(table)
            if len(rows) > MOST_ROWS:
                console.print(f"… and {len(rows) - MOST_ROWS:,} more; --json and --html show all", style="dim")
    same = [name for name, rows in parts.items() if not rows]
    if same:
        console.print(f"identical: {', '.join(same)}", style="dim")
    if found.curves:
        console.print(curve_table(found, letters, console.width))
    if page is not None:
        console.print(Text("page  ", "bold") + data_text(page))
    else:
        console.next_step("--html compare.html writes a page with overlaid curves")


def metric_table(rows: Sequence[MetricRow], letters: str) -> Table:
    table = aligned_table("test metric", *letters, "verdict")
    for row in rows:
        cells = map(metric_cell, row.values, row.differences)
        table.add_row(data_text(row.name), *cells, Text(row.verdict, "bold" if len(row.best) < len(row.ranked) else ""))
    return table


def metric_cell(value: Interval | None, difference: MetricDifference | None) -> Text:
    """Return the value with its interval, the difference to the first run, and its significance."""
    if value is None:
        return Text("-", "dim")
    cell = Text(number(value.value))
    if value.low is not None and value.high is not None:
        cell.append(f" [{number(value.low)}, {number(value.high)}]", "dim")
    if difference is not None:
        cell.append(f"\n{shown_with_sign(difference.value)}")
        if difference.low is not None and difference.high is not None:
            cell.append(f" [{shown_with_sign(difference.low)}, {shown_with_sign(difference.high)}]", "dim")
        cell.append(f"\n{significance(difference)}", "dim")
    return cell


def curve_table(found: Comparison, letters: str, room: int) -> Table:
    """Make the table of curves; on narrow terminals the first columns of DROPPED are left out."""
    rows = [*curve_rows(found, letters)]
    widths = {name: max(cell_len(text) for text in (name, *(row[name] for row in rows))) for name in rows[0]}
    for heading in DROPPED:
        if sum(widths.values()) + 2 * (len(widths) - 1) > room:
            del widths[heading]
    table = plain_table()
    for heading in widths:
        table.add_column(heading, no_wrap=heading != "curve", overflow="fold")
    for row in rows:
        table.add_row(*(Text(row[heading]) for heading in widths))
    return table


def curve_rows(found: Comparison, letters: str) -> Iterator[dict[str, str]]:
    glyphs = glyphs_for(sys.stdout.encoding)
    for name, curves in found.curves.items():
        values = [value for curve in curves for _, value in curve]
        # The same step for all, so that epochs are aligned.
        step = -(-max(map(len, curves)) // SPARK_WIDTH)
        for letter, curve, best in zip(letters, curves, found.best_epochs, strict=True):
            if curve:
                at_best = dict(curve).get(best or 0)
                yield {
                    "curve": printable(name),
                    "run": letter,
                    "by epoch": glyphs.spark([value for _, value in curve[::step]], SPARK_WIDTH, beside=values),
                    "first": number(curve[0][1]),
                    "last": number(curve[-1][1]),
                    "best epoch": "" if at_best is None else f"{number(at_best)} ({best})",
                }
