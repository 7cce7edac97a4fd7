"""Loss, metrics and predictions of a finished model."""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from dltool.config.schema import Config
from dltool.data.rows import Rows
from dltool.model.build import BuiltModel
from dltool.training.compile import compile_core
from dltool.training.failures import plain_failures
from dltool.training.fit import measure
from dltool.training.loop import test_loop
from dltool.training.tables import evaluation_batch, make_tables, model_targets, single, tensor


def evaluate(
    built: BuiltModel, config: Config, inputs: Mapping[str, Rows], targets: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """The loss and the metrics of the config over raw inputs and targets, the first axis of each being examples.

    Batches follow from the model alone, so the same weights and examples always give the same numbers. Class weights
    are not applied.

    Raises:
        ConfigError, DataError, MachineError: as in :mod:`dltool.training.failures`.
    """
    with plain_failures(config):
        expected = model_targets(built, single(targets))
        if not built.core.compiled:
            compile_core(built, config, expected)
        tables = make_tables(built, inputs, expected)
        loop = test_loop(built.core, tables, evaluation_batch(built, config.training.batch_size))
        rows = np.arange(len(single(targets)), dtype=np.int32)
        return measure(built.core, loop, rows, lambda: None)


def predict(full: keras.Model, inputs: Mapping[str, Rows], batch_size: int) -> np.ndarray:
    """The outputs for raw inputs, (examples, …)."""
    function = tf.function(lambda batch: full(batch, training=False), autograph=False, reduce_retracing=True)
    is_named, examples = isinstance(full.input, dict), len(next(iter(inputs.values())))
    parts = []
    for first in range(0, examples, batch_size):
        batch = {name: tensor(rows[first : first + batch_size]) for name, rows in inputs.items()}
        parts.append(function(batch if is_named else next(iter(batch.values()))).numpy())
    return np.concatenate(parts)
