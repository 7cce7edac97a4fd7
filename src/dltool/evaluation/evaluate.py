"""Loss, metrics and predictions of a finished model."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from dltool.config.schema import Config
from dltool.data.rows import Rows
from dltool.model.build import BuiltModel
from dltool.training.compile import compile_core
from dltool.training.failures import plain_failures
from dltool.training.fit import measure
from dltool.training.loop import test_loop
from dltool.training.tables import evaluation_batch, make_tables, model_targets, single


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


def predict(built: BuiltModel, config: Config, inputs: Mapping[str, Rows]) -> np.ndarray:
    """The outputs for raw inputs, (examples, …) of float32 (float64 where that is the precision).

    They are computed in the batches of :func:`evaluate`, so that the same examples give the same bits.

    Raises:
        ConfigError, DataError, MachineError: as in :mod:`dltool.training.failures`.
    """
    with plain_failures(config):
        order = np.arange(len(next(iter(inputs.values()))), dtype=np.int32)
        tables = make_tables(built, inputs, np.zeros(len(order), np.int32))
        size = evaluation_batch(built, config.training.batch_size)

        def outputs(tensors: Any, rows: Any) -> Any:
            found = built.core(tables.batch(tensors, rows)[0], training=False)
            return tf.cast(found, tf.float32) if found.dtype.size < 4 else found

        compiled = tf.function(outputs, autograph=False)
        # All batches have one shape but the last, so that there are two functions to compile.
        batches = [(first, min(first + size, len(order))) for first in range(0, len(order), size)]
        return np.concatenate([compiled(*tables.feed(order, *batch, size)).numpy() for batch in batches])
