"""Loss, metrics and predictions of a finished model."""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from dltool.config.schema import Config
from dltool.model.build import BuiltModel
from dltool.training.compile import compile_core
from dltool.training.failures import plain_failures
from dltool.training.fit import measure
from dltool.training.loop import test_loop
from dltool.training.resident import evaluation_batch, make_resident, model_targets, single, tensor


def evaluate(
    built: BuiltModel, config: Config, inputs: Mapping[str, np.ndarray], targets: Mapping[str, np.ndarray]
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
        table = make_resident(built, single(inputs), expected)
        loop = test_loop(built.core, table, evaluation_batch(built, config.training.batch_size))
        rows = tf.range(len(single(targets)), dtype=tf.int32)
        return measure(built.core, loop, rows, lambda: None)


def predict(full: keras.Model, inputs: Mapping[str, np.ndarray], batch_size: int = 256) -> np.ndarray:
    """The outputs for raw inputs, (examples, …)."""
    function = tf.function(lambda batch: full(batch, training=False), autograph=False, reduce_retracing=True)
    array = single(inputs)
    batches = (tensor(array[first : first + batch_size]) for first in range(0, len(array), batch_size))
    return np.concatenate([function(batch).numpy() for batch in batches])
