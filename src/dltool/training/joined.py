"""The vector that a model makes of the columns of a table, computed once for all rows instead of in each step."""

import contextlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.ops.nn import OneHot

from dltool.data.examples import Examples
from dltool.model.build import BuiltModel
from dltool.training.batches import BatchTables, Layout, Resident, Streamed, are_resident, make_tables

MOST_BYTES = 2**26
"""Bytes of the joined rows. In larger tables, a step joins those of its batch."""


def joined_tables(
    built: BuiltModel,
    examples: Examples,
    targets: Mapping[str, np.ndarray],
    taught: Mapping[str, np.ndarray],
    memory: int | None = None,
) -> BatchTables:
    """Build the tables of the examples, with `targets` and a teacher's outputs by output name, for loops that feed the
    joined vector if the model has one and the table is small."""
    # Augmentation, private steps, teachers and the loss of a reconstruction take the inputs.
    takes_inputs = built.augmentation is not None or built.noise_key is not None or bool(taught)
    is_plain = not takes_inputs and all(head.target for head in built.heads)
    vector, rows = joined_vector(built.core) if is_plain else None, len(examples)
    is_joined = vector is not None and 4 * math.prod(vector.shape[1:]) * rows <= MOST_BYTES
    if not is_joined:
        return make_tables(built, examples.inputs, targets, examples.weights, taught=taught, memory=memory)
    columns = Layout(built, examples.inputs, targets, examples.weights, in_advance=True)
    join, stored = keras.Function(built.core.input, vector), columns.stored(np.arange(rows), columns.inputs)
    joined = np.asarray(join({name: tf.constant(values) for name, values in stored.items()}))
    layout = Layout(replace(built, preprocessors={}), {"": joined}, targets, examples.weights)
    layout.columns, layout.vector = columns, vector
    return Resident(layout) if are_resident(layout.row_bytes, rows, memory) else Streamed(layout)


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
    vars(core).update({} if tensor is None else {"_inputs": [tensor], "_inputs_struct": tensor})
    try:
        yield
    finally:
        vars(core).update(own)
