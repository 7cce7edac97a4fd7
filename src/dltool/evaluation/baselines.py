"""Baselines: the scores of simple rules and linear models on the same examples."""

from collections.abc import Iterator, Mapping

import numpy as np
from threadpoolctl import threadpool_limits

from dltool.config.outputs import heads_of
from dltool.config.schema import Config
from dltool.data.arrays.rows import Rows
from dltool.data.arrays.window_rows import repeated_values
from dltool.data.dataset import Dataset
from dltool.data.examples import Examples
from dltool.evaluation.features import Features
from dltool.evaluation.findings import MODEL, Baseline
from dltool.evaluation.linear_models import BLOCK, COMPONENTS, Standardized, has_components, with_ones
from dltool.evaluation.measure import Measurement
from dltool.evaluation.tasks import evaluators
from dltool.evaluation.tasks.evaluator import Evaluator, Rules, flat
from dltool.model.build import BuiltModel

TRAINING_ROWS, MEASURED_ROWS = 5_000, 5_000


def baselines_of(
    config: Config, dataset: Dataset, examples: Examples, measured: Measurement, tables: "LinearTables"
) -> tuple[Baseline, ...]:
    """Return the baselines of each output with one class or number per example, with the model itself. `examples` are
    those measured. The baselines are a constant, values of a time series that are repeated, and a linear model."""
    kept = measured.kept
    found: list[Baseline] = []
    for output, rules, fitted in compared_outputs(config, dataset):
        name, true = output.head.name, flat(output.goal(examples.targets))
        metric = f"{name}_{rules.metric}" if len(heads_of(config)) > 1 else rules.metric
        predicted = rules.predicted(measured.outputs[name].reshape(len(kept), -1))
        found.append(Baseline(MODEL, metric, float(rules.score(true[kept], predicted))))
        found.append(Baseline(rules.constant_name, metric, float(rules.score(true, rules.constant(fitted)))))
        windows = config.data.windows
        if rules.can_repeat and windows is not None:
            repeated = repeated_values(windows, dataset.season, examples.inputs)
            found += (repeating(rules, name, metric, values, true) for name, values in repeated.items())
        found.append(linear(rules, metric, tables, measured.features, fitted, true))
    return tuple(found)


def compared_outputs(config: Config, dataset: Dataset) -> Iterator[tuple[Evaluator, Rules, np.ndarray]]:
    """Yield the outputs that have baselines, with their training targets (examples,)."""
    for output in evaluators(config, dataset.facts):
        if rules := output.rules:
            yield output, rules, flat(output.goal(dataset.targets)[dataset.split.train])


class LinearTables:
    """Feature tables to fit and measure linear models on, standardized by the first. `reason`: why there are none."""

    def __init__(self, built: BuiltModel, config: Config, dataset: Dataset, inputs: Mapping[str, Rows]) -> None:
        self.reason, self.measured_on = "", None
        if all(rules.why_not_linear(fitted) for _, rules, fitted in compared_outputs(config, dataset)):
            return
        try:
            self.fitted_on = Features(built, dataset.examples("train").inputs, TRAINING_ROWS)
            measured_on = Features(built, inputs, MEASURED_ROWS)
            # On tables this small, several threads take forty times as long and may change the last bits.
            with threadpool_limits(1):
                self.scale = Standardized(np.concatenate(list(self.fitted_on)))
            self.measured_on = measured_on
        except (ValueError, np.linalg.LinAlgError) as error:
            self.reason = str(error).splitlines()[0]

    def standardized(self, table: np.ndarray) -> np.ndarray:
        """Return the measured table, standardized in blocks of one size. Raises ValueError: a value is not finite."""
        blocks = [self.scale.apply(table[first : first + BLOCK]) for first in range(0, len(table), BLOCK)]
        return with_ones(np.concatenate(blocks))

    def note(self, fitted: int, true: int) -> str:
        """Return a note if only some of the features or examples are used."""
        assert self.measured_on is not None
        training, measured, columns = len(self.fitted_on.rows), len(self.measured_on.rows), self.fitted_on.columns
        notes = {
            f"fitted from {training:,} training examples": training < fitted,
            f"measured on {measured:,} examples": measured < true,
            f"{COMPONENTS} principal components of {columns:,} features": has_components(training, columns),
        }
        return ", ".join(note for note, applies in notes.items() if applies)


def repeating(rules: Rules, name: str, metric: str, repeated: np.ndarray, true: np.ndarray) -> Baseline:
    """Return the baseline `name` that repeats values of a time series, (examples, numbers) with NaN where it has
    none."""
    known = np.isfinite(repeated).all(axis=1)
    if not known.any():
        return Baseline(name, metric, None, "the target is missing in all windows")
    note = f"measured on {np.sum(known):,} examples: the target is missing in the windows of the others"
    error = float(rules.score(true.reshape(repeated.shape)[known], repeated[known]))
    return Baseline(name, metric, error, "" if known.all() else note)


def linear(
    rules: Rules, metric: str, tables: LinearTables, table: np.ndarray | None, fitted: np.ndarray, true: np.ndarray
) -> Baseline:
    name, reason = rules.linear_name, rules.why_not_linear(fitted) or tables.reason
    if reason or tables.measured_on is None or table is None:
        return Baseline(name, metric, None, reason)
    try:
        with threadpool_limits(1):
            measured = tables.standardized(table)
            predicted = rules.linear(tables.scale.table, fitted[tables.fitted_on.rows], measured)
    except (ValueError, np.linalg.LinAlgError) as error:
        return Baseline(name, metric, None, str(error).splitlines()[0])
    value = float(rules.score(true[tables.measured_on.rows], predicted))
    return Baseline(name, metric, value, tables.note(len(fitted), len(true)))
