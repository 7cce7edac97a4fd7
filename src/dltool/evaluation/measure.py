"""Loss, metrics and predictions of a finished model."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from dltool.config.schema import Config
from dltool.data.arrays.rows import Rows
from dltool.model.build import BuiltModel
from dltool.training.batches import BatchTables, evaluation_batch, make_tables, model_targets
from dltool.training.compile import compile_core
from dltool.training.failures import plain_failures
from dltool.training.fit import measure
from dltool.training.loop import of_batches, takes_any_size, test_loop


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
        tables = measured_tables(built, config, inputs, targets)
        loop = test_loop(built.core, tables, evaluation_batch(built, config.training.batch_size))
        rows = np.arange(len(next(iter(inputs.values()))), dtype=np.int32)
        built.core.reset_metrics()
        return measure(loop, rows, lambda: None)


def measured_tables(
    built: BuiltModel, config: Config, inputs: Mapping[str, Rows], targets: Mapping[str, np.ndarray]
) -> BatchTables:
    """Of raw inputs and targets to measure a model on, which is compiled where it is not yet."""
    expected = model_targets(built, targets)
    if not built.core.compiled:
        compile_core(built, config, expected)
    return make_tables(built, inputs, expected)


def predict(built: BuiltModel, config: Config, inputs: Mapping[str, Rows]) -> dict[str, np.ndarray]:
    """The outputs for raw inputs, by name, (examples, …) of float32 (float64 where that is the precision).

    Of an output that restores the input it is how well: the mean squared difference of each example, (examples,).
    They are computed in the batches of :func:`evaluate`, so that the same examples give the same bits.

    Raises:
        ConfigError, DataError, MachineError: as in :mod:`dltool.training.failures`.
    """
    with plain_failures(config):
        order = np.arange(len(next(iter(inputs.values()))), dtype=np.int32)
        tables = make_tables(built, inputs, {})
        size = evaluation_batch(built, config.training.batch_size)

        def outputs(tensors: Any, rows: Any) -> tuple[dict[str, Any], list[Any]]:
            given, restored = tables.batch(tensors, rows)
            found = built.core(given, training=False)
            if not isinstance(found, dict):
                found, restored = {built.heads[0].name: found}, {built.heads[0].name: restored}
            also_given = before_sigmoid(built, found)
            found = {name: tf.cast(each, tf.float32) if each.dtype.size < 4 else each for name, each in found.items()}
            values = {
                head.name: squared_error(found[head.name], restored[head.name])
                if head.target is None
                else found[head.name]
                for head in built.heads
            }
            return values, also_given

        compiled = of_batches(outputs, tables, takes_any_size(built.core))
        batches = [(first, min(first + size, len(order))) for first in range(0, len(order), size)]
        parts = [compiled(*tables.feed(order, *batch, size))[0] for batch in batches]
        return {head.name: np.concatenate([part[head.name].numpy() for part in parts]) for head in built.heads}


def before_sigmoid(built: BuiltModel, outputs: Mapping[str, Any]) -> list[Any]:
    """What goes into the sigmoids of outputs, where the loss takes that instead of the output.

    Keras's binary cross-entropies do. Where nothing but the sigmoid takes it, TensorFlow may compute the layer and its
    sigmoid as one operation, with other last bits than in the evaluation.
    """
    found = [outputs[head.name] for head in built.heads if head.loss.name.lower().startswith("binary")]
    return [output.op.inputs[0] for output in found if output.op.type == "Sigmoid"]


def squared_error(output: Any, restored: Any) -> Any:
    """(examples,): the mean over all that an example has."""
    difference = tf.square(output - tf.cast(restored, output.dtype))
    return tf.reduce_mean(tf.reshape(difference, [tf.shape(difference)[0], -1]), axis=1)
