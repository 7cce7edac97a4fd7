"""Estimate the memory that a forward pass keeps for the backward pass, by kinds of layers."""

import math
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from dltool.model.calls import calls
from dltool.text import Shape

VIEWS = ("Flatten", "Reshape", "Identity", "Masking")
"""Layers whose output shares their input's memory."""
GRADIENTS_AT_ONCE = 2
PER_STEP = 3
"""Numbers kept for a gate of a recurrent cell: its sum, its activation, and the result."""


def activation_bytes(model: keras.Model) -> int:
    """Return the bytes kept for one example.

    Counts each layer's output, what recurrent layers and attention keep per step or head, and the largest output twice
    more, for its gradients. Sizes that vary between examples count as 1. TensorFlow may keep less, or more."""
    found = list(sizes(model))
    return sum(given + kept for given, kept in found) + GRADIENTS_AT_ONCE * max(
        (given for given, _ in found), default=0
    )


def sizes(model: keras.Model) -> Iterator[tuple[int, int]]:
    """Return for each call the bytes of its output and the bytes that it keeps besides."""
    for call in calls(model):
        if isinstance(call.layer, keras.Model):
            yield from sizes(call.layer)
            continue
        width = int(tf.as_dtype(call.outputs[0].dtype).size)
        is_view = type(call.layer).__name__ in VIEWS
        given = 0 if is_view else sum(elements(tuple(tensor.shape[1:])) for tensor in call.outputs)
        yield width * given, width * inside(call.layer, call.input_shapes)


def inside(layer: Any, inputs: list[Shape]) -> int:
    """Count the numbers that a layer keeps besides its output."""
    if isinstance(layer, keras.layers.Bidirectional):
        return inside(layer.forward_layer, inputs) + inside(layer.backward_layer, inputs)
    if isinstance(layer, keras.layers.RNN):
        cells = getattr(layer.cell, "cells", [layer.cell])
        gates: int = sum(cell.kernel.shape[-1] for cell in cells if hasattr(cell, "kernel"))
        places = elements(inputs[0][1:-1]) if len(inputs[0]) > 2 else 1
        return PER_STEP * elements(inputs[0][:1]) * gates * places
    if isinstance(layer, keras.layers.MultiHeadAttention | keras.layers.GroupQueryAttention):
        queries, values = elements(inputs[0][:-1]), elements(inputs[min(1, len(inputs) - 1)][:-1])
        heads: int = layer._query_dense.kernel.shape[1]
        size: int = layer._query_dense.kernel.shape[2]
        # Queries, keys, values and their weighted sum; scores before and after the softmax.
        return heads * (2 * size * (queries + values) + 2 * queries * values)
    if isinstance(layer, keras.layers.Attention):
        return 2 * elements(inputs[0][:-1]) * elements(inputs[1][:-1])
    return 0


def elements(shape: Shape) -> int:
    return math.prod(size or 1 for size in shape)
