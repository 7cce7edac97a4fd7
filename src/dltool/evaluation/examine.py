"""What a finished model gives for each example, and how good that is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dltool.config.outputs import OutputSpec
from dltool.config.schema import Config
from dltool.data.arrays.rows import Rows
from dltool.evaluation.measure import measured_tables, squared_error
from dltool.model.build import BuiltModel
from dltool.training.batches import evaluation_batch
from dltool.training.failures import plain_failures
from dltool.training.loop import of_batches, takes_any_size

KEPT_BYTES = 2**28
"""Of outputs that are kept. Where those of all examples take more, they are kept of every second one, or third, …"""

ADDED = ""
"""No metric has this name."""


@dataclass(frozen=True)
class Examination:
    """`values` by the name of the metric, (examples,) of float32, for each that is a mean over examples: "loss", and
    "accuracy" as 0 or 1.

    `outputs` by name are (kept, …) of float32 or float64, of the examples `kept`, ascending. Of an output that restores
    the input they are the mean squared difference of each example.
    """

    values: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    kept: np.ndarray


def examine(
    built: BuiltModel, config: Config, inputs: Mapping[str, Rows], targets: Mapping[str, np.ndarray]
) -> Examination:
    """Each of the raw inputs and targets, the first axis of each being examples; at least one.

    They are computed in the batches of :func:`dltool.evaluation.measure.evaluate`.

    Raises:
        ConfigError, DataError, MachineError: as in :mod:`dltool.training.failures`.
    """
    with plain_failures(config):
        tables = measured_tables(built, config, inputs, targets)
        size, examples = evaluation_batch(built, config.training.batch_size), len(next(iter(inputs.values())))
        stride = stride_for(built, examples)
        losses, metrics = loss_functions(built), metrics_by_output(built)

        def batch(tensors: Any, rows: Any) -> tuple[dict[str, Any], dict[str, Any]]:
            given, wanted = tables.batch(tensors, rows)
            found = built.core(given, training=False)
            count = tf.shape(rows)[0]
            values = {}
            for head, target, output in each_head(built, wanted, found):
                # As Keras's losses do before they call.
                each = losses[head.name].call(tf.cast(target, tf.float32), tf.cast(output, tf.float32))
                values[loss_key(built, head)] = per_example(each, count)
                for name, metric in metrics.get(head.name, {}).items():
                    if isinstance(metric, keras.metrics.MeanMetricWrapper):
                        values[name] = per_example(metric._fn(target, output, **metric._fn_kwargs), count)
            if built.core.losses:
                # What layers add, which Keras knows only inside the function that has called them.
                added = tf.add_n([tf.reduce_sum(loss) for loss in built.core.losses])
                values[ADDED] = tf.fill([count], tf.cast(added, tf.float32))
            outputs = {
                head.name: squared_error(output, target) if head.target is None else output
                for head, target, output in each_head(built, wanted, found)
            }
            return values, {name: at_least_float32(each) for name, each in outputs.items()}

        compiled = of_batches(batch, tables, takes_any_size(built.core))
        order = np.arange(examples, dtype=np.int32)
        values, outputs = [], []
        for first in range(0, examples, size):
            last = min(first + size, examples)
            of_batch, given = compiled(*tables.feed(order, first, last, size))
            values.append({name: each.numpy() for name, each in of_batch.items()})
            outputs.append({name: each.numpy()[-first % stride :: stride] for name, each in given.items()})
        return Examination(with_loss(built, joined(values)), joined(outputs), np.arange(0, examples, stride))


def stride_for(built: BuiltModel, examples: int) -> int:
    """Of how many examples one is kept."""
    sizes = [
        1 if head.target is None else int(np.prod([size or 1 for size in built.outputs[head.name].output_shape]))
        for head in built.heads
    ]
    return -(-4 * sum(sizes) * examples // KEPT_BYTES)


def joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def each_head(built: BuiltModel, targets: Any, outputs: Any) -> Iterator[tuple[OutputSpec, Any, Any]]:
    """Each output with what it is compared with, in the form of its loss."""
    for head in built.heads:
        one = not isinstance(outputs, dict)
        yield head, targets if one else targets[head.name], outputs if one else outputs[head.name]


def loss_key(built: BuiltModel, head: OutputSpec) -> str:
    return "loss" if len(built.heads) == 1 else f"{head.name}_loss"


def loss_functions(built: BuiltModel) -> dict[str, Any]:
    """The losses that Keras made of what the config names, by output. Keras has no public way to them."""
    found = built.core._compile_loss._flat_losses
    return {each.path[0] if each.path else built.heads[0].name: each.loss for each in found}


def metrics_by_output(built: BuiltModel) -> dict[str, dict[str, Any]]:
    """The metrics that Keras made of what the config names, by output, under their names in the results.

    Keras has no public way to them.
    """
    made = built.core._compile_metrics
    if made is None or not made.metrics:
        return {}
    names = iter(made.result())
    return {
        each.output_name or built.heads[0].name: {next(names): metric for metric in each.metrics}
        for each in made._flat_metrics
        if each
    }


def per_example(values: Any, examples: Any) -> Any:
    """(examples,): the mean over all other axes. NaN where there is one value for all."""
    if not values.shape.rank:
        return tf.fill([examples], np.float32(np.nan))
    return tf.reduce_mean(tf.reshape(tf.cast(values, tf.float32), [examples, -1]), axis=1)


def at_least_float32(values: Any) -> Any:
    return tf.cast(values, tf.float32) if values.dtype.size < 4 else values


def with_loss(built: BuiltModel, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The values with those of the loss that is minimized: the weighted sum of all, and what layers add to it."""
    parts = [head.weight * values[loss_key(built, head)] for head in built.heads]
    if ADDED in values:
        parts.append(values[ADDED])
    whole = np.stack(parts).sum(axis=0, dtype=np.float32)
    return {"loss": whole, **{name: each for name, each in values.items() if name not in ("loss", ADDED)}}
