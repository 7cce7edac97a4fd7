"""`dltool explain RUN [FILE…]`: what the predictions of a run depend on, each method with its proof."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dltool.commands.predict import new_examples
from dltool.config.explain_options import Asked
from dltool.config.outputs import heads_of
from dltool.config.schema import Data
from dltool.data.facts import Facts
from dltool.data.new_data import NewExamples, load_new
from dltool.durable_files import PAGE, atomic_write, refuse_no_file
from dltool.errors import MachineError
from dltool.experiment.opened_run import OpenedRun
from dltool.experiment.opening import best_model, recorded_data
from dltool.experiment.refusals import require_code
from dltool.experiment.stages import Stages
from dltool.runs.directory import open_run
from dltool.runs.files import Run

if TYPE_CHECKING:
    from dltool.experiment.listener import Progress
    from dltool.explain.explained import Explained

Load = Callable[[Data, Facts], NewExamples]


@dataclass(frozen=True)
class ExplanationOutcome:
    """Explanations and their `folder`. `warning` says why nothing could be written to the run; empty if it was. `page`
    is a page that was written, too."""

    run: Path
    found: "tuple[Explained, ...]"
    folder: Path
    warning: str = ""
    page: Path | None = None

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
    run = open_run(path)
    source, name = (partial(load_new, files=files), data_name(files[0])) if files else (None, "")
    split, found = explained_run(run, source, asked, progress, settings)
    from dltool.explain.kept import explanation_page, write_explanation

    folder, warning = run.explanation / (split or name), ""
    try:
        write_explanation(run, folder.name, found)
    except MachineError as error:
        warning = f"the explanation could not be saved: {error}"
    if out is not None:
        atomic_write(out, explanation_page(str(run.path), found).encode())
    return ExplanationOutcome(run.path, found, folder, warning, out)


def explained_run(
    run: Run, load: Load | None, asked: Asked, progress: "Progress", settings: Sequence[str] = ()
) -> "tuple[str, tuple[Explained, ...]]":
    """Explain predictions for the first examples that `load` returns; without it, for held-out examples of the run's
    data. Return the split, "" of new examples, and one result for each method. Raises as :func:`explain`."""
    asked.refuse()
    require_code(run, f"explain {run.path}")
    source: Any
    if load is None:
        with Stages(progress).reading():
            config, source = recorded_data(run, settings=settings)
        facts = source.facts
        built = best_model(run, config, facts)
    else:
        opened = OpenedRun(run)
        config, facts = opened.kind
        source, predictor = new_examples(opened, load, progress)
        built = predictor.built
        if len(source) > asked.examples:
            words = f"the first {asked.examples:,} of {len(source):,} examples are explained; --examples changes it"
            progress.warn(words)
            source = source.take(np.arange(asked.examples))
    from dltool.evaluation.thresholds import recorded_decision
    from dltool.explain.explaining import explained

    config, _ = recorded_decision(run, config, facts)
    progress.stage("explaining")
    return explained(config, facts, replace(built, heads=heads_of(config)), asked, source)


def data_name(file: str) -> str:
    """Return the name of the explanation's folder for new data."""
    from dltool.evaluation.figures.figure import file_word

    return f"data-{file_word(Path(file).name.partition('.')[0])}"
