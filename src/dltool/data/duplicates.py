"""Examples that stand in the training part and again in another."""

from collections.abc import Mapping

import numpy as np

from dltool.data.rows import Rows
from dltool.data.split import Split


def duplicate_warnings(inputs: Mapping[str, Rows], split: Split) -> tuple[str, ...]:
    """A sentence for each part some of whose inputs are, byte for byte, inputs of the training part."""
    arrays = [array for array in inputs.values() if isinstance(array, np.ndarray)]
    if len(arrays) != 1:
        return ()
    (array,) = arrays
    keys = row_keys(array)
    warnings = []
    for name, rows in (("validation", split.validation), ("test", split.test)):
        count = repeated_rows(array, keys, split.train, rows)
        if count:
            warnings.append(f"{count:,} of {len(rows):,} {name} examples are also training examples")
    return tuple(warnings)


def row_keys(inputs: np.ndarray) -> np.ndarray:
    """(rows,) of uint64: equal rows have equal keys, and other rows hardly ever."""
    rows = inputs.reshape(len(inputs), -1).view(np.uint8)
    width = next(size for size in (8, 4, 2, 1) if rows.shape[1] % size == 0)
    words = rows.view(f"u{width}")
    generator = np.random.Generator(np.random.Philox(key=0))
    factors = generator.integers(0, 2**64, words.shape[1], dtype=np.uint64, endpoint=False)
    return words @ factors


def repeated_rows(inputs: np.ndarray, keys: np.ndarray, train: np.ndarray, rows: np.ndarray) -> int:
    """How many of `rows` equal one of `train`. A key only proposes; the inputs are compared."""
    distinct, first = np.unique(keys[train], return_index=True)
    if not len(distinct):
        return 0
    found = np.minimum(np.searchsorted(distinct, keys[rows]), len(distinct) - 1)
    proposed = np.flatnonzero(distinct[found] == keys[rows])
    same = inputs[rows[proposed]] == inputs[train[first[found[proposed]]]]
    return int(same.all(axis=tuple(range(1, same.ndim))).sum())
