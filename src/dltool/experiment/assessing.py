"""Evaluation of a model on examples, as files for the run directory."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from dltool.config.schema import Config
from dltool.data.dataset import Dataset
from dltool.data.examples import Examples

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

    Without `warn`, no figures and no baselines are made. A part of a run has no figures. With `keeps_outputs`, the
    outputs are one of the files. Raises as :func:`dltool.evaluation.measure.measure`."""
    from dltool.evaluation.baselines import LinearTables, baselines_of
    from dltool.evaluation.findings import Assessment
    from dltool.evaluation.intervals import metric_intervals
    from dltool.evaluation.kept_outputs import OUTPUTS, pack_outputs
    from dltool.evaluation.measure import measure
    from dltool.evaluation.stored import ExampleValues, digest_of, evaluation_files, prediction_table
    from dltool.evaluation.tasks import assessed_outputs

    tables = None if warn is None else LinearTables(built, config, dataset, examples.inputs)
    found = measure(built, config, examples, tables.measured_on if tables else None)
    baselines = baselines_of(config, dataset, examples, found, tables) if tables else ()
    intervals = metric_intervals(built, found, examples.targets, config.seed)
    places = {name: values[found.kept] for name, values in examples.places.items()}
    targets = {name: values[found.kept] for name, values in examples.targets.items()}
    outputs = assessed_outputs(config, dataset.facts, targets, found.outputs, places["row"], None if is_part else warn)
    assessment = Assessment(examples.name, len(examples), intervals, outputs, baselines)
    table = prediction_table(config, dataset.facts, targets, found.outputs, places)
    values = ExampleValues(examples.places["row"], found.values, digest_of(examples.targets))
    files = evaluation_files(assessment, values, table)
    return assessment, files | ({OUTPUTS: pack_outputs(examples.places["row"], found)} if keeps_outputs else {})
