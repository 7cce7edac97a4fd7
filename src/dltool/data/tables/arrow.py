"""Arrow arrays as NumPy arrays by their buffers: pyarrow's own way imports pandas wherever that is installed."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from dltool.data.tables.cells import Texts

if TYPE_CHECKING:
    import pyarrow as pa


def values_of(array: "pa.Array", dtype: type, missing: float) -> np.ndarray:
    """(rows,) of the array's values, which are of `dtype`, with `missing` for nulls."""
    rows, offset = len(array), array.offset
    if array.null_count == rows:
        return np.full(rows, missing, dtype)
    data = array.buffers()[1]
    values: np.ndarray = np.frombuffer(data, dtype, rows, offset * np.dtype(dtype).itemsize)
    if not array.null_count:
        return values
    return np.where(is_valid(array), values, np.dtype(dtype).type(missing))


def is_valid(array: "pa.Array") -> np.ndarray:
    """(rows,) of bool: where the array, which has some nulls, has none."""
    bits = np.frombuffer(array.buffers()[0], np.uint8)
    return np.unpackbits(bits, count=array.offset + len(array), bitorder="little")[array.offset :].astype(bool)


def texts_of_dictionary(array: "pa.DictionaryArray", is_missing: Callable[[str], bool]) -> Texts:
    """The texts without the space around them. `is_missing` tells of a text whether it stands for none."""
    codes = values_of(array.indices, np.int32, -1)
    values = ["" if value is None else value.strip() for value in array.dictionary.to_pylist()]
    absent = [not value or is_missing(value) for value in values]
    if any(absent):
        codes = np.where(np.array([*absent, True])[codes], np.int32(-1), codes)
    return Texts(codes, values)
