"""Differentially private training steps: rows drawn at random, clipped gradients of single examples, and noise.

Abadi et al., Deep Learning with Differential Privacy, 2016. Draws and noise come from a secret key of 128 bits, a
variable beside the model, which is part of checkpoints and of no other file."""

import math
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dltool.config.privacy_checks import spending
from dltool.config.schema import Config
from dltool.errors import ConfigError, ConfigPath, Problem
from dltool.model.augmentation import augmented
from dltool.model.build import BuiltModel
from dltool.model.keras_objects import KERAS_ERRORS
from dltool.training.compile import loss_functions
from dltool.training.example_gradients import NotVectorizedError, clipped_sum, taps_of
from dltool.training.loop import Loop
from dltool.training.weighting import Weighting

TOLERANCE = 1e-3
"""Relative difference of gradients that is rounding."""
HINT = "use Dense, Conv1D, Conv2D, DepthwiseConv2D, Embedding, MultiHeadAttention, LSTM or GRU"


@dataclass(frozen=True)
class Noise:
    """Clipping and noise of a run. A step draws each of the `examples` with probability `rate`, `expected` in the mean,
    at most `most`; `key` is the variable (key, key, steps done) of int64."""

    examples: int
    expected: float
    clip: float
    deviation: float
    key: Any

    @property
    def rate(self) -> float:
        return self.expected / self.examples

    @property
    def most(self) -> int:
        """Return the room for the rows of a step. A draw that exceeds it, which would be cut, has a probability below
        1e-30 (Bernstein's inequality), far below any delta."""
        return min(self.examples, math.ceil(self.expected + 12 * math.sqrt(self.expected)) + 60)

    def order(self, epoch: int, steps: int) -> np.ndarray:
        """Return the draws of an epoch, int32 (steps * most,): positions among the training rows, and -1 for none. They
        are a pure function of the key and the epoch."""
        key = self.key.value.numpy()[:2].view(np.uint64)
        generator = np.random.Generator(np.random.Philox(key=key, counter=np.array([0, 0, epoch, 0], np.uint64)))
        drawn = np.full((steps, self.most), -1, np.int32)
        for row in drawn:
            count = min(generator.binomial(self.examples, self.rate), self.most)
            row[:count] = generator.choice(self.examples, count, replace=False)
        return drawn.ravel()

    def noisy(self, sums: list[Any]) -> list[Any]:
        """Return the sums with noise, divided by the expected number of examples, and count the step."""
        sizes = [math.prod(each.shape) for each in sums]
        first, second, done = tf.unstack(self.key.value)
        seed = tf.stack([first, second + done])
        noise = tf.random.stateless_normal([sum(sizes)], seed, 0.0, self.deviation, sums[0].dtype, alg="philox")
        self.key.assign_add([0, 0, 1])
        parts = zip(sums, tf.split(noise, sizes), strict=True)
        return [(each + tf.reshape(part, each.shape)) / self.expected for each, part in parts]


def made_noise(config: Config, built: BuiltModel, examples: int, rows: int) -> Noise | None:
    """Return the noise of the training of so many `examples`, of which `rows` are here, with a new key; None if the
    training is not private."""
    options, size = config.training.privacy, config.training.batch_size
    if options is None:
        return None
    words = [secrets.randbits(64), secrets.randbits(64)] if options.seed is None else [options.seed, 0]
    built.noise_key.assign(np.array([*words, 0], np.uint64).view(np.int64))
    planned = spending(config, examples)
    assert planned is not None, "the config has been checked"
    return Noise(rows, min(size, rows), options.clip, options.clip * planned.noise, built.noise_key)


class PrivateLoop(Loop):
    """The training loop over draws of different sizes: `batch_size` is the most of one, and -1 is no row."""

    def run_one(self, tables: Any, rows: Any) -> Any:
        drawn = tf.boolean_mask(rows, rows >= 0)
        # Layers need an example; it does not count.
        one = tf.cond(tf.size(drawn) > 0, lambda: drawn, lambda: tf.zeros([1], rows.dtype))
        share = tf.cast(tf.size(drawn) > 0, tf.float32)
        return tf.math.is_finite(self.step(*self.tables.batch(tables, one), share))


def private_step(built: BuiltModel, noise: Noise, weighting: Weighting | None) -> Any:
    """Return the step of a :class:`PrivateLoop`."""
    core, losses = built.core, loss_functions(built)

    def step(inputs: Any, targets: Any, weights: Any, _: Any, share: Any) -> Any:
        inputs, targets = augmented(built.augmentation, inputs, targets)
        own = None if weighting is None else weighting.of_batch(targets, weights)

        def forward() -> tuple[Any, Any]:
            outputs = core(inputs, training=True)
            values = example_losses(built, losses, targets, outputs, own)
            return values, (values, outputs)

        try:
            (values, outputs), sums, _ = clipped_sum(core, forward, noise.clip)
        except NotVectorizedError as error:
            raise unknown_gradients(built, error.args) from error
        loss = core.compute_loss(inputs, targets, outputs, own, training=True)
        finite = tf.reduce_mean(tf.boolean_mask(values, tf.math.is_finite(values)))
        loss = tf.where(tf.math.is_finite(loss), loss, tf.cast(finite, loss.dtype))
        core._loss_tracker.update_state(loss, sample_weight=tf.shape(tf.nest.flatten(outputs)[0])[0])
        noisy = noise.noisy([each * tf.cast(share, each.dtype) for each in sums])
        penalties = penalty_gradients(core)
        core.optimizer.apply([a if b is None else a + b for a, b in zip(noisy, penalties, strict=True)])
        core.compute_metrics(inputs, targets, outputs, sample_weight=own)
        # A run that the loss of one example could end would tell of it. Weights that are not finite end it.
        return tf.constant(0.0)

    return step


