"""Find out why a step was not finite, by computing it again part by part: data, layers, loss, gradients."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dltool.config.last_layer import LAYERS
from dltool.errors import ConfigPath
from dltool.model.apply import Applied
from dltool.model.augmentation import augmented
from dltool.model.calls import call_of
from dltool.model.keras_objects import OUT_OF_MEMORY, make
from dltool.training.batches import Layout, tensor
from dltool.training.steps import Steps

GROWTH = 10
"""The loss diverges if it has grown to this multiple of its minimum."""
LARGE = 1e4
"""Inputs with larger numbers should be scaled; larger weights have diverged."""
SMALLER_STEPS = "lower the learning rate, or clip gradients with the optimizer's clipnorm: 1.0"
CLEAN = "remove these examples, or replace the values"
DATA: ConfigPath = ("data",)


@dataclass(frozen=True)
class Cause:
    """What was found, with its config path, or None for the optimizer. It `may_follow` from a loss that grew before,
    and follows from weights that did (`has_diverged`). `related` is the path of the layer, if `place` is another."""

    text: str
    hint: str = SMALLER_STEPS
    place: ConfigPath | None = None
    may_follow: bool = False
    has_diverged: bool = False
    related: tuple[tuple[ConfigPath, str], ...] = ()


def cause_of(steps: Steps, rows: np.ndarray, losses: Sequence[float]) -> Cause:
    """Return the cause of a step over these rows, with the model as it was before it.

    `losses` are those of the epochs and steps before. The random state of the model changes."""
    layout = by_name(steps)
    inputs, targets, *_ = layout.batch(list(map(tensor, layout.arrays(rows, layout.groups))), np.arange(len(rows)))
    try:
        cause = next(causes(steps, inputs, targets, rows))
    except OUT_OF_MEMORY:
        cause = Cause("there is too little memory to compute it again layer by layer", may_follow=True)
    lowest = min(losses, default=0)
    has_grown = cause.may_follow and bool(losses) and losses[-1] > GROWTH * lowest
    if not has_grown and not cause.has_diverged:
        return cause
    growth = f"the loss had grown from {lowest:.3g} to {losses[-1]:.3g}; " if has_grown else ""
    related = () if cause.place is None else ((cause.place, "not finite from here on"),)
    return Cause(growth + cause.text, related=related)


def causes(steps: Steps, inputs: Any, targets: Any, rows: np.ndarray) -> Iterator[Cause]:
    """Yield what is not finite for a batch of preprocessed inputs and targets, in the order of the computation."""
    built, core = steps.built, steps.core
    yield from causes_in_data(steps, inputs, targets, rows)
    inputs, targets = augmented(built.augmentation, inputs, targets)
    for values in tf.nest.flatten(inputs):
        if not is_finite(values).all():
            yield Cause(f"augmentation makes NaN or infinity {share(values, rows)}", CLEAN, (*DATA, "augmentation"))
    layers = [row for row in built.layers if row.path[: len(LAYERS)] == LAYERS]
    parts = keras.Model(core.input, [[row.output for row in layers], core.output])
    with tf.GradientTape() as tape:
        values, outputs = parts(inputs, training=True)
        for row, value in zip(layers, values, strict=True):
            if not is_finite(value).all():
                yield cause_in_layer(core, row, inputs, value, rows)
        loss = core.compute_loss(inputs, targets, outputs, training=True)
    for head, target, output in zip(built.heads, tf.nest.flatten(targets), tf.nest.flatten(outputs), strict=True):
        if not is_finite(keras.losses.get(make(head.loss, head.loss_place))(target, output)).all():
            what = f"{head.loss.name} is not finite for outputs {between(output)} and targets {between(target)}"
            hint = "choose a loss for such values, or scale the targets"
            yield Cause(what, hint, head.loss_place, True, largest(output) > LARGE * (1 + largest(target)))
    variables = core.trainable_variables
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    found = [(each, tf.convert_to_tensor(x)) for each, x in zip(variables, gradients, strict=True) if x is not None]
    for variable, gradient in found:
        if not is_finite(gradient).all():
            yield Cause(f"the loss is finite, and its gradient by {variable.path} is not", may_follow=True)
    steepest = max((largest(gradient) for _, gradient in found), default=0.0)
    yield Cause(f"the loss is finite, its gradients reach {steepest:.3g}, and the step is too large", may_follow=True)


def by_name(steps: Steps) -> Layout:
    """Return the layout of the inputs, of which a loop may feed a joined vector."""
    layout = steps.train.tables.layout
    return layout.columns or layout


def causes_in_data(steps: Steps, inputs: Any, targets: Any, rows: np.ndarray) -> Iterator[Cause]:
    layout = by_name(steps)
    named = inputs if isinstance(inputs, dict) else {next(iter(layout.inputs)): inputs}
    for name, values in named.items():
        if is_finite(values).all():
            continue
        raw = np.asarray(layout.inputs[name][rows])
        is_raw = raw.dtype.kind == "f" and not np.isfinite(raw).all()
        what, place = ("the data hold", "source") if is_raw else ("preprocessing makes", "preprocessing")
        yield Cause(f"{what} NaN or infinity in {name} {share(values, rows)}", CLEAN, (*DATA, place))
    for head, target in zip(steps.built.heads, tf.nest.flatten(targets), strict=True):
        if not is_finite(target).all():
            text = f"the targets of {head.target or head.name} are NaN or infinite {share(target, rows)}"
            yield Cause(text, CLEAN, (*DATA, "target"))


def cause_in_layer(core: keras.Model, row: Applied, inputs: Any, output: Any, rows: np.ndarray) -> Cause:
    """Describe the inputs and weights of the first layer whose output is not finite."""
    taken = call_of(row.output).inputs
    masks = [mask for tensor in taken if (mask := getattr(tensor, "_keras_mask", None)) is not None]
    arrived, hidden = keras.Model(core.input, [list(taken), masks])(inputs, training=True)
    text = f"{row.layer.name} is the first layer that gives NaN or infinity, {share(output, rows)}"
    bad = ~is_finite(output)
    for mask in hidden:
        if not np.asarray(mask)[bad].any():
            return Cause(f"{text}: all their steps are masked", "remove these examples", row.path)
    reach = max((largest(values) for values in arrived if tf.as_dtype(values.dtype).is_floating), default=0.0)
    weights = max((largest(weight) for weight in row.layer.trainable_weights), default=0.0)
    text += f"; its inputs reach {reach:.3g}" + f", its weights {weights:.3g}" * (weights > 0)
    is_first = all(any(tensor is start for start in core.inputs) for tensor in taken)
    hint = "scale the inputs, for example by Normalization" if is_first and reach > LARGE else SMALLER_STEPS
    return Cause(text, hint, row.path, may_follow=True, has_diverged=weights > LARGE)


def is_finite(values: Any) -> np.ndarray:
    """Return for each example (batch,) whether all its numbers are finite, as integers and strings always are."""
    if not tf.as_dtype(values.dtype).is_floating:
        return np.ones(len(values), bool)
    array = np.atleast_1d(np.asarray(keras.ops.cast(values, "float32")))
    finite: np.ndarray = np.isfinite(array).reshape(len(array), -1).all(axis=1)
    return finite


def share(values: Any, rows: np.ndarray) -> str:
    """Return how many examples are not finite, and the row of one."""
    bad = np.flatnonzero(~is_finite(values))
    return f"in {len(bad)} of {len(rows)} examples (row {rows[bad[0]]}, counted from 0, is one)"


def largest(values: Any) -> float:
    array = np.abs(np.asarray(keras.ops.cast(values, "float32")))
    return float(np.max(array, initial=0.0, where=np.isfinite(array)))


def between(values: Any) -> str:
    array = np.asarray(values)
    return f"from {array.min():.3g} to {array.max():.3g}"
