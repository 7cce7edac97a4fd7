"""Where the compiled loops get their batches: all rows in memory, or those of the next steps read ahead."""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from dltool.data.rows import Coded, Rows, is_text
from dltool.machine import usable_memory
from dltool.model.build import BuiltModel

LOOKUP_BYTES = 2**26
BLOCK_BYTES = 2**23
"""Of rows that are prepared at once."""
LARGEST_OUTPUT_BYTES = 2**24
ALIGNMENT = 64
CHUNK_BYTES = 2**26
"""Of rows that are read ahead."""
RESIDENT_SHARE = 4
"""All rows are kept in memory where they take less than this part of it. The size of the machine decides, and not what
is free at the moment: the rule must not change from run to run, nor be a timing."""


@dataclass(frozen=True)
class Slot:
    """Where one input lies: columns `first` to `last` of the last axis of the tensor `table`.

    `last` is None for a tensor of its own; `is_flat` says that the input itself has no such axis.
    """

    table: int
    first: int = 0
    last: int | None = None
    is_flat: bool = False


class Tables(Protocol):
    """The examples as the loops take them."""

    @property
    def specs(self) -> list[tf.TensorSpec]:
        """Of the tensors that :meth:`feed` gives."""

    def most_steps(self, batch_size: int) -> int:
        """How many steps one call may have."""

    def feed(self, order: np.ndarray, first: int, last: int) -> tuple[list[Any], Any]:
        """Tensors, and the rows of them that are the examples `order[first:last]`."""

    def batch(self, tables: Sequence[Any], rows: Any) -> tuple[Any, Any]:
        """Prepared inputs and targets of the given rows, inside a compiled function."""


class Layout:
    """How inputs and targets lie in few tensors: columns of one dtype side by side, for one gather a batch."""

    def __init__(self, built: BuiltModel, inputs: Mapping[str, Rows], targets: np.ndarray) -> None:
        self.built, self.inputs, self.targets = built, inputs, targets
        self.in_step = {name: model for name, model in built.preparations.items() if grows(model, inputs[name])}
        self.before = {name: model for name, model in built.preparations.items() if name not in self.in_step}
        self.functions = {name: compiled(model) for name, model in self.before.items()}
        self.looked_up = {
            name: self.prepared_values(name, rows)
            for name, rows in inputs.items()
            if isinstance(rows, Coded) and name in self.before and fits_lookup(self.before[name], rows)
        }
        samples = {name: self.rows_of(name, np.arange(1)) for name in inputs}
        self.groups = grouped(samples)
        self.slots = slots_of(self.groups, samples)
        arrays = self.arrays(np.arange(1))
        self.specs = [tf.TensorSpec((None, *array.shape[1:]), dtype_of(array)) for array in arrays]
        # Text is counted as if it were a pointer.
        self.row_bytes = max(1, sum(array.nbytes for array in arrays))

    def prepared(self, name: str, values: np.ndarray) -> np.ndarray:
        function = self.functions.get(name)
        if function is None:
            return values.astype(object) if values.dtype.kind in "OUS" else values
        return np.asarray(function(tensor(values)))

    def prepared_values(self, name: str, rows: Coded) -> np.ndarray:
        """Each distinct text prepared once. In a window all steps are prepared alike, so one of them tells."""
        steps = rows.shape[1:]
        values = np.broadcast_to(rows.values.reshape(-1, *(1 for _ in steps)), (len(rows.values), *steps))
        prepared = self.prepared(name, values)
        for _ in steps:
            prepared = prepared[:, 0]
        return prepared

    def rows_of(self, name: str, indices: np.ndarray) -> np.ndarray:
        """The rows of one input as they are stored."""
        rows = self.inputs[name]
        if name in self.looked_up and isinstance(rows, Coded):
            return np.asarray(self.looked_up[name][rows.codes[indices]])
        return self.prepared(name, rows[indices])

    def arrays(self, indices: np.ndarray) -> list[np.ndarray]:
        """The tensors' contents for these rows: the inputs in their groups, and the targets last."""
        arrays = []
        for group in self.groups:
            parts = [self.rows_of(name, indices) for name in group]
            if len(group) > 1:
                flat = [self.slots[name].is_flat for name in group]
                parts = [part[..., np.newaxis] if is_flat else part for part, is_flat in zip(parts, flat, strict=True)]
            arrays.append(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1))
        return [*arrays, self.targets[indices]]

    def batch(self, tables: Sequence[Any], rows: Any) -> tuple[Any, Any]:
        gathered = [tf.gather(table, rows) for table in tables]
        inputs = {}
        for name, slot in self.slots.items():
            values = gathered[slot.table]
            if slot.is_flat:
                values = values[..., slot.first]
            elif slot.last is not None:
                values = values[..., slot.first : slot.last]
            model = self.in_step.get(name)
            inputs[name] = values if model is None else model(values, training=False)
        return self.built.structured(inputs), gathered[-1]


