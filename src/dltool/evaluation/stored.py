"""Files of an evaluation in a run directory. Reading them trusts none of them."""

import contextlib
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dltool.config.schema import Config
from dltool.config.tasks import TASKS
from dltool.data.arrays.npz import read_npz
from dltool.data.arrays.npz_header import header_of_npz
from dltool.data.facts import Facts
from dltool.errors import ConfigError, DataError, RunError
from dltool.evaluation.bootstrap import Interval
from dltool.evaluation.figures.figure import Figure, file_word, is_drawing
from dltool.evaluation.findings import Assessment, Baseline, Mistake, OutputAssessment
from dltool.evaluation.predictions import Columns, refuse_unclear, write_csv
from dltool.evaluation.tasks import evaluators
from dltool.runs.files import Run, encode_json
from dltool.runs.part_records import PartResults, part_results
from dltool.runs.records import Evaluation, KeptFigure, KeptOutput, Results, numbers, one_line, read
from dltool.text import whole_text

METRICS, PREDICTIONS, EXAMPLES, FIGURES = "metrics.json", "predictions.csv", "examples.npz", "figures"
MOST_CELLS = 2_000_000
"""Cells of a table of predictions. Larger splits are sampled evenly."""
ARRAYS, CLUSTERS = ("rows", "names", "values"), "clusters"
EXAMPLES_LIMIT = 2**28
MOST_COLUMNS = 20
FIGURE_LIMIT = 2**20
"""Bytes of a figure."""


@dataclass(frozen=True)
class ExampleValues:
    """Metrics of a model for each example, to compare it with another.

    `rows` (examples,) of int64 are rows of the data. The mean of `values` (examples,) of float32 is the metric of their
    name. `targets` is a digest. `clusters` (examples,) of int64 number examples that depend on each other, if any."""

    rows: np.ndarray
    values: Mapping[str, np.ndarray]
    targets: str
    clusters: np.ndarray | None = None


def evaluation_files(assessment: Assessment, examples: ExampleValues, table: Columns | None) -> dict[str, bytes]:
    """Return the files of an evaluation by path below its directory."""
    files = {
        METRICS: (encode_json({**assessment.record(), "targets": examples.targets}, indent=2) + "\n").encode(),
        EXAMPLES: packed(examples),
    }
    if table is not None:
        text = io.StringIO()
        write_csv(table, text)
        files[PREDICTIONS] = text.getvalue().encode()
    return files | {f"{FIGURES}/{figure.name}.svg": figure.svg.encode() for figure in assessment.figures}


def digest_of(targets: Mapping[str, np.ndarray]) -> str:
    """Return "sha256:…" over the targets by name."""
    digest = hashlib.sha256()
    for name in sorted(targets):
        digest.update(f"{name} {targets[name].shape} {targets[name].dtype}\n".encode("utf-8", "backslashreplace"))
        digest.update(np.ascontiguousarray(targets[name]).tobytes())
    return f"sha256:{digest.hexdigest()}"


def packed(examples: ExampleValues) -> bytes:
    names = np.array([whole_text(name) for name in examples.values], dtype=np.str_)
    values = np.stack(list(examples.values.values())).astype(np.float32)
    further: dict[str, Any] = {} if examples.clusters is None else {CLUSTERS: examples.clusters.astype(np.int64)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, rows=examples.rows.astype(np.int64), names=names, values=values, **further)
    return buffer.getvalue()


