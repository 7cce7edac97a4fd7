"""`dltool report RUN`: what happened in a run, as one HTML file that loads nothing, and as JSON."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dltool.commands.predict import recorded_kind
from dltool.errors import DataError, MachineError
from dltool.experiment.opening import (
    Experiment,
    recorded_data,
    recorded_experiment,
    recorded_model,
    require_code,
)
from dltool.imports import import_keras
from dltool.output_file import PAGE, refuse_no_file
from dltool.runs.directory import open_run
from dltool.runs.files import Run

if TYPE_CHECKING:
    from dltool.evaluation.findings import Assessment
    from dltool.experiment.listener import Progress
    from dltool.report.contents import Subject


@dataclass(frozen=True)
class ReportOutcome:
    """A report that was written to `file`. `missing` says why parts of it are not there; empty where all are."""

    run: Path
    file: Path
    numbers: dict[str, Any]
    missing: str


def report(path: Path, out: Path | None, progress: "Progress") -> ReportOutcome:
    """Write the report of the run at `path`: into the run, or the page alone to `out`.

    Where the data is gone or has changed, the report says so, and has all that the run itself knows.

    Raises:
        ConfigError: `out` cannot be a page.
        RunError: the run is damaged, or in use.
        MachineError: a file cannot be written.
    """
    if out is not None:
        refuse_no_file("--out", out, PAGE)
    run = open_run(path)
    require_code(run, f"report {run.path}")
    with run.locked() if out is None else contextlib.nullcontext():
        subject = subject_of(run, progress)
        from dltool.report.as_json import as_json
        from dltool.report.contents import contents
        from dltool.report.write import write_page, write_report

        progress.stage("writing the report")
        found = contents(subject)
        if out is None:
            write_report(run, found)
        else:
            write_page(found, out)
    return ReportOutcome(run.path, out or run.report, as_json(found), found.missing)


def subject_of(run: Run, progress: "Progress") -> "Subject":
    """What there is to report of a run, from its directory and its data."""
    progress.stage("reading the data")
    record = run.read_json(run.record)
    try:
        config, dataset = recorded_data(run)
    except (DataError, MachineError) as error:
        config, facts = recorded_kind(run, record)
        progress.stage("importing TensorFlow")
        import_keras()
        built, _ = recorded_model(run, config, facts)
        from dltool.report.contents import Subject
        from dltool.report.kept import kept_assessment
        from dltool.report.record import read_record

        missing = f"Without the data there are no examples here, and the results are those of the last test: {error}."
        found = read_record(run)
        return Subject(found, config, facts, None, built, kept_assessment(run, found), missing)
    progress.stage("importing TensorFlow")
    import_keras()
    from dltool.model.saving import load_weights
    from dltool.report.contents import Subject
    from dltool.report.record import read_record, words

    experiment = recorded_experiment(run, config, dataset)
    if record.get("status") != "completed":
        reason = f": {words(record['reason'])}" if record.get("reason") else ""
        missing = f"The run is not complete, and has no results. Its status is {words(record.get('status'))}{reason}."
        return Subject(read_record(run), config, dataset.facts, dataset, experiment.built, missing=missing)
    load_weights(experiment.built.core, run.best_weights)
    assessment = assessment_of(experiment, progress)
    return Subject(read_record(run), config, dataset.facts, dataset, experiment.built, assessment)


def assessment_of(experiment: Experiment, progress: "Progress") -> "Assessment | None":
    """That of the test part, measured again; None where there is none."""
    from dltool.experiment.assessing import assessed

    if not len(experiment.dataset.split.test):
        return None
    progress.stage("testing")
    return assessed(experiment, experiment.dataset.examples("test"), progress.warn)[0]
