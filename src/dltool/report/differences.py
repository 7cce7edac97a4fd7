"""Compare runs by their directories: values that differ, and which run is better."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from dltool.config.text.dump import leaves
from dltool.config.text.tree import format_path
from dltool.evaluation.figures.curves import numbers as points_of
from dltool.evaluation.stored import read_examples
from dltool.report.paired_values import as_written, differing, tree_of
from dltool.report.ranking import MetricRow, TestedRun, metric_rows, other_examples, overall, why_not_comparable
from dltool.runs.configs import recorded_values
from dltool.runs.files import Run
from dltool.runs.part_records import part_results
from dltool.runs.records import RunContents, one_line, origin_of, read_contents
from dltool.text import duration, number

MOST_ROWS = 500
"""Differences of one kind, as untrusted runs may have any number."""
MOST_CURVES = 12
NO_CURVES = ("epoch", "seconds")
DIGEST = re.compile(r"(?:sha256:)?\b([0-9a-f]{12})[0-9a-f]{28,52}\b")
"""A digest or commit, which is shortened."""
REPEATED = ("pinned.seed", "pinned.why_threads")
ENVIRONMENT = ("machine", "pinned", "git", "code", "weights")
DATA = ("fingerprint", "split", "examples", "validation_examples", "test_examples", "classes", "inputs", "targets")


@dataclass(frozen=True)
class ValueRow:
    """A value that differs between runs, as a string for each, and its `origins`, "" if unknown."""

    name: str
    values: tuple[str, ...]
    origins: tuple[str, ...] = ()


Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class Comparison:
    """`verdict` says which run is better; `curves` are the (epoch, value) points of each run; `remarks` say what could
    not be compared."""

    runs: tuple[Path, ...]
    config: tuple[ValueRow, ...]
    environment: tuple[ValueRow, ...]
    data: tuple[ValueRow, ...]
    results: tuple[ValueRow, ...]
    metrics: tuple[MetricRow, ...]
    verdict: str
    curves: Mapping[str, tuple[Curve, ...]]
    best_epochs: tuple[int | None, ...]
    remarks: tuple[str, ...]


def compared(runs: Sequence[Run]) -> Comparison:
    """Compare `runs`, at most as many as there are letters. Raises RunError: a run is damaged."""
    found = [read_contents(run) for run in runs]
    # Folds do not measure the mean of their models.
    by_test = any(each.results.ensemble for each in found) and all(each.results.test for each in found)
    tested = [tested_run(run, record, by_test) for run, record in zip(runs, found, strict=True)]
    records = [run.record for run in tested]
    metrics = tuple(metric_rows(tested))
    return Comparison(
        tuple(run.path for run in runs),
        tuple(config_rows(tested)),
        tuple(rows([flattened(record.run.model_dump(), ("dltool", *ENVIRONMENT)) for record in records])),
        tuple(rows([flattened(record.run.data.model_dump(), DATA) for record in records])),
        tuple(rows([results_of(record) for record in records])),
        metrics,
        overall(metrics),
        curves_of(records),
        tuple(record.best_epoch for record in records),
        tuple(remarks(tested, metrics)),
    )


def tested_run(run: Run, record: RunContents, by_test: bool) -> TestedRun:
    """Return what is compared of a run: all its folds together, or its test split, also if asked `by_test`."""
    folds = None if by_test else part_results({"folds": record.results.folds})
    name = "test" if folds is None else "folds"
    is_stored = (run.evaluation / name / "examples.npz").exists()
    return TestedRun(record, recorded_values(run), read_examples(run, name) if is_stored else None, folds)


def config_rows(runs: Sequence[TestedRun]) -> Iterator[ValueRow]:
    for name, parts in islice(differing([tree_of(run.config) for run in runs]), MOST_ROWS):
        values = tuple("" if part is None else one_line(as_written(part.value)) for part in parts)
        places = ["" if part is None else format_path(part.path) for part in parts]
        held = zip(runs, places, strict=True)
        origins = tuple(origin_of(place, run.record.origins) if place else "" for run, place in held)
        yield ValueRow(name, values, origins)


def flattened(record: Mapping[str, Any], keys: Sequence[str]) -> dict[str, str]:
    """Return the values of a record under `keys` as strings by path. Lists of single values become one string."""
    kept = {key: record[key] for key in keys if record.get(key) is not None}
    found: dict[str, str] = {}
    for path, value in leaves(kept, ()):
        end = next((depth for depth, step in enumerate(path) if isinstance(step, int)), len(path))
        place = format_path(path[:end])
        text = DIGEST.sub(r"\1", one_line(value))
        found[place] = ", ".join(filter(None, (found.get(place), text)))
    return found


def rows(found: Sequence[Mapping[str, str]]) -> Iterator[ValueRow]:
    names = dict.fromkeys(name for each in found for name in each)
    for name in list(names)[: MOST_ROWS * 10]:
        values = tuple(each.get(name, "") for each in found)
        if len(set(values)) > 1 and name not in REPEATED:
            yield ValueRow(name, tuple(one_line(value) for value in values))


def results_of(record: RunContents) -> dict[str, str]:
    results, seconds = record.results, record.results.seconds.get("total")
    found = {
        "status": record.run.status,
        "epochs": results.epochs,
        "parameters": results.parameters,
        "best epoch": results.best.epoch,
        "monitor": results.best.monitor,
        **{f"val_{name}": number(value) for name, value in results.validation.items()},
        "took": None if seconds is None else duration(seconds),
    }
    return {name: one_line(value) for name, value in found.items()}


def curves_of(records: Sequence[RunContents]) -> dict[str, tuple[Curve, ...]]:
    """Return the curves by name, without those that equal a later one, as that of a loss that is a metric, and without
    a constant learning rate."""
    first_lines = dict.fromkeys(name for record in records for line in record.lines[:1] for name in line)
    names = [name for name in first_lines if name not in NO_CURVES][:MOST_CURVES]
    found = {name: tuple(points_of(record.lines, name) for record in records) for name in names}
    is_constant = all(len({value for _, value in curve}) < 2 for curve in found.get("learning_rate", ()))
    later = {repr(curves): name for name, curves in found.items() if not (is_constant and name == "learning_rate")}
    return {name: curves for name, curves in found.items() if any(curves) and later.get(repr(curves)) == name}


def remarks(runs: Sequence[TestedRun], metrics: Sequence[MetricRow]) -> Iterator[str]:
    """Yield what could not be compared, and why."""
    records = [run.record for run in runs]
    for run, record in zip(runs, records, strict=True):
        if not run.metrics:
            status = one_line(record.run.status)
            why = "no test examples" if status == "completed" else f"its status is {status}"
            if status == "completed" and record.run.data.test_examples:
                why = "a search tests its best trial only"
            yield f"{record.path} has no test metrics: {why}"
    first, path = runs[0], records[0].path
    are_tested = [bool(first.metrics and run.metrics) for run in runs]
    elsewhere = [other_examples(first, run) if both else "" for run, both in zip(runs, are_tested, strict=True)]
    for record, why in zip(records, elsewhere, strict=True):
        if why:
            yield f"{record.path} {why}: not ranked with {path}"
    for row in metrics:
        without = [record.path for record, value in zip(records, row.values, strict=True) if value is None]
        if without and any(run.metrics for run in runs if run.record.path in without):
            yield f"{row.name} was not measured by {', '.join(without)}"
        for run, value, is_elsewhere in zip(runs, row.values, elsewhere, strict=True):
            both = None not in (value, row.values[0]) and not is_elsewhere
            if both and (why := why_not_comparable(row.name, first, run)):
                yield f"{row.name} of {run.record.path} {why} than in {path}: not ranked"


def as_json(found: Comparison) -> dict[str, Any]:
    def by_name(part: Sequence[ValueRow | MetricRow]) -> dict[str, Any]:
        return {row.name: {key: value for key, value in asdict(row).items() if key != "name"} for row in part}

    parts = ("config", "environment", "data", "results", "metrics")
    tables = {part: by_name(getattr(found, part)) for part in parts}
    whole = {"curves": found.curves, "remarks": found.remarks}
    return {"runs": [str(path) for path in found.runs], "verdict": found.verdict, **tables, **whole}
