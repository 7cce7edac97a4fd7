"""`dltool evaluate RUN`: evaluate the best model of a run on a split, or on new labelled data."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from dltool.config.metric_choice import SLICES, as_option, with_metrics, with_slices
from dltool.config.outputs import heads_of
from dltool.config.schema import Config
from dltool.config.slice_checks import ungrouped_problems
from dltool.data.dataset import Dataset, SplitName, load_sources
from dltool.data.examples import Examples, with_known_slices
from dltool.data.facts import Facts
from dltool.errors import ConfigError, MachineError
from dltool.experiment.assessing import assessed
from dltool.experiment.opening import best_model, recorded_data
from dltool.experiment.refusals import require_code
from dltool.experiment.stages import Stages
from dltool.runs.directory import open_run
from dltool.runs.files import Run
from dltool.runs.recorded import recorded_config
from dltool.text import joined, near

if TYPE_CHECKING:
    from dltool.evaluation.findings import Assessment
    from dltool.evaluation.thresholds import Thresholds
    from dltool.experiment.listener import Progress
    from dltool.model.build import BuiltModel

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class EvaluationOutcome:
    """An evaluation and its folder. `warning` says why nothing could be written to the run; empty if it was."""

    run: Path
    assessment: "Assessment"
    folder: Path
    warning: str = ""
    thresholds: "Thresholds" = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        folder = None if self.warning else str(self.folder)
        thresholds = {name: each.model_dump() for name, each in self.thresholds.items()}
        found = {"run": str(self.run), **self.assessment.record(), "folder": folder}
        return {**found, "thresholds": thresholds} if thresholds else found


@dataclass(frozen=True)
class EvaluationChoice:
    """What to evaluate besides the config's metrics: others instead of them, as `--metrics` names them, and groups by
    the columns of `slices`. Unless it `draws`, there are metrics only."""

    metrics: Sequence[str] = ()
    slices: str | None = None
    draws: bool = True


USUAL = EvaluationChoice()


def evaluate(
    path: Path,
    split: str | None = None,
    file: Path | None = None,
    choice: EvaluationChoice = USUAL,
    settings: Sequence[str] = (),
    *,
    progress: "Progress",
) -> EvaluationOutcome:
    """Evaluate the best weights of the run at `path` on the examples of `split` (default: test), or of `file`.
    `settings` are `--set` arguments with locations of the data.

    Raises ConfigError: `split` is unknown or empty, or a metric does not fit the model; DataError: the data has changed
    since the run was trained, or `file` cannot be read; RunError: the run is damaged."""
    if file is not None and split is not None:
        raise ConfigError("--split and --data are mutually exclusive", "omit one of them")
    split = split or "test"
    if split not in PARTS:
        raise ConfigError(f'unknown split "{split}"', f"expected {joined(near(split, PARTS) or PARTS, 'or')}")
    run = open_run(path)
    require_code(run, f"evaluate {run.path}")
    with Stages(progress).reading():
        config, dataset = sliced_data(run, settings, choice.slices, is_own=file is None)
        changed = with_metrics(config, dataset.facts.targets, choice.metrics) if choice.metrics else config
        examples = new_examples(config, file) if file is not None else examples_of(dataset, split)
    from dltool.evaluation.thresholds import recorded_decision

    decided, thresholds = recorded_decision(run, changed, dataset.facts, progress.warn)
    built = replace(best_model(run, config, dataset.facts), heads=heads_of(decided))
    if file is not None:
        warn_of_unusual_values(examples, dataset.facts, built, progress)
    progress.stage("evaluating")
    try:
        assessment, files = assessed(decided, dataset, built, examples, progress.warn if choice.draws else None)
    except ConfigError as error:
        raise error if changed is config else as_option(error) from None
    if choice.slices is not None and not assessment.groups:
        progress.warn(f"--slices {choice.slices}: nothing to compare, as there are no two groups among these examples")
    folder, warning = run.evaluation / examples.name, ""
    try:
        run.replace_folder(folder, files)
    except MachineError as error:
        warning = f"the evaluation could not be saved: {error}"
    return EvaluationOutcome(run.path, assessment, folder, warning, thresholds)


def sliced_data(run: Run, settings: Sequence[str], slices: str | None, is_own: bool) -> tuple[Config, Dataset]:
    """Return the config and the data of the run, with the columns of the `slices`. New data, which are not the run's
    `own`, need not have those that the config names."""
    if slices is None:
        config, dataset = recorded_data(run, settings=settings)
        if not is_own:
            config = config.model_copy(update={"data": config.data.model_copy(update={"slices": None})})
        return config, dataset
    config = recorded_config(run, settings=settings)
    chosen = with_slices(config, slices)
    both = {"slices": (*(config.data.slices or ()), *(chosen.data.slices or ()))}
    try:
        read = chosen.data.model_copy(update=both)
        _, dataset = recorded_data(run, settings=settings, read=lambda data: load_sources(read))
        with_known_slices(chosen.data, dataset.all)
        ConfigError.refuse(ungrouped_problems(chosen, heads_of(chosen), dataset.facts))
    except ConfigError as error:
        raise as_option(error, SLICES) from None
    return chosen, dataset


def examples_of(dataset: Dataset, split: str) -> Examples:
    """Return the examples of a split. Raises ConfigError: there are none."""
    examples = dataset.examples(cast("SplitName", split))
    if not len(examples):
        others = [f"--split {name}" for name in PARTS if len(getattr(dataset.split, name))]
        hint = f"use {joined(others, 'or')}"
        if split == "test" and dataset.split.folds is not None:
            hint += ", or evaluate a fold: RUN/folds/1; all folds together are in the report of the run"
        raise ConfigError(f"the run has no {split} examples", hint)
    return examples


def warn_of_unusual_values(examples: Examples, facts: Facts, built: "BuiltModel", progress: "Progress") -> None:
    from dltool.evaluation.model_interface import column_types
    from dltool.model.unusual_values import unusual_values

    for warning in unusual_values(examples.inputs, column_types(facts), built.fitted.columns):
        progress.warn(warning)


def new_examples(config: Config, file: Path) -> Examples:
    """Read the labelled examples in a file. Their rows are those of the file."""
    from dltool.data.new_data import load_labelled
    from dltool.evaluation.figures.figure import file_word

    examples = load_labelled(config.data, config.seed, file).examples("test")
    name = file_word(file.name.partition(".")[0])
    name = f"data-{name}" if name in PARTS else name
    rows = np.arange(len(examples))
    return replace(examples, name=name, rows=rows, places={**examples.places, "row": rows})
