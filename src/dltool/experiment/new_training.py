"""The story of a new run: check the config, read the data, build the model, create the run, complete it."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from dltool.config.load import Document
from dltool.config.privacy_checks import privacy_warnings
from dltool.config.schema import Config
from dltool.config.text.dump import origins
from dltool.config.text.tree import ARGUMENTS
from dltool.data.checked import checked_config, checked_with
from dltool.data.dataset import Read, load_data
from dltool.experiment.finishing import TrainingOutcome, complete, report_of_training
from dltool.experiment.new_run import new_run
from dltool.experiment.opening import new_experiment
from dltool.experiment.parts import PartsOf, no_parts
from dltool.experiment.stages import Stages
from dltool.experiment.teaching import prepared_steps
from dltool.machine import git_commit
from dltool.meeting import Meeting
from dltool.runs.directory import refuse_unwritable
from dltool.runs.files import Run
from dltool.runs.recorded import with_table_at
from dltool.runs.records import read_record
from dltool.runs.start_record import kept_start, recorded_warnings, start_lines
from dltool.runs.teacher_run import TeacherRecord
from dltool.text import counted
from dltool.tracking import refuse_missing_extras

CHOICES = {
    ("training", "checkpoint", "monitor"): "best epoch by {}",
    ("data", "split", "stratify"): "splits stratified by class",
}
"""Descriptions of defaults that are inferred from the data."""


@dataclass(frozen=True)
class Terms:
    """How a run differs from a plain one. `most_rows` limits the examples of each split.

    Without `is_kept`, the run's location is not shown, and it has neither figures nor a report. With `is_profiled`, the
    run holds a profile. Without `is_tested`, the test split is never looked at. For `read` see
    :func:`dltool.data.dataset.load_data`. `parts` are those of the run; `part` is the path of the run if it is itself
    one, with the `threads` of the whole. `meeting` is that of the cluster whose chief trains the run."""

    most_rows: int | None = None
    is_kept: bool = True
    is_profiled: bool = False
    is_tested: bool = True
    read: Read | None = None
    parts: PartsOf = no_parts
    part: Path | None = None
    threads: int | None = None
    meeting: Meeting | None = None


PLAIN = Terms()


def train_until_stopped(document: Document, runs: Path, stages: Stages, terms: Terms) -> TrainingOutcome:
    """Train, validate and test; create a run below `runs`.

    Raises DltoolError: see its classes; StopNow: a signal asked to stop. Before there is a run, nothing was written."""
    progress = stages.progress
    config, _ = checked_config(document)
    refuse_missing_extras(config.track)
    if terms.part is None:
        refuse_unwritable(runs / config.name)
    parts = terms.parts(config)
    with stages.reading(trains=True):
        read = terms.read if parts is None else parts.read
        dataset = load_data(config.data, config.seed, terms.most_rows, read)
        config = dataset.in_force(checked_with(document, dataset.facts))
        further = {} if parts is None else parts.files(document, config, dataset)
        for warning in (*dataset.warnings, *privacy_warnings(config)):
            progress.warn(warning)
    whole = None if terms.part is None else Run(terms.part).whole
    with stages.building():
        start = None if whole is None else kept_start(whole)
        experiment = new_experiment(config, dataset, terms.threads, start, terms.meeting)
        experiment = replace(experiment, is_kept=terms.is_kept, is_tested=terms.is_tested)
        fitting = prepared_steps(experiment, teacher=None if whole is None else read_record(whole).teacher)
        fitting.profile.is_wanted = terms.is_profiled
        if config.training.precision == "mixed_float16" and not experiment.pinned["gpus"]:
            progress.warn("mixed_float16 is many times slower than float32 without a GPU; try mixed_bfloat16")
    started, teacher = experiment.built.started, fitting.steps.teacher
    lines = [*overrides(document, config), *start_lines(None if started is None else started.record)]
    lines += [] if teacher is None else [TeacherRecord.model_validate(teacher.record).words]
    progress.prepared(config, dataset.facts, experiment.built.full.count_params(), [*lines, *fitting.steps.summary])
    # In an untrusted run directory, git could run programs from it.
    git = read_record(whole).git if whole is not None else git_commit(document.path.absolute().parent)
    fields = {"most_rows": terms.most_rows, "git": git}
    with new_run(runs, document, experiment, fitting, progress, further, terms.part, **fields) as run:
        for warning in recorded_warnings(run, config):
            progress.warn(warning)
        if document.table is not None:
            experiment = replace(experiment, config=with_table_at(config, str(run.table)))
        outcome = complete(run, experiment, fitting, stages, parts=parts)
        if terms.is_kept and terms.part is None:
            report_of_training(run, experiment, outcome.assessment, stages, parts)
        return outcome


def overrides(document: Document, config: Config) -> list[str]:
    """Describe arguments, values from other files and inferred values, a line each. `config` has facts of the data."""
    found = origins(document, config)
    arguments = [text for text in document.texts if text.startswith(tuple(f"{name} " for name in ARGUMENTS))]
    files = Counter(origin.origin.rsplit(":", 2)[0] for origin in found if origin.origin.count(":") >= 2)
    others = {name: count for name, count in files.items() if name in document.texts and name not in arguments}
    others.pop(document.shown_as, None)
    chosen = [
        CHOICES[origin.path].format(origin.value)
        for origin in found
        if origin.path in CHOICES
        and origin.origin == "default"
        and origin.value is not False
        and (origin.path[1] != "split" or config.data.split.validation or config.data.split.test)
    ]
    lines = [f"overridden by {', '.join(arguments)}"] if arguments else []
    lines += [f"{counted(count, 'value')} from {name}, which the config extends" for name, count in others.items()]
    if "search" in document.root.value:
        lines.append(f"trained as written; dltool search {document.shown_as} tries the values of its search space")
    return lines + ([f"inferred: {', '.join(chosen)}"] if chosen else [])
