"""Rows of decoded files, from a file of the cache or decoded on access. For images and audio clips alike."""

import math
import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import Any, ClassVar

import numpy as np

from dltool.data.arrays.rows import Rows
from dltool.data.files.file_tree import Members, UnreadableMember
from dltool.data.files.listing import SHOWN, Member, printable
from dltool.data.media.cache import HEADER_BYTES, CacheEntry
from dltool.data.media.worker import Fault
from dltool.errors import DataError, MachineError, Problem
from dltool.machine import usable_cores
from dltool.text import and_more, counted, os_words


class CacheFile:
    """An open file of the cache; it stays readable if it is removed.

    Rows are read, not mapped: a mapped page loads a megabyte of neighbours, so an epoch in random order would soon hold
    the whole file in memory."""

    def __init__(self, entry: CacheEntry) -> None:
        self.entry = entry
        self._descriptor = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)

    def read(self, result: np.ndarray, indices: np.ndarray) -> None:
        """Read the rows `indices` (int64) into `result`, whose memory is contiguous. Raises MachineError: the disk
        failed, or the file was truncated."""
        row_bytes = math.prod(self.entry.shape[1:])
        view = result.data.cast("B")
        # Rows that follow each other are read at once.
        firsts = np.flatnonzero(np.diff(indices, prepend=-2) != 1)
        stops = [*firsts[1:].tolist(), len(indices)]
        for first, stop, row in zip(firsts.tolist(), stops, indices[firsts].tolist(), strict=True):
            self._read_at(view[first * row_bytes : stop * row_bytes], HEADER_BYTES + row * row_bytes)

    def _read_at(self, view: memoryview, position: int) -> None:
        while view:
            try:
                count = os.preadv(self._descriptor, [view], position)
            except OSError as error:
                raise MachineError(f"{os_words(error)}: cannot read {self.entry.path}") from None
            if not count:
                raise MachineError(f"{self.entry.path} has been cut short", "start again: it will be made anew")
            view, position = view[count:], position + count


def row_numbers(rows: Any, count: int) -> np.ndarray:
    """Return int64 indices from 0 to `count` for an index of an array of that many rows. Raises IndexError: no such
    row."""
    if isinstance(rows, slice):
        return np.arange(*rows.indices(count), dtype=np.int64)
    indices = np.asarray(rows)
    indices = np.flatnonzero(indices) if indices.dtype == bool else indices.astype(np.int64)
    indices = np.where(indices < 0, indices + count, indices)
    if len(indices) and not (indices.min() >= 0 and indices.max() < count):
        raise IndexError(f"a row beyond the {count:,} that there are")
    return indices


@dataclass(frozen=True)
class CacheRows(Rows):
    """Rows `first` to `stop` of a cache file: (rows, height, width, channels) of uint8."""

    file: CacheFile
    first: int
    stop: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.stop - self.first, *self.file.entry.shape[1:])

    @property
    def dtype(self) -> Any:
        return np.dtype(np.uint8)

    def __getitem__(self, rows: Any) -> np.ndarray:
        indices = row_numbers(rows, len(self)) + self.first
        result = np.empty((len(indices), *self.shape[1:]), np.uint8)
        if len(indices):
            self.file.read(result, indices)
        return result

    def part(self, first: int, stop: int) -> "CacheRows":
        return CacheRows(self.file, self.first + first, self.first + stop)


@dataclass(frozen=True)
class Decoder(ABC):
    """Decodes `files` into rows in this process. `noun` is for messages."""

    files: Members
    noun: ClassVar[str]
    dtype: ClassVar[Any]

    @property
    @abstractmethod
    def row_shape(self) -> tuple[int, ...]:
        """Return the shape of a row."""

    @abstractmethod
    def decode_into(self, row: np.ndarray, content: bytes, name: str) -> tuple[int, int] | None:
        """Decode the file `name` into a row of zeros. Return its (height, width) if that is not the row's. Raises
        UnreadableMember: it cannot be decoded."""

    @cached_property
    def threads(self) -> ThreadPoolExecutor:
        # Reading and decoding mostly release the interpreter lock.
        return ThreadPoolExecutor(usable_cores(), f"{self.noun}s")

    def rows(self, members: Sequence[Member]) -> np.ndarray:
        """Decode `members` in several threads: (members, …). Raises DataError naming all that cannot be decoded."""
        result = np.zeros((len(members), *self.row_shape), self.dtype)
        pieces = np.array_split(np.arange(len(members)), usable_cores() * 4)
        filled = self.threads.map(self.fill, repeat(result), repeat(members), pieces)
        faults = [fault for found in filled for fault in found]
        if faults:
            raise DataError(self.problems(faults, len(members)))
        return result

    def fill(self, result: np.ndarray, members: Sequence[Member], rows: np.ndarray) -> list[Fault]:
        """Decode some of `members` into their rows of `result`."""
        faults = []
        for row in rows.tolist():
            name = members[row].name
            try:
                size = self.decode_into(result[row], self.files.reader.read(members[row]), name)
            except UnreadableMember as error:
                faults.append(Fault(row, name, str(error)))
                continue
            if size is not None:
                faults.append(Fault(row, name, "", size))
        return faults

    def problems(self, faults: Sequence[Fault], count: int) -> list[Problem]:
        """Return the problems of all `faults` of `count` files."""
        return unusable(self.noun, faults, self.files)


@dataclass(frozen=True)
class DecodedRows(Rows):
    """Rows decoded on every access. Accessing a damaged file raises a DataError that names it."""

    decoder: Decoder
    members: tuple[Member, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.members), *self.decoder.row_shape)

    @property
    def dtype(self) -> Any:
        return np.dtype(self.decoder.dtype)

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self.decoder.rows([self.members[index] for index in row_numbers(rows, len(self)).tolist()])

    def part(self, first: int, stop: int) -> "DecodedRows":
        return DecodedRows(self.decoder, self.members[first:stop])


FileRows = np.ndarray | CacheRows | DecodedRows
"""Decoded files: rows in memory, in a file of the cache, or decoded on access."""


def unusable(noun: str, faults: Sequence[Fault], files: Members) -> list[Problem]:
    """Return the problem that names the files that cannot be decoded, if any."""
    unread = [f"{printable(fault.name)} ({fault.message})" for fault in faults if fault.message]
    message = f"{counted(len(unread), noun)} in {files.path} cannot be used: {and_more(unread, SHOWN, '; ')}"
    return [Problem(files.place, message)] if unread else []