def example_losses(built: BuiltModel, losses: Any, targets: Any, outputs: Any, weights: Any) -> Any:
    """Return the loss of each example, (batch,): the mean over its steps or pixels that are not masked."""
    total = []
    for head in built.heads:
        all_of_head = (targets, outputs, weights)
        target, output, weight = (each[head.name] if isinstance(each, dict) else each for each in all_of_head)
        loss = losses[head.name]
        values = loss.call(tf.cast(target, loss.dtype), tf.cast(output, loss.dtype))
        values = values if weight is None else values * tf.cast(weight, values.dtype)
        axes = list(range(1, values.shape.rank))
        mask = getattr(output, "_keras_mask", None)
        if mask is None or not axes:
            mean = tf.reduce_mean(values, axes) if axes else values
        else:
            is_valid = tf.cast(mask, values.dtype)
            mean = tf.math.divide_no_nan(tf.reduce_sum(values * is_valid, axes), tf.reduce_sum(is_valid, axes))
        total.append(head.weight * mean)
    return tf.add_n(total)


def penalty_gradients(core: keras.Model) -> list[Any]:
    """Return the gradient of each trainable variable's own regularizer, None without one. It needs no noise."""
    variables = core.trainable_variables
    with tf.GradientTape() as tape:
        penalties = [variable.regularizer(variable) for variable in variables if variable.regularizer is not None]
    values = [variable.value for variable in variables]
    found: list[Any] = tape.gradient(penalties, values) if penalties else [None] * len(values)
    return found


def refuse_unknown_layers(built: BuiltModel) -> None:
    """Raise ConfigError at trained layers that keep statistics of the examples, some of which have no other weights,
    and at recurrent ones with dropout: the gradients of single examples would be of other dropped values."""
    problems = []
    for layer in built.core._flatten_layers(include_self=False):
        is_trained = layer._trainable_variables or isinstance(layer, keras.layers.BatchNormalization)
        if is_trained and layer.trainable and layer._non_trainable_variables:
            message = f"{layer.name} keeps statistics of the training examples, without noise"
            hint = "use GroupNormalization or LayerNormalization, or freeze it with trainable: false"
            problems.append(Problem(place_of(built, layer), message, hint))
        if getattr(layer, "recurrent_dropout", None) is not None and (layer.dropout or layer.recurrent_dropout):
            message = "private steps do not know the dropout inside a recurrent layer"
            problems.append(Problem(place_of(built, layer), message, "a Dropout layer before it"))
    ConfigError.refuse(problems)


def place_of(built: BuiltModel, layer: Any) -> ConfigPath:
    """Return the config path of a layer, or of the one that contains it."""
    for row in built.layers:
        if layer is row.layer or any(layer is each for each in row.layer._flatten_layers()):
            return row.path
    return ("training", "privacy")


def refuse_dependent_examples(built: BuiltModel, inputs: Any, targets: Any) -> None:
    """Compute the gradients of two examples in another way. Raise ConfigError if a layer's are wrong or unknown, or the
    loss of an example depends on the other. Weights are random meanwhile, as zeros would hide what lies before them."""
    variables, generator = built.core.trainable_variables, np.random.default_rng(0)
    values = [variable.numpy() for variable in variables]
    try:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value + generator.normal(0, 0.1, value.shape))
        compare_gradients(built, *tf.nest.map_structure(finite_or_zero, (inputs, targets)))
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def finite_or_zero(values: Any) -> Any:
    return tf.where(tf.math.is_finite(values), values, tf.zeros_like(values)) if values.dtype.is_floating else values


def compare_gradients(built: BuiltModel, inputs: Any, targets: Any) -> None:
    core, losses = built.core, loss_functions(built)

    def loss_of(some: slice) -> Any:
        batch, truth = tf.nest.map_structure(lambda values: values[some], (inputs, targets))
        return example_losses(built, losses, truth, core(batch, training=False), None)

    both = slice(None)
    alone = tf.concat([loss_of(slice(0, 1)), loss_of(slice(1, 2))], 0)
    if not is_close(loss_of(both), alone):
        message = "the loss of an example depends on the other examples of its batch"
        raise ConfigError(Problem(("training", "privacy"), message, "remove what compares or mixes examples"))
    variables = core.trainable_variables
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(loss_of(both))
    usual = tape.gradient(total, [variable.value for variable in variables], unconnected_gradients="zero")
    try:
        _, sums, _ = clipped_sum(core, lambda: (loss_of(both), None), None)
    except NotVectorizedError as error:
        wrong = [error.args[0]]
    except KERAS_ERRORS:
        wrong = [tap.layer for tap in taps_of(core)][:1]
    else:
        pairs = zip(variables, sums, map(tf.convert_to_tensor, usual), strict=True)
        bad = {id(variable) for variable, own, other in pairs if not is_close(own, other)}
        wrong = [tap.layer for tap in taps_of(core) if bad & {id(variable) for variable in tap.variables}]
    if wrong:
        raise unknown_gradients(built, wrong)


def unknown_gradients(built: BuiltModel, layers: Iterable[Any]) -> ConfigError:
    message = "the gradients of single examples of {} are unknown"
    return ConfigError([Problem(place_of(built, each), message.format(each.name), HINT) for each in layers])


def is_close(own: Any, other: Any) -> bool:
    size = tf.reduce_max(tf.abs(other))
    return bool(tf.reduce_max(tf.abs(own - other)) <= TOLERANCE * size + 1e-6)
