"""Evaluation and explanation of a model on examples, as files for the run directory."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dltool.config.explain_options import asked_of
from dltool.config.outputs import heads_of
from dltool.config.schema import Config
from dltool.data.dataset import Dataset
from dltool.data.examples import NO_ROWS, Examples
from dltool.errors import ConfigError
from dltool.experiment.opening import Experiment
from dltool.experiment.stages import Stages
from dltool.runs.files import Run

if TYPE_CHECKING:
    from dltool.evaluation.findings import Assessment
    from dltool.model.build import BuiltModel


def assessed(
    config: Config,
    dataset: Dataset,
    built: "BuiltModel",
    examples: Examples,
    warn: Callable[[str], None] | None,
    is_part: bool = False,
    keeps_outputs: bool = False,
) -> "tuple[Assessment, dict[str, bytes]]":
    """Evaluate the model on these examples, with intervals and baselines, and return the files of the evaluation.

    Without `warn`, there are metrics only; with it, figures, baselines and groups of examples, and for the test split
    an audit of what the losses reveal of the training examples, and the distributions by which drift is found. A part
    of a run has neither figures nor these; folds measure training examples for their common audit. With
    `keeps_outputs`, the outputs are a file. Raises as :func:`dltool.evaluation.measure.measure`."""
    from dltool.evaluation.baselines import LinearTables, baselines_of
    from dltool.evaluation.findings import Assessment
    from dltool.evaluation.intervals import metric_intervals
    from dltool.evaluation.kept_distributions import distributions_file
    from dltool.evaluation.kept_outputs import OUTPUTS, pack_outputs
    from dltool.evaluation.measure import measure
    from dltool.evaluation.membership import audit, member_rows
    from dltool.evaluation.slices import comparisons
    from dltool.evaluation.stored import ExampleValues, digest_of, evaluation_files, prediction_table
    from dltool.evaluation.tasks import assessed_outputs

    tables = None if warn is None else LinearTables(built, config, dataset, examples.inputs)
    is_whole = warn is not None and not is_part
    is_test = is_whole and examples.name == "test"
    members = member_rows(dataset) if is_test or (is_part and config.data.split.folds) else NO_ROWS
    together = dataset.all.take(np.concatenate([examples.rows, members])) if len(members) else examples
    found = measure(built, config, together, tables.measured_on if tables else None, len(members))
    baselines = baselines_of(config, dataset, examples, found, tables) if tables else ()
    intervals = metric_intervals(built, found, examples.targets, config.seed)
    shown = examples.take(found.kept)
    places, targets = shown.places, shown.targets
    outputs = assessed_outputs(config, dataset.facts, targets, found.outputs, shown.rows, None if is_part else warn)
    groups = tuple(comparisons(config, dataset.facts, shown, found.outputs)) if is_whole else ()
    audited = audit(found.beyond, found.values["loss"], config.seed) if is_test else None
    assessment = Assessment(examples.name, len(examples), intervals, outputs, baselines, groups, audited)
    values = ExampleValues(examples.rows, found.values, digest_of(examples.targets))
    table = prediction_table(config, dataset.facts, targets, found.outputs, places)
    files = evaluation_files(assessment, values, table)
    files |= distributions_file(config, dataset, found.outputs) if is_test else {}
    return assessment, files | ({OUTPUTS: pack_outputs(examples.rows, found)} if keeps_outputs else {})


def explain_test(run: Run, experiment: Experiment, results: Mapping[str, Any], stages: Stages) -> None:
    """Explain predictions of the best model for test examples, if the config asks for it."""
    asked = asked_of(experiment.config)
    if asked is None or not (experiment.is_kept and experiment.is_tested):
        return
    from dltool.evaluation.thresholds import with_recorded
    from dltool.explain.explaining import explained
    from dltool.explain.kept import write_explanation

    config = with_recorded(experiment.config, results.get("thresholds", {}))
    built = replace(experiment.built, heads=heads_of(config))
    with stages.timed("explain", "explaining"):
        try:
            write_explanation(run, *explained(config, experiment.dataset.facts, built, asked, experiment.dataset))
        except ConfigError as error:
            stages.progress.warn(f"the predictions were not explained: {error}")
