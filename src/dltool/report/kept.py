"""The stored evaluation of a run, used when the data is gone. Nothing in it is trusted."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from dltool.config.tasks import TASKS
from dltool.errors import RunError
from dltool.evaluation.bootstrap import Interval
from dltool.evaluation.figures.figure import Figure, file_word, is_drawing
from dltool.evaluation.findings import Assessment, Baseline, Mistake, OutputAssessment
from dltool.evaluation.stored import FIGURES, METRICS
from dltool.runs.files import Run
from dltool.runs.records import Evaluation, KeptOutput, Results, numbers, read, words

MOST_COLUMNS = 20
FIGURE_LIMIT = 2**20
"""Bytes of a figure."""


def recorded_metrics(results: Results) -> dict[str, Interval]:
    """Return the test metrics of results.json with their intervals."""
    return {name: Interval(value, *(results.intervals.get(name) or ())) for name, value in results.test.items()}


def kept_assessment(run: Run, results: Results) -> Assessment | None:
    """Return the stored test evaluation with the metrics of results.json; None if there is none."""
    try:
        kept = read(run, run.evaluation / "test" / METRICS, Evaluation)
    except RunError:
        return None
    metrics = recorded_metrics(results)
    if not metrics:
        return None
    outputs = tuple(kept_output(run, each) for each in kept.outputs)
    baselines = tuple(Baseline(each.name, each.metric, each.value, each.note) for each in kept.baselines)
    return Assessment("test", int(kept.examples), metrics, outputs, baselines)


def kept_output(run: Run, kept: KeptOutput) -> OutputAssessment:
    kind: Any = kept.kind if kept.kind in TASKS else "number"
    mistakes = tuple(
        Mistake(int(each.row), each.target, each.prediction, each.confidence)
        for each in kept.mistakes
        if each.confidence is not None
    )
    table = [dict(row_of(each)) for each in kept.table]
    return OutputAssessment(kept.name, kind, tuple(kept_figures(run, kept)), table, mistakes)


def kept_figures(run: Run, kept: KeptOutput) -> Iterator[Figure]:
    """Yield the readable figures. They are shown as images, in which nothing runs."""
    for each in kept.figures:
        name = file_word(each.name)
        with contextlib.suppress(RunError):
            svg = run.read(run.evaluation / "test" / FIGURES / f"{name}.svg", FIGURE_LIMIT).decode("utf-8", "replace")
            if is_drawing(svg):
                yield Figure(name, each.title, each.description, svg)


def row_of(kept: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    known = numbers(kept)
    for name in list(kept)[:MOST_COLUMNS]:
        yield words(name), known.get(name, words(kept[name]))
