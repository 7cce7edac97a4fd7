"""Compile the model with the optimizer, loss and metrics of the config."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dltool.config.checks import metric_name
from dltool.config.metric_forms import adapted
from dltool.config.outputs import OutputSpec
from dltool.config.pydantic_errors import relocated
from dltool.config.schema import Config
from dltool.config.tasks import TargetFacts
from dltool.errors import ConfigError, ConfigPath, Problem
from dltool.model.build import BuiltModel
from dltool.model.keras_objects import KERAS_ERRORS, make, plain_message
from dltool.text import Shape, listed

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
    found = adapted(entry, built.compared.get(head.name), is_trained=False)
    if isinstance(found, Problem):
        raise ConfigError(relocated(found, place))
    metric = make(found.metric, place)
    if found.one_hot:
        metric = keras.metrics.get(metric)
    classes = built.outputs[head.name].output_shape[-1] if found.one_hot else None
    if classes is not None or found.activation:
        # Evaluation computes a mean metric example by example, too.
        name = "_fn" if isinstance(metric, keras.metrics.MeanMetricWrapper) else "update_state"
        setattr(metric, name, converting(getattr(metric, name), classes, found.activation))
    return metric


def converting(function: Callable[..., Any], classes: int | None, activation: str) -> Callable[..., Any]:
    """Wrap a function of targets and outputs: one-hot encode class indices, and apply an activation to the outputs."""
    apply = keras.activations.get(activation or "linear")

    def converted(targets: Any, outputs: Any, *others: Any, **named: Any) -> Any:
        return function(keras.ops.one_hot(targets, classes) if classes else targets, apply(outputs), *others, **named)

    return converted


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
    return (shape, str(found.dtype)) if classes is None else ((*shape, classes), "float32")


def culprit(built: BuiltModel, targets: Mapping[str, np.ndarray], failure: BaseException) -> Problem:
    """Find the loss or metric that cannot take the outputs, trying each alone; else the layer Keras's message names."""
    for head in built.heads:
        output = built.outputs[head.name]
        given = tf.TensorSpec(*loss_form(built, head, targets))
        specs = [given, tf.TensorSpec((UNUSUAL_SIZE, *output.output_shape), output.output.dtype)]
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


def refuse_weights_of_a_batch(built: BuiltModel, targets: Mapping[str, np.ndarray], place: ConfigPath) -> None:
    """Raise ConfigError at `place`, which weighs examples, if the user's loss returns one number for a whole batch."""
    (head,), (compiled,) = built.heads, built.core._compile_loss._flat_losses
    output = built.outputs[head.name]
    shapes = loss_form(built, head, targets)[0], (UNUSUAL_SIZE, *output.output_shape)
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    values = tf.function(compiled.loss.call, autograph=False).get_concrete_function(*specs).output_shapes
    if not len(values):
        message = f"{head.loss.name} returns one number for a batch, and weights need one for each example"
        raise ConfigError(Problem(place, message, "end it with keras.ops.mean(…, axis=-1)", related=head.loss_related))


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


def class_weights(config: Config, target: TargetFacts, targets: np.ndarray) -> np.ndarray | None:
    """Return the weight of each class as float32, (classes,), or None if all examples count the same.

    `balanced` is examples / (classes * examples of the class) over `targets`, the class indices of the training split
    (as in scikit-learn; King and Zeng, Logistic Regression in Rare Events Data, 2001). A class without examples gets 0.

    Raises ConfigError: the targets are numbers, or the named classes are not those of the data."""
    weights, place = config.training.class_weights, ("training", "class_weights")
    if weights is None:
        return None
    if not target.task.is_index:
        raise ConfigError(Problem(place, "the target is a number and has no classes", "remove class_weights"))
    names = target.class_names
    if weights == "balanced":
        counts = np.bincount(targets, minlength=len(names))
        balanced = len(targets) / (len(names) * np.maximum(counts, 1))
        return np.where(counts > 0, balanced, 0).astype(np.float32)
    assert isinstance(weights, dict)
    unknown = [name for name in weights if name not in names]
    missing = [name for name in names if name not in weights]
    hint = f"the classes are {listed(names, 10)}"
    problems = [Problem((*place, name), "no such class", hint, at_key=True) for name in unknown]
    if missing:
        problems.append(Problem(place, f"no weight for {', '.join(missing[:10])}", "name every class, or use balanced"))
    ConfigError.refuse(problems)
    return np.array([weights[name] for name in names], dtype=np.float32)


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
