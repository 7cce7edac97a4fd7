"""`dltool report RUN`: the report of a run, as one self-contained HTML file and as JSON."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dltool.config.outputs import heads_of
from dltool.durable_files import PAGE, atomic_write, refuse_no_file
from dltool.errors import DataError, MachineError
from dltool.experiment.assessing import assessed
from dltool.experiment.opening import recorded_data, recorded_kind, recorded_model, with_best_weights
from dltool.experiment.refusals import require_code
from dltool.experiment.stages import Stages
from dltool.folds.part_runs import parts_of
from dltool.runs.directory import open_run
from dltool.runs.files import Run
from dltool.runs.records import RunContents, one_line, read_contents

if TYPE_CHECKING:
    from dltool.experiment.listener import Progress
    from dltool.report.contents import Subject


@dataclass(frozen=True)
class ReportOutcome:
    """A report that was written to `file`. `warning` says why sections are missing; empty if none are."""

    run: Path
    file: Path
    numbers: dict[str, Any]
    warning: str

    def record(self) -> dict[str, Any]:
        return {"file": str(self.file), **self.numbers}


def report(path: Path, out: Path | None, progress: "Progress", settings: Sequence[str] = ()) -> ReportOutcome:
    """Write the report of the run at `path`: into the run, or the page alone to `out`. `settings` are `--set`
    arguments with locations of the data.

    If the data is missing or has changed, the report says so and uses the run's own records.

    Raises ConfigError: `out` cannot be a page; RunError: the run is damaged or in use; MachineError: a disk error."""
    if out is not None:
        refuse_no_file("--out", out, PAGE)
    run = open_run(path)
    require_code(run, f"report {run.path}")
    with run.locked() if out is None else contextlib.nullcontext():
        subject = subject_of(run, read_contents(run, is_ours=out is None), progress, settings)
        from dltool.report.contents import contents
        from dltool.report.write import as_json, html, write_report

        progress.stage("writing the report")
        found = contents(subject)
        if out is None:
            write_report(run, found)
        else:
            atomic_write(out, html(found).encode())
    return ReportOutcome(run.path, out or run.report, as_json(found), found.missing)


def subject_of(run: Run, record: RunContents, progress: "Progress", settings: Sequence[str]) -> "Subject":
    """Return the subject of the report, from the run directory and, if available, its data."""
    dataset, lost = None, ""
    with Stages(progress).reading():
        try:
            config, dataset = recorded_data(run, settings=settings)
            facts = dataset.facts
        except (DataError, MachineError) as error:
            config, facts = recorded_kind(run)
            lost = f"The data is not available ({error}): the report has no examples and shows the recorded results."
    from dltool.evaluation.stored import kept_assessment
    from dltool.evaluation.thresholds import recorded_decision
    from dltool.explain.kept import kept_sections
    from dltool.exporting.kept_exports import exports_section
    from dltool.report.contents import Subject

    built, _ = recorded_model(run, config, facts)
    parts = parts_of(config) if record.run.status == "completed" else None
    sections = (*(() if parts is None else parts.sections(run)), *kept_sections(run), *exports_section(run))
    subject = Subject(record, config, facts, dataset, built, sections=sections)
    if dataset is None:
        return replace(subject, assessment=kept_assessment(run, record.results), missing=lost)
    if record.run.status != "completed":
        reason = f": {record.run.reason}" if record.run.reason else ""
        status = one_line(record.run.status)
        return replace(subject, missing=f"The run is not complete and has no results. Its status is {status}{reason}.")
    if not len(dataset.split.test) or config.data.final == "none":
        # All folds together, if there are any.
        return replace(subject, assessment=kept_assessment(run, record.results))
    best = with_best_weights(run, config, built)
    progress.stage("testing")
    config, _ = recorded_decision(run, config, facts)
    best = replace(best, heads=heads_of(config))
    assessment, _ = assessed(config, dataset, best, dataset.examples("test"), progress.warn)
    return replace(subject, assessment=assessment)
