"""Columns that grow block by block: in memory up to a budget, then in files."""

import mmap
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from dltool.data.arrays.rows import Rows
from dltool.errors import ConfigPath, MachineError, Problem
from dltool.text import os_words

FIRST_CAPACITY = 1024
ROWS_AT_ONCE = 2**14
"""Each may load a page of its own: 64 MiB at most."""


@dataclass(frozen=True)
class FileRows(Rows):
    """One column in an unnamed file: the `values` (rows,) of its `pages`.

    The file is mapped, and its pages are released after every access: otherwise an epoch in random order would soon
    hold the whole file in memory."""

    pages: mmap.mmap
    values: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    @property
    def dtype(self) -> Any:
        return self.values.dtype

    def __getitem__(self, rows: Any) -> np.ndarray:
        indices = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else np.asarray(rows)
        result = np.empty(indices.shape, self.dtype)
        for first in range(0, len(indices), ROWS_AT_ONCE):
            block = slice(first, first + ROWS_AT_ONCE)
            result[block] = self.values[indices[block]]
            self.pages.madvise(mmap.MADV_DONTNEED)
        return result


class Store:
    """One column, (rows,) of one dtype."""

    def __init__(self, stores: "Stores", dtype: type) -> None:
        self.stores = stores
        self.array: np.ndarray = np.empty(FIRST_CAPACITY, dtype)
        self.rows = 0
        self.file: IO[bytes] | None = None

    def append(self, values: np.ndarray) -> None:
        if not self.stores.keeps:
            self.rows += len(values)
            return
        if self.file is not None:
            self.write(values)
        else:
            end = self.rows + len(values)
            if end > len(self.array):
                # Unwritten pages take no memory, so overestimating the rows is free.
                larger = np.empty(max(end, 2 * len(self.array), self.stores.expected_rows), self.array.dtype)
                larger[: self.rows] = self.array[: self.rows]
                self.array = larger
            self.array[self.rows : end] = values
        self.rows += len(values)
        self.stores.grow(len(values) * self.array.itemsize)

    def write(self, values: np.ndarray) -> None:
        assert self.file is not None
        with full_disk(self.stores):
            self.file.write(np.ascontiguousarray(values, self.array.dtype).data)

    def spill(self) -> None:
        assert self.stores.folder is not None
        with full_disk(self.stores):
            # Without a name, its space is freed however this process ends.
            self.stores.folder.mkdir(parents=True, exist_ok=True)
            self.file = tempfile.TemporaryFile(dir=self.stores.folder)  # noqa: SIM115 - closed by finish or drop
        self.write(self.array[: self.rows])
        self.array = np.empty(0, self.array.dtype)

    def finish(self) -> Rows:
        """Return all values: an array, or lazy rows of a file; zeros that take no memory if they are not kept."""
        if not self.stores.keeps:
            return np.broadcast_to(self.array.dtype.type(0), (self.rows,))
        if self.file is None:
            self.array.resize(self.rows, refcheck=False)
            return self.array
        with full_disk(self.stores), self.file as file:
            file.flush()
            pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            return FileRows(pages, np.frombuffer(pages, self.array.dtype))


class Stores:
    """The columns of one table. Past `budget` bytes they go to files in `folder`; without a folder they stay in
    memory. Unless it `keeps` them, their cells are only counted and inferred from."""

    def __init__(self, budget: int | None, folder: Path | None, place: ConfigPath, *, keeps: bool = True) -> None:
        self.budget, self.folder, self.place, self.keeps = budget, folder, place, keeps
        self.all: list[Store] = []
        self.bytes = self.expected_rows = 0
        self.spilled = False

    def new(self, dtype: type) -> Store:
        store = Store(self, dtype)
        self.all.append(store)
        if self.spilled:
            store.spill()
        return store

    def drop(self, store: Store) -> None:
        self.all.remove(store)
        self.bytes -= store.rows * store.array.itemsize
        store.array = np.empty(0, store.array.dtype)
        if store.file is not None:
            store.file.close()

    def grow(self, count: int) -> None:
        self.bytes += count
        if self.spilled or self.folder is None or self.budget is None or self.bytes <= self.budget:
            return
        self.spilled = True
        for store in self.all:
            store.spill()


@contextmanager
def full_disk(stores: Stores) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"{stores.folder} cannot be written: {os_words(error)}"
        raise MachineError(Problem(stores.place, message)) from None
