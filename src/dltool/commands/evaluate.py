"""`dltool evaluate RUN`: the best model of a run on one part of its data, from the run directory alone."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, cast

from dltool.config.load import build_config, read_document
from dltool.config.schema import Config
from dltool.data.load import Dataset, load_data
from dltool.errors import ConfigError, DataError, RunError
from dltool.run_directory import open_run
from dltool.run_files import Run

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class EvaluationOutcome:
    run: Path
    split: str
    examples: int
    metrics: dict[str, float]


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
    config, dataset = recorded_experiment(run)
    part = cast(Literal["train", "validation", "test"], split)
    inputs, targets = dataset.part(part)
    examples = len(targets["target"])
    if not examples:
        raise ConfigError(f"the run has no {split} examples", f"data.split.{split} of its config takes some")

    from dltool.evaluation.evaluate import evaluate as measure
    from dltool.model.build import build_model
    from dltool.model.preprocessing import load_preprocessing
    from dltool.training.determinism import pin
    from dltool.model.files import load_weights

    pin(config.seed)
    built = build_model(config, dataset.facts, preprocessing_state=load_preprocessing(run.preprocessing))
    load_weights(built.core, run.best_weights)
    metrics = measure(built, config, inputs, targets)
    run.directory(run.evaluation / split)
    run.write_json(run.evaluation / split / "metrics.json", {"examples": examples, "metrics": metrics})
    return EvaluationOutcome(path, split, examples, metrics)


def recorded_experiment(run: Run) -> tuple[Config, Dataset]:
    """The config and the data of a run, the same as when it was trained."""
    record = run.read_json(run.record)
    run.read(run.resolved)  # refuses links and giants before the file is opened by its name
    try:
        config = build_config(read_document(run.resolved))
    except ConfigError as error:
        raise RunError(f"{run.resolved} is no longer a valid config: {error}") from None
    dataset = load_data(config.data, config.seed, record.get("most_rows"))
    if dataset.fingerprint != record.get("data", {}).get("fingerprint"):
        raise DataError(
            "the data has changed since the run was trained",
            f"it was {record.get('data', {}).get('fingerprint')} and is {dataset.fingerprint}",
        )
    return config, dataset
