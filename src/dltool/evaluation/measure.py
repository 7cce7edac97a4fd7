"""One pass of a finished model over examples: its metrics, and the outputs and values of each example.

They are computed by the objects that Keras compiled from the config."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dltool.config.outputs import OutputSpec
from dltool.config.schema import Config
from dltool.data.examples import Examples
from dltool.evaluation.features import Features
from dltool.evaluation.findings import MASK
from dltool.model.build import BuiltModel
from dltool.training.batches import BatchTables, make_tables, model_targets
from dltool.training.compile import compile_core, loss_functions
from dltool.training.failures import plain_failures
from dltool.training.loop import logs_of
from dltool.training.numerics import evaluation_batch, takes_any_size
from dltool.training.state import evaluating
from dltool.training.weighting import Weighting, made_weighting

KEPT_BYTES = 2**28
"""Bytes of kept outputs. If all examples take more, every second one is kept, or every third, …"""
NONE = np.empty(0, np.int32)
Step = Any
"""A `tf.function` of tensors, rows and positions."""
Head = tuple[OutputSpec, Any, Any]
"""An output, its target in the form of its loss, and its prediction."""
ADDED = ""
"""Key of the losses that layers add. No metric has this name."""


@dataclass(frozen=True)
class Measurement:
    """The loss and the `metrics` of the config by name, and the values of each example.

    `values` (examples,) of float32 are those of each metric that is a mean over examples, accuracy as 0 or 1. `outputs`
    (kept, …) of float32 or float64 belong to the examples `kept`, ascending; so do masks of padded outputs, see `MASK`.
    A reconstruction is given as the mean squared error of each example. `features` are those of some examples, (rows,
    columns), if requested. `beyond` are the losses of further examples, (examples,) of float32."""

    metrics: Mapping[str, float]
    values: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    kept: np.ndarray
    features: np.ndarray | None
    beyond: np.ndarray = field(default_factory=lambda: NONE)


def measure(
    built: BuiltModel, config: Config, examples: Examples, features: Features | None = None, beyond: int = 0
) -> Measurement:
    """Measure the model on raw inputs of at least one example, with the examples' weights but without class weights.

    Batches depend on the model only, so the same weights and examples give the same numbers. Of the last examples, so
    many as `beyond`, nothing but the losses are measured, by the same compiled step.

    Raises ConfigError, DataError, MachineError: as in :mod:`dltool.training.failures`."""
    with plain_failures(config):
        expected = model_targets(built, examples.targets)
        if not built.core.compiled:
            compile_core(built, config, expected)
        tables = make_tables(built, examples.inputs, expected, examples.weights)
        step = measuring_step(built, tables, made_weighting(built, expected, examples.weights is not None), features)
        shapes = [() if head.target is None else built.outputs[head.name].output_shape for head in built.heads]
        numbers = sum(math.prod(size or 1 for size in shape) for shape in shapes)
        last = len(examples) - beyond
        stride = -(-4 * numbers * last // KEPT_BYTES)
        built.core.reset_metrics()
        chosen = NONE if features is None else features.rows
        parts: list[tuple[Any, dict[str, np.ndarray], dict[str, np.ndarray]]] = []
        feature_tables: list[np.ndarray] = []
        for first, (results, values, outputs, table) in in_batches(built, config, tables, step, range(last), chosen):
            # A view would keep the whole array alive.
            kept = {name: some(each.numpy(), -first % stride, stride) for name, each in outputs.items()}
            parts.append((results, {name: each.numpy() for name, each in values.items()}, kept))
            if table is not None:
                feature_tables.append(table.numpy())
        further = in_batches(built, config, tables, step, range(last, len(examples)))
        after = [{name: each.numpy() for name, each in values.items()} for _, (_, values, _, _) in further]
        return Measurement(
            logs_of(parts[-1][0]),
            with_loss(built, joined([part[1] for part in parts])),
            joined([part[2] for part in parts]),
            np.arange(0, last, stride),
            np.concatenate(feature_tables) if feature_tables else None,
            with_loss(built, joined(after))["loss"] if after else NONE,
        )


def measuring_step(
    built: BuiltModel, tables: BatchTables, weighting: Weighting | None, features: Features | None
) -> Step:
    """Return the compiled step of a batch: the metrics so far, values of the examples, outputs, and some features."""
    losses, metrics = loss_functions(built), metrics_by_output(built)

    def step(tensors: Any, rows: Any, positions: Any) -> tuple[Any, dict[str, Any], dict[str, Any], Any]:
        inputs, targets, weights, _ = tables.batch(tensors, rows)
        by_output = None if weighting is None else weighting.of_batch(targets, weights)
        # As Keras's `test_step`, which does not return the outputs.
        outputs = built.core(inputs, training=False)
        loss = built.core._compute_loss(inputs, targets, outputs, by_output, training=False)
        built.core._loss_tracker.update_state(loss, sample_weight=tf.shape(tf.nest.flatten(inputs)[0])[0])
        results = built.core.compute_metrics(inputs, targets, outputs)
        heads = list(each_head(built, targets, outputs))
        values = example_values(built, heads, losses, metrics, tf.shape(rows)[0], weights)
        kept = {head.name: y if head.target else squared_error(built, head, target, y) for head, target, y in heads}
        kept = {name: at_least_float32(each) for name, each in kept.items()}
        masks = {f"{head.name}{MASK}": getattr(y, "_keras_mask", None) for head, target, y in heads if head.target}
        kept |= {name: mask for name, mask in masks.items() if mask is not None and len(mask.shape) == 2}
        return results, values, kept, None if features is None else features.of_batch(inputs, positions)

    return tf.function(step, autograph=False)


def in_batches(
    built: BuiltModel,
    config: Config,
    tables: BatchTables,
    step: Step,
    examples: range,
    chosen: np.ndarray = NONE,
) -> Iterator[tuple[int, Any]]:
    """Yield the first index of each batch and the result of `step` for its tensors, its rows and its `chosen` rows. The
    step is traced once if it gives the same for any number of rows, else for each number."""
    size = evaluation_batch(built, config.training.batch_size)
    any_size = takes_any_size(built.core)
    order = np.arange(examples.stop, dtype=np.int32)
    with evaluating(built.core, config.seed):
        for first in examples[::size]:
            last = min(first + size, examples.stop)
            begin, end = np.searchsorted(chosen, (first, last))
            rows = tf.TensorSpec((None if any_size else last - first,), tf.int32)
            function = step.get_concrete_function(tables.specs, rows, tf.TensorSpec((None,), tf.int32))
            positions = tf.constant((chosen[begin:end] - first).astype(np.int32))
            yield first, function(*tables.feed(order, first, last, size), positions)


def some(rows: np.ndarray, first: int, stride: int) -> np.ndarray:
    return rows if stride == 1 else rows[first::stride].copy()


def joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def at_least_float32(values: Any) -> Any:
    return tf.cast(values, tf.float32) if values.dtype.size < 4 else values


def before_sigmoid(head: OutputSpec, output: Any) -> list[Any]:
    """Return the logits of a sigmoid output, if Keras's binary cross-entropies use them instead of the output. If
    nothing else used them, TensorFlow could fuse layer and sigmoid, and give other last bits than in evaluation."""
    is_binary = head.loss.name.lower().startswith("binary")
    return [output.op.inputs[0]] if is_binary and output.op.type == "Sigmoid" else []


def squared_error(built: BuiltModel, head: OutputSpec, target: Any, output: Any) -> Any:
    """Return the mean squared error of each example, (examples,): of probabilities, if the outputs are logits, and of
    each class, if the numbers are class indices."""
    compared = built.compared.get(head.name)
    if compared is not None and compared.outputs == "logits":
        output = keras.activations.get(compared.activation)(output)
    if compared is not None and compared.form == "index":
        target = tf.one_hot(tf.cast(target, tf.int32), output.shape[-1])
    difference = tf.square(output - tf.cast(target, output.dtype))
    return tf.reduce_mean(tf.reshape(difference, [tf.shape(difference)[0], -1]), axis=1)


def example_values(
    built: BuiltModel,
    heads: list[Head],
    losses: Mapping[str, Any],
    metrics: Mapping[str, Mapping[str, Any]],
    size: Any,
    weights: Any,
) -> dict[str, Any]:
    """Return the values of each example, (size,), of the losses and metrics that are means over examples. Losses are
    multiplied by `weights` (size,), if there are any."""
    values = {}
    for head, target, output in heads:
        # Keras's losses do so before the call.
        each = losses[head.name].call(tf.cast(target, tf.float32), tf.cast(output, tf.float32))
        value = per_example(each, size)
        values[loss_key(built, head)] = value if weights is None else value * weights
        for name, metric in metrics.get(head.name, {}).items():
            if isinstance(metric, keras.metrics.MeanMetricWrapper):
                values[name] = per_example(metric._fn(target, output, **metric._fn_kwargs), size)
    if built.core.losses:
        # Keras knows the losses that layers add only inside the function that called them.
        added = tf.add_n([tf.reduce_sum(loss) for loss in built.core.losses])
        values[ADDED] = tf.fill([size], tf.cast(added, tf.float32))
    return values


def each_head(built: BuiltModel, targets: Any, outputs: Any) -> Iterator[Head]:
    for head in built.heads:
        one = not isinstance(outputs, dict)
        yield head, targets if one else targets[head.name], outputs if one else outputs[head.name]


def loss_key(built: BuiltModel, head: OutputSpec) -> str:
    return "loss" if len(built.heads) == 1 else f"{head.name}_loss"


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
