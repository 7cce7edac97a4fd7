"""From a measured model to the folder of its evaluation in the run directory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dltool.data.arrays.rows import Rows
from dltool.data.dataset import Dataset, PartName
from dltool.experiment.opening import Experiment

if TYPE_CHECKING:
    from dltool.evaluation.findings import Assessment, Baseline
    from dltool.evaluation.predictions import Columns


@dataclass(frozen=True)
class MeasuredExamples:
    """What a model is measured on. `rows` (examples,) say which examples they are: of the data, or of new files.

    `places` are the columns that say so in the table of predictions.
    """

    name: str
    inputs: Mapping[str, Rows]
    targets: Mapping[str, np.ndarray]
    rows: np.ndarray
    places: "Columns"


def assessed(
    experiment: Experiment,
    examples: MeasuredExamples,
    metrics: Mapping[str, float],
    warn: Callable[[str], None] | None,
) -> "tuple[Assessment, dict[str, bytes]]":
    """What the measured `metrics` are worth, and the files that say so.

    Without `warn`, nothing is drawn and no baseline computed.

    Raises:
        DltoolError: as :func:`dltool.evaluation.examine.examine`.
    """
    from dltool.evaluation.assessment import Measured, assess
    from dltool.evaluation.baselines import baselines_of
    from dltool.evaluation.examine import examine
    from dltool.evaluation.intervals import metric_intervals
    from dltool.evaluation.stored import ExampleValues, digest_of, evaluation_files, prediction_table

    built, config, facts = experiment.built, experiment.config, experiment.dataset.facts
    examined = examine(built, config, examples.inputs, examples.targets)
    intervals = metric_intervals(built, metrics, examined, examples.targets, config.seed)
    kept = examined.kept
    baselines: tuple[Baseline, ...] = ()
    if warn is not None:
        baselines = baselines_of(
            built, experiment.dataset, examples.inputs, examples.targets, examined.outputs, kept, config
        )
    measured = Measured(examples.name, len(examples.rows), intervals, baselines)
    targets = {name: values[kept] for name, values in examples.targets.items()}
    found = assess(config, facts, measured, targets, examined.outputs, examples.rows[kept], warn)
    places = {name: column[kept] for name, column in examples.places.items()}
    table = prediction_table(config, facts, targets, examined.outputs, places)
    values = ExampleValues(examples.rows, examined.values, digest_of(examples.targets))
    return found, evaluation_files(found, values, table)


def part_of(dataset: Dataset, name: PartName) -> MeasuredExamples:
    """One part of the data."""
    inputs, targets = dataset.part(name)
    rows = getattr(dataset.split, name)
    return MeasuredExamples(name, inputs, targets, rows, {"row": rows, **places_of(dataset, rows)})


def places_of(dataset: Dataset, rows: np.ndarray) -> "Columns":
    return {name: values[rows] for name, values in dataset.places.items()}
