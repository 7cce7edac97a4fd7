"""Converts arrays as saved by users to the few dtypes and shapes used internally."""

from collections.abc import Callable

import numpy as np

from dltool.errors import ConfigPath, DataError, Problem
from dltool.text import counted


def clean_inputs(array: np.ndarray, name: str, place: ConfigPath) -> np.ndarray:
    """Return (rows, …) as uint8, int32, float32 or text.

    Booleans become uint8, other integers int32, floats float32. One value a row becomes a column. Grey uint8 images
    (rows, height, width) get a channel axis. Raises DataError: no rows, no columns, NaN or infinity, integers beyond 32
    bits, or an unsupported dtype."""
    if array.ndim == 0 or array.size == 0:
        empty = "no rows" if 0 in array.shape[:1] else f"no values: {array.shape}"
        raise DataError(Problem(place, f"{name} holds {'a single value' if array.ndim == 0 else empty}"))
    array = np.ascontiguousarray(in_small_dtype(array, name, place))
    if array.ndim == 1:
        return array[:, np.newaxis]
    return array[..., np.newaxis] if array.ndim == 3 and array.dtype == np.uint8 else array


def clean_labels(array: np.ndarray, name: str, place: ConfigPath) -> np.ndarray:
    """Return (rows,) or (rows, …) of booleans, integers, float32 or text. A single column loses its second axis.

    Integers become int32, or int64 or uint64 if they do not fit. Raises DataError: no rows, NaN or infinity, blank
    texts, or an unsupported dtype."""
    if array.ndim == 0 or array.size == 0:
        raise DataError(Problem(place, f"{name} holds {'a single value' if array.ndim == 0 else 'no rows'}"))
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind == "b":
        return array
    if array.dtype.kind in "iu" and not fits_int32(array):
        # Labels are only compared, so numbers may have any size.
        return array.astype(np.int64) if array.max() <= np.iinfo(np.int64).max else array.astype(np.uint64)
    array = in_small_dtype(array, name, place)
    if array.dtype.kind == "U":
        blank = np.char.strip(array) == ""
        if blank.any():
            raise bad_rows(blank, f"{name} have a blank label", place)
    return array


def clean_weights(array: np.ndarray, name: str, place: ConfigPath) -> np.ndarray:
    """Return the weights of examples, (rows,) of float32. Raises DataError: no numbers, several for a row, or invalid
    ones."""
    array = clean_labels(array, name, place)
    if array.ndim > 1 or array.dtype.kind not in "iuf":
        message = f"{name} has the dtype {array.dtype} and the shape {array.shape}"
        raise DataError(Problem(place, message, "expected one number for each row"))
    problem = weight_problem(array.astype(np.float32), lambda rows: f"row {rows[0]}, counted from 0")
    if problem is not None:
        raise DataError(Problem(place, f"{name}: {problem}", WEIGHTS_ARE))
    return array.astype(np.float32)


WEIGHTS_ARE = "a weight is a number of at least 0, and not all are 0"


def weight_problem(weights: np.ndarray, named: Callable[[np.ndarray], str]) -> str | None:
    """Return what is wrong with weights (rows,) of float32, NaN if missing. `named` says where some rows are."""
    for what, is_wrong in (("missing", np.isnan(weights)), ("negative", weights < 0)):
        rows = np.flatnonzero(is_wrong)
        if len(rows):
            return f"{counted(len(rows), 'weight')} {'is' if len(rows) == 1 else 'are'} {what}, {named(rows)}"
    return None if weights.any() else "every weight is 0"


def fits_int32(array: np.ndarray) -> bool:
    limits = np.iinfo(np.int32)
    return bool(array.min() >= limits.min and array.max() <= limits.max)


def in_small_dtype(array: np.ndarray, name: str, place: ConfigPath) -> np.ndarray:
    kind = array.dtype.kind
    if array.dtype == np.uint8 or kind == "U":
        return array
    if kind == "b":
        return array.astype(np.uint8)
    if kind in "iu":
        if not fits_int32(array):
            largest = max(abs(int(array.min())), abs(int(array.max())))
            message = f"{name} holds integers beyond 32 bits ({largest:,})"
            raise DataError(Problem(place, message, "save it as float32 if rounding does no harm"))
        return array.astype(np.int32, copy=False)
    if kind == "f":
        with np.errstate(over="ignore"):
            array = array.astype(np.float32, copy=False)
        bad = ~np.isfinite(array)
        if bad.any():
            raise bad_rows(bad, f"{name} hold NaN, infinity or a number too large for float32", place)
        return array
    if kind == "S":
        try:
            return np.char.decode(array, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(Problem(place, f"{name} holds text that is not UTF-8: {error.object[:20]!r}")) from None
    raise DataError(Problem(place, f"{name} has the dtype {array.dtype}; expected numbers or text"))


def bad_rows(marked: np.ndarray, what: str, place: ConfigPath) -> DataError:
    rows = np.flatnonzero(marked.reshape(len(marked), -1).any(axis=1))
    hint = f"the first is row {rows[0]}, counted from 0"
    return DataError(Problem(place, f"{counted(len(rows), 'row')} of {what}", hint))
