"""The calls that Keras records in a finished model: which layer takes which tensors."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from dltool.text import Shape


@dataclass(frozen=True)
class Call:
    """One use of a layer or of a keras.ops function, with its symbolic tensors; shapes have no batch axis."""

    layer: Any
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]

    @property
    def input_shapes(self) -> list[Shape]:
        return [tuple(tensor.shape[1:]) for tensor in self.inputs]

    @property
    def output_shape(self) -> Shape:
        """Return the shape of the first output."""
        return tuple(self.outputs[0].shape[1:])


def calls(model: keras.Model) -> Iterator[Call]:
    """Return every call in a functional or sequential model except its inputs; none for other models."""
    # Keras has no public access to them; `operations` lists a layer once, however often it is called.
    graph = getattr(model, "_functional", None) or model
    for nodes in getattr(graph, "_nodes_by_depth", {}).values():
        yield from (call_at(node) for node in nodes if not node.is_input)


def call_of(tensor: Any) -> Call:
    operation, index, _ = tensor._keras_history
    return call_at(operation._inbound_nodes[index])


def call_at(node: Any) -> Call:
    return Call(node.operation, tuple(node.input_tensors), tuple(node.outputs))
