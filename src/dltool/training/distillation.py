"""Distillation: the loss of a model that learns the outputs of another one besides its targets.

Of classes, it is (1 - w) · loss + w · T² · KL(teacher ‖ model), with the probabilities of both at the temperature T
(Hinton, Vinyals and Dean 2015, https://arxiv.org/abs/1503.02531); of labels, the mean of the divergences of all. Of
numbers, it is (1 - w) · loss(targets) + w · loss(teacher): the additive imitation loss of Saputra et al. 2019
(https://arxiv.org/abs/1908.00858) with the loss of the config."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dltool.config.metric_forms import Compared
from dltool.config.schema import TeacherOptions
from dltool.model.build import BuiltModel
from dltool.training.compile import loss_functions

TEMPERATURE = 2.0
SQUASHING = {"softmax": "Softmax", "sigmoid": "Sigmoid"}
PASSING = ("Cast", "Identity", "Reshape", "Squeeze")
"""Operations between logits and outputs that change no number."""


@dataclass(frozen=True)
class Teacher:
    """What another run teaches a model, by the names of its outputs.

    `outputs` (examples, …) are the teacher's outputs for the training examples. They are empty if augmentation changes
    the inputs: `respond` then maps a batch of preprocessed inputs to outputs. `compared` is what the teacher's outputs
    are. `flops` are those of a forward pass of one example, None if unknown. `record` is for run.json."""

    options: TeacherOptions
    outputs: Mapping[str, np.ndarray]
    respond: Callable[[Any], Mapping[str, Any]] | None
    compared: Mapping[str, Compared]
    flops: int | None
    record: Mapping[str, Any]

    @contextlib.contextmanager
    def lesson(self, built: BuiltModel, inputs: Any, taught: Mapping[str, Any]) -> Iterator[None]:
        """Add the distance between teacher and model to the loss within the block, in which the step of a batch is
        traced. `taught` are the teacher's outputs for it, if they are known; `inputs` are augmented."""
        core, plain, share = built.core, built.core.compute_loss, self.options.weight
        taught = taught if self.respond is None else self.respond(inputs)
        temperature, losses = self.options.temperature or TEMPERATURE, loss_functions(built)
        for name, own in built.compared.items():
            if own.form != "numbers":
                losses[name] = SoftLoss(self.compared[name], own, temperature, losses[name].reduction)

        def compute_loss(x: Any, y: Any, y_pred: Any, sample_weight: Any = None, training: bool = True) -> Any:
            total = plain(x, y, y_pred, sample_weight, training=training)
            # Penalties count in full: the plain loss has the other part of them.
            parts = [tf.reduce_sum(tf.cast(each, total.dtype)) for each in core.losses]
            for head in built.heads:
                of_head = (each[head.name] if isinstance(each, dict) else each for each in (y_pred, sample_weight))
                distance = losses[head.name](taught[head.name], *of_head)
                parts.append(head.weight * tf.cast(distance, total.dtype))
            return (1 - share) * total + share * tf.add_n(parts)

        # Set past Keras's tracking, it overrides the method of the class.
        vars(core)["compute_loss"] = compute_loss
        try:
            yield
        finally:
            del vars(core)["compute_loss"]


class SoftLoss(keras.losses.Loss):  # type: ignore[misc]
    """T² · KL(teacher ‖ model) of probabilities at the temperature T, traced inside a compiled function."""

    def __init__(self, theirs: Compared, own: Compared, temperature: float, reduction: str) -> None:
        super().__init__("distillation", reduction)
        self.theirs, self.own, self.temperature = theirs, own, temperature

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the divergence of each vector of outputs: (batch, …) from (batch, …, numbers)."""
        theirs, ours = logits_of(y_true, self.theirs) / self.temperature, logits_of(y_pred, self.own) / self.temperature
        if self.own.is_each_alone:
            logs = [(tf.math.log_sigmoid(sign * theirs), tf.math.log_sigmoid(sign * ours)) for sign in (1, -1)]
            found = tf.reduce_mean(tf.add_n([tf.exp(a) * (a - b) for a, b in logs]), axis=-1)
        else:
            theirs, ours = tf.nn.log_softmax(theirs), tf.nn.log_softmax(ours)
            found = tf.reduce_sum(tf.exp(theirs) * (theirs - ours), axis=-1)
        return self.temperature**2 * found


def logits_of(outputs: Any, compared: Compared) -> Any:
    """Return the logits of outputs for classes: the numbers before their softmax or sigmoid, if these have just been
    computed; else the logarithms of probabilities (of a softmax, they differ from logits by a constant, which the next
    one cancels), or of odds. Probabilities are clipped to what float32 can tell from 0 and 1."""
    if compared.outputs == "logits":
        return outputs
    logits = before_squashing(outputs, SQUASHING[compared.activation])
    if logits is not outputs:
        return tf.reshape(tf.cast(logits, outputs.dtype), tf.shape(outputs))
    limits = np.finfo(np.float32)
    if compared.activation == "softmax":
        return tf.math.log(tf.maximum(outputs, limits.tiny))
    outputs = tf.clip_by_value(outputs, limits.tiny, 1 - limits.epsneg)
    return tf.math.log(outputs) - tf.math.log1p(-outputs)


def before_squashing(output: Any, *kinds: str) -> Any:
    """Return the numbers before the softmax or sigmoid that made an output in a compiled function, or before one of
    these `kinds`; the output if none did."""
    operation = output.op
    while operation.type in PASSING:
        operation = operation.inputs[0].op
    return operation.inputs[0] if operation.type in (kinds or SQUASHING.values()) else output
