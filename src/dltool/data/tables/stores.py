"""Columns that grow block by block: in memory while they fit in a budget, in files from then on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from dltool.errors import ConfigPath, MachineError, Problem

FIRST_CAPACITY = 1024


class Store:
    """One column, (rows,) of one dtype."""

    def __init__(self, stores: "Stores", number: int, dtype: type) -> None:
        self.stores, self.number = stores, number
        self.array: np.ndarray = np.empty(FIRST_CAPACITY, dtype)
        self.rows = 0
        self.path: Path | None = None

    def append(self, values: np.ndarray) -> None:
        if self.path is not None:
            self.write(values)
        else:
            end = self.rows + len(values)
            if end > len(self.array):
                # Pages that nobody has written take no memory: a wrong guess of the rows costs none.
                larger = np.empty(max(end, 2 * len(self.array), self.stores.expected_rows), self.array.dtype)
                larger[: self.rows] = self.array[: self.rows]
                self.array = larger
            self.array[self.rows : end] = values
        self.rows += len(values)
        self.stores.grow(len(values) * self.array.itemsize)

    def write(self, values: np.ndarray) -> None:
        assert self.path is not None
        with full_disk(self.path, self.stores.place), self.path.open("ab") as file:
            file.write(np.ascontiguousarray(values, self.array.dtype).data)

    def spill(self, folder: Path) -> None:
        self.path = folder / f"column-{self.number}.bin"
        self.path.unlink(missing_ok=True)
        self.write(self.array[: self.rows])
        self.array = np.empty(0, self.array.dtype)

    def finish(self) -> np.ndarray:
        """All the values: an array, or where they are in a file, a read-only memory map."""
        if self.path is not None:
            return np.memmap(self.path, self.array.dtype, mode="r", shape=(self.rows,))
        self.array.resize(self.rows, refcheck=False)
        return self.array


class Stores:
    """The columns of one table.

    Past `budget` bytes they go to files in `folder`; without a folder they stay in memory.
    """

    def __init__(self, budget: int | None, folder: Path | None, place: ConfigPath) -> None:
        self.budget, self.folder, self.place = budget, folder, place
        self.all: list[Store] = []
        self.bytes = self.made = self.expected_rows = 0
        self.spilled = False

    def new(self, dtype: type) -> Store:
        store = Store(self, self.made, dtype)
        self.made += 1
        self.all.append(store)
        if self.spilled and self.folder is not None:
            store.spill(self.folder)
        return store

    def drop(self, store: Store) -> None:
        """Forgets a column that is of no use after all."""
        self.all.remove(store)
        self.bytes -= store.rows * store.array.itemsize
        store.array = np.empty(0, store.array.dtype)
        if store.path is not None:
            store.path.unlink(missing_ok=True)

    def grow(self, count: int) -> None:
        self.bytes += count
        if self.spilled or self.folder is None or self.budget is None or self.bytes <= self.budget:
            return
        self.spilled = True
        with full_disk(self.folder, self.place):
            self.folder.mkdir(parents=True, exist_ok=True)
        for store in self.all:
            store.spill(self.folder)


@contextmanager
def full_disk(path: Path, place: ConfigPath) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MachineError(
            Problem(place, f"{path} cannot be written: {(error.strerror or str(error)).lower()}")
        ) from None
