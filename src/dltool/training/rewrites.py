"""Cheaper ways to compute what Keras computes, used while the training steps are traced.

The mathematics is Keras's, and so are layers, variables and saved files. Only last bits of training steps differ:
evaluation and prediction run the layers unchanged."""

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

POOL_FIRST = "max pooling before bias and activation"
"""max(f(x + b)) = f(max(x) + b) for a non-decreasing f. With a 2 × 2 pool, bias, activation and their gradients then
process a quarter of the numbers. If inputs of a window tie, another one may get the gradient."""
FUSED_ADAM = "Adam in one kernel"
"""TensorFlow's ResourceApplyAdam reads and writes each variable once; Keras's formula does so twelve times."""

LEAST_FUSED = 2**15
"""Numbers in a variable. Below this, starting the kernel takes longer than the twelve small ones."""

CONVOLUTIONS = {
    keras.layers.Conv1D: keras.layers.MaxPooling1D,
    keras.layers.Conv2D: keras.layers.MaxPooling2D,
    keras.layers.Conv3D: keras.layers.MaxPooling3D,
}
MONOTONE = (keras.activations.linear, keras.activations.relu)


def possible_rewrites(core: keras.Model) -> tuple[str, ...]:
    """Return the rewrites that apply to a compiled model."""
    found = (POOL_FIRST,) if pooled_convolutions(core) else ()
    is_large = any(math.prod(variable.shape) >= LEAST_FUSED for variable in core.trainable_variables)
    return (*found, FUSED_ADAM) if is_large and fused_adam(core.optimizer) else found


@contextlib.contextmanager
def rewritten(core: keras.Model) -> Iterator[None]:
    """Replace calls of the model's layers and optimizer by cheaper equivalents within the block."""
    replaced: list[tuple[Any, str, Callable[..., Any]]] = []
    for convolution, pooling in pooled_convolutions(core):
        replaced += [(convolution, "call", convolved(convolution)), (pooling, "call", pooled(convolution, pooling))]
    if optimizer := fused_adam(core.optimizer):
        replaced.append((optimizer, "update_step", adam_step(optimizer)))
    # Instance attributes, set past Keras's tracking, override the methods of the classes.
    for owner, name, function in replaced:
        vars(owner)[name] = function
    try:
        yield
    finally:
        for owner, name, _ in replaced:
            del vars(owner)[name]


def pooled_convolutions(core: keras.Model) -> list[tuple[Any, Any]]:
    """Return the convolutions whose only consumer is a max pooling, each with its pooling."""
    nodes = [node for same_depth in core._nodes_by_depth.values() for node in same_depth]
    calls = Counter(id(node.operation) for node in nodes)
    uses = Counter(id(tensor) for node in nodes for tensor in node.input_tensors)
    uses.update(id(output) for output in core.outputs)
    pairs = []
    for node in nodes:
        if type(node.operation) not in CONVOLUTIONS.values():
            continue
        (tensor,), pooling = node.input_tensors, node.operation
        convolution = tensor._keras_history.operation
        if (
            CONVOLUTIONS.get(type(convolution)) is type(pooling)
            and calls[id(convolution)] == calls[id(pooling)] == uses[id(tensor)] == 1
            # A causal convolution pads first, in its own `call`.
            and convolution.padding != "causal"
            and convolution.activation in MONOTONE
            and convolution.activity_regularizer is None
            and convolution.data_format == pooling.data_format == "channels_last"
            and convolution.dtype_policy.name == pooling.dtype_policy.name
        ):
            pairs.append((convolution, pooling))
    return pairs


def convolved(convolution: Any) -> Callable[[Any], Any]:
    return lambda inputs: convolution.convolution_op(inputs, convolution.kernel)


def pooled(convolution: Any, pooling: Any) -> Callable[[Any], Any]:
    pool = pooling.call

    def call(inputs: Any) -> Any:
        outputs = pool(inputs)
        if convolution.use_bias:
            outputs = keras.ops.add(outputs, convolution.bias)
        return convolution.activation(outputs)

    return call


def fused_adam(optimizer: Any) -> Any:
    """Return the optimizer, without loss scaling, if it is an Adam that the kernel can replace. The kernel is used for
    variables of at least `LEAST_FUSED` numbers with dense gradients."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    is_adam = type(optimizer) in (keras.optimizers.Adam, keras.optimizers.AdamW)
    return optimizer if is_adam and not optimizer.amsgrad else None


def adam_step(optimizer: Any) -> Callable[[Any, Any, Any], None]:
    """Return a fused replacement for `update_step` of Keras's Adam.

    Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015, before section 2.1: epsilon is added to the root of
    the uncorrected velocity."""
    update = optimizer.update_step

    def update_step(gradient: Any, variable: Any, learning_rate: Any) -> None:
        is_dense = not isinstance(gradient, tf.IndexedSlices)
        if not is_dense or variable.dtype != tf.float32 or math.prod(variable.shape) < LEAST_FUSED:
            update(gradient, variable, learning_rate)
            return
        index = optimizer._get_variable_index(variable)
        step = tf.cast(optimizer.iterations + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=optimizer._momentums[index].value.handle,
            v=optimizer._velocities[index].value.handle,
            beta1_power=tf.pow(tf.constant(optimizer.beta_1, tf.float32), step),
            beta2_power=tf.pow(tf.constant(optimizer.beta_2, tf.float32), step),
            lr=tf.cast(learning_rate, tf.float32),
            beta1=optimizer.beta_1,
            beta2=optimizer.beta_2,
            epsilon=optimizer.epsilon,
            grad=tf.cast(gradient, tf.float32),
        )

    return update_step
