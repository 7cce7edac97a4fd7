"""Compile the model with the optimizer, loss and metrics of the config."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dltool.config.checks import metric_name
from dltool.config.metric_forms import OF_VECTORS, adapted, metric_class
from dltool.config.outputs import OutputSpec
from dltool.config.pydantic_errors import relocated
from dltool.config.schema import Config
from dltool.errors import ConfigError, ConfigPath, Problem
from dltool.model.build import BuiltModel
from dltool.model.keras_objects import KERAS_ERRORS, make, plain_message
from dltool.text import Shape, shape_text
from dltool.training.weight_decay import exclude_from_weight_decay

CHOSEN = ("accuracy", "acc", "Accuracy")
UNUSUAL_SIZE = 8191
"""Size of the symbolic batch on which loss and metrics are tried. Without one Keras misses mismatches, and an ordinary
one could match another axis by accident."""


def compile_core(built: BuiltModel, config: Config, targets: Mapping[str, np.ndarray], phase: int = 0) -> None:
    """Compile `built.core` for a phase, counted from 0, and create the variables of its optimizer and metrics.

    Only shape and dtype of `targets` are used, by output name, see :func:`dltool.training.batches.model_targets`. With
    mixed_float16 Keras wraps the optimizer in a LossScaleOptimizer; losses and metrics always compute in float32.

    Raises ConfigError at the optimizer, loss or metric that Keras refuses."""
    optimizer_place, optimizer = made_optimizer(config, phase)
    if config.training.no_weight_decay:
        exclude_from_weight_decay(optimizer, built.core, config.training.no_weight_decay)
    # Locating a failure creates the losses again, because Keras objects hold state.
    heads = built.heads
    losses: Any = {head.name: make(head.loss, head.loss_place) for head in heads}
    metrics: Any = {head.name: made_metrics(built, head) for head in heads if head.metrics}
    weights = {head.name: head.weight for head in heads} if any(head.weight != 1 for head in heads) else None
    if not config.model.outputs:
        (losses,), (metrics,) = losses.values(), metrics.values() or ([],)
    try:
        built.core.compile(optimizer=optimizer, loss=losses, loss_weights=weights, metrics=metrics)
    except KERAS_ERRORS as error:
        raise ConfigError(Problem(optimizer_place, plain_message(error))) from error
    try:
        # Keras's fit does the same before its first step; variables cannot be made inside a compiled loop.
        built.core._symbolic_build(data_batch=example_batch(built, targets))
    except KERAS_ERRORS as error:
        raise ConfigError(culprit(built, targets, error)) from error


def made_optimizer(config: Config, phase: int) -> tuple[ConfigPath, Any]:
    place = (*config.training.place_of(phase), "optimizer")
    return place, make(config.training.parts[phase].optimizer, place)


def made_metrics(built: BuiltModel, head: OutputSpec) -> list[Any]:
    """Create the metrics of an output, named as Keras does in a fresh process."""
    metrics = [made_metric(built, head, index) for index in range(len(head.metrics))]
    for metric, name in zip(metrics, map(metric_name, head.metrics), strict=True):
        if isinstance(metric, keras.metrics.Metric):
            metric.name = name
    return metrics


def made_metric(built: BuiltModel, head: OutputSpec, index: int) -> Any:
    """Create a metric that takes targets and outputs as the loss takes them, see :mod:`dltool.config.metric_forms`."""
    entry, place = head.metrics[index], (*head.metrics_place, index)
    compared = built.compared.get(head.name)
    thresholds = None if compared is None else head.thresholds(compared.names)
    found = adapted(entry, compared, is_trained=False, has_threshold=thresholds is not None)
    if isinstance(found, Problem):
        raise ConfigError(relocated(found, place))
    metric, output = make(found.metric, place), built.outputs[head.name]
    if metric_class(entry) in OF_VECTORS and len(output.output_shape) > 1:
        shape = shape_text(output.output_shape)
        raise ConfigError(Problem(place, f"{entry.name} takes a vector for each example, not {shape}", "remove it"))
    # Own code has the mask with the outputs; Keras chooses a class for accuracy, which is a mean.
    is_of_keras = metric_class(found.metric) not in ("", "accuracy")
    has_mask = is_of_keras and getattr(output.output, "_keras_mask", None) is not None
    if found.one_hot or found.decides or found.of_second or has_mask:
        metric = keras.metrics.get(metric)
    classes = output.output_shape[-1] if found.one_hot else None
    convert = keras.activations.get(found.activation or "linear")
    if found.decides and compared is not None and thresholds is not None:
        convert = deciding(convert, thresholds, compared.is_each_alone)
    if classes is not None or found.activation or found.decides or found.of_second:
        # Evaluation computes a mean metric example by example, too.
        name = "_fn" if isinstance(metric, keras.metrics.MeanMetricWrapper) else "update_state"
        setattr(metric, name, converting(getattr(metric, name), classes, convert, found.of_second))
    if has_mask and not isinstance(metric, keras.metrics.MeanMetricWrapper):
        metric.update_state = masking(metric.update_state, isinstance(metric, keras.metrics.BinaryIoU))
    return metric


def converting(
    function: Callable[..., Any], classes: int | None, convert: Callable[[Any], Any], of_second: bool
) -> Callable[..., Any]:
    """Wrap a function of targets and outputs: one-hot encode class indices, convert the outputs, and keep only the
    second of two classes."""

    def converted(targets: Any, outputs: Any, *others: Any, **named: Any) -> Any:
        pair = keras.ops.one_hot(targets, classes) if classes else targets, convert(outputs)
        return function(*(each[..., 1:] if of_second else each for each in pair), *others, **named)

    return converted


def masking(update: Callable[..., Any], is_flat: bool) -> Callable[..., Any]:
    """Wrap a metric's update: masked steps have no weight, as in those metrics of Keras that are means. There is a
    weight for each number of the outputs if the metric `is_flat`, else for each vector."""

    def masked(targets: Any, outputs: Any, sample_weight: Any = None) -> Any:
        mask = getattr(outputs, "_keras_mask", None)
        if mask is None:
            return update(targets, outputs, sample_weight=sample_weight)
        rank = max(len(mask.shape), len(outputs.shape) - (not is_flat))
        # Some metrics of Keras warn of weights that are no integers.
        steps = tf.reshape(tf.cast(mask, tf.int32), tf.concat([tf.shape(mask), [1] * (rank - len(mask.shape))], 0))
        return update(targets, outputs, sample_weight=tf.broadcast_to(steps, tf.shape(outputs)[:rank]))

    return masked


def deciding(convert: Callable[[Any], Any], thresholds: list[float], are_alone: bool) -> Callable[[Any], Any]:
    """Return a function of outputs that returns 1 for those above the thresholds, else 0. Unless each output stands
    alone, they are those of two classes along the last axis, and the threshold is that of the second."""

    def decided(outputs: Any) -> Any:
        found = convert(outputs)
        found = tf.cast(found, tf.float32) if found.dtype.size < 4 else found
        above = found > tf.constant(thresholds, found.dtype) if are_alone else found[..., 1:] > thresholds[0]
        return tf.cast(above if are_alone else tf.concat([~above, above], -1), found.dtype)

    return decided


def example_batch(built: BuiltModel, targets: Mapping[str, np.ndarray]) -> tuple[Any, Any]:
    """Return symbolic tensors for a batch of preprocessed inputs and targets."""

    def symbol(tensor: Any) -> Any:
        return keras.KerasTensor((UNUSUAL_SIZE, *tensor.shape[1:]), dtype=tensor.dtype)

    symbols = {head.name: keras.KerasTensor(*loss_form(built, head, targets)) for head in built.heads}
    return keras.tree.map_structure(symbol, built.core.input), built.structured_outputs(symbols)


def loss_form(built: BuiltModel, head: OutputSpec, targets: Mapping[str, np.ndarray]) -> tuple[Shape, str]:
    """Return shape and dtype of a batch of targets after :func:`dltool.training.batches.in_loss_form`."""
    if head.target is None:
        return (UNUSUAL_SIZE, *built.input_shape), built.core.inputs[0].dtype
    found, classes = targets[head.name], built.one_hot.get(head.name)
    shape = (UNUSUAL_SIZE, *found.shape[1:])
    if built.lacks_axis(head.name, len(shape)):
        shape = (*shape, 1)
    return (shape, str(found.dtype)) if classes is None else ((*shape, classes), "float32")


def specs_of(built: BuiltModel, head: OutputSpec, targets: Mapping[str, np.ndarray]) -> list[Any]:
    """Return shape and dtype of a batch of targets and of outputs, as the loss takes them."""
    output = built.outputs[head.name]
    shape = (UNUSUAL_SIZE, *output.output_shape)
    return [tf.TensorSpec(*loss_form(built, head, targets)), tf.TensorSpec(shape, output.output.dtype)]


def loss_functions(built: BuiltModel) -> dict[str, Any]:
    """Return the compiled losses by output. Keras has no public access to them."""
    losses = built.core._compile_loss._flat_losses
    return {each.path[0] if each.path else built.heads[0].name: each.loss for each in losses}


def culprit(built: BuiltModel, targets: Mapping[str, np.ndarray], failure: BaseException) -> Problem:
    """Find the loss or metric that cannot take the outputs, trying each alone; else the layer Keras's message names."""
    for head in built.heads:
        specs = specs_of(built, head, targets)
        loss = keras.losses.get(make(head.loss, head.loss_place))
        attempts: list[tuple[ConfigPath, str, Any]] = [(head.loss_place, head.loss.name, loss)]
        for index, entry in enumerate(head.metrics):
            metric = made_metric(built, head, index)
            # Keras chooses these by shape: they take whatever the loss does.
            if metric not in CHOSEN:
                attempts.append(((*head.metrics_place, index), entry.name, keras.metrics.get(metric)))
        for place, name, attempt in attempts:
            try:
                tf.function(attempt, autograph=False).get_concrete_function(*specs)
            except KERAS_ERRORS as error:
                return Problem(place, f"{name} cannot take the targets and the outputs: {without_size(error)}")
    layer = next((row.path for row in built.layers if f"{row.name}." in str(failure)), ("training",))
    return Problem(layer, without_size(failure))


