"""Gradients of single examples: their norms and their clipped sum, without computing one example at a time.

A layer's calls are recorded while the loss is computed. The gradient of an example by its weights follows from its
inputs and from the gradient by its outputs (Goodfellow, Efficient Per-Example Gradient Computations, 2015; Bu, Mao and
Xu, Scalable and Efficient Training of Large Convolutional Neural Networks with Differential Privacy, 2022)."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

CONVOLUTIONS = {keras.layers.Conv1D: 1, keras.layers.Conv2D: 2}
"""The number of axes that a kernel moves along."""


@dataclass
class Tap:
    """A layer with trainable variables of its own. `calls` are its inputs (args, kwargs) and its outputs (batch, …): of
    a layer with a linear part, those before its activation."""

    layer: Any
    variables: list[Any]
    calls: list[tuple[Any, Any]] = field(default_factory=list)

    @property
    def is_linear(self) -> bool:
        """Return whether gradients follow from products of inputs and output gradients, by position."""
        layer, count = self.layer, 1 + bool(getattr(self.layer, "use_bias", False))
        is_whole = len(self.variables) == count and not getattr(layer, "lora_enabled", False)
        if type(layer) in CONVOLUTIONS:
            return is_whole and layer.groups == 1 and layer.data_format == "channels_last"
        return is_whole and type(layer) is keras.layers.Dense


Part = tuple[Any, Callable[[Any], Sequence[Any]]]
"""What a layer contributes: squares (batch,) of the norms, and the sum over examples of its gradients by variable, as a
function of weights (batch,)."""


def taps_of(model: keras.Model) -> list[Tap]:
    """Return the layers that hold trainable variables; a recurrent layer holds those of its cell."""
    taps, inside = [], set[int]()
    for layer in model._flatten_layers(include_self=False):
        is_recurrent = isinstance(layer, keras.layers.RNN)
        if is_recurrent:
            inside |= {id(each) for each in layer._flatten_layers(include_self=False)}
        own = layer.trainable_variables if is_recurrent else [v for v in layer._trainable_variables if v.trainable]
        if own and id(layer) not in inside:
            taps.append(Tap(layer, list(own)))
    return taps


@contextlib.contextmanager
def recorded(taps: Sequence[Tap], tape: tf.GradientTape) -> Iterator[None]:
    """Record the calls of the layers within the block, and watch their outputs on the tape."""
    for tap in taps:
        # An instance attribute, set past Keras's tracking, overrides the method of the class.
        vars(tap.layer)["call"] = watched(tap, tap.layer.call, tape)
    try:
        yield
    finally:
        for tap in taps:
            del vars(tap.layer)["call"]


def watched(tap: Tap, call: Callable[..., Any], tape: tf.GradientTape) -> Callable[..., Any]:
    def call_watched(*args: Any, **kwargs: Any) -> Any:
        activation = tap.layer.activation if tap.is_linear else None
        if activation is not None:
            vars(tap.layer)["activation"] = None
        try:
            outputs = call(*args, **kwargs)
        finally:
            if activation is not None:
                vars(tap.layer)["activation"] = activation
        tape.watch(outputs)
        tap.calls.append(((args, kwargs), outputs))
        return outputs if activation is None else activation(outputs)

    return call_watched


def clipped_sum(
    model: keras.Model, forward: Callable[[], tuple[Any, Any]], clip: float | None
) -> tuple[Any, list[Any], Any]:
    """Return what `forward` gives beside the losses (batch,); the sum over examples of their gradients, each scaled to
    a norm of at most `clip` (None: as they are), by trainable variable; and the norms (batch,).

    An example whose gradient is not finite counts as zero: so it contributes at most `clip`, as any other.

    `forward` calls the model. Raises NotVectorizedError: see :func:`one_by_one`."""
    taps = taps_of(model)
    with tf.GradientTape(watch_accessed_variables=False) as tape, recorded(taps, tape):
        losses, beside = forward()
        total = tf.reduce_sum(losses)
    outputs = [output for tap in taps for _, output in tap.calls]
    found = iter(tape.gradient(total, outputs, unconnected_gradients="zero"))
    parts = [(tap, part_of(tap, [next(found) for _ in tap.calls])) for tap in taps if tap.calls]
    norms = tf.sqrt(tf.add_n([squares for _, (squares, _) in parts]))
    scales = tf.ones_like(norms)
    if clip is not None:
        scales = tf.where(tf.math.is_finite(norms), clip / tf.maximum(norms, clip), tf.zeros_like(norms))
    sums = {id(v): x for tap, (_, weighted) in parts for v, x in zip(tap.variables, weighted(scales), strict=True)}
    variables = model.trainable_variables
    return beside, [sums.get(id(v), tf.zeros(v.shape, norms.dtype)) for v in variables], norms


def part_of(tap: Tap, gradients: list[Any]) -> Part:
    """Return the contribution of a layer, from the gradients of the loss by the outputs of each of its calls."""
    if tap.is_linear:
        inputs = tf.concat([positions(tap.layer, call[0][0]) for call, _ in tap.calls], 1)
        return linear_part(tap, inputs, tf.concat([by_position(each) for each in gradients], 1))
    if type(tap.layer) is keras.layers.Embedding and len(tap.variables) == 1:
        indices = tf.concat([by_position(call[0][0][..., None])[..., 0] for call, _ in tap.calls], 1)
        return embedding_part(tap, indices, tf.concat([by_position(each) for each in gradients], 1))
    each = [one_by_one(tap, call, gradient) for (call, _), gradient in zip(tap.calls, gradients, strict=True)]
    sums = [tf.add_n(list(of_variable)) for of_variable in zip(*each, strict=True)]
    squares = tf.add_n([tf.reduce_sum(tf.square(x), list(range(1, x.shape.rank))) for x in sums])
    return squares, lambda scales: [weighted_sum(scales, x) for x in sums]


def scaled(scales: Any, values: Any) -> Any:
    """Multiply the values (batch, …) of each example by its scale, (batch,). Zero times NaN is zero."""
    factors = tf.reshape(scales, [-1, *[1] * (values.shape.rank - 1)])
    return tf.where(factors > 0, values * factors, tf.zeros_like(values))


def weighted_sum(scales: Any, values: Any) -> Any:
    """Return the sum of the scaled values, (batch, …), over the examples."""
    total = tf.tensordot(scales, values, 1)
    is_finite = tf.reduce_all(tf.math.is_finite(total))
    return tf.cond(is_finite, lambda: total, lambda: tf.reduce_sum(scaled(scales, values), 0))


def by_position(values: Any) -> Any:
    """Reshape (batch, …, numbers) to (batch, positions, numbers)."""
    count = tf.TensorShape(values.shape[1:-1]).num_elements() or -1
    return tf.reshape(values, [tf.shape(values)[0], count, values.shape[-1]])


def positions(layer: Any, inputs: Any) -> Any:
    """Return the numbers that each output position of a layer is computed from, (batch, positions, numbers)."""
    axes = CONVOLUTIONS.get(type(layer))
    if axes is None:
        return by_position(inputs)
    sizes, strides, rates = layer.kernel_size, layer.strides, layer.dilation_rate
    padding = layer.padding
    if padding == "causal":
        inputs, padding = tf.pad(inputs, [[0, 0], [rates[0] * (sizes[0] - 1), 0], [0, 0]]), "valid"
    if axes == 1:
        inputs, sizes, strides, rates = inputs[:, None], (1, *sizes), (1, *strides), (1, *rates)
    windows = [[1, *each, 1] for each in (sizes, strides, rates)]
    return by_position(tf.image.extract_patches(inputs, *windows, padding.upper()))


def linear_part(tap: Tap, inputs: Any, gradients: Any) -> Part:
    """Return the contribution of inputs (batch, positions, n) and output gradients (batch, positions, m).

    The gradient of an example is inputsᵀ gradients. With few positions, its norm is cheaper without it."""
    layer, (_, count, n), m = tap.layer, inputs.shape, gradients.shape[-1]
    biases = [tf.reduce_sum(gradients, 1)] if layer.use_bias else []
    if is_few := count is not None and 2 * count**2 <= n * m:
        products = tf.matmul(inputs, inputs, transpose_b=True) * tf.matmul(gradients, gradients, transpose_b=True)
        # Rounding could make the square of a tiny norm negative.
        squares = tf.reduce_sum(products, [1, 2])
        squares = tf.where(squares < 0, tf.zeros_like(squares), squares)
    else:
        kernels = tf.matmul(inputs, gradients, transpose_a=True)
        squares = tf.reduce_sum(tf.square(kernels), [1, 2])

    def weighted(scales: Any) -> list[Any]:
        if is_few:
            counted = scaled(tf.sign(scales), gradients)
            kernel = tf.matmul(
                tf.reshape(scaled(scales, inputs), [-1, n]), tf.reshape(counted, [-1, m]), transpose_a=True
            )
        else:
            kernel = weighted_sum(scales, kernels)
        return [tf.reshape(kernel, layer.kernel.shape), *(weighted_sum(scales, bias) for bias in biases)]

    return tf.add_n([squares, *(tf.reduce_sum(tf.square(bias), 1) for bias in biases)]), weighted


def embedding_part(tap: Tap, indices: Any, gradients: Any) -> Part:
    """Return the contribution of indices (batch, positions) and output gradients (batch, positions, m)."""
    rows, m = tap.variables[0].shape
    batch = tf.shape(indices, tf.int64)[0]
    indices, gradients = tf.cast(indices, tf.int64), tf.cast(gradients, tap.variables[0].dtype)
    # A row that an example uses several times has one gradient.
    keys = tf.reshape(tf.range(batch)[:, None] * rows + indices, [-1])
    used, place = tf.unique(keys)
    sums = tf.math.unsorted_segment_sum(tf.reshape(gradients, [-1, m]), place, tf.size(used))
    squares = tf.math.unsorted_segment_sum(tf.reduce_sum(tf.square(sums), 1), used // rows, batch)

    def weighted(scales: Any) -> list[Any]:
        return [tf.math.unsorted_segment_sum(scaled(tf.gather(scales, used // rows), sums), used % rows, rows)]

    return squares, weighted


class NotVectorizedError(Exception):
    """The gradients of single examples of a layer, its argument, cannot be computed."""


def one_by_one(tap: Tap, call: Any, gradient: Any) -> list[Any]:
    """Return the gradients of any layer, of one example at a time in vectorized form.

    Raises NotVectorizedError: an operation of the layer has no such form."""
    values = tf.nest.flatten(call)
    indices = [i for i, value in enumerate(values) if tf.is_tensor(value) and value.shape.rank]

    def one(pair: Any) -> Any:
        example, own_gradient = pair
        given = list(values)
        for index, value in zip(indices, example, strict=True):
            given[index] = value[None]
        args, kwargs = tf.nest.pack_sequence_as(call, given)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in tap.variables])
            outputs = tf.nest.flatten(type(tap.layer).call(tap.layer, *args, **kwargs))
        own = [each[None] for each in tf.nest.flatten(own_gradient)]
        sources = [variable.value for variable in tap.variables]
        found = tape.gradient(outputs, sources, output_gradients=own, unconnected_gradients="zero")
        return [tf.convert_to_tensor(each) for each in found]

    pairs = ([values[i] for i in indices], gradient)
    try:
        return list(tf.vectorized_map(one, pairs, fallback_to_while_loop=False))
    except (ValueError, NotImplementedError) as error:
        raise NotVectorizedError(tap.layer) from error
