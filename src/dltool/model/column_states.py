"""The fitted states of a table's columns, as a run keeps them. Imports no Keras."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dltool.data.arrays.rows import Coded, Rows
from dltool.data.arrays.window_rows import values_once
from dltool.durable_files import read_file
from dltool.errors import RunError

ColumnState = Mapping[str, Any]
"""The fitted state of a column as JSON: numbers by name; for texts and categories a list of words, or files."""
COLUMNS = "columns.json"
LARGEST_FILE = 2**28
"""Bytes of a file of fitted preprocessing."""


def counted(rows: Rows) -> dict[str, int]:
    if isinstance(rows, Coded):
        counts = np.bincount(values_once(rows.codes).ravel(), minlength=len(rows.values))
        return {str(text): int(count) for text, count in zip(rows.values, counts, strict=True) if count}
    texts, numbers = np.unique(values_once(rows).astype(str), return_counts=True)
    return dict(zip(map(str, texts), map(int, numbers), strict=True))


def load_columns(directory: Path) -> dict[str, ColumnState]:
    """Read what :func:`dltool.model.preprocessing.save_preprocessing` wrote. Raises RunError: the file is damaged."""
    if not os.path.lexists(directory / COLUMNS):
        return {}
    try:
        columns = json.loads(read_file(directory, COLUMNS, LARGEST_FILE))
    except (ValueError, RecursionError) as error:
        raise RunError(f"{directory / COLUMNS} is damaged: {error}") from None
    if not isinstance(columns, dict) or not all(map(is_column_state, columns.values())):
        raise RunError(f"{directory / COLUMNS} is damaged: it holds something else than numbers and words")
    return columns


def is_column_state(state: Any) -> bool:
    """Return whether the value holds only numbers, strings and lists of these, by name."""

    def is_value(value: Any) -> bool:
        is_whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
        return isinstance(value, str) or is_whole or (isinstance(value, float) and math.isfinite(value))

    return isinstance(state, dict) and all(
        all(map(is_value, value)) if isinstance(value, list) else is_value(value) for value in state.values()
    )
