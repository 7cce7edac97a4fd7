"""`dltool explain RUN [FILE…]`: what the predictions of a run depend on, each method with its proof."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dltool.config.explain_options import Asked
from dltool.data.new_data import load_new
from dltool.durable_files import PAGE, atomic_write, refuse_no_file
from dltool.errors import MachineError
from dltool.experiment.opening import best_model, recorded_data, recorded_kind
from dltool.experiment.refusals import require_code
from dltool.experiment.stages import Stages
from dltool.runs.directory import open_run
from dltool.runs.files import Run

if TYPE_CHECKING:
    from dltool.experiment.listener import Progress
    from dltool.explain.explained import Explained

Found = tuple[str, "tuple[Explained, ...]"]
"""The name of the explanation's folder, and what each method found."""


@dataclass(frozen=True)
class ExplanationOutcome:
    """Explanations and their `folder`. `warning` says why nothing could be written to the run; empty if it was."""

    run: Path
    found: "tuple[Explained, ...]"
    folder: Path
    warning: str = ""

    def record(self) -> dict[str, Any]:
        folder = None if self.warning else str(self.folder)
        return {"run": str(self.run), "folder": folder, "explanations": [each.record() for each in self.found]}


def explain(
    path: Path,
    files: Sequence[str],
    asked: Asked,
    out: Path | None = None,
    settings: Sequence[str] = (),
    *,
    progress: "Progress",
) -> ExplanationOutcome:
    """Explain the predictions of the run at `path` for `files`, read as by `predict`, or for its test split.

    `out` is a page to write. `settings` are `--set` arguments with locations of the data.

    Raises ConfigError: an option does not fit the model; DataError: the data cannot be read or has changed; RunError:
    the run is damaged; MachineError: `out` cannot be written."""
    if out is not None:
        refuse_no_file("--out", out, PAGE)
    asked.refuse()
    run = open_run(path)
    require_code(run, f"explain {run.path} {shlex.join(files)}".strip())
    found_for = of_files if files else of_held_out
    name, found = found_for(run, files or settings, asked, progress)
    from dltool.explain.kept import explanation_files, explanation_page

    folder, warning = run.explanation / name, ""
    try:
        run.replace_folder(folder, explanation_files(found))
    except MachineError as error:
        warning = f"the explanation could not be saved: {error}"
    if out is not None:
        atomic_write(out, explanation_page(str(run.path), found).encode())
    return ExplanationOutcome(run.path, found, folder, warning)


def of_held_out(run: Run, settings: Sequence[str], asked: Asked, progress: "Progress") -> Found:
    """Explain examples of the run's own data that it was not trained on."""
    with Stages(progress).reading():
        config, dataset = recorded_data(run, settings=settings)
    from dltool.evaluation.thresholds import recorded_decision
    from dltool.explain.explaining import explain_dataset

    built = best_model(run, config, dataset.facts)
    progress.stage("explaining")
    return explain_dataset(recorded_decision(run, config, dataset.facts)[0], dataset, built, asked)


def of_files(run: Run, files: Sequence[str], asked: Asked, progress: "Progress") -> Found:
    """Explain the first examples in new files."""
    config, facts = recorded_kind(run)
    with Stages(progress).reading():
        new = load_new(config.data, facts, files)
        for warning in new.warnings:
            progress.warn(warning)
    from dltool.evaluation.figures.figure import file_word
    from dltool.evaluation.thresholds import recorded_decision
    from dltool.explain.explaining import explain_examples

    examples = new.examples
    if len(examples) > asked.examples:
        progress.warn(f"the first {asked.examples:,} of {len(examples):,} are explained; --examples N explains more")
        examples = examples.take(np.arange(asked.examples))
    built = best_model(run, config, facts)
    progress.stage("explaining")
    name = f"data-{file_word(Path(files[0]).name.partition('.')[0])}"
    return name, explain_examples(recorded_decision(run, config, facts)[0], facts, built, examples, asked)
