"""Arrays of examples that may be read lazily: the values of one input, row by row."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

ALIGNMENT = 64
"""Bytes. TensorFlow copies arrays that are aligned otherwise."""


class Rows(Protocol):
    """The values of one input for every example; NumPy arrays, in memory or memory-mapped, satisfy the protocol.

    `shape` has the rows as its first axis. `dtype` is uint8, int32, int64, float32, or object for text."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Return the values of `rows` (an array of indices, or a slice) as an array in memory."""

    def __array__(self, dtype: Any = None, /, *, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)


@dataclass(frozen=True)
class Coded(Rows):
    """Text, with each distinct value stored once.

    `codes` (rows, …) of int32 index `values`, an object array of distinct str. A missing value is the empty string."""

    codes: Rows
    values: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.codes.shape

    @property
    def dtype(self) -> Any:
        return self.values.dtype

    def __getitem__(self, rows: Any) -> np.ndarray:
        return np.asarray(self.values[self.codes[rows]])

    def take(self, rows: np.ndarray) -> "Coded":
        """Return some of the rows, with the same distinct values."""
        return Coded(Taken(self.codes, rows), self.values)


def coded(texts: Sequence[str] | np.ndarray) -> Coded:
    """Code texts of any shape, (rows, …), by their distinct values in order of first appearance."""
    array = np.asarray(texts, dtype=object)
    numbers: dict[str, int] = {}
    codes = np.fromiter((numbers.setdefault(str(text), len(numbers)) for text in array.ravel()), np.int32, array.size)
    return Coded(codes.reshape(array.shape), text_array(numbers))


def text_array(texts: Iterable[str]) -> np.ndarray:
    """Return (texts,) of str objects."""
    return np.array([*texts], dtype=object)


@dataclass(frozen=True)
class Stacked(Rows):
    """Several `Rows` of one dtype and one example shape, concatenated."""

    parts: tuple[Rows, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (sum(map(len, self.parts)), *self.parts[0].shape[1:])

    @property
    def dtype(self) -> Any:
        return self.parts[0].dtype

    def __getitem__(self, rows: Any) -> np.ndarray:
        indices = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else np.asarray(rows)
        result = np.empty((len(indices), *self.shape[1:]), self.dtype)
        first = 0
        for part in self.parts:
            inside = (indices >= first) & (indices < first + len(part))
            if inside.any():
                result[inside] = part[indices[inside] - first]
            first += len(part)
        return result


def stack(parts: Sequence[Rows]) -> Rows:
    """Concatenate rows: to an array if all are in memory, else without copying."""
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part, Coded) for part in parts):
        return stack_coded([part for part in parts if isinstance(part, Coded)])
    if all(type(part) is np.ndarray for part in parts):
        arrays = [part for part in parts if isinstance(part, np.ndarray)]
        dtype = np.result_type(*arrays)
        return np.concatenate(arrays, out=aligned((sum(map(len, arrays)), *arrays[0].shape[1:]), dtype))
    return Stacked(tuple(parts))


def aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return a new array that is aligned as TensorFlow requires."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if np.dtype(dtype) == object or not size:
        return np.empty(shape, dtype)
    memory = np.empty(size + ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % ALIGNMENT
    array: np.ndarray = memory[first : first + size].view(dtype)
    return array.reshape(shape)


def is_aligned(array: np.ndarray) -> bool:
    """Return whether a tensor can share the memory of the array."""
    return array.flags.c_contiguous and array.flags.writeable and array.ctypes.data % ALIGNMENT == 0


def stack_coded(parts: Sequence[Coded]) -> Coded:
    numbers: dict[str, int] = {}
    codes = []
    for part in parts:
        new = np.array([numbers.setdefault(value, len(numbers)) for value in part.values], dtype=np.int32)
        codes.append(new[part.codes[:]])
    return Coded(np.concatenate(codes), text_array(numbers))


@dataclass(frozen=True)
class Taken(Rows):
    """A selection of the rows of another, in any order."""

    rows: Rows
    indices: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.indices), *self.rows.shape[1:])

    @property
    def dtype(self) -> Any:
        return self.rows.dtype

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self.rows[self.indices[rows]]


def take(rows: Rows, indices: np.ndarray) -> Rows:
    """Return the rows at `indices`, without a copy."""
    return rows.take(indices) if isinstance(rows, Coded) else Taken(rows, indices)


def is_text(rows: Rows) -> bool:
    return np.dtype(rows.dtype).kind in "OUS"