class Resident:
    """All rows in memory."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        rows, size = len(layout.targets), max(1, BLOCK_BYTES // layout.row_bytes)
        tables = [aligned((rows, *spec.shape[1:]), spec.dtype.as_numpy_dtype) for spec in layout.specs]
        for first in range(0, rows, size):
            for table, array in zip(tables, layout.arrays(np.arange(first, min(rows, first + size))), strict=True):
                table[first : first + len(array)] = array
        self.tensors = [shared(table) for table in tables]
        self.order: tuple[Any, Any] = (None, None)

    @property
    def specs(self) -> list[tf.TensorSpec]:
        return self.layout.specs

    def most_steps(self, batch_size: int) -> int:
        return 2**31 - 1

    def feed(self, order: np.ndarray, first: int, last: int) -> tuple[list[Any], Any]:
        if self.order[0] is not order:
            self.order = (order, tf.constant(order))
        return self.tensors, self.order[1][first:last]

    def batch(self, tables: Sequence[Any], rows: Any) -> tuple[Any, Any]:
        return self.layout.batch(tables, rows)


class Streamed:
    """The rows of the next steps in memory; those of the steps after them are read meanwhile."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.reader = ThreadPoolExecutor(1, thread_name_prefix="reading ahead")
        self.ahead: tuple[Any, int, int, Future[list[np.ndarray]]] | None = None

    @property
    def specs(self) -> list[tf.TensorSpec]:
        return self.layout.specs

    def most_steps(self, batch_size: int) -> int:
        return max(1, CHUNK_BYTES // (batch_size * self.layout.row_bytes))

    def feed(self, order: np.ndarray, first: int, last: int) -> tuple[list[Any], Any]:
        arrays = self.read(order, first, last)
        next_last = min(len(order), 2 * last - first)
        if next_last > last:
            rows = order[last:next_last]
            self.ahead = (order, last, next_last, self.reader.submit(self.layout.arrays, rows))
        return [tensor(array) for array in arrays], tf.range(last - first)

    def read(self, order: np.ndarray, first: int, last: int) -> list[np.ndarray]:
        if self.ahead is not None:
            of, begin, end, future = self.ahead
            self.ahead = None
            if of is order and begin == first and end >= last:
                return [array[: last - first] for array in future.result()]
            future.cancel()
        return self.layout.arrays(order[first:last])

    def batch(self, tables: Sequence[Any], rows: Any) -> tuple[Any, Any]:
        return self.layout.batch(tables, rows)


def make_tables(built: BuiltModel, inputs: Mapping[str, Rows], targets: np.ndarray) -> Tables:
    """The tables of `targets` (rows, …) and of as many raw `inputs`."""
    layout = Layout(built, inputs, targets)
    fits = layout.row_bytes * len(targets) * RESIDENT_SHARE <= usable_memory()
    return Resident(layout) if fits else Streamed(layout)


def grouped(samples: Mapping[str, np.ndarray]) -> list[list[str]]:
    """The names of inputs that may lie side by side: numbers of one dtype, alike but for the last axis."""
    groups: dict[Any, list[str]] = {}
    least = min(sample.ndim for sample in samples.values())
    for name, sample in samples.items():
        alone = sample.dtype.kind in "OUS" or sample.ndim > least + 1
        axes = sample.shape[1:] if sample.ndim == least else sample.shape[1:-1]
        groups.setdefault(name if alone else (sample.dtype, axes), []).append(name)
    return list(groups.values())


def slots_of(groups: Sequence[Sequence[str]], samples: Mapping[str, np.ndarray]) -> dict[str, Slot]:
    slots = {}
    least = min(sample.ndim for sample in samples.values())
    for number, group in enumerate(groups):
        if len(group) == 1:
            slots[group[0]] = Slot(number)
            continue
        first = 0
        for name in group:
            is_flat = samples[name].ndim == least
            last = first + (1 if is_flat else samples[name].shape[-1])
            slots[name] = Slot(number, first, last, is_flat)
            first = last
    return slots


def grows(preparation: keras.Model, rows: Rows) -> bool:
    """Whether prepared inputs take more bytes than the raw ones. Text is always prepared first: no GPU can hold it."""
    if is_text(rows):
        return False
    shape = preparation.output_shape[1:]
    if any(axis is None for axis in shape):
        return False
    prepared = math.prod(shape) * np.dtype(str(preparation.outputs[0].dtype)).itemsize
    return bool(prepared > math.prod(rows.shape[1:]) * np.dtype(rows.dtype).itemsize)


def fits_lookup(preparation: keras.Model, rows: Coded) -> bool:
    """Whether each distinct text can be prepared once, and rows then be looked up."""
    size: int = 8 * len(rows.values) * math.prod(axis or 1 for axis in preparation.output_shape[1:])
    return size <= LOOKUP_BYTES


def compiled(preparation: keras.Model) -> Any:
    return tf.function(lambda batch: preparation(batch, training=False), autograph=False, reduce_retracing=True)


def model_targets(built: BuiltModel, targets: np.ndarray) -> np.ndarray:
    """The targets with the axes of the output: (examples, 1) where the model gives one number an example.

    Keras's losses take both, some of its metrics only this.
    """
    return targets[:, None] if targets.ndim == 1 and built.output_shape == (1,) else targets


def tensor(array: np.ndarray) -> Any:
    return tf.constant(array.astype(object), tf.string) if array.dtype.kind in "OUS" else tf.constant(array)


def aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """A new array that begins where TensorFlow wants its tensors to begin."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if np.dtype(dtype) == object or not size:
        return np.empty(shape, dtype)
    memory = np.empty(size + ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % ALIGNMENT
    array: np.ndarray = memory[first : first + size].view(dtype)
    return array.reshape(shape)


def shared(array: np.ndarray) -> Any:
    """A tensor in the memory of an `aligned` array, on a GPU a copy; tf.constant would always copy."""
    if array.dtype == object or not array.size:
        return tensor(array)
    return tf.identity(tf.experimental.dlpack.from_dlpack(array.__dlpack__()))


def dtype_of(array: np.ndarray) -> Any:
    return tf.string if array.dtype.kind in "OUS" else tf.as_dtype(array.dtype)


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
    """The only entry: models have one output today."""
    (array,) = arrays.values()
    return array