def read_examples(run: Run, name: str) -> ExampleValues:
    """Return the example values of the evaluation `name` ("test") of a run. Raises RunError: missing or damaged."""
    path = run.evaluation / name / EXAMPLES
    content = io.BytesIO(run.read(path, EXAMPLES_LIMIT))
    headers = header_of_npz(content)
    if (
        headers.keys() - {CLUSTERS} != set(ARRAYS)
        or sum(header.data_bytes for header in headers.values()) > EXAMPLES_LIMIT
    ):
        raise RunError(f"{path} is damaged, or has more than {EXAMPLES_LIMIT:,} bytes")
    try:
        found = read_npz(content, tuple(headers), headers, str(path), ())
        rows, names, values = (found[name] for name in ARRAYS)
        keys = names.tolist()
    except (DataError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error}") from None
    kinds = (str(rows.dtype), rows.ndim, str(values.dtype), names.dtype.kind)
    if kinds != ("int64", 1, "float32", "U") or values.shape != (*names.shape, len(rows)):
        raise RunError(f"{path} does not hold the values of examples")
    clusters = found.get(CLUSTERS)
    if clusters is not None and (clusters.dtype != np.int64 or clusters.shape != rows.shape):
        raise RunError(f"{path} does not hold the values of examples")
    targets = read(run, run.evaluation / name / METRICS, Evaluation).targets
    return ExampleValues(rows, dict(zip(keys, values, strict=True)), str(targets), clusters)


def prediction_table(
    config: Config, facts: Facts, targets: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray], places: Columns
) -> Columns | None:
    """Return target and prediction of each output for each example, after its location `places`. It is None if a table
    cannot hold them, such as a class for each pixel."""
    columns = dict(places)
    try:
        refuse_unclear(config, facts)
        for output in evaluators(config, facts):
            columns |= output.named(output.compared(targets, outputs[output.head.name]))
    except (ConfigError, RunError):
        return None
    size = len(next(iter(columns.values()))) * len(columns)
    step = max(1, -(-size // MOST_CELLS))
    return {name: column[::step] for name, column in columns.items()}


def recorded_metrics(results: Results) -> dict[str, Interval]:
    """Return the test metrics of results.json with their intervals."""
    return {name: Interval(value, *(results.intervals.get(name) or ())) for name, value in results.test.items()}


def fold_metrics(folds: PartResults) -> dict[str, Interval]:
    """Return the metrics of all folds together with their intervals."""
    known = {name: (each.value, each.interval or ()) for name, each in folds.metrics.items()}
    return {name: Interval(value, *ends) for name, (value, ends) in known.items() if value is not None}


def kept_assessment(run: Run, results: Results) -> Assessment | None:
    """Return the stored test evaluation with the metrics of results.json, else that of all folds together; None if
    there is neither."""
    metrics, name = recorded_metrics(results), "test"
    if not metrics and (folds := part_results({"folds": results.folds})) is not None:
        metrics, name = fold_metrics(folds), "folds"
    try:
        kept = read(run, run.evaluation / name / METRICS, Evaluation)
    except RunError:
        return None
    if not metrics:
        return None
    outputs = tuple(kept_output(run, name, each) for each in kept.outputs)
    baselines = tuple(Baseline(each.name, each.metric, each.value, each.note) for each in kept.baselines)
    return Assessment(name, int(kept.examples), metrics, outputs, baselines)


def kept_output(run: Run, name: str, kept: KeptOutput) -> OutputAssessment:
    kind: Any = kept.kind if kept.kind in TASKS else "number"
    mistakes = tuple(
        Mistake(int(each.row), each.target, each.prediction, each.confidence)
        for each in kept.mistakes
        if each.confidence is not None
    )
    table = [row_of(each) for each in kept.table]
    return OutputAssessment(
        kept.name, kind, tuple(kept_figures(run, run.evaluation / name, kept.figures)), table, mistakes
    )


def kept_figures(run: Run, folder: Path, kept: Sequence[KeptFigure]) -> Iterator[Figure]:
    """Yield the readable figures in a folder of the run. They are shown as images, in which nothing runs."""
    for each in kept:
        name = file_word(each.name)
        with contextlib.suppress(RunError):
            file = folder / FIGURES / f"{name}.svg"
            svg = run.read(file, FIGURE_LIMIT).decode("utf-8", "replace")
            if is_drawing(svg):
                yield Figure(name, each.title, each.description, svg)


def row_of(kept: Mapping[str, Any]) -> dict[str, Any]:
    known = numbers(kept)
    return {one_line(name): known.get(name, one_line(kept[name])) for name in list(kept)[:MOST_COLUMNS]}
