"""A model on rows of which some columns have the values of other rows, as one compiled function for all columns.

Exchanging the preprocessed values of two rows is the same as exchanging the raw ones, since each column is preprocessed
by itself. The columns of one input vector are exchanged before it is preprocessed, as a whole."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
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
    """The columns of the inputs in single positions: one of a column, one of each row of a window, one of each number
    of a vector. A selection of them is (positions,) of bool; `names` are those of the columns.

    `lags` of a position is the rows from it to the end of its window, 0 for the last one, below 0 after it; None
    outside of windows."""

    def __init__(self, config: Config, facts: Facts) -> None:
        windows = config.data.windows
        self.inputs: dict[str, tuple[int, int]] = {}
        self.lags: list[int | None] = []
        self.is_vector = facts.only_input is not None
        for name, found in facts.inputs.items():
            is_window = windows is not None and name not in windows.static
            size = found.shape[0] if is_window or (self.is_vector and len(found.shape) == 1) else 1
            self.inputs[name] = (len(self.lags), len(self.lags) + size)
            last = windows.length - 1 if windows is not None and is_window else None
            self.lags += [None if last is None else last - step for step in range(size)]
        ((_, self.size),) = [*self.inputs.values()][-1:]
        numbered = {f"feature {number + 1}": (number, number + 1) for number in range(self.size)}
        self.spans = numbered if self.is_vector else self.inputs
        self.names = list(self.spans)

    def chosen(self, names: Sequence[str], lag: int | None = None) -> np.ndarray:
        """Return the selection of these columns, all their positions or the one at a lag."""
        found = np.zeros(self.size, bool)
        for name in names:
            found[slice(*self.spans[name])] = True
        return found if lag is None else found & np.array([each == lag for each in self.lags])

    def lags_of(self, name: str) -> list[int]:
        """Return the lags of a column, the earliest first; none outside of windows."""
        return [lag for lag in self.lags[slice(*self.spans[name])] if lag is not None]

    def values(self, name: str, inputs: Mapping[str, Rows], rows: np.ndarray) -> np.ndarray:
        """Return the raw values of a column, (rows,): in windows those of the last row. Files have (rows, …)."""
        if self.is_vector:
            return np.asarray(next(iter(inputs.values()))[rows][:, self.spans[name][0]])
        found, lags = np.asarray(inputs[name][rows]), self.lags_of(name)
        return found[:, lags.index(0)] if lags else found


class MixedModel:
    """Losses, metrics and outputs of the best model on the `examples`; all of them must fit into memory."""

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
        whole = -len(own) % self.size
        rows = [np.concatenate([each, np.resize(each, whole)]).astype(np.int32) for each in (own, other)]
        parts = []
        with plain_failures(self.config), evaluating(self.built.core, self.config.seed):
            for first, last in pairwise(range(0, len(own) + whole + 1, self.size)):
                batch = (tf.constant(each[first:last]) for each in rows)
                parts.append(self.step(self.tables.tensors, *batch, tf.constant(chosen)))
        values, outputs = (
            {key: np.concatenate([part[at][key].numpy() for part in parts])[: len(own)] for key in parts[0][at]}
            for at in (0, 1)
        )
        return with_loss(self.built, values), outputs

    @cached_property
    def step(self) -> Any:
        rows = tf.TensorSpec((self.size,), tf.int32)
        specs = [self.tables.specs, rows, rows, tf.TensorSpec((self.columns.size,), tf.bool)]

        def step(tensors: Any, own: Any, other: Any, chosen: Any) -> tuple[dict[str, Any], dict[str, Any]]:
            inputs, targets, weights = self.tables.batch(tensors, own)
            outputs = self.built.core(self.mixed(inputs, self.tables.batch(tensors, other)[0], chosen), training=False)
            heads = list(each_head(self.built, targets, outputs))
            values = example_values(self.built, heads, self.losses, self.metrics, self.size, weights)
            values.pop(ADDED, None)
            return values, {head.name: at_least_float32(output) for head, _, output in heads}

        return tf.function(step, autograph=False, input_signature=specs)

    def mixed(self, inputs: Any, others: Any, chosen: Any) -> Any:
        """Return a batch of inputs with the chosen positions of the `others`."""
        is_dict = isinstance(inputs, dict)
        mixed = {}
        for name, (first, last) in self.columns.inputs.items():
            own, other = (inputs[name], others[name]) if is_dict else (inputs, others)
            shape = [1, last - first, *(1 for _ in own.shape[2:])] if last - first > 1 else [1 for _ in own.shape]
            values = tf.where(tf.reshape(chosen[first:last], shape), other, own)
            prepare = self.built.preprocessors.get(name) if self.columns.is_vector else None
            mixed[name] = values if prepare is None else prepare(values, training=False)
        return mixed if is_dict else next(iter(mixed.values()))
