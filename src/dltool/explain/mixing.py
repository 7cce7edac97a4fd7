"""A model on rows of which some columns have the values of other rows, as one compiled function for all columns.

Exchanging the preprocessed values of two rows is the same as exchanging the raw ones, since each column is preprocessed
by itself. The numbers of one input vector are exchanged before it is preprocessed, as a whole."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from dltool.config.schema import Config
from dltool.data.arrays.rows import Rows
from dltool.data.examples import Examples
from dltool.data.facts import Facts
from dltool.evaluation.measure import ADDED, at_least_float32, each_head, example_values, metrics_by_output, with_loss
from dltool.model.build import BuiltModel
from dltool.training.batches import Layout, Resident, model_targets
from dltool.training.compile import compile_core, loss_functions
from dltool.training.failures import plain_failures
from dltool.training.numerics import evaluation_batch
from dltool.training.state import evaluating

Arrays = dict[str, np.ndarray]


class Columns:
    """The `names` of columns, and their positions: one of a column, one of each row in a window, one of each number of
    a vector. A selection of them is (positions,) of bool.

    `lags` of the positions are the rows to the end of their window, 0 for the last one, below 0 after it; None outside
    of windows. `spans` are the first position of each column and the one after its last, `inputs` those of inputs."""

    def __init__(self, config: Config, facts: Facts) -> None:
        windows, self.facts, self.is_vector = config.data.windows, facts, facts.only_input is not None
        self.inputs: dict[str, tuple[int, int]] = {}
        self.lags: list[int | None] = []
        for name, found in facts.inputs.items():
            is_window = windows is not None and name not in windows.static
            size, first = found.shape[0] if is_window or self.is_vector else 1, len(self.lags)
            self.lags += [windows.length - 1 - step if windows and is_window else None for step in range(size)]
            self.inputs[name] = (first, first + size)
        self.size = len(self.lags)
        numbers = {f"feature {position + 1}": (position, position + 1) for position in range(self.size)}
        self.spans = numbers if self.is_vector else self.inputs
        self.names = list(self.spans)

    def chosen(self, names: Sequence[str], lag: int | None = None) -> np.ndarray:
        """Return the selection of these columns: all their positions, or the one at a lag."""
        found = np.zeros(self.size, bool)
        for name in names:
            found[slice(*self.spans[name])] = True
        return found if lag is None else found & np.array([each == lag for each in self.lags])

    def kind(self, name: str) -> str:
        """Return the type of a column, "" for numbers without one."""
        found = self.facts.inputs.get(name)
        return "" if found is None or found.column is None else found.column.name

    def lags_of(self, name: str) -> list[int]:
        """Return the lags of a column, the earliest first; none outside of windows."""
        return [lag for lag in self.lags[slice(*self.spans[name])] if lag is not None]

    def values(self, name: str, inputs: Mapping[str, Rows], rows: np.ndarray) -> np.ndarray:
        """Return the raw values of a column, (rows,): in windows those of the last row. Files have (rows, …)."""
        if self.is_vector:
            return np.asarray(next(iter(inputs.values()))[rows][:, self.spans[name][0]])
        found, lags = np.asarray(inputs[name][rows]), self.lags_of(name)
        found = found[:, lags.index(0)] if lags else found
        return found.astype("datetime64[s]") if self.kind(name) == "date" else found


class MixedModel:
    """Losses, metrics and outputs of a model on the `examples`; all of them must fit into memory."""

    def __init__(self, built: BuiltModel, config: Config, facts: Facts, examples: Examples) -> None:
        self.built, self.config, self.columns = built, config, Columns(config, facts)
        targets = model_targets(built, examples.targets)
        if not built.core.compiled:
            compile_core(built, config, targets)
        # A vector is preprocessed in the compiled function.
        stored = replace(built, preprocessors={}) if self.columns.is_vector else built
        self.tables = Resident(Layout(stored, examples.inputs, targets, examples.weights))
        self.losses, self.metrics = loss_functions(built), metrics_by_output(built)
        # Batches of one size need one trace, also for losses that count the examples while they are traced.
        self.size = min(evaluation_batch(built, config.training.batch_size), 2 ** (len(examples) - 1).bit_length())

    def __call__(self, own: np.ndarray, other: np.ndarray, chosen: np.ndarray) -> tuple[Arrays, Arrays]:
        """Return the values of each metric that is a mean over examples, (rows,) by name, and the outputs, (rows, …).

        The examples `own` (rows,) get the `chosen` columns of the examples `other` (rows,).

        Raises ConfigError, DataError, MachineError: as in :mod:`dltool.training.failures`."""
        padded = np.arange(-(-len(own) // self.size) * self.size) % len(own)
        parts = []
        with plain_failures(self.config), evaluating(self.built.core, self.config.seed):
            for rows in padded.reshape(-1, self.size):
                batch = (tf.constant(each[rows].astype(np.int32)) for each in (own, other))
                parts.append(self.step(self.tables.tensors, *batch, tf.constant(chosen)))
        values, outputs = (
            {name: np.concatenate([part[at][name].numpy() for part in parts])[: len(own)] for name in parts[0][at]}
            for at in (0, 1)
        )
        return with_loss(self.built, values), outputs

    @cached_property
    def step(self) -> Any:
        rows = tf.TensorSpec((self.size,), tf.int32)
        specs = [self.tables.specs, rows, rows, tf.TensorSpec((self.columns.size,), tf.bool)]

        def step(tensors: Any, own: Any, other: Any, chosen: Any) -> tuple[dict[str, Any], dict[str, Any]]:
            inputs, targets, weights, _ = self.tables.batch(tensors, own)
            outputs = self.built.core(self.mixed(inputs, self.tables.batch(tensors, other)[0], chosen), training=False)
            heads = list(each_head(self.built, targets, outputs))
            values = example_values(self.built, heads, self.losses, self.metrics, self.size, weights)
            values.pop(ADDED, None)
            return values, {head.name: at_least_float32(output) for head, _, output in heads}

        return tf.function(step, autograph=False, input_signature=specs)

    def mixed(self, inputs: Any, others: Any, chosen: Any) -> Any:
        """Return a batch of inputs with the chosen positions of the `others`."""
        is_dict, found = isinstance(inputs, dict), {}
        for name, (first, last) in self.columns.inputs.items():
            own, other = (inputs[name], others[name]) if is_dict else (inputs, others)
            # One position has no axis of its own.
            mask = tf.reshape(chosen[first:last], [1, last - first, *[1] * 8][: len(own.shape)])
            found[name] = tf.where(mask, other, own)
            if self.columns.is_vector and name in self.built.preprocessors:
                found[name] = self.built.preprocessors[name](found[name], training=False)
        return found if is_dict else next(iter(found.values()))
