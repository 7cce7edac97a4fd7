"""`dltool predict RUN FILE…`: predict new data with the best model of a run, from the run directory alone."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dltool.config.schema import Data
from dltool.data.examples import Examples
from dltool.data.facts import Facts
from dltool.data.new_data import STDIN, NewExamples, load_new
from dltool.durable_files import refuse_no_file
from dltool.errors import ConfigError
from dltool.evaluation.predicted_masks import are_masks, refuse_folder, write_masks
from dltool.evaluation.predictions import FORMATS, records, refuse_unclear, write
from dltool.experiment.opened_run import OpenedRun
from dltool.experiment.refusals import require_code
from dltool.experiment.stages import Stages
from dltool.runs.directory import open_run
from dltool.text import whole_text

if TYPE_CHECKING:
    from dltool.evaluation.predictor import Predictor
    from dltool.experiment.listener import Progress

Load = Callable[[Data, Facts], NewExamples]


@dataclass(frozen=True)
class PredictionOutcome:
    """`columns` by name, (examples,) each: the origin of each example and its predictions. `out` has been written."""

    run: Path
    columns: dict[str, np.ndarray]
    out: Path | None

    def record(self) -> dict[str, Any]:
        """Return the document for `--json`, with the predictions unless a file was written."""
        found = {} if self.out else {"predictions": records(self.columns)}
        out = str(self.out) if self.out else None
        return {"run": str(self.run), "examples": len(self.columns["file"]), "out": out, **found}


def predict(path: Path, files: Sequence[str], out: Path | None, progress: "Progress") -> PredictionOutcome:
    """Predict with the best weights of the run at `path`, for the examples in `files` ("-" is standard input).

    Predicted masks are images in the new folder `out`.

    Raises ConfigError: `out` cannot be a file of predictions; DataError: with every problem of the files; RunError: the
    run is damaged; MachineError: `out` cannot be written."""
    run = open_run(path)
    require_code(run, f"predict {run.path} {shlex.join(files)}")
    opened = OpenedRun(run)
    config, facts = opened.kind
    is_folder = out is not None and not out.suffix and are_masks(facts)
    if out is not None and is_folder:
        refuse_folder(out)
    elif out is not None:
        refuse_no_file("--out", out, FORMATS)
        if out.exists() and any(file != STDIN and Path(file).exists() and out.samefile(file) for file in files):
            raise ConfigError(f"{out} is one of the input files", "choose another file for the predictions")
    if out is not None and is_folder:
        new, outputs, predictor = outputs_for(opened, lambda data, facts: load_new(data, facts, files), progress)
        masks = write_masks(out, new.places["file"].tolist(), outputs, predictor.config, facts)
        return PredictionOutcome(run.path, {**new.places, "mask": np.array(masks, dtype=object)}, out)
    if are_masks(facts):
        refuse_unclear(config, facts, "--out FOLDER writes an image of classes for each file")
    columns = predictions_for(opened, lambda data, facts: load_new(data, facts, files), progress)
    if out is not None:
        write(columns, out)
    return PredictionOutcome(run.path, columns, out)


def predictions_for(opened: OpenedRun, load: Load, progress: "Progress") -> dict[str, np.ndarray]:
    """Return the prediction columns for the examples that `load` returns. Raises as :func:`predict`."""
    refuse_unclear(*opened.kind)
    new, outputs, predictor = outputs_for(opened, load, progress)
    files = np.array([whole_text(name) for name in new.places["file"]], dtype=object)
    return {**new.places, "file": files, **predictor.columns(outputs)}


def outputs_for(
    opened: OpenedRun, load: Load, progress: "Progress"
) -> tuple[Examples, dict[str, np.ndarray], "Predictor"]:
    """Return the examples that `load` returns, the outputs by name, and the predictor."""
    new, predictor = new_examples(opened, load, progress)
    progress.stage("predicting")
    return new, predictor(new.inputs), predictor


def new_examples(opened: OpenedRun, load: Load, progress: "Progress") -> tuple[Examples, "Predictor"]:
    """Return the examples that `load` returns and the best model, with a warning for values that training has not seen.

    Raises DataError: the data cannot be read, or the model cannot take its values; RunError: the run is damaged."""
    run, (config, facts) = opened.run, opened.kind
    with Stages(progress).reading():
        new = load(config.data, facts)
        for warning in new.warnings:
            progress.warn(warning)
    predictor = opened.predictor
    if not run.is_complete():
        progress.warn(f"{run.path} is not complete: these are predictions of its best weights so far")
    for warning in predictor.warnings(new):
        progress.warn(warning)
    return new.examples, predictor
