"""Layers that bring the outputs of a model into the units of their targets."""

from collections.abc import Iterator

import keras

from dltool.config.tasks import TargetScale
from dltool.model.apply import Applied, Names, Placed, apply_layer


def in_target_units(last: Applied, scale: TargetScale, names: Names) -> Iterator[Applied]:
    """Yield plain Keras layers after the `last` one, which undo the scale of the target."""
    dtype = last.output.dtype
    layers = [keras.layers.Rescaling(scale.spread, scale.center, name=names.next("Rescaling"), dtype=dtype)]
    if scale.is_log:
        layers += [
            keras.layers.Activation("exponential", name=names.next("Activation"), dtype=dtype),
            keras.layers.Rescaling(1.0, -1.0, name=names.next("Rescaling"), dtype=dtype),
        ]
    for layer in layers:
        last = apply_layer(layer, [Placed(last.output, last.path)], last.path)
        yield last
