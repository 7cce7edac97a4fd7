"""`dltool compare A B…`: what differs between runs, and whether their results differ by more than chance."""

from collections.abc import Sequence
from pathlib import Path

from dltool.durable_files import atomic_write
from dltool.errors import ConfigError
from dltool.report.differences import Comparison, compared
from dltool.runs.directory import open_run

MOST_RUNS = 8


def compare(paths: Sequence[Path]) -> Comparison:
    """Raises ConfigError for too few or too many runs or the same one twice; RunError where a run is damaged."""
    if not 2 <= len(paths) <= MOST_RUNS:
        raise ConfigError(f"2 to {MOST_RUNS} runs can be compared, not {len(paths)}", "dltool runs lists the runs")
    runs = [open_run(path) for path in paths]
    real = [run.path.resolve() for run in runs]
    if twice := next((run.path for run in runs if real.count(run.path.resolve()) > 1), None):
        raise ConfigError(f"{twice} is named twice")
    return compared(runs)


def write_html(found: Comparison, file: Path) -> None:
    """The comparison as a page that loads nothing. Raises MachineError."""
    from dltool.report.compare_page import html

    atomic_write(file, html(found).encode())
