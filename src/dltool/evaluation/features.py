"""Prepared inputs as one table of numbers, for models that are no networks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from dltool.data.arrays.rows import Rows
from dltool.model.build import BuiltModel
from dltool.training.batches import tensor

MOST_NUMBERS = 8_000_000
"""Of a table, rows × columns; of larger ones there are fewer rows."""
FEWEST_ROWS = 200
BLOCK = 512


@dataclass(frozen=True)
class FeatureChoice:
    """The inputs `names`, `columns` numbers together, of the examples `rows`, spread evenly."""

    names: tuple[str, ...]
    columns: int
    rows: np.ndarray


def choose_features(built: BuiltModel, inputs: Mapping[str, Rows], most_rows: int) -> FeatureChoice:
    """At most `most_rows` of the raw inputs. Inputs of whole numbers are left out where preparing leaves them so: they
    are words or categories, not amounts.

    Raises:
        ValueError: says why there is no such table.
    """
    amounts = {name: rows for name, rows in inputs.items() if is_amount(built, name, rows)}
    if not amounts:
        raise ValueError("the inputs are sequences of words or categories")
    examples = len(next(iter(inputs.values())))
    columns = sum(prepared(built, name, rows, np.arange(1)).size for name, rows in amounts.items())
    count = min(most_rows, examples, MOST_NUMBERS // max(1, columns))
    if count < min(FEWEST_ROWS, examples):
        raise ValueError(f"an input has {columns:,} numbers")
    return FeatureChoice(tuple(amounts), columns, np.unique(np.linspace(0, examples - 1, count).astype(int)))


def prepared_features(built: BuiltModel, inputs: Mapping[str, Rows], choice: FeatureChoice) -> np.ndarray:
    """(rows, columns) of float32: the chosen of the raw inputs, prepared block by block."""
    return np.concatenate(
        [
            np.concatenate([prepared(built, name, inputs[name], rows) for name in choice.names], axis=1)
            for rows in blocks(choice.rows)
        ]
    )


def feature_table(choice: FeatureChoice, inputs: Any, positions: Any) -> Any:
    """(positions, columns) of float32: these examples of a batch of prepared `inputs`, inside a compiled function."""
    by_name = inputs if isinstance(inputs, Mapping) else dict.fromkeys(choice.names, inputs)
    found = [tf.gather(by_name[name], positions) for name in choice.names]
    flat = [tf.cast(tf.reshape(values, [tf.size(positions), -1]), tf.float32) for values in found]
    return tf.concat(flat, axis=1)


def blocks(rows: np.ndarray) -> Iterator[np.ndarray]:
    return (rows[at : at + BLOCK] for at in range(0, len(rows), BLOCK))


def is_amount(built: BuiltModel, name: str, rows: Rows) -> bool:
    model = built.preparations.get(name)
    dtype = rows.dtype if model is None else np.dtype(str(model.outputs[0].dtype))
    return np.dtype(dtype).kind == "f" or np.dtype(dtype) == np.uint8


def prepared(built: BuiltModel, name: str, rows: Rows, indices: np.ndarray) -> np.ndarray:
    """(indices, …) of float32 in one axis."""
    model = built.preparations.get(name)
    values = rows[indices]
    found = values if model is None else np.asarray(model(tensor(values), training=False))
    return found.reshape(len(indices), -1).astype(np.float32)
