"""The contents of a report as plain values, from a run and, if available, its data and model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from dltool.config.schema import Config
from dltool.config.tasks import TASKS
from dltool.data.dataset import Dataset
from dltool.data.facts import Facts
from dltool.data.summary import ColumnRow, class_counts, column_rows
from dltool.evaluation.assessment import images
from dltool.evaluation.bootstrap import Interval
from dltool.evaluation.figures.curves import learning_curves
from dltool.evaluation.figures.figure import Figure
from dltool.model.build import BuiltModel
from dltool.model.graph import boxes_of
from dltool.report.examples import Example, Look, rows_looks, training_examples
from dltool.report.kept import recorded_metrics
from dltool.report.layers import LayerTable, joined_inputs, layer_table
from dltool.report.leakage import leakage_findings
from dltool.report.provenance import Setting, commands, environment, run_word, settings
from dltool.report.verdict import Tile, Verdict, tiles, verdict
from dltool.report.warnings import Finding, data_findings, history_findings, wide_intervals
from dltool.runs.records import MOST_ITEMS, RunContents, words
from dltool.text import number

if TYPE_CHECKING:
    from dltool.evaluation.findings import Assessment, Mistake, OutputAssessment

FEW_MISTAKES = 6
"""Errors shown unless they are images: others take more room."""
LONGEST_NAME = 100
MOST_EXPECTATIONS = MOST_WARNINGS = 20


@dataclass(frozen=True)
class Subject:
    """What a report is about. `missing` says why data or assessment is missing."""

    record: RunContents
    config: Config
    facts: Facts
    dataset: Dataset | None
    built: BuiltModel
    assessment: "Assessment | None" = None
    missing: str = ""


@dataclass(frozen=True)
class ShownMistake:
    """A wrong prediction with its example; `place` is the location of the example."""

    mistake: "Mistake"
    place: str
    looks: tuple[Look, ...]


@dataclass(frozen=True)
class OutputContents:
    """The results of one output, and those of its errors that are shown. `has_images`: each is an image."""

    assessed: "OutputAssessment"
    mistakes: tuple[ShownMistake, ...]
    has_images: bool


@dataclass(frozen=True)
class DataContents:
    """`sizes` of the splits, `classes` with their examples in each split, `columns` of a table."""

    sizes: Mapping[str, int]
    classes: Mapping[str, Sequence[int]]
    columns: tuple[ColumnRow, ...]
    inputs: Mapping[str, str]
    fingerprint: str


@dataclass(frozen=True)
class Contents:
    """The contents of a report, in the order of its sections."""

    record: RunContents
    missing: str
    verdict: Verdict
    tiles: tuple[Tile, ...]
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]
    curves: tuple[Figure, ...]
    outputs: tuple[OutputContents, ...]
    examples: tuple[Example, ...]
    layers: LayerTable
    parameters: int
    settings: tuple[Setting, ...]
    data: DataContents
    environment: Mapping[str, str]
    commands: Mapping[str, str]


def contents(subject: Subject) -> Contents:
    """Return everything that the subject allows to report. Without an assessment, the metrics are of results.json."""
    record, config, dataset, built = subject.record, subject.config, subject.dataset, subject.built
    assessed = subject.assessment
    metrics = recorded_metrics(record.results) if assessed is None else assessed.metrics
    outputs, baselines = ((), ()) if assessed is None else (assessed.outputs, assessed.baselines)
    shown = tuple(tiles(metrics, baselines))
    data = data_contents(record, config, dataset)
    reasons: list[str] = []
    curves = images([lambda: learning_curves(record.lines, record.best_epoch)], reasons.append)
    undrawn = [
        Finding("figure", "A figure is missing", f"{each[:1].upper()}{each[1:]}.", "The tables below have the numbers.")
        for each in reasons
    ]
    return Contents(
        record=record,
        missing=subject.missing,
        verdict=verdict(shown, data.sizes["test"]),
        tiles=shown,
        notes=tuple(f"{each.name} of {each.metric}: {each.note}." for each in baselines if each.note),
        findings=(*found_findings(subject, metrics, data), *undrawn),
        curves=tuple(chain.from_iterable(curves)),
        outputs=tuple(output_contents(subject, each) for each in outputs),
        examples=tuple(training_examples(config, dataset, built)) if dataset else (),
        layers=layer_table(joined_inputs(boxes_of(built, subject.facts)), record.origins),
        parameters=built.full.count_params(),
        settings=tuple(settings(config, record.origins)),
        data=data,
        environment=environment(record),
        commands=commands(record),
    )


def found_findings(subject: Subject, metrics: Mapping[str, Interval], data: DataContents) -> list[Finding]:
    record, dataset = subject.record, subject.dataset
    findings = [] if dataset is None else leakage_findings(dataset)
    epochs = subject.config.training.epochs
    stopped_early = isinstance(epochs, int) and len(record.lines) < epochs
    findings += history_findings(record.lines, record.best_epoch, run_word(record), stopped_early)
    has_weights = subject.config.training.class_weights is not None
    warnings = dataset.warnings if dataset is not None else record.run.data.warnings[:MOST_WARNINGS]
    findings += data_findings(by_target(data.classes, dataset), has_weights, data.sizes, warnings)
    findings += wide_intervals(metrics)
    for name, found in list(record.results.expectations.items())[:MOST_EXPECTATIONS]:
        if found.met is False:
            is_now = "unknown" if found.value is None else number(found.value)
            said = f"{words(name)}: expected {words(found.bound)}, got {is_now}."
            findings.append(Finding("expectation", "An expectation was not met", said, "Change the model or `expect`."))
    # Notes come last.
    return sorted(findings, key=lambda finding: finding.is_note)


def by_target(classes: Mapping[str, Sequence[int]], dataset: Dataset | None) -> list[Mapping[str, Sequence[int]]]:
    """Return the examples of each class by target. With several targets, names of classes begin with the target."""
    if dataset is None or len(dataset.facts.targets) == 1:
        return [classes] if classes else []
    apart = [{name: n for name, n in classes.items() if name.startswith(f"{own}: ")} for own in dataset.facts.targets]
    return [found for found in apart if found]


def output_contents(subject: Subject, assessed: "OutputAssessment") -> OutputContents:
    dataset, mistakes = subject.dataset, assessed.mistakes
    looks: list[Any] = [()] * len(mistakes)
    if dataset is not None and mistakes:
        autoencoder = None if TASKS[assessed.kind].has_labels else assessed.name
        looks = rows_looks(subject.config, dataset, subject.built, [each.row for each in mistakes], autoencoder)
    has_images = all(any(look.image for look in found) for found in looks)
    noun = "row" if subject.config.data.windows is None else "window"
    shown = tuple(
        ShownMistake(each, f"{noun} {each.row:,}" if dataset is None else dataset.place_of(each.row), tuple(look))
        for each, look in [*zip(mistakes, looks, strict=True)][: None if has_images else FEW_MISTAKES]
    )
    return OutputContents(assessed, shown, has_images)


def data_contents(record: RunContents, config: Config, dataset: Dataset | None) -> DataContents:
    found = record.run.data
    sizes = {
        "training": found.examples or 0,
        "validation": found.validation_examples or 0,
        "test": found.test_examples or 0,
    }
    inputs = {
        name[:LONGEST_NAME]: f"{words(each.shape).replace(', ', ' × ')} {words(each.dtype)}"
        for name, each in list((found.inputs or {}).items())[:MOST_ITEMS]
    }
    classes, columns = ({}, ()) if dataset is None else (class_counts(dataset), tuple(column_rows(config, dataset)))
    return DataContents(sizes, classes, columns, inputs, words(found.fingerprint))
