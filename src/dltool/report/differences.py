"""Compare runs by their directories: values that differ, and whether results differ significantly."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from dltool.config.text.dump import leaves
from dltool.config.text.tree import format_path
from dltool.evaluation.bootstrap import Interval, paired_difference
from dltool.evaluation.figures.curves import numbers as points_of
from dltool.evaluation.stored import ExampleValues, read_examples, recorded_metrics
from dltool.report.verdict import MORE_IS_BETTER, less_is_better
from dltool.runs.configs import Values, different, recorded_values
from dltool.runs.files import Run
from dltool.runs.records import RunContents, one_line, read_contents

MOST_ROWS = 500
"""Differences of one kind, as untrusted runs may have any number."""
MOST_CURVES = 12
NO_CURVES = ("epoch", "seconds")
DIGEST = re.compile(r"(?:sha256:)?\b([0-9a-f]{12})[0-9a-f]{28,52}\b")
"""A digest or commit, which is shortened."""
REPEATED = ("pinned.seed", "pinned.why_threads")
SEED = 0
"""Seed of the bootstrap, fixed so that intervals are reproducible."""
ENVIRONMENT = ("machine", "pinned", "git", "code", "weights")
DATA = ("fingerprint", "split", "examples", "validation_examples", "test_examples", "classes", "inputs", "targets")


@dataclass(frozen=True)
class ValueRow:
    """A value that differs between runs, as a string for each, and its `origins`, "" if unknown."""

    name: str
    values: tuple[str, ...]
    origins: tuple[str, ...] = ()


@dataclass(frozen=True)
class MetricDifference:
    """The difference of a run to the first one. `is_paired`: both have the same test examples.

    If unpaired, the difference is significant if the two intervals do not overlap."""

    value: float
    low: float | None
    high: float | None
    is_paired: bool
    exceeds_noise: bool | None


@dataclass(frozen=True)
class MetricRow:
    """A test metric of each run, and its `differences` to the first run, None if not comparable."""

    name: str
    values: tuple[Interval | None, ...]
    differences: tuple[MetricDifference | None, ...]


Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class Comparison:
    """`curves` are the (epoch, value) points of each run; `remarks` say what could not be compared."""

    runs: tuple[Path, ...]
    config: tuple[ValueRow, ...]
    environment: tuple[ValueRow, ...]
    data: tuple[ValueRow, ...]
    results: tuple[ValueRow, ...]
    metrics: tuple[MetricRow, ...]
    curves: Mapping[str, tuple[Curve, ...]]
    best_epochs: tuple[int | None, ...]
    remarks: tuple[str, ...]


def compared(runs: Sequence[Run]) -> Comparison:
    """Compare `runs`, at most as many as there are letters. Raises RunError: a run is damaged."""
    records = [read_contents(run) for run in runs]
    values = [recorded_values(run) for run in runs]
    examples = [
        read_examples(run, "test") if (run.evaluation / "test" / "examples.npz").exists() else None for run in runs
    ]
    metrics = tuple(metric_rows(records, examples, [losses_in(each) for each in values]))
    return Comparison(
        tuple(run.path for run in runs),
        tuple(config_rows(values, records)),
        tuple(rows([flattened(record.run.model_dump(), ("dltool", *ENVIRONMENT)) for record in records])),
        tuple(rows([flattened(record.run.data.model_dump(), DATA) for record in records])),
        tuple(rows([results_of(record) for record in records])),
        metrics,
        curves_of(records),
        tuple(record.best_epoch for record in records),
        tuple(remarks(records, examples, metrics)),
    )


def config_rows(values: Sequence[Values], records: Sequence[RunContents]) -> Iterator[ValueRow]:
    for path in different(values)[:MOST_ROWS]:
        place = format_path(path)
        held = zip(records, values, strict=True)
        origins = tuple(record.origins.get(place, "") if path in each else "" for record, each in held)
        yield ValueRow(place, tuple(one_line(each[path]) if path in each else "" for each in values), origins)


def losses_in(values: Values) -> Values:
    """Return the config values of the losses. Values of different loss functions are not comparable."""
    return {
        path: value for path, value in values.items() if "loss" in (path[1:2] if path[0] == "training" else path[3:4])
    }


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
    results = record.results
    found = {
        "status": record.run.status,
        "epochs": results.epochs,
        "parameters": results.parameters,
        "best epoch": results.best.epoch,
        "monitor": results.best.monitor,
        **{f"val_{name}": f"{value:.6g}" for name, value in results.validation.items()},
        "seconds": results.seconds.get("total"),
    }
    return {name: one_line(value) for name, value in found.items()}


def are_same_examples(first: ExampleValues | None, other: ExampleValues | None) -> bool:
    if first is None or other is None:
        return False
    return first.targets == other.targets and np.array_equal(first.rows, other.rows)


def metric_rows(
    records: Sequence[RunContents], examples: Sequence[ExampleValues | None], losses: Sequence[Values]
) -> Iterator[MetricRow]:
    measured = [recorded_metrics(record.results) for record in records]
    paired = [each.values if each is not None and are_same_examples(examples[0], each) else {} for each in examples]
    for name in dict.fromkeys(chain.from_iterable(measured)):
        values = tuple(each.get(name) for each in measured)
        differences: list[MetricDifference | None] = [None]
        for value, own, loss in zip(values[1:], paired[1:], losses[1:], strict=True):
            is_comparable = not name.endswith("loss") or loss == losses[0]
            of_examples = paired[0].get(name), own.get(name)
            differences.append(difference(values[0], value, *of_examples) if is_comparable else None)
        yield MetricRow(name, values, tuple(differences))


def difference(
    first: Interval | None, other: Interval | None, values: np.ndarray | None, others: np.ndarray | None
) -> MetricDifference | None:
    """Return the difference of a metric, None if one run lacks it. `exceeds_noise` is None without intervals. `values`
    and `others` are of the same test examples, None if there are none."""
    if first is None or other is None:
        return None
    value, apart = other.value - first.value, None
    if values is not None and others is not None and len(values):
        found = paired_difference(values, others, SEED)
        if found.low is not None:
            return MetricDifference(value, found.low, found.high, True, found.exceeds_noise)
    if None not in (first.low, first.high, other.low, other.high):
        apart = other.low > first.high or other.high < first.low  # type: ignore[operator]
    return MetricDifference(value, None, None, False, apart)


def significance(metric: str, letter: str, found: MetricDifference) -> str:
    """Return whether the difference of run `letter` to run A is significant, and which of the two is better."""
    if not found.exceeds_noise:
        return "significance unknown" if found.exceeds_noise is None else "not significant"
    is_less = less_is_better(metric)
    better = letter if is_less == (found.value < 0) else "A"
    is_known = is_less or MORE_IS_BETTER.search(metric) is not None
    return f"significant at 95 %{f': {better} is better' if is_known else ''}"


def curves_of(records: Sequence[RunContents]) -> dict[str, tuple[Curve, ...]]:
    first_lines = dict.fromkeys(name for record in records for line in record.lines[:1] for name in line)
    names = [name for name in first_lines if name not in NO_CURVES][:MOST_CURVES]
    found = {name: tuple(points_of(record.lines, name) for record in records) for name in names}
    return {name: curves for name, curves in found.items() if any(curves)}


def remarks(
    records: Sequence[RunContents], examples: Sequence[ExampleValues | None], metrics: Sequence[MetricRow]
) -> Iterator[str]:
    """Yield what could not be compared, and why."""
    for record in records:
        if not record.results.test:
            status = one_line(record.run.status)
            why = "no test examples" if status == "completed" else f"its status is {status}"
            yield f"{record.path} has no test metrics: {why}"
    for row in metrics:
        without = [record.path for record, value in zip(records, row.values, strict=True) if value is None]
        if without and any(record.results.test for record in records if record.path in without):
            yield f"{row.name} was not measured by {', '.join(without)}"
        for record, value, found in list(zip(records, row.values, row.differences, strict=True))[1:]:
            if None not in (row.values[0], value) and found is None:
                yield f"{row.name} of {record.path} uses another loss function than {records[0].path}: not comparable"
    first = examples[0]
    for record, other in list(zip(records, examples, strict=True))[1:]:
        if not record.results.test or not records[0].results.test:
            continue
        if first is None or other is None:
            path = records[0].path if first is None else record.path
            yield f"{path} has no values of single examples: run dltool evaluate"
        elif not are_same_examples(first, other):
            how = f"other examples than {records[0].path}"
            is_same_data = records[0].run.data.fingerprint == record.run.data.fingerprint
            if is_same_data and not np.array_equal(first.rows, other.rows):
                both = len(np.intersect1d(first.rows, other.rows))
                how = f"other rows than {records[0].path}, {both:,} of {len(other.rows):,} in common"
            yield f"{record.path} was tested on {how}: unpaired intervals"


def as_json(found: Comparison) -> dict[str, Any]:
    def by_name(part: Sequence[ValueRow | MetricRow]) -> dict[str, Any]:
        return {row.name: {key: value for key, value in asdict(row).items() if key != "name"} for row in part}

    parts = ("config", "environment", "data", "results", "metrics")
    tables = {part: by_name(getattr(found, part)) for part in parts}
    return {"runs": [str(path) for path in found.runs], **tables, "curves": found.curves, "remarks": found.remarks}
