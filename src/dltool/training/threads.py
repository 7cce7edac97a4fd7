"""How many threads TensorFlow may use, by a rule over config and data: it must be known before the first operation."""

from dataclasses import replace

import tensorflow as tf

from dltool.config.keras.objects import KerasObject
from dltool.config.schema import Config
from dltool.cost.flops import forward_flops
from dltool.data.facts import Facts
from dltool.errors import ConfigError
from dltool.imports import is_own_process
from dltool.keras_names import find
from dltool.machine import usable_cores
from dltool.model.keras_objects import KERAS_ERRORS, make

WORTH_SHARING = 15e6
"""Floating-point operations of a step. Handing parts of it to other threads and waiting for them takes longer than it
saves below about 20 million: steps of 10 million took 1.07 ms with one thread, and 1.48 ms with two (two cores)."""
BACKWARDS = 2
"""A step computes about so many times again, for the gradients, what it computes forwards."""
COUNTED = {
    *("Dense", "Conv1D", "Conv2D", "MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D"),
    *("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalAveragePooling1D", "GlobalAveragePooling2D"),
    *("Flatten", "Reshape", "ZeroPadding1D", "ZeroPadding2D"),
}
"""Layers of which Keras tells the output's shape before anything is computed."""
KEEP_SHAPE = {
    *("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax", "BatchNormalization", "LayerNormalization"),
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianDropout", "GaussianNoise"),
    *("Rescaling", "Normalization"),
}
"""Layers that cost little beside those."""


def choose_threads(config: Config, facts: Facts) -> tuple[int, str]:
    """A number of threads, and why."""
    if config.training.threads is not None:
        return config.training.threads, "the config says so"
    if not is_own_process():
        # A larger training may follow, and TensorFlow cannot change the number.
        return usable_cores(), "one for each core, for whatever else this process trains"
    flops = None if tf.config.list_physical_devices("GPU") else step_flops(config, facts)
    if flops is not None and flops < WORTH_SHARING:
        return 1, f"{flops:,.0f} operations a step are too few to share"
    return usable_cores(), "one for each core"


def step_flops(config: Config, facts: Facts) -> float | None:
    """Floating-point operations of a training step; None where the model is more than a plain list of plain layers.

    Runs no operation of TensorFlow: then it would be too late to set the number of threads.
    """
    found, entries = facts.only_input, config.model.layers
    if found is None or config.data.augmentation or any(map(is_special, entries)):
        return None
    if not {entry.name for entry in config.data.preprocessing} <= KEEP_SHAPE:
        return None
    shape, total = found.shape, 0
    for entry in entries:
        if entry.name in KEEP_SHAPE:
            continue
        try:
            # With a name, or it would take the one that the same layer of the model is to have.
            layer = make(bare(entry), name=entry.name)
            output = tuple(layer.compute_output_shape((None, *shape))[1:])
        except (ConfigError, *KERAS_ERRORS):
            # Whoever builds the model says what is wrong.
            return None
        flops = forward_flops(layer, [shape], output)
        if flops is None:
            return None
        total, shape = total + flops, output
    return total * (1 + BACKWARDS) * config.training.batch_size


def is_special(entry: KerasObject) -> bool:
    """Whether a layer is not Keras's own, takes something else than what the one before it gives, or is not known."""
    known = find(entry.kind, entry.name)
    is_plain = entry.kind == "layer" and entry.name in COUNTED | KEEP_SHAPE and known is not None and not known.code
    return not is_plain or bool(entry.sources) or entry.is_shared


def bare(entry: KerasObject) -> KerasObject:
    """The layer without initializers, regularizers and constraints: to make an L1 is an operation of TensorFlow."""
    needed = {
        name: value
        for name, value in entry.arguments.items()
        if not isinstance(value, KerasObject) or value.kind == "activation"
    }
    return replace(entry, arguments=needed)
