"""Files of a report: report.html, report.json, and figures of the learning curves."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from dltool.durable_files import atomic_write
from dltool.report.contents import Contents
from dltool.report.document import html
from dltool.runs.files import Run

FORMAT = 1
LAYER_KEYS = ("number", "title", "takes", "output", "parameters", "origin")


def write_report(run: Run, found: Contents) -> None:
    """Write all files into the run, which must be locked. Each is replaced as a whole. Raises MachineError: one cannot
    be written."""
    if found.curves:
        run.directory(run.figures)
    for figure in found.curves:
        # Figures of the test are stored with its evaluation.
        atomic_write(run.figures / f"{figure.name}.svg", figure.svg.encode())
    run.write_json(run.report_numbers, as_json(found))
    write_page(found, run.report)


def write_page(found: Contents, file: Path) -> None:
    """Write the page. Raises MachineError: it cannot be written."""
    atomic_write(file, html(found).encode())


def as_json(found: Contents) -> dict[str, Any]:
    """Return the numbers of a report, without images and figures."""
    outputs = [
        {
            "name": output.name,
            "kind": output.kind,
            "table": [dict(row) for row in output.table],
            "mistakes": [{**asdict(shown.mistake), "place": shown.place} for shown in output.mistakes],
            "figures": {each.name: each.description for each in output.figures},
        }
        for output in found.outputs
    ]
    layers = [asdict(replace(row, lines=())) for row in found.layers.rows]
    return {
        "format": FORMAT,
        "run": found.path,
        "status": found.status,
        "verdict": asdict(found.verdict),
        "test": {tile.name: asdict(tile.interval) for tile in found.tiles},
        "baselines": {tile.name: dict(tile.baselines) for tile in found.tiles if tile.baselines},
        "warnings": [asdict(each) for each in found.findings],
        "history": [dict(line) for line in found.lines],
        "best_epoch": found.best_epoch,
        "outputs": outputs,
        "layers": [{name: row[name] for name in LAYER_KEYS} for row in layers],
        "data": {
            "sizes": dict(found.data.sizes),
            "classes": {name: list(counts) for name, counts in found.data.classes.items()},
            "columns": [asdict(column) for column in found.data.columns],
        },
        "config": {each.place: {"value": each.value, "origin": each.origin} for each in found.settings},
        "seconds": dict(found.seconds),
        "environment": dict(found.environment),
        "missing": found.missing,
    }
