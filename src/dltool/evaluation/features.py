"""Prepared inputs as one table of numbers, for models that are no networks."""

from collections.abc import Mapping

import numpy as np

from dltool.data.rows import Rows
from dltool.model.build import BuiltModel
from dltool.training.tables import tensor

MOST_NUMBERS = 20_000_000
"""Of a table, rows × columns; of larger ones there are fewer rows."""
FEWEST_ROWS = 200
BLOCK = 512


def table_of(built: BuiltModel, inputs: Mapping[str, Rows], most_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, features) of float32, and (rows,), which of the raw inputs they are: at most `most_rows`, spread evenly.

    Inputs of whole numbers are left out where preparing leaves them so: they are words or categories, not amounts.

    Raises:
        ValueError: says why there is no such table.
    """
    examples = len(next(iter(inputs.values())))
    usable = [name for name, rows in inputs.items() if is_amount(built, name, rows)]
    if not usable:
        raise ValueError("the inputs are sequences of words or categories")
    width = sum(prepared(built, name, inputs[name], np.arange(1)).size for name in usable)
    rows = min(most_rows, examples, MOST_NUMBERS // max(1, width))
    if rows < min(FEWEST_ROWS, examples):
        raise ValueError(f"an input has {width:,} numbers")
    chosen = np.unique(np.linspace(0, examples - 1, rows).astype(int))
    parts = [
        np.concatenate(
            [prepared(built, name, inputs[name], chosen[at : at + BLOCK]) for at in range(0, len(chosen), BLOCK)]
        )
        for name in usable
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1), chosen


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
