"""Files of a report: report.html, report.json, and figures of the learning curves."""

from dataclasses import asdict
from typing import Any

from dltool.config.tasks import TASKS
from dltool.report.contents import Contents
from dltool.report.page import PageSection, render, render_page
from dltool.runs.files import Run
from dltool.runs.records import numbers, one_line

FORMAT = 1
RANGE_KEYS = ("of", "lowest", "median", "highest")
LAYER_KEYS = ("number", "title", "takes", "output", "parameters", "origin")
QUALITY = {"verdict": "Is it any good?", "warnings": "What to look at", "learning": "Learning"}
"""Titles of the sections before the results of each output, by template."""
DETAILS = {
    "examples": "Examples, as the model sees them",
    "layers": "Layers",
    "data": "Data",
    "config": "Config",
    "about": "How it was made",
}
"""Titles of the sections after the results of each output, by template."""


def write_report(run: Run, found: Contents) -> None:
    """Write all files into the run, which must be locked. Each is replaced as a whole. Raises MachineError: one cannot
    be written."""
    figures = (*found.curves, *(figure for section in found.sections for figure in section.figures))
    if figures:
        run.directory(run.figures)
    for figure in figures:
        # Figures of the test are stored with its evaluation.
        run.write(run.figures / f"{figure.name}.svg", figure.svg.encode())
    run.write_json(run.report_numbers, as_json(found))
    run.write(run.report, html(found).encode())


def html(report: Contents) -> str:
    """Return the whole page: first how good the model is, then warnings, details, and how it was made."""
    results = [
        PageSection(
            f"results-{number}",
            "Results" if len(report.outputs) == 1 else f"Results: {output.assessed.name}",
            render("output.html", output=output, task=TASKS[output.assessed.kind]),
        )
        for number, output in enumerate(report.outputs, 1)
    ]
    quality, details = (
        [PageSection(name, title, render(f"{name}.html", report=report)) for name, title in titles.items()]
        for titles in (QUALITY, DETAILS)
    )
    further = [
        (each.follows_results, PageSection(each.name, each.title, render("section.html", section=each)))
        for each in report.sections
    ]
    before, after = ([page for follows, page in further if follows is place] for place in (False, True))
    title = f"{report.record.name} {report.record.number}: report"
    return render_page(title, render("header.html", report=report), [*quality, *before, *results, *after, *details])


def as_json(found: Contents) -> dict[str, Any]:
    """Return the numbers of a report, without images and figures."""
    record = found.record
    outputs = [
        {
            "name": output.assessed.name,
            "kind": output.assessed.kind,
            **({"decision": output.decision} if output.decision else {}),
            "table": output.assessed.table,
            "mistakes": [{**asdict(shown.mistake), "place": shown.place} for shown in output.mistakes],
            "figures": {each.name: each.description for each in output.assessed.figures},
        }
        for output in found.outputs
    ]
    return {
        "format": FORMAT,
        "run": record.path,
        "status": one_line(record.run.status),
        "verdict": asdict(found.verdict),
        "test": {tile.name: asdict(tile.interval) for tile in found.tiles},
        "baselines": {tile.name: dict(tile.baselines) for tile in found.tiles if tile.baselines},
        "warnings": [asdict(each) for each in found.findings],
        "history": record.lines,
        "best_epoch": record.best_epoch,
        "outputs": outputs,
        "layers": [{name: getattr(row, name) for name in LAYER_KEYS} for row in found.layers],
        "data": {
            "sizes": found.sizes,
            "classes": found.classes,
            "columns": [asdict(each) for each in found.columns],
            "distributions": [{name: getattr(each, name) for name in RANGE_KEYS} for each in found.distributions],
        },
        "config": found.settings,
        "parts": {each.name: list(each.table) for each in found.sections},
        "seconds": record.results.seconds,
        "cost": numbers(record.results.cost),
        "environment": found.environment,
        "missing": found.missing,
    }
