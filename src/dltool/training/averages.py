"""The exponential moving average of the weights, where the optimizer keeps one (`use_ema: true`)."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf

from dltool.training.compile import inner_optimizer


def keeps_average(core: keras.Model) -> bool:
    return bool(getattr(inner_optimizer(core.optimizer), "use_ema", False))


@contextlib.contextmanager
def averaged(core: keras.Model) -> Iterator[None]:
    """Within the block the model has the averaged weights, and afterwards, bit for bit, its own again."""
    swap(core)
    try:
        yield
    finally:
        swap(core)


def swap(core: keras.Model) -> None:
    if not keeps_average(core):
        return
    optimizer = inner_optimizer(core.optimizer)
    # Keras's SwapEMAWeights reads the same private lists, but swaps by adding and subtracting, which rounds.
    pairs = zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True)
    for variable, average in pairs:
        if average is not None:
            own = tf.identity(variable.value)
            variable.assign(average.value)
            average.assign(own)
