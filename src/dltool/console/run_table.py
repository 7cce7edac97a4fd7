"""The output of `runs`, `runs remove` and `runs prune`."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.text import Text

from dltool.console.consoles import data_text, show_json, stderr_console, stdout_console
from dltool.errors import ConfigError
from dltool.keras_names import options_for
from dltool.runs.files import Run
from dltool.runs.repeats import repeats
from dltool.text import counted, duration, number, printable, size_text

if TYPE_CHECKING:
    from dltool.runs.removal import Removal
    from dltool.runs.summaries import RunSummary

STATUS_STYLES = {"completed": "green", "running": "cyan", "interrupted": "yellow"}
DROPPED = ("cpu", "differs", "started", "took", "best")
"""Columns in the order in which narrow terminals drop them; then "test" gets a line of its own."""
RIGHT = ("epochs", "took", "cpu")
MOST_REASONS = 20


def show_runs(runs: Sequence["RunSummary"], differs: Mapping[Path, str], folder: Path, as_json: bool) -> None:
    """Print a row for each run, search and curve. `differs` are the config values that distinguish a run from others of
    its name."""
    if as_json:
        found: dict[str, list[Any]] = {"run": [], "search": [], "curve": []}
        for run in runs:
            found[run.kind].append({**asdict(run), "path": str(run.path), "differs": differs.get(run.path, "")})
        show_json({"runs": found["run"], "searches": found["search"], "curves": found["curve"]})
        return
    console = stdout_console()
    if not runs:
        console.print(data_text(f"no runs in {folder}"))
        console.next_step("dltool train CONFIG")
        return
    rows = [cells(run, differs) for run in runs]
    widths = {
        column: max(len(column), *(cell_len(row[column]) for row in rows))
        for column in rows[0]
        if any(row[column] for row in rows)
    }
    for column in DROPPED:
        if is_wider(widths, console.width):
            widths.pop(column, None)
    is_test_below = is_wider(widths, console.width) and widths.pop("test", None) is not None
    # A rich Table is many times slower for thousands of rows.
    console.print(line({column: column for column in widths}, widths, "bold"), no_wrap=True, overflow="ellipsis")
    for run, row in zip(runs, rows, strict=True):
        shown = line(row, widths)
        start = widths["run"] + 2
        shown.stylize(STATUS_STYLES.get(run.status, "red"), start, start + len(run.status))
        console.print(shown, no_wrap=True, overflow="ellipsis")
        if is_test_below and row["test"]:
            console.print(Text(f"  {row['test']}"), no_wrap=True, overflow="ellipsis")
    remarks = [f"{run.path}: {reason}" for run in runs if (reason := remark(run))]
    for reason in remarks[:MOST_REASONS]:
        console.print(data_text(reason), style="dim")
    if len(remarks) > MOST_REASONS:
        console.print(f"… and {len(remarks) - MOST_REASONS:,} more with a reason: --filter status=failed", style="dim")
    console.next_step(next_step(runs))


def is_wider(widths: Mapping[str, int], room: int) -> bool:
    return sum(widths.values()) + 2 * (len(widths) - 1) > room


def cells(run: "RunSummary", differs: Mapping[Path, str]) -> dict[str, str]:
    hidden = repeats([run.test])
    found = {
        "run": str(run.path),
        "status": run.status,
        "started": (run.started or "")[:16].replace("T", " "),
        "epochs": "" if run.epochs is None else f"{run.epochs:,}",
        "best": "" if run.monitor in (None, "epoch") or run.value is None else f"{run.monitor} {number(run.value)}",
        "test": "  ".join(with_spread(run, name, value) for name, value in run.test.items() if name not in hidden)
        + (f" ({run.parts})" if run.parts and (run.test or run.kind != "run") else ""),
        "took": "" if run.seconds is None else duration(run.seconds),
        "cpu": duration(run.cost["cpu_seconds"]) if "cpu_seconds" in run.cost else "",
        "differs": differs.get(run.path, ""),
    }
    return {column: printable(text) for column, text in found.items()}


def with_spread(run: "RunSummary", name: str, value: float) -> str:
    """Return the metric, with its standard deviation over folds or seeds."""
    sd = run.spread.get(name)
    return f"{name} {number(value)}" if sd is None else f"{name} {number(value)} ± {number(sd, value)}"


def line(row: Mapping[str, str], widths: Mapping[str, int], style: str = "") -> Text:
    padded = []
    for column, width in widths.items():
        space = " " * (width - cell_len(row[column]))
        padded.append(space + row[column] if column in RIGHT else row[column] + space)
    return Text("  ".join(padded).rstrip(), style)


def remark(run: "RunSummary") -> str:
    """Return why a run failed, or the activity of a running one."""
    if run.alive is not None:
        pace = "" if run.alive.epoch_seconds is None else f", {duration(run.alive.epoch_seconds)} an epoch"
        of = "" if run.alive.epochs is None else f" of {run.alive.epochs:,}"
        return f"{run.epochs}{of} epochs done{pace}, last activity {duration(run.alive.seconds_ago)} ago"
    return run.reason.splitlines()[0] if run.reason else ""


def next_step(runs: Sequence["RunSummary"]) -> str:
    """Suggest a command for the last run that is not a part of another, or else for a completed one."""
    last = next((run for run in reversed(runs) if Run(run.path).whole is None), runs[-1])
    if last.can_resume:
        whole = Run(last.path).whole
        return f"dltool resume {run_words(last if whole is None else replace(last, path=whole.path))}"
    if last.kind == "search" and last.status == "completed":
        return f"dltool train {shlex.quote(str(last.path / 'best.yaml'))}"
    completed = [run for run in runs if run.status == "completed" and run.kind == "run"]
    if not completed:
        return "dltool train CONFIG"
    # A search removes the weights of all trials but the best.
    kept = [run for run in completed if run.parts or Run(run.path).best_weights.exists()]
    newest = (kept or completed)[-1]
    is_tested = newest.test and not newest.parts
    return f"dltool {'evaluate' if is_tested else 'report'} {run_words(newest)}"


def run_words(run: "RunSummary") -> str:
    """Quote the run for a command, with the options for the code it needs."""
    return shlex.quote(str(run.path)) + options_for(run.code)


def confirmed(removals: Sequence["Removal"]) -> bool:
    """Ask on the terminal whether to remove these. Raises ConfigError: there is no terminal."""
    if not removals:
        return True
    runs = counted(len(removals), "run")
    size = size_text(sum(removal.size for removal in removals))
    if not sys.stdin.isatty():
        raise ConfigError(f"removing {runs} ({size}) requires confirmation", "--yes skips it")
    console = stderr_console()
    for removal in removals[:MOST_REASONS]:
        console.print(data_text(f"{removal.path}  {removal.what}"))
    if len(removals) > MOST_REASONS:
        console.print(f"… and {len(removals) - MOST_REASONS:,} more")
    return console.input(Text(f"remove {runs} ({size})? [y/N] ")).strip().lower() in ("y", "yes")


def show_removals(removals: Sequence["Removal"], is_done: bool, as_json: bool) -> None:
    freed = sum(removal.size for removal in removals)
    if as_json:
        found = [{"run": str(removal.path), "what": removal.what, "bytes": removal.size} for removal in removals]
        show_json({"removed" if is_done else "would_remove": found, "bytes": freed})
        return
    console = stdout_console()
    for removal in removals:
        console.print(data_text(f"{removal.path}  {removal.what}  {size_text(removal.size)}"))
    ending = "freed" if is_done else "would be freed; nothing was removed"
    console.print(data_text(f"{counted(len(removals), 'run')}: {size_text(freed)} {ending}"))