def without_size(failure: BaseException) -> str:
    """Return Keras's message without the size of the symbolic batch."""
    return plain_message(failure).replace(str(UNUSUAL_SIZE), "batch")


def refuse_monitors_of_several_numbers(config: Config, core: keras.Model, best: str) -> None:
    """Raise ConfigError if the monitored metric has several numbers, such as F1Score with one for each class."""
    several = {name for name, value in core.get_metrics_result().items() if np.size(value) > 1}
    monitors: list[tuple[ConfigPath, Any]] = [(("training", "checkpoint", "monitor"), best)]
    for index, entry in enumerate(config.training.callbacks):
        monitors.append((("training", "callbacks", index, entry.name, "monitor"), entry.arguments.get("monitor")))
    ConfigError.refuse(
        Problem(place, f"{monitor} is a number for each class", "average: macro in the metric makes it one")
        for place, monitor in monitors
        if isinstance(monitor, str) and monitor.removeprefix("val_") in several
    )


def inner_optimizer(optimizer: Any) -> Any:
    """Return the optimizer itself, without the loss scaling around it."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def learning_rate(core: keras.Model) -> float:
    """Return the learning rate of the last step, from a schedule or a variable."""
    optimizer = inner_optimizer(core.optimizer)
    rate = optimizer._learning_rate
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        rate = rate(tf.maximum(optimizer._iterations - 1, 0))
    return float(tf.convert_to_tensor(rate))
