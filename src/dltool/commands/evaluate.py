"""`dltool evaluate RUN`: what the best model of a run is worth, on one part of its data or on new data with labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from dltool.config.metric_choice import as_option, with_metrics
from dltool.config.outputs import heads_of
from dltool.data.dataset import Dataset, SplitName
from dltool.data.examples import Examples
from dltool.errors import ConfigError, MachineError
from dltool.experiment.assessing import assessed
from dltool.experiment.opening import Stages, recorded_data, recorded_experiment
from dltool.experiment.refusals import require_code
from dltool.runs.directory import open_run
from dltool.runs.files import Run

if TYPE_CHECKING:
    from dltool.config.schema import Config
    from dltool.evaluation.findings import Assessment
    from dltool.experiment.listener import Progress

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class EvaluationOutcome:
    """What was found on the examples of `split`, a part of the data or a name for new data, and where it was written.

    `unwritten` says why nothing could be written to the run; empty where it was.
    """

    run: Path
    split: str
    assessment: "Assessment"
    folder: Path
    unwritten: str = ""

    @property
    def examples(self) -> int:
        return self.assessment.examples

    @property
    def metrics(self) -> dict[str, float]:
        return {name: found.value for name, found in self.assessment.metrics.items()}


def evaluate(
    path: Path,
    split: str | None = None,
    file: Path | None = None,
    metrics: Sequence[str] = (),
    *,
    progress: "Progress",
    draws: bool = True,
) -> EvaluationOutcome:
    """Measure the best weights of the run at `path` on the examples of `split` (the test part), or of `file`.

    `metrics` take the place of the config's. Unless it `draws`, there are no figures and no baselines.

    Raises:
        ConfigError: `split` is no part of the data, or an empty one; metrics that the model cannot have.
        DataError: the data is no longer what the run was trained on; `file` cannot be read.
        RunError: the run is damaged.
    """
    if file is not None and split is not None:
        raise ConfigError("--split and --data exclude each other", "leave one of them out")
    split = split or "test"
    if split not in PARTS:
        near = get_close_matches(split, PARTS, 1)
        raise ConfigError(f'"{split}" is no part of the data', f"write {near[0] if near else ', '.join(PARTS)}")
    run = open_run(path)
    require_code(run, f"evaluate {run.path}")
    stages = Stages(progress)
    with stages.reading():
        config, dataset = recorded_data(run)
        changed = with_metrics(config, dataset.facts.targets, metrics) if metrics else config
        examples = new_examples(config, file) if file is not None else dataset.examples(cast("SplitName", split))
        if not len(examples):
            others = [f"--split {name}" for name in PARTS if len(getattr(dataset.split, name))]
            raise ConfigError(f"the run has no {split} examples", f"it has others: {' and '.join(others)}")
    assessment, files = measured(run, config, changed, dataset, examples, stages, draws)
    folder, unwritten = run.evaluation / examples.name, ""
    try:
        run.replace_folder(folder, files)
    except MachineError as error:
        unwritten = str(error)
    return EvaluationOutcome(run.path, examples.name, assessment, folder, unwritten)


def measured(
    run: Run,
    config: "Config",
    changed: "Config",
    dataset: Dataset,
    examples: Examples,
    stages: Stages,
    draws: bool,
) -> "tuple[Assessment, dict[str, bytes]]":
    """What the model of `config` is worth by the metrics of the config `changed`, and the files that say so."""
    from dltool.model.saving import load_weights

    experiment = recorded_experiment(run, config, dataset)
    experiment = replace(experiment, config=changed, built=replace(experiment.built, heads=heads_of(changed)))
    load_weights(experiment.built.core, run.best_weights)
    stages.progress.stage("measuring")
    try:
        return assessed(experiment, examples, stages.progress.warn if draws else None)
    except ConfigError as error:
        raise error if changed is config else as_option(error) from None


def new_examples(config: "Config", file: Path) -> Examples:
    """The labelled examples in a file. Their rows are those of the file."""
    from dltool.data.new_data import load_labelled
    from dltool.evaluation.figures.figure import file_word

    dataset = load_labelled(config.data, config.seed, file)
    examples = dataset.examples("test")
    name = file_word(file.name.partition(".")[0])
    name = f"data-{name}" if name in PARTS else name
    return replace(examples, name=name, places={**examples.places, "row": np.arange(len(examples))})
