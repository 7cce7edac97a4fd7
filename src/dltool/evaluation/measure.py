"""One pass of a finished model over examples: its metrics, what it gives for each example, and how good that is."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dltool.config.outputs import OutputSpec
from dltool.config.schema import Config
from dltool.data.arrays.rows import Rows
from dltool.data.examples import Examples
from dltool.evaluation.features import Features
from dltool.model.build import BuiltModel
from dltool.training.batches import BatchTables, make_tables, model_targets
from dltool.training.compile import compile_core
from dltool.training.failures import plain_failures
from dltool.training.loop import logs_of, takes_any_size
from dltool.training.numerics import evaluation_batch

KEPT_BYTES = 2**28
"""Of outputs that are kept. Where those of all examples take more, they are kept of every second one, or third, …"""
ADDED = ""
"""No metric has this name."""
NONE = np.empty(0, np.int32)


@dataclass(frozen=True)
class Measurement:
    """The loss and the `metrics` of the config by name; and of each example:

    `values` by the name of the metric, (examples,) of float32, for each that is a mean over examples: "loss", and
    "accuracy" as 0 or 1. `outputs` by name are (kept, …) of float32 or float64, of the examples `kept`, ascending. Of
    an output that restores the input they are the mean squared difference of each example.
    """

    metrics: Mapping[str, float]
    values: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    kept: np.ndarray


def measure(
    built: BuiltModel,
    config: Config,
    examples: Examples,
    features: Features | None = None,
    keep: Callable[[np.ndarray], None] = lambda _: None,
) -> Measurement:
    """Measure the model on examples of raw inputs; at least one.

    Batches follow from the model alone, so the same weights and examples always give the same numbers. Class weights
    are not applied. `keep` is given the tables of `features`, batch by batch, of inputs that are prepared anyway.

    Raises:
        ConfigError, DataError, MachineError: as in :mod:`dltool.training.failures`.
    """
    with plain_failures(config):
        expected = model_targets(built, examples.targets)
        if not built.core.compiled:
            compile_core(built, config, expected)
        tables = make_tables(built, examples.inputs, expected)
        step = measuring_step(built, tables, features)
        stride = stride_for(built, len(examples))
        built.core.reset_metrics()
        chosen = NONE if features is None else features.rows
        parts: list[tuple[Any, dict[str, np.ndarray], dict[str, np.ndarray]]] = []
        for first, (results, values, outputs, table) in in_batches(built, config, tables, step, len(examples), chosen):
            # A copy of some, for a view of them would keep all.
            kept = {name: some(each.numpy(), -first % stride, stride) for name, each in outputs.items()}
            parts.append((results, {name: each.numpy() for name, each in values.items()}, kept))
            if table is not None:
                keep(table.numpy())
        return Measurement(
            logs_of(parts[-1][0]),
            with_loss(built, joined([part[1] for part in parts])),
            joined([part[2] for part in parts]),
            np.arange(0, len(examples), stride),
        )


def measuring_step(built: BuiltModel, tables: BatchTables, features: Features | None) -> Callable[[Any, Any, Any], Any]:
    """What is computed of a batch: metrics so far, values of the examples, outputs, and features of some."""
    losses, metrics = loss_functions(built), metrics_by_output(built)

    def step(tensors: Any, rows: Any, positions: Any) -> tuple[Any, dict[str, Any], dict[str, Any], Any]:
        given, wanted = tables.batch(tensors, rows)
        found, results = updated_metrics(built.core, given, wanted)
        heads = list(each_head(built, wanted, found))
        values = example_values(built, heads, losses, metrics, tf.shape(rows)[0])
        outputs = {
            head.name: at_least_float32(squared_error(output, target) if head.target is None else output)
            for head, target, output in heads
        }
        return results, values, outputs, None if features is None else features.of_batch(given, positions)

    return step


def predict(built: BuiltModel, config: Config, inputs: Mapping[str, Rows]) -> dict[str, np.ndarray]:
    """The outputs for raw inputs, by name, (examples, …) of float32 (float64 where that is the precision).

    Of an output that restores the input it is how well: the mean squared difference of each example, (examples,).
    They are computed in the batches of :func:`measure`, so that the same examples give the same bits.

    Raises:
        ConfigError, DataError, MachineError: as in :mod:`dltool.training.failures`.
    """
    with plain_failures(config):
        tables = make_tables(built, inputs, {})

        def step(tensors: Any, rows: Any, _: Any) -> tuple[dict[str, Any], list[Any]]:
            given, restored = tables.batch(tensors, rows)
            found = built.core(given, training=False)
            if not isinstance(found, dict):
                found, restored = {built.heads[0].name: found}, {built.heads[0].name: restored}
            also_given = before_sigmoid(built, found)
            found = {name: at_least_float32(each) for name, each in found.items()}
            values = {
                head.name: squared_error(found[head.name], restored[head.name])
                if head.target is None
                else found[head.name]
                for head in built.heads
            }
            return values, also_given

        examples = len(next(iter(inputs.values())))
        parts = [
            {name: each.numpy() for name, each in outputs.items()}
            for _, (outputs, _) in in_batches(built, config, tables, step, examples)
        ]
        return joined(parts)


def in_batches(
    built: BuiltModel,
    config: Config,
    tables: BatchTables,
    step: Callable[[Any, Any, Any], Any],
    examples: int,
    chosen: np.ndarray = NONE,
) -> Iterator[tuple[int, Any]]:
    """The first example of each batch, in order, and what `step` gives for its tensors, its rows of them, and which of
    these rows, counted from 0, are among the `chosen` examples.

    It is compiled once, for any number of rows, where it computes the same for all; else once for each.
    """
    size = evaluation_batch(built, config.training.batch_size)
    compiled = tf.function(step, autograph=False)
    any_size = takes_any_size(built.core)
    order = np.arange(examples, dtype=np.int32)
    for first in range(0, examples, size):
        last = min(first + size, examples)
        begin, end = np.searchsorted(chosen, (first, last))
        rows = tf.TensorSpec((None if any_size else last - first,), tf.int32)
        function = compiled.get_concrete_function(tables.specs, rows, tf.TensorSpec((None,), tf.int32))
        positions = tf.constant((chosen[begin:end] - first).astype(np.int32))
        yield first, function(*tables.feed(order, first, last, size), positions)


def updated_metrics(core: keras.Model, inputs: Any, targets: Any) -> tuple[Any, dict[str, Any]]:
    """The outputs, and the metrics so far: Keras's `test_step`, which keeps the outputs for itself."""
    outputs = core(inputs, training=False)
    loss = core._compute_loss(inputs, targets, outputs, training=False)
    core._loss_tracker.update_state(loss, sample_weight=tf.shape(tf.nest.flatten(inputs)[0])[0])
    return outputs, core.compute_metrics(inputs, targets, outputs)


def example_values(
    built: BuiltModel,
    heads: list[tuple[OutputSpec, Any, Any]],
    losses: Mapping[str, Any],
    metrics: Mapping[str, Mapping[str, Any]],
    count: Any,
) -> dict[str, Any]:
    """(count,) by the name of the loss or the metric, for those that are means over examples."""
    values = {}
    for head, target, output in heads:
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
    return values


def stride_for(built: BuiltModel, examples: int) -> int:
    """Of how many examples one is kept."""
    sizes = [
        1 if head.target is None else int(np.prod([size or 1 for size in built.outputs[head.name].output_shape]))
        for head in built.heads
    ]
    return -(-4 * sum(sizes) * examples // KEPT_BYTES)


def some(rows: np.ndarray, first: int, stride: int) -> np.ndarray:
    return rows if stride == 1 else rows[first::stride].copy()


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
