"""Loss and metrics of each example, computed by the objects that Keras compiled from the config."""

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dltool.config.outputs import OutputSpec
from dltool.model.build import BuiltModel

ADDED = ""
"""Key of the losses that layers add. No metric has this name."""


def example_values(
    built: BuiltModel,
    heads: list[tuple[OutputSpec, Any, Any]],
    losses: Mapping[str, Any],
    metrics: Mapping[str, Mapping[str, Any]],
    count: Any,
) -> dict[str, Any]:
    """Return the values of each example, (count,), of the losses and metrics that are means over examples."""
    values = {}
    for head, target, output in heads:
        # Keras's losses do so before the call.
        each = losses[head.name].call(tf.cast(target, tf.float32), tf.cast(output, tf.float32))
        values[loss_key(built, head)] = per_example(each, count)
        for name, metric in metrics.get(head.name, {}).items():
            if isinstance(metric, keras.metrics.MeanMetricWrapper):
                values[name] = per_example(metric._fn(target, output, **metric._fn_kwargs), count)
    if built.core.losses:
        # Keras knows the losses that layers add only inside the function that called them.
        added = tf.add_n([tf.reduce_sum(loss) for loss in built.core.losses])
        values[ADDED] = tf.fill([count], tf.cast(added, tf.float32))
    return values


def each_head(built: BuiltModel, targets: Any, outputs: Any) -> Iterator[tuple[OutputSpec, Any, Any]]:
    """Yield each output with its target, in the form of its loss, and its prediction."""
    for head in built.heads:
        one = not isinstance(outputs, dict)
        yield head, targets if one else targets[head.name], outputs if one else outputs[head.name]


def loss_key(built: BuiltModel, head: OutputSpec) -> str:
    return "loss" if len(built.heads) == 1 else f"{head.name}_loss"


def loss_functions(built: BuiltModel) -> dict[str, Any]:
    """Return the compiled losses by output. Keras has no public access to them."""
    found = built.core._compile_loss._flat_losses
    return {each.path[0] if each.path else built.heads[0].name: each.loss for each in found}


def metrics_by_output(built: BuiltModel) -> dict[str, dict[str, Any]]:
    """Return the compiled metrics by output and result name. Keras has no public access to them."""
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
    """Return the mean over all other axes, (examples,). NaN if there is one value for all."""
    if not values.shape.rank:
        return tf.fill([examples], np.float32(np.nan))
    return tf.reduce_mean(tf.reshape(tf.cast(values, tf.float32), [examples, -1]), axis=1)


def with_loss(built: BuiltModel, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the values with the total loss: the weighted sum of all losses and of those that layers add."""
    parts = [head.weight * values[loss_key(built, head)] for head in built.heads]
    if ADDED in values:
        parts.append(values[ADDED])
    whole = np.stack(parts).sum(axis=0, dtype=np.float32)
    return {"loss": whole, **{name: each for name, each in values.items() if name not in ("loss", ADDED)}}
