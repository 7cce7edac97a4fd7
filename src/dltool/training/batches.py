"""Feed batches to the compiled loop from memory, or from a read-ahead buffer."""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dltool.data.arrays.rows import Coded, Rows, aligned, is_aligned
from dltool.data.arrays.shard_order import Order
from dltool.machine import release_memory, usable_memory
from dltool.model.build import BuiltModel
from dltool.training.compiled_preprocessing import Preprocessing, grows

LOOKUP_BYTES = 2**26
BLOCK_BYTES = 2**23
"""Bytes of rows preprocessed at once."""
POINTER_BYTES = 8
FEW_ROWS = 64
CHUNK_BYTES = 2**25
"""Bytes of rows read at once. One chunk is in use while the next one is read."""
RESIDENT_SHARE = 4
"""All rows stay in memory if they take less than this fraction of it. The rule uses the machine's memory, not what is
free or a timing: it must not vary between runs."""


@dataclass(frozen=True)
class Slot:
    """The location of one input: columns `first` to `last` of the last axis of the tensor `table`.

    `last` is None for a tensor of its own; `is_flat` means that the input has no such axis."""

    table: int
    first: int = 0
    last: int | None = None
    is_flat: bool = False


class Layout:
    """The layout of inputs and targets in few tensors: columns of one dtype side by side, for one gather a batch."""

    def __init__(
        self,
        built: BuiltModel,
        inputs: Mapping[str, Rows],
        targets: Mapping[str, Rows],
        weights: Rows | None,
        taught: Mapping[str, np.ndarray] = MappingProxyType({}),
        in_advance: bool = False,
    ) -> None:
        self.built, self.inputs, self.targets, self.weights, self.taught = built, inputs, targets, weights, taught
        self.beside = [*targets.values(), *taught.values(), *(() if weights is None else (weights,))]
        models = {} if in_advance else built.preprocessors
        self.in_step = {name: model for name, model in models.items() if grows(model, inputs[name])}
        self.before = {name: model for name, model in built.preprocessors.items() if name not in self.in_step}
        self.looked_up = {
            name: (rows.codes, preprocessed_values(self.before.pop(name), rows))
            for name, rows in inputs.items()
            if isinstance(rows, Coded) and name in self.before and fits_lookup(self.before[name], rows)
        }
        self.prepare = Preprocessing(built.preprocessors)
        found = self.stored(np.arange(1), inputs)
        # In an order that does not depend on what is looked up.
        samples = {name: found[name] for name in inputs}
        self.groups = grouped(samples)
        self.slots = slots_of(self.groups, samples)
        arrays = self.arrays(np.arange(1), self.groups)
        self.specs = [tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in arrays]
        self.row_bytes = max(1, bytes_of_row(self.specs))
        self.rows = len(next(iter(inputs.values())))
        self.columns: Layout | None = None
        self.vector: Any = None

    def stored(self, indices: np.ndarray, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Return these rows, as stored, of the inputs `names` and of all inputs preprocessed in advance."""
        by_name: dict[str, np.ndarray] = {}
        raw: dict[str, Any] = {}
        for name in dict.fromkeys((*self.before, *names)):
            if name in self.looked_up:
                codes, prepared = self.looked_up[name]
                by_name[name] = prepared[codes[indices]]
            elif name in self.before:
                raw[name] = tensor(self.inputs[name][indices])
            else:
                by_name[name] = self.inputs[name][indices]
        return by_name | {name: np.asarray(values) for name, values in self.prepare(raw).items()}

    def whole(self, group: Sequence[str]) -> np.ndarray | None:
        """Return the rows of a group as read, if a tensor can share their memory."""
        rows = self.inputs[group[0]]
        is_stored_so = len(group) == 1 and group[0] not in self.looked_up and group[0] not in self.before
        return rows if is_stored_so and type(rows) is np.ndarray and is_aligned(rows) else None

    def arrays(self, indices: np.ndarray, groups: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """Return the tensors' contents for these rows: the inputs of these groups, the targets, and any outputs of a
        teacher and weights."""
        arrays = []
        stored = self.stored(indices, itertools.chain(*groups))
        for group in groups:
            parts = [stored[name][..., np.newaxis] if self.slots[name].is_flat else stored[name] for name in group]
            arrays.append(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1))
        return [*arrays, *(values[indices] for values in self.beside)]

    def batch(self, tables: Sequence[Any], rows: Any) -> tuple[Any, Any, Any, dict[str, Any]]:
        """Return preprocessed inputs, targets, weights (None without any) and the outputs of a teacher by output (empty
        without any) of these rows of the `tables`, inside a compiled function."""
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
        beside = gathered[len(self.groups) :]
        targets, taught = (
            dict(zip(names, values, strict=False))
            for names, values in ((self.targets, beside), (self.taught, beside[len(self.targets) :]))
        )
        first_input = next(iter(inputs.values()))
        by_output = {
            head.name: in_loss_form(self.built, head.name, targets[head.name]) if head.name in targets else first_input
            for head in self.built.heads
        }
        weights = None if self.weights is None else beside[-1]
        fed = self.built.structured(inputs) if self.vector is None else first_input
        return fed, self.built.structured_outputs(by_output), weights, taught


class BatchTables(ABC):
    """The examples as the loops take them; `specs` are those of the tensors that :meth:`place` returns."""

    def __init__(self, layout: Layout) -> None:
        self.layout, self.specs, self.batch = layout, layout.specs, layout.batch

    @abstractmethod
    def most_steps(self, order: Order, first: int, size: int) -> int:
        """Return how many whole batches of `size` examples one call may take from `order[first]` on; at least 1."""

    @abstractmethod
    def place(self, order: Order, first: int, last: int, size: int) -> tuple[list[Any], Any, int]:
        """Return tensors, row indices into them, and the start of `order[first:last]` in these; `size` is a batch's."""

    def feed(self, order: Order, first: int, last: int, size: int) -> tuple[list[Any], Any]:
        """Return tensors, and the row indices of the examples `order[first:last]`."""
        tensors, rows, start = self.place(order, first, last, size)
        return tensors, rows[start : start + last - first]


class Resident(BatchTables):
    """All rows in memory."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        rows, size = layout.rows, max(1, BLOCK_BYTES // layout.row_bytes)
        as_read = [layout.whole(group) for group in layout.groups]
        groups = [group for group, table in zip(layout.groups, as_read, strict=True) if table is None]
        as_read += [None] * len(layout.beside)
        tables = [
            aligned((rows, *spec.shape[1:]), spec.dtype.as_numpy_dtype) if table is None else table
            for spec, table in zip(layout.specs, as_read, strict=True)
        ]
        made = [table for table, whole in zip(tables, as_read, strict=True) if whole is None]
        for first in range(0, rows, size):
            arrays = layout.arrays(np.arange(first, min(rows, first + size)), groups)
            for table, array in zip(made, arrays, strict=True):
                table[first : first + len(array)] = array
        release_memory()
        self.tensors = [shared(table) for table in tables]
        self.order: tuple[Any, Any] = (None, None)

    def most_steps(self, order: Order, first: int, size: int) -> int:
        return len(order)

    def place(self, order: Order, first: int, last: int, size: int) -> tuple[list[Any], Any, int]:
        if self.order[0] is not order:
            self.order = (order, tf.constant(order))
        return self.tensors, self.order[1], first


class Streamed(BatchTables):
    """The rows of the next steps in memory; a thread reads the rows after them. Of an order only slices are taken, one
    after the other, so it need not be in memory."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.reader = ThreadPoolExecutor(1, thread_name_prefix="reading ahead")
        self.tensors: list[Any] = []
        self.order: Any = None
        self.rows = np.empty(0, np.int32)
        self.first = self.last = 0
        self.ahead: tuple[Any, int, np.ndarray, Future[list[np.ndarray]]] | None = None

    def most_steps(self, order: Order, first: int, size: int) -> int:
        is_here = self.order is order and self.first <= first < self.last
        return max(1, ((self.last if is_here else self.end(order, first, size)) - first) // size)

    def end(self, order: Order, first: int, size: int) -> int:
        """Return the end of the chunk that begins at `first`."""
        return min(len(order), first + size * max(1, CHUNK_BYTES // (size * self.layout.row_bytes)))

    def place(self, order: Order, first: int, last: int, size: int) -> tuple[list[Any], Any, int]:
        if self.order is not order or not self.first <= first <= last <= self.last:
            # Free the old tensors first, so as not to hold both.
            self.tensors, self.order = [], None
            end = self.end(order, first, size)
            self.rows, arrays = self.read(order, first, end)
            self.tensors = [tensor(array) for array in arrays]
            self.order, self.first, self.last = order, first, end
            if end < len(order):
                rows = order[end : self.end(order, end, size)]
                self.ahead = order, end, rows, self.reader.submit(self.layout.arrays, rows, self.layout.groups)
        # -1 is no row, see `dltool.training.private_steps`.
        places = tf.range(self.last - self.first)
        return self.tensors, tf.where(self.rows < 0, -1, places), first - self.first

    def read(self, order: Order, first: int, last: int) -> tuple[np.ndarray, list[np.ndarray]]:
        ahead, self.ahead = self.ahead, None
        if ahead is not None:
            if ahead[0] is order and ahead[1] == first:
                return ahead[2], ahead[3].result()
            ahead[3].cancel()
        rows = order[first:last]
        return rows, self.layout.arrays(rows, self.layout.groups)


def make_tables(
    built: BuiltModel,
    inputs: Mapping[str, Rows],
    targets: Mapping[str, Rows],
    weights: Rows | None = None,
    taught: Mapping[str, np.ndarray] = MappingProxyType({}),
    memory: int | None = None,
) -> BatchTables:
    """Build the tables of raw `inputs`, of `targets` (rows, …) and a teacher's outputs, `taught`, by output name, and
    of `weights` (rows,). An output without a target is compared with the input. `memory` is the machine's, in bytes."""
    layout = Layout(built, inputs, targets, weights, taught)
    return Resident(layout) if are_resident(layout.row_bytes, layout.rows, memory) else Streamed(layout)


def are_resident(row_bytes: int, rows: int, memory: int | None = None) -> bool:
    return row_bytes * rows * RESIDENT_SHARE <= (memory or usable_memory())


def bytes_of_row(specs: Sequence[tf.TensorSpec]) -> int:
    """Return the bytes of one example in all tensors; a string counts as a pointer."""
    return sum(math.prod(spec.shape[1:]) * (spec.dtype.size or POINTER_BYTES) for spec in specs)


def bytes_of_tables(row_bytes: int, rows: int) -> int:
    """Return the memory in bytes of this many rows, or of the chunks in memory at once."""
    return row_bytes * rows if are_resident(row_bytes, rows) else 2 * CHUNK_BYTES


def grouped(samples: Mapping[str, np.ndarray]) -> list[list[str]]:
    """Group the names of inputs to store side by side: one numeric dtype, equal shapes but for the last axis."""
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


def fits_lookup(preparation: keras.Model, rows: Coded) -> bool:
    """Return whether each distinct text can be preprocessed once, and rows then be looked up. Of few rows, this would
    take longer than the compiled preprocessing."""
    return len(rows) > FEW_ROWS and bool(
        8 * len(rows.values) * math.prod(axis or 1 for axis in preparation.output_shape[1:]) <= LOOKUP_BYTES
    )


def preprocessed_values(preparation: keras.Model, rows: Coded) -> np.ndarray:
    """Preprocess each distinct text once. All steps of a window are preprocessed alike, so one is enough."""
    steps = rows.shape[1:]
    values = np.broadcast_to(rows.values.reshape(-1, *(1 for _ in steps)), (len(rows.values), *steps))
    prepared = np.asarray(preparation(tensor(values), training=False))
    for _ in steps:
        prepared = prepared[:, 0]
    return prepared


def model_targets(built: BuiltModel, targets: Mapping[str, Any]) -> dict[str, Any]:
    """Return the targets by output name, as (examples, …, 1) if the output has one number for each. Keras's losses take
    both forms unless there is a mask, some of its metrics only this one. Autoencoder outputs have no target."""
    by_output = {head.name: targets[head.target] for head in built.heads if head.target is not None}
    return {
        name: values[..., None] if built.outputs[name].output_shape == (*values.shape[1:], 1) else values
        for name, values in by_output.items()
    }


def in_loss_form(built: BuiltModel, output: str, targets: Any) -> Any:
    """Return a batch of targets as the output's loss takes it. Class indices (batch, …) become float32 (batch, …,
    classes) for a loss with one-hot targets, and (batch, steps) become (batch, steps, 1) for one output of each."""
    classes = built.one_hot.get(output)
    if built.lacks_axis(output, len(targets.shape)):
        return tf.expand_dims(targets, -1)
    return targets if classes is None else tf.one_hot(targets, classes)


def tensor(array: np.ndarray) -> Any:
    return tf.constant(array.astype(object), tf.string) if array.dtype.kind in "OUS" else tf.constant(array)


def shared(array: np.ndarray) -> Any:
    """Return a tensor in the memory of an `aligned` array, on a GPU a copy; tf.constant would always copy."""
    # bfloat16 is no NumPy type of its own, and NumPy does not export it.
    if array.dtype.kind not in "biuf" or not array.size:
        return tensor(array)
    return tf.identity(tf.experimental.dlpack.from_dlpack(array.__dlpack__()))
