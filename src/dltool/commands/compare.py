"""`dltool compare A B…`: differences between runs, and which run is better."""

from collections.abc import Sequence
from pathlib import Path

from dltool.durable_files import PAGE, atomic_write, refuse_no_file
from dltool.errors import ConfigError
from dltool.report.differences import Comparison, compared
from dltool.runs.directory import open_run

MOST_RUNS = 8


def compare(paths: Sequence[Path], html: Path | None = None) -> Comparison:
    """Compare the runs at `paths`, and write the self-contained page `html`.

    Raises ConfigError: too few or too many runs, or duplicates; `html` cannot be a page. Raises RunError: a run is
    damaged; MachineError: the page cannot be written."""
    if html is not None:
        refuse_no_file("--html", html, PAGE)
    if not 2 <= len(paths) <= MOST_RUNS:
        raise ConfigError(f"expected 2 to {MOST_RUNS} runs, got {len(paths)}", "dltool runs lists the runs")
    runs = [open_run(path) for path in paths]
    real = [run.path.resolve() for run in runs]
    if twice := next((run.path for run, path in zip(runs, real, strict=True) if real.count(path) > 1), None):
        raise ConfigError(f"duplicate run {twice}")
    found = compared(runs)
    if html is not None:
        write_page(found, html)
    return found


def write_page(found: Comparison, file: Path) -> None:
    """Write the self-contained page `file`. Raises ConfigError: it is no page; MachineError: it cannot be written."""
    refuse_no_file("the page", file, PAGE)
    from dltool.report.compare_page import html

    atomic_write(file, html(found).encode())
