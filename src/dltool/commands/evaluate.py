"""`dltool evaluate RUN`: the best model of a run on one part of its data, from the run directory alone."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, cast

from dltool.commands.experiment import recorded_data, recorded_experiment, require_code
from dltool.errors import ConfigError, MachineError
from dltool.run_directory import open_run

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class EvaluationOutcome:
    """`unwritten` says why the metrics could not be written to the run; empty where they were."""

    run: Path
    split: str
    examples: int
    metrics: dict[str, float]
    unwritten: str = ""


def evaluate(path: Path, split: str) -> EvaluationOutcome:
    """Measure the best weights of the run at `path` on the examples of `split`.

    Raises:
        ConfigError: `split` is no part of the data, or an empty one.
        DataError: the data is no longer what the run was trained on.
        RunError: the run is damaged.
    """
    if split not in PARTS:
        near = get_close_matches(split, PARTS, 1)
        raise ConfigError(f'"{split}" is no part of the data', f"write {near[0] if near else ', '.join(PARTS)}")
    run = open_run(path)
    require_code(run, f"evaluate {run.path}")
    config, dataset = recorded_data(run)
    inputs, targets = dataset.part(cast("Literal['train', 'validation', 'test']", split))
    examples = len(next(iter(inputs.values())))
    if not examples:
        raise ConfigError(f"the run has no {split} examples", f"data.split.{split} of its config takes some")

    from dltool.evaluation.evaluate import evaluate as measure
    from dltool.model.files import load_weights

    experiment = recorded_experiment(run, config, dataset)
    load_weights(experiment.built.core, run.best_weights)
    metrics = measure(experiment.built, config, inputs, targets)
    unwritten = ""
    try:
        run.directory(run.evaluation / split)
        run.write_json(run.evaluation / split / "metrics.json", {"examples": examples, "metrics": metrics})
    except MachineError as error:
        unwritten = str(error)
    return EvaluationOutcome(run.path, split, examples, metrics, unwritten)
