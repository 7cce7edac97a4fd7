"""Preprocessed inputs as one table of numbers, for linear models."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from dltool.data.arrays.rows import Rows
from dltool.evaluation.linear_models import BLOCK
from dltool.model.build import BuiltModel
from dltool.training.batches import tensor

MOST_NUMBERS = 8_000_000
"""Cells of a table; wider tables have fewer rows."""
FEWEST_ROWS = 200


class Features:
    """At most `most_rows` evenly spread raw inputs, preprocessed block by block to (rows, `columns`) of float32.

    `rows` (examples,) are their indices. Integers, which are words or categories, are left out. Raises ValueError."""

    def __init__(self, built: BuiltModel, inputs: Mapping[str, Rows], most_rows: int) -> None:
        self.built = built
        self.inputs = {name: rows for name, rows in inputs.items() if is_amount(built, name, rows)}
        if not self.inputs:
            raise ValueError("the inputs are words or categories")
        examples = len(next(iter(inputs.values())))
        self.columns = sum(prepared(built, name, rows, np.arange(1)).size for name, rows in self.inputs.items())
        count = min(most_rows, examples, MOST_NUMBERS // max(1, self.columns))
        if count < min(FEWEST_ROWS, examples):
            raise ValueError(f"the inputs have too many features: {self.columns:,}")
        self.rows = np.unique(np.linspace(0, examples - 1, count).astype(int))

    def __iter__(self) -> Iterator[np.ndarray]:
        for at in range(0, len(self.rows), BLOCK):
            chosen = self.rows[at : at + BLOCK]
            parts = [prepared(self.built, name, rows, chosen) for name, rows in self.inputs.items()]
            yield parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def of_batch(self, prepared: Any, positions: Any) -> Any:
        """Return the features of examples of a preprocessed batch, (positions, columns), inside a compiled function."""
        by_name = prepared if isinstance(prepared, Mapping) else dict.fromkeys(self.inputs, prepared)
        found = [tf.gather(by_name[name], positions) for name in self.inputs]
        beside = [self.built.beside.get(name) for name in self.inputs]
        found = [x if model is None else model(x, training=False) for x, model in zip(found, beside, strict=True)]
        return tf.concat([tf.cast(tf.reshape(x, [tf.size(positions), -1]), tf.float32) for x in found], axis=1)


def is_amount(built: BuiltModel, name: str, rows: Rows) -> bool:
    model = built.preprocessors.get(name, built.beside.get(name))
    dtype = rows.dtype if model is None else np.dtype(str(model.outputs[0].dtype))
    return np.dtype(dtype).kind == "f" or np.dtype(dtype) == np.uint8


def prepared(built: BuiltModel, name: str, rows: Rows, indices: np.ndarray) -> np.ndarray:
    """Return the preprocessed inputs, flattened to (indices, …) of float32."""
    model = built.preprocessors.get(name, built.beside.get(name))
    values = rows[indices]
    found = values if model is None else np.asarray(model(tensor(values), training=False))
    return found.reshape(len(indices), -1).astype(np.float32)
