"""The contents of a report as plain values, from a run and, if available, its data and model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dltool.config.checks import target_of, unweighted
from dltool.config.losses import loss_name
from dltool.config.outputs import heads_of
from dltool.config.schema import Config
from dltool.config.tasks import TASKS
from dltool.config.text.tree import format_path
from dltool.data.dataset import Dataset
from dltool.data.facts import Facts
from dltool.data.summary import ColumnRow, class_counts, column_rows
from dltool.evaluation.bootstrap import Interval
from dltool.evaluation.figures.curves import learning_curves
from dltool.evaluation.figures.figure import Figure
from dltool.evaluation.stored import recorded_metrics
from dltool.evaluation.tasks import images
from dltool.keras_names import with_code
from dltool.model.build import BuiltModel
from dltool.model.graph import boxes_of
from dltool.report.advice import Advisor
from dltool.report.distributions import MOST_DISTRIBUTIONS, Distribution, distributions
from dltool.report.evaluation_sections import evaluation_sections
from dltool.report.examples import Example, Look, rows_looks, training_examples
from dltool.report.layers import LayerTableRow, joined_inputs, layer_table
from dltool.report.leakage import leakage_findings
from dltool.report.privacy import privacy_section
from dltool.report.run_settings import environment, settings
from dltool.report.sections import ReportSection
from dltool.report.verdict import Tile, Verdict, tiles, verdict
from dltool.report.warnings import (
    Finding,
    data_findings,
    history_findings,
    prediction_findings,
    start_findings,
    wide_intervals,
)
from dltool.runs.costs import Cost
from dltool.runs.files import Run
from dltool.runs.records import RunContents, one_line, read_contents
from dltool.runs.repeats import repeats
from dltool.runs.teacher_run import learned_from
from dltool.text import number

if TYPE_CHECKING:
    from dltool.evaluation.findings import Assessment, Mistake, OutputAssessment

FEW_MISTAKES = 6
"""Errors shown unless they are images: others take more room."""
MOST_EXPECTATIONS = MOST_WARNINGS = 20
WEIGHTED = "The loss counts each example by its weight ({}); metrics, baselines and tables count each once."


@dataclass(frozen=True)
class Subject:
    """What a report is about. `missing` says why data or assessment is missing; `sections` are further ones."""

    record: RunContents
    config: Config
    facts: Facts
    dataset: Dataset | None
    built: BuiltModel
    assessment: "Assessment | None" = None
    missing: str = ""
    sections: Sequence[ReportSection] = ()


@dataclass(frozen=True)
class ShownMistake:
    """A wrong prediction with its example; `place` is the location of the example."""

    mistake: "Mistake"
    place: str
    looks: tuple[Look, ...]


@dataclass(frozen=True)
class OutputContents:
    """The results of one output, and those of its errors that are shown. `has_images`: each is an image. `decision`
    describes the decision threshold, if it has one."""

    assessed: "OutputAssessment"
    mistakes: tuple[ShownMistake, ...]
    has_images: bool
    decision: str = ""


@dataclass(frozen=True)
class Contents:
    """The contents of a report, in the order of its sections. `run_word` is the run on the command line.

    `repeated` are metrics that are not shown because another has their values. `sizes` are the examples of each split,
    `classes` those of each class in each split, `columns` those of a table."""

    record: RunContents
    missing: str
    verdict: Verdict
    tiles: tuple[Tile, ...]
    repeated: frozenset[str]
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]
    curves: tuple[Figure, ...]
    outputs: tuple[OutputContents, ...]
    examples: tuple[Example, ...]
    layers: Sequence[LayerTableRow]
    parameters: int
    settings: Mapping[str, Mapping[str, str]]
    sizes: Mapping[str, int]
    classes: Mapping[str, Sequence[int]]
    columns: tuple[ColumnRow, ...]
    distributions: tuple[Distribution, ...]
    cost: Mapping[str, str]
    environment: Mapping[str, str]
    run_word: str
    sections: tuple[ReportSection, ...] = ()


def contents(subject: Subject) -> Contents:
    """Return everything that the subject allows to report. Without an assessment, the metrics are of results.json."""
    record, config, dataset, built = subject.record, subject.config, subject.dataset, subject.built
    assessed, privacy = subject.assessment, record.results.privacy
    sections = [*subject.sections, *privacy_section(config, privacy), *evaluation_sections(config, assessed, privacy)]
    subject = replace(subject, sections=sections)
    metrics = recorded_metrics(record.results) if assessed is None else assessed.metrics
    outputs, baselines = ((), ()) if assessed is None else (assessed.outputs, assessed.baselines)
    shown = tuple(tiles(metrics, baselines))
    judged = verdict(shown, subject.facts.test_examples if assessed is None else assessed.examples)
    classes = {} if dataset is None else class_counts(dataset)
    reasons: list[str] = []
    curves = images([lambda: learning_curves(record.lines, record.best_epoch)], reasons.append)
    undrawn = [
        Finding("figure", "A figure is missing", f"{each[:1].upper()}{each[1:]}.", "The tables below have the numbers.")
        for each in reasons
    ]
    return Contents(
        record=record,
        missing=subject.missing,
        verdict=judged,
        tiles=shown,
        repeated=repeats(record.lines),
        notes=(
            *([WEIGHTED.format(one_line(config.data.weights))] if config.data.weights is not None else []),
            *(f"{each.name} of {each.metric}: {each.note}." for each in baselines if each.note),
            *(f"The model {each.words}." for each in learned_from(record.run) if each.source),
        ),
        findings=(*found_findings(subject, metrics, classes, judged), *undrawn),
        curves=tuple(chain.from_iterable(curves)),
        outputs=tuple(output_contents(subject, each) for each in outputs),
        examples=tuple(training_examples(config, dataset, built)) if dataset else (),
        layers=layer_table(joined_inputs(boxes_of(built, subject.facts)), record.origins),
        parameters=built.full.count_params(),
        settings=settings(config, record.origins),
        sizes=subject.facts.sizes,
        classes=classes,
        columns=() if dataset is None else tuple(column_rows(config, dataset)),
        distributions=() if dataset is None else tuple(islice(distributions(dataset), MOST_DISTRIBUTIONS)),
        cost=Cost.model_validate(record.results.cost).words,
        environment=environment(record),
        run_word=with_code(record.path),
        sections=tuple(sections),
    )


def found_findings(
    subject: Subject, metrics: Mapping[str, Interval], counts: Mapping[str, Sequence[int]], judged: Verdict
) -> list[Finding]:
    record, dataset, built = subject.record, subject.dataset, subject.built
    findings = [] if dataset is None else [*leakage_findings(dataset)]
    stopped_early = len(record.lines) < subject.config.training.total_epochs
    # A fold or seed is changed by the config of its run.
    whole = Run(Path(record.path)).whole
    origins = record.origins if whole is None else read_contents(whole).origins
    advisor = Advisor(subject.config, subject.facts, built.full.count_params(), origins, dataset)
    history = record.lines, record.best_epoch, with_code(record.path), stopped_early
    findings += history_findings(*history, advisor, judged.kind == "bad")
    findings += assessment_findings(subject)
    warnings = dataset.warnings if dataset is not None else record.run.data.warnings[:MOST_WARNINGS]
    findings += start_findings(text for each in learned_from(record.run) for text in each.warnings[:MOST_WARNINGS])
    # All folds together test more examples than a test split.
    tested = {} if subject.assessment is None else {"test": subject.assessment.examples}
    sizes = {**subject.facts.sizes, **tested}
    has_folds = subject.config.data.split.folds is not None
    keeps_last = subject.config.keeps_last_epoch or not subject.config.data.is_refit
    findings += data_findings(unweighted_classes(subject, counts), sizes, warnings, has_folds, keeps_last)
    findings += wide_intervals(metrics)
    findings += [found for section in subject.sections for found in section.findings]
    for name, found in list(record.results.expectations.items())[:MOST_EXPECTATIONS]:
        if found.met is False:
            is_now = "unknown" if found.value is None else number(found.value)
            text = f"{one_line(name)}: expected {one_line(found.bound)}, got {is_now}."
            findings.append(Finding("expectation", "An expectation was not met", text, "Change the model or `expect`."))
    # Notes come last.
    return sorted(findings, key=lambda finding: finding.is_note)


def unweighted_classes(
    subject: Subject, counts: Mapping[str, Sequence[int]]
) -> Iterator[tuple[Mapping[str, Sequence[int]], str]]:
    """Yield the counts of the classes of outputs without class weights, with the path of these if there can be any."""
    targets = subject.facts.targets
    for head in heads_of(subject.config):
        # With several targets, names of classes begin with the target.
        start = f"{head.target}: " if len(targets) > 1 else ""
        classes = {name: found for name, found in counts.items() if name.startswith(start)}
        if classes and head.class_weights is None and head.target in targets:
            can_be = unweighted(head, targets[head.target]) is None
            yield classes, format_path(head.class_weights_place) if can_be else ""


def assessment_findings(subject: Subject) -> Iterator[Finding]:
    """Yield warnings about the predictions of each output."""
    assessment, heads = subject.assessment, {head.name: head for head in heads_of(subject.config)}
    if assessment is None:
        return
    for output in assessment.outputs:
        # A stored evaluation is not trusted.
        head = heads.get(output.name)
        target = None if head is None else target_of(head, subject.facts.targets)
        if head is not None and target is not None:
            loss, is_scaled = loss_name(head.loss), target.scale is not None
            yield from prediction_findings(output.table, assessment.examples, target.extremes, loss, is_scaled)


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
    return OutputContents(assessed, shown, has_images, decision(subject, assessed))


def decision(subject: Subject, assessed: "OutputAssessment") -> str:
    """Describe the recorded threshold of the output; empty if it has none."""
    threshold = subject.record.results.thresholds.get(assessed.name)
    if threshold is None:
        return ""
    head = next(each for each in heads_of(subject.config) if each.name == assessed.name)
    target = subject.facts.targets[str(head.target)]
    positive = "" if target.task.takes_several else f": a higher probability of {target.class_names[-1]} predicts it"
    return f"{threshold.words[:1].upper()}{threshold.words[1:]}{positive}."
