"""Examples as tensors that the compiled loops read by row."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dltool.model.build import BuiltModel

PREPARE_BYTES = 2**26
LARGEST_OUTPUT_BYTES = 2**24


@dataclass(frozen=True)
class Resident:
    """All rows of a table, in the smallest dtype there is.

    `inputs` and `targets` have the rows as their first axis. `preprocessing` is what still has to be applied to a batch
    of inputs; None where they are prepared already.
    """

    inputs: Any
    targets: Any
    preprocessing: keras.Model | None

    def batch(self, rows: Any) -> tuple[Any, Any]:
        """Prepared inputs and targets of the given rows, inside a compiled function."""
        inputs = tf.gather(self.inputs, rows)
        if self.preprocessing is not None:
            inputs = self.preprocessing(inputs, training=False)
        return inputs, tf.gather(self.targets, rows)


def make_resident(built: BuiltModel, inputs: np.ndarray, targets: np.ndarray) -> Resident:
    """Place a table in memory, preprocessed now unless that makes it larger.

    The rule must not be a timing: whether preprocessing runs inside the compiled step may change the last bits.
    """
    preprocessing = built.preprocessing
    if preprocessing is None or grows(preprocessing, inputs):
        table = tensor(inputs)
    else:
        table, preprocessing = prepare_all(preprocessing, inputs), None
    return Resident(table, tensor(targets), preprocessing)


def model_targets(built: BuiltModel, targets: np.ndarray) -> np.ndarray:
    """The targets with the axes of the output: (examples, 1) where the model gives one number an example.

    Keras's losses take both, some of its metrics only this.
    """
    return targets[:, None] if targets.ndim == 1 and built.output_shape == (1,) else targets


def grows(preprocessing: keras.Model, inputs: np.ndarray) -> bool:
    """Whether prepared inputs take more bytes than the raw ones. Text is always prepared once: no GPU can hold it."""
    if inputs.dtype.kind in "OUS":
        return False
    shape = preprocessing.output_shape[1:]
    if any(axis is None for axis in shape):
        return False
    prepared = math.prod(shape) * np.dtype(str(preprocessing.outputs[0].dtype)).itemsize
    return bool(prepared > math.prod(inputs.shape[1:]) * inputs.itemsize)


def prepare_all(preprocessing: keras.Model, inputs: np.ndarray) -> Any:
    """The prepared inputs of all rows, computed in batches."""
    rows = max(1, PREPARE_BYTES // max(1, inputs[:1].nbytes))
    function = tf.function(lambda batch: preprocessing(batch, training=False), autograph=False, reduce_retracing=True)
    parts = [function(tensor(inputs[first : first + rows])) for first in range(0, len(inputs), rows)]
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)


def tensor(array: np.ndarray) -> Any:
    return tf.constant(array.astype(object), tf.string) if array.dtype.kind in "OUS" else tf.constant(array)


def evaluation_batch(built: BuiltModel, batch_size: int) -> int:
    """Rows a step when nothing is learnt: the largest power of two at which no layer's output exceeds 16 MiB.

    Between 32 and 4096; `batch_size` where a shape is not known. A rule and not a timing, so that the same rows always
    give the same bits.
    """
    sizes = [math.prod(size or 0 for size in layer.output_shape) for layer in built.layers]
    if 0 in sizes:
        return batch_size
    fitting = LARGEST_OUTPUT_BYTES // (4 * max(1, *sizes))
    return int(min(4096, max(32, 2 ** (max(1, fitting).bit_length() - 1))))


def single(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """The only entry: models have one input and one output today."""
    (array,) = arrays.values()
    return array
