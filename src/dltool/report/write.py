"""The report of a run as files: report.html, report.json, and the figures that are nowhere else."""

from pathlib import Path

from dltool.durable_files import atomic_write
from dltool.report.as_json import as_json
from dltool.report.contents import Contents
from dltool.report.document import html
from dltool.runs.files import Run


def write_report(run: Run, found: Contents) -> None:
    """Write all of them into the run, which must be locked; each file is replaced as a whole.

    Raises:
        MachineError: a file cannot be written.
    """
    if found.curves:
        run.directory(run.figures)
    for figure in found.curves:
        # Those of the test are with its evaluation.
        atomic_write(run.figures / f"{figure.name}.svg", figure.svg.encode())
    run.write_json(run.report_numbers, as_json(found))
    write_page(found, run.report)


def write_page(found: Contents, file: Path) -> None:
    """Raises MachineError."""
    atomic_write(file, html(found).encode())
