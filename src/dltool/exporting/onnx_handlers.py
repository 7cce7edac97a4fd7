"""Operations of TensorFlow that tf2onnx lacks, or converts to others: each as a few nodes of ONNX.

A handler gets tf2onnx's graph, the node to replace and its name."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from onnx import TensorProto, helper

Handler = Callable[[Any, Any, str, Any], None]


class Replacement:
    """The nodes that replace one node, all of its first output's shape."""

    def __init__(self, graph: Any, node: Any) -> None:
        self.graph, self.name, self.inputs, self.outputs = graph, node.name, list(node.input), list(node.output)
        self.dtype, self.shape = graph.get_dtype(node.output[0]), graph.get_shape(node.output[0])
        self.given = graph.get_dtype(node.input[0])
        graph.remove_node(node.name)

    def constant(self, value: Any, dtype: int | None = None) -> str:
        """Return a constant of the type of the input."""
        kind = helper.tensor_dtype_to_np_dtype(self.given if dtype is None else dtype)
        made = self.graph.make_const(f"{self.name}/constant_{len(self.graph.get_nodes())}", np.array(value, kind))
        return str(made.output[0])

    def add(self, kind: str, *inputs: str, dtype: int | None = None, **attributes: Any) -> str:
        """Return the output of a new node."""
        kinds = [self.given if dtype is None else dtype]
        made = self.graph.make_node(kind, list(inputs), attr=attributes, dtypes=kinds, shapes=[self.shape])
        return str(made.output[0])

    def end(self, kind: str, *inputs: str, **attributes: Any) -> None:
        """Add the node that gives the output of the old one."""
        self.graph.make_node(
            kind, list(inputs), attr=attributes, outputs=self.outputs, dtypes=[self.dtype], shapes=[self.shape]
        )


def erfc(graph: Any, node: Any, *_: Any) -> None:
    new = Replacement(graph, node)
    new.end("Sub", new.constant(1), new.add("Erf", new.inputs[0]))


def log1p(graph: Any, node: Any, *_: Any) -> None:
    new = Replacement(graph, node)
    new.end("Log", new.add("Add", new.inputs[0], new.constant(1)))


def expm1(graph: Any, node: Any, *_: Any) -> None:
    new = Replacement(graph, node)
    new.end("Sub", new.add("Exp", new.inputs[0]), new.constant(1))


def floor_div(graph: Any, node: Any, *_: Any) -> None:
    """Divide rounding down. ONNX rounds integers to zero, so that one is taken off if the rest has another sign."""
    new = Replacement(graph, node)
    a, b = new.inputs
    if new.dtype in (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16):
        new.end("Floor", new.add("Div", a, b))
        return
    quotient = new.add("Div", a, b)
    rest = new.add("Sub", a, new.add("Mul", quotient, b))
    zero, truth = new.constant(0), TensorProto.BOOL
    has_rest = new.add("Not", new.add("Equal", rest, zero, dtype=truth), dtype=truth)
    differ = new.add(
        "Xor", new.add("Less", rest, zero, dtype=truth), new.add("Less", b, zero, dtype=truth), dtype=truth
    )
    off = new.add("Cast", new.add("And", has_rest, differ, dtype=truth), to=new.given)
    new.end("Sub", quotient, off)


def floor_mod(graph: Any, node: Any, *_: Any) -> None:
    """Return the rest with the sign of the divisor; of floats x - floor(x / y) · y."""
    new = Replacement(graph, node)
    a, b = new.inputs
    if new.dtype in (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16):
        new.end("Sub", a, new.add("Mul", new.add("Floor", new.add("Div", a, b)), b))
    else:
        new.end("Mod", a, b, fmod=0)


def bucketize(graph: Any, node: Any, *_: Any) -> None:
    """Count the boundaries that are not above a value."""
    boundaries = node.get_attr("boundaries").floats
    new = Replacement(graph, node)
    counts = []
    for boundary in boundaries:
        is_reached = new.add("GreaterOrEqual", new.inputs[0], new.constant(boundary), dtype=TensorProto.BOOL)
        counts.append(new.add("Cast", is_reached, dtype=new.dtype, to=new.dtype))
    new.end("Sum", *counts) if new.dtype == TensorProto.FLOAT else new.end("Identity", summed(new, counts))


def summed(new: Replacement, counts: list[str]) -> str:
    total, *others = counts
    for each in others:
        total = new.add("Add", total, each, dtype=new.dtype)
    return total


def of_spectrum(wave: Callable[[np.ndarray], np.ndarray]) -> Handler:
    """Return the handler of the real or the imaginary part of a Fourier transform of real numbers: the product with a
    matrix of this wave. ONNX has no complex numbers; nothing then uses the transform, and tf2onnx removes it."""

    def handler(graph: Any, node: Any, *_: Any) -> None:
        transform = node.inputs[0]
        if transform.type != "RFFT":
            return
        signal, length = transform.input[0], int(np.ravel(transform.inputs[1].get_tensor_value(as_list=False))[0])
        steps = np.arange(graph.get_shape(signal)[-1])
        matrix = wave(2 * np.pi * np.outer(steps, np.arange(length // 2 + 1)) / length)
        # Steps beyond the length of the transform do not count.
        matrix = np.where(steps[:, None] < length, matrix, 0).astype(np.float32)
        constant = graph.make_const(f"{node.name}/waves", matrix).output[0]
        new = Replacement(graph, node)
        new.end("MatMul", signal, constant)

    return handler


def leave(*_: Any) -> None:
    """Leave the node, which :func:`of_spectrum` makes superfluous."""


HANDLERS: Mapping[str, tuple[Handler, list[Any]]] = {
    "Erfc": (erfc, []),
    "Log1p": (log1p, []),
    "Expm1": (expm1, []),
    "FloorDiv": (floor_div, []),
    "FloorMod": (floor_mod, []),
    "Bucketize": (bucketize, []),
    "RFFT": (leave, []),
    "Real": (of_spectrum(np.cos), []),
    "Imag": (of_spectrum(lambda angles: -np.sin(angles)), []),
}
