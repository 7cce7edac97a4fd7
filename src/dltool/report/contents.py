"""The contents of a report as plain values, from a run and, if available, its data and model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dltool.config.schema import Config
from dltool.config.tasks import TASKS
from dltool.data.dataset import Dataset
from dltool.data.facts import Facts
from dltool.data.summary import ColumnRow, class_counts, column_rows
from dltool.evaluation.bootstrap import Interval
from dltool.evaluation.figures.curves import learning_curves
from dltool.evaluation.figures.figure import Figure
from dltool.evaluation.tasks import images
from dltool.model.build import BuiltModel
from dltool.report.examples import Example, Look, reconstructed_looks, rows_looks, training_examples
from dltool.report.kept import recorded_metrics
from dltool.report.layers import LayerTable, layer_table
from dltool.report.leakage import leakage_suspects
from dltool.report.provenance import Setting, commands, environment, run_word, settings
from dltool.report.verdict import Tile, Verdict, tiles, verdict
from dltool.report.warnings import Finding, data_findings, history_findings, leakage_findings, wide_intervals
from dltool.runs.records import MOST_ITEMS, RunContents, words
from dltool.text import number

if TYPE_CHECKING:
    from dltool.evaluation.findings import Assessment, Baseline, Mistake, OutputAssessment

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
    """One output of the model: figures, a row for each class or number, and the worst errors."""

    name: str
    kind: str
    figures: tuple[Figure, ...]
    table: tuple[Mapping[str, Any], ...]
    mistakes: tuple[ShownMistake, ...]


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

    name: str
    number: str
    path: str
    status: str
    started: str
    missing: str
    verdict: Verdict
    tiles: tuple[Tile, ...]
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]
    curves: tuple[Figure, ...]
    lines: tuple[Mapping[str, Any], ...]
    best_epoch: int | None
    outputs: tuple[OutputContents, ...]
    examples: tuple[Example, ...]
    layers: LayerTable
    parameters: int
    settings: tuple[Setting, ...]
    config_text: str
    data: DataContents
    seconds: Mapping[str, float]
    environment: Mapping[str, str]
    commands: Mapping[str, str]


def contents(subject: Subject) -> Contents:
    """Return everything that the subject allows to report."""
    record, config, dataset, built = subject.record, subject.config, subject.dataset, subject.built
    metrics, baselines = measured(subject)
    shown = tuple(tiles(metrics, baselines))
    data = data_contents(record, config, dataset)
    undrawn: list[str] = []
    curves = images([lambda: learning_curves(record.lines, record.best_epoch)], undrawn.append)
    return Contents(
        name=record.name,
        number=record.number,
        path=record.path,
        status=words(record.run.status),
        started=words(record.run.started).replace("T", " ").replace("+0000", " UTC"),
        missing=subject.missing,
        verdict=verdict(shown, data.sizes["test"]),
        tiles=shown,
        notes=tuple(f"{each.name} of {each.metric}: {each.note}." for each in baselines if each.note),
        findings=(*found_findings(subject, metrics, data), *map(undrawn_finding, undrawn)),
        curves=tuple(figure for each in curves for figure in each),
        lines=record.lines,
        best_epoch=record.best_epoch,
        outputs=tuple(output_contents(subject, each) for each in subject.assessment.outputs)
        if subject.assessment
        else (),
        examples=tuple(training_examples(config, dataset, built)) if dataset else (),
        layers=layer_table(built, subject.facts, record.origins),
        parameters=built.full.count_params(),
        settings=tuple(settings(config, record.origins)),
        config_text=record.config_text,
        data=data,
        seconds=record.results.seconds,
        environment=environment(record),
        commands=commands(record),
    )


def measured(subject: Subject) -> tuple[Mapping[str, Interval], Sequence["Baseline"]]:
    """Return test metrics with intervals and baselines; without an assessment, those of results.json."""
    if subject.assessment is not None:
        return subject.assessment.metrics, subject.assessment.baselines
    return recorded_metrics(subject.record.results), ()


def found_findings(subject: Subject, metrics: Mapping[str, Interval], data: DataContents) -> list[Finding]:
    record, dataset = subject.record, subject.dataset
    findings: list[Finding] = []
    if dataset is not None:
        findings += leakage_findings(leakage_suspects(dataset))
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


def undrawn_finding(reason: str) -> Finding:
    return Finding(
        "figure", "A figure is missing", f"{reason[:1].upper()}{reason[1:]}.", "The tables below have the numbers."
    )


def output_contents(subject: Subject, output: "OutputAssessment") -> OutputContents:
    mistakes = output.mistakes
    looks: list[Any] = [()] * len(mistakes)
    if subject.dataset is not None and mistakes:
        rows = [each.row for each in mistakes]
        looks = rows_looks(subject.config, subject.dataset, rows)
        if not TASKS[output.kind].has_labels:
            restored = reconstructed_looks(subject.dataset, subject.built, output.name, rows)
            looks = [[*each, *more] for each, more in zip(looks, restored, strict=True)]
    most = None if all(any(look.image for look in found) for found in looks) else FEW_MISTAKES
    shown = tuple(
        ShownMistake(each, place_of(subject, each.row), tuple(look))
        for each, look in [*zip(mistakes, looks, strict=True)][:most]
    )
    return OutputContents(output.name, output.kind, tuple(output.figures), tuple(output.table), shown)


def place_of(subject: Subject, row: int) -> str:
    if subject.dataset is not None:
        return subject.dataset.place_of(row)
    return f"{'row' if subject.config.data.windows is None else 'window'} {row:,}"


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
