"""What a run has kept of its last test, for where the data is gone; nothing of it is trusted"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from dltool.config.tasks import TASKS
from dltool.errors import RunError
from dltool.evaluation.bootstrap import Interval
from dltool.evaluation.figures.figure import Figure, file_word, is_drawing
from dltool.evaluation.findings import Assessment, Baseline, Mistake, OutputAssessment
from dltool.evaluation.stored import FIGURES, METRICS
from dltool.report.record import MOST_NUMBERS, Record, mapping, numbers, words
from dltool.runs.files import Run

MOST_OUTPUTS, MOST_FIGURES, MOST_ROWS, MOST_COLUMNS = 20, 20, 1000, 20
FIGURE_LIMIT = 2**20
"""Bytes of a figure."""


def recorded_metrics(record: Record) -> dict[str, Interval]:
    """The test metrics of results.json with their intervals."""
    kept = mapping(record.results.get("intervals"))
    found = {}
    for name, value in record.test.items():
        ends = kept.get(name)
        is_pair = isinstance(ends, list) and len(ends) == 2 and all(isinstance(end, float) for end in ends)
        low, high = ends if isinstance(ends, list) and is_pair else (None, None)
        found[name] = Interval(value, low, high)
    return found


def kept_assessment(run: Run, record: Record) -> Assessment | None:
    """What `evaluation/test` of the run says, with the metrics of results.json; None where there is no test to read."""
    folder = run.evaluation / "test"
    try:
        kept = run.read_json(folder / METRICS)
    except RunError:
        return None
    metrics = recorded_metrics(record)
    if not metrics:
        return None
    outputs = tuple(kept_output(run, each) for each in mappings(kept.get("outputs"), MOST_OUTPUTS))
    baselines = tuple(kept_baseline(each) for each in mappings(kept.get("baselines"), MOST_NUMBERS))
    return Assessment("test", int(numbers(kept).get("examples", 0)), metrics, outputs, baselines)


def kept_output(run: Run, kept: Mapping[str, Any]) -> OutputAssessment:
    kind: Any = kept.get("kind") if kept.get("kind") in TASKS else "number"
    table = [dict(row_of(each)) for each in mappings(kept.get("table"), MOST_ROWS)]
    mistakes = tuple(
        Mistake(int(found.get("row", 0)), words(each.get("target")), words(each.get("prediction")), found["confidence"])
        for each in mappings(kept.get("mistakes"), MOST_NUMBERS)
        if "confidence" in (found := numbers(each))
    )
    return OutputAssessment(words(kept.get("name")), kind, tuple(kept_figures(run, kept)), table, mistakes)


def kept_figures(run: Run, kept: Mapping[str, Any]) -> Iterator[Figure]:
    """Yield the figures that can still be read. They are shown as images, in which nothing runs."""
    for each in mappings(kept.get("figures"), MOST_FIGURES):
        name = file_word(words(each.get("name")))
        with contextlib.suppress(RunError):
            svg = run.read(run.evaluation / "test" / FIGURES / f"{name}.svg", FIGURE_LIMIT).decode("utf-8", "replace")
            if is_drawing(svg):
                yield Figure(name, words(each.get("title")), words(each.get("description")), svg)


def kept_baseline(kept: Mapping[str, Any]) -> Baseline:
    name, metric, note = (words(kept.get(key)) for key in ("name", "metric", "note"))
    return Baseline(name, metric, numbers(kept).get("value"), note)


def row_of(kept: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    known = numbers(kept)
    for name in list(kept)[:MOST_COLUMNS]:
        yield words(name), known.get(name, words(kept[name]))


def mappings(value: Any, most: int) -> list[Mapping[str, Any]]:
    return [each for each in value[:most] if isinstance(each, Mapping)] if isinstance(value, list) else []
