"""Optimizer, loss and metrics of the config, given to the model."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dltool.config.checks import metric_names
from dltool.config.keras_objects import KerasObject
from dltool.config.schema import Config
from dltool.data.facts import Facts
from dltool.errors import ConfigError, ConfigPath, Problem
from dltool.model.build import BuiltModel
from dltool.model.keras_objects import KERAS_ERRORS, make, plain_message

LOSS: ConfigPath = ("training", "loss")
METRICS: ConfigPath = ("training", "metrics")
CHOSEN = ("accuracy", "acc", "Accuracy")


def compile_core(built: BuiltModel, config: Config, targets: np.ndarray) -> None:
    """Compile `built.core` and make the variables of its optimizer and metrics.

    `targets` are targets of this data, for their shape and dtype alone. With precision mixed_float16 Keras wraps the
    optimizer in a LossScaleOptimizer; losses and metrics compute in float32 whatever the precision.

    Raises:
        ConfigError: at the optimizer, loss or metric that Keras refuses.
    """
    training = config.training
    optimizer = make(training.optimizer, ("training", "optimizer"))
    metrics = made_metrics(training.metrics)
    try:
        # The loss is made once more where a failure has to be placed; Keras objects hold state.
        built.core.compile(optimizer=optimizer, loss=make(training.loss, LOSS), metrics=metrics)
    except KERAS_ERRORS as error:
        raise ConfigError(Problem(("training", "optimizer"), plain_message(error))) from error
    try:
        # Keras's fit does the same before its first step; variables cannot be made inside a compiled loop.
        built.core._symbolic_build(data_batch=example_batch(built, targets))
    except KERAS_ERRORS as error:
        raise ConfigError(culprit(built, config, targets, plain_message(error))) from error


def made_metrics(entries: Sequence[KerasObject]) -> list[Any]:
    """Metrics under the names that Keras would give them in a process of their own."""
    metrics = [make(entry, (*METRICS, index)) for index, entry in enumerate(entries)]
    for metric, name in zip(metrics, metric_names(entries, unique=False), strict=True):
        if isinstance(metric, keras.metrics.Metric):
            metric.name = name
    return metrics


def example_batch(built: BuiltModel, targets: np.ndarray) -> tuple[Any, Any]:
    """Symbols for a batch of prepared inputs and targets."""

    def symbol(tensor: Any) -> Any:
        return keras.KerasTensor((None, *tensor.shape[1:]), dtype=tensor.dtype)

    return (
        keras.tree.map_structure(symbol, built.core.input),
        keras.KerasTensor(*loss_form(built, (None, *targets.shape[1:]), str(targets.dtype))),
    )


def loss_form(built: BuiltModel, shape: tuple[int | None, ...], dtype: str) -> tuple[tuple[int | None, ...], str]:
    """Shape and dtype of targets as loss and metrics take them, see :func:`dltool.training.tables.in_loss_form`."""
    return (shape, dtype) if built.one_hot is None else ((*shape, built.one_hot), "float32")


def culprit(built: BuiltModel, config: Config, targets: np.ndarray, reason: str) -> Problem:
    """Which of loss and metrics cannot take the outputs: each is tried alone, on a batch of its true size.

    Otherwise the layer that Keras's `reason` names.
    """
    size = config.training.batch_size
    specs = [
        tf.TensorSpec(*loss_form(built, (size, *targets.shape[1:]), str(targets.dtype))),
        tf.TensorSpec((size, *built.output_shape), built.core.outputs[0].dtype),
    ]
    attempts: list[tuple[ConfigPath, str, Any]] = [
        (LOSS, config.training.loss.name, keras.losses.get(make(config.training.loss, LOSS)))
    ]
    for index, entry in enumerate(config.training.metrics):
        place = (*METRICS, index)
        attempts.append((place, entry.name, metric_alone(make(entry, place))))
    for place, name, attempt in attempts:
        try:
            tf.function(attempt, autograph=False).get_concrete_function(*specs)
        except KERAS_ERRORS as error:
            return Problem(place, f"{name} cannot take the targets and the outputs: {plain_message(error)}")
    return Problem(next((row.path for row in built.layers if f"{row.name}." in reason), ("training",)), reason)


def refuse_monitors_of_several_numbers(config: Config, core: keras.Model, best: str) -> None:
    """Raises ConfigError: what decides between epochs must be one number; F1Score gives one for each class."""
    several = {name for name, value in core.get_metrics_result().items() if np.ndim(value)}
    monitors: list[tuple[ConfigPath, Any]] = [(("training", "checkpoint", "monitor"), best)]
    for index, entry in enumerate(config.training.callbacks):
        monitors.append((("training", "callbacks", index, entry.name, "monitor"), entry.arguments.get("monitor")))
    problems = [
        Problem(place, f"{monitor} is a number for each class", "average: macro in the metric makes it one")
        for place, monitor in monitors
        if isinstance(monitor, str) and monitor.removeprefix("val_") in several
    ]
    if problems:
        raise ConfigError(problems)


def metric_alone(metric: Any) -> Any:
    """A metric to call; what Keras chooses by shape ("accuracy") takes whatever the loss does."""
    return (
        (lambda target, output: output) if isinstance(metric, str) and metric in CHOSEN else keras.metrics.get(metric)
    )


def class_weights(config: Config, facts: Facts, targets: np.ndarray) -> np.ndarray | None:
    """The weight of each class as float32, (classes,), or None where all examples count the same.

    `balanced` is examples / (classes * examples of the class) over `targets`, the class indices of the training part
    (as in scikit-learn; King and Zeng, Logistic Regression in Rare Events Data, 2001). A class without examples gets 0.

    Raises:
        ConfigError: the targets are numbers, or the named classes are not those of the data.
    """
    weights, place = config.training.class_weights, ("training", "class_weights")
    if weights is None:
        return None
    if facts.target != "category":
        raise ConfigError(Problem(place, "the target is a number and has no classes", "remove class_weights"))
    names = facts.class_names
    if weights == "balanced":
        counts = np.bincount(targets, minlength=len(names))
        balanced = len(targets) / (len(names) * np.maximum(counts, 1))
        return np.where(counts > 0, balanced, 0).astype(np.float32)
    assert isinstance(weights, dict)
    unknown = [name for name in weights if name not in names]
    missing = [name for name in names if name not in weights]
    listed = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    problems = [Problem((*place, name), "no such class", f"the classes are {listed}", at_key=True) for name in unknown]
    if missing:
        problems.append(Problem(place, f"no weight for {', '.join(missing[:10])}", "name every class, or use balanced"))
    if problems:
        raise ConfigError(problems)
    return np.array([weights[name] for name in names], dtype=np.float32)


def inner_optimizer(optimizer: Any) -> Any:
    """The optimizer itself, without the loss scaling around it."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def learning_rate(core: keras.Model) -> float:
    """The rate in force now, from a schedule or a variable."""
    rate = inner_optimizer(core.optimizer).learning_rate
    return float(tf.convert_to_tensor(rate))
