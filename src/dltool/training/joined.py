"""The vector that a model makes of the columns of a table, computed once for all rows instead of in each step."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import keras
from keras.src.ops.nn import OneHot


def joined_vector(core: keras.Model) -> Any:
    """Return the tensor that joins all inputs of a model as they are, or one-hot encoded; None if there is none.

    These operations only copy numbers, so that no bit depends on when they run."""
    nodes = [node for nodes in core._nodes_by_depth.values() for node in nodes]
    made_by = {id(tensor): node for node in nodes for tensor in node.outputs}
    uses = Counter(id(tensor) for node in nodes for tensor in node.input_tensors)

    def is_copied(tensor: Any) -> bool:
        node = made_by[id(tensor)]
        if type(node.operation) is OneHot:
            (tensor,) = node.input_tensors
            node = made_by[id(tensor)]
        return bool(node.is_input and uses[id(tensor)] == 1)

    for node in nodes:
        if type(node.operation) is keras.layers.Concatenate and len(node.input_tensors) == len(core.inputs):
            is_all = all(uses[id(tensor)] == 1 and is_copied(tensor) for tensor in node.input_tensors)
            (joined,) = node.outputs
            if is_all and joined.dtype == "float32" and None not in joined.shape[1:]:
                return joined
    return None


@contextlib.contextmanager
def taking(core: keras.Model, tensor: Any) -> Iterator[None]:
    """Let a model take one of its own tensors in place of its inputs within the block; None changes nothing."""
    own = {name: vars(core)[name] for name in ("_inputs", "_inputs_struct")}
    if tensor is not None:
        # Past Keras's tracking.
        vars(core).update(_inputs=[tensor], _inputs_struct=tensor)
    try:
        yield
    finally:
        vars(core).update(own)
