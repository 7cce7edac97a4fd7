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
from dltool.data.files.file_tree import Members, Reader, UnreadableMember
from dltool.data.files.listing import SHOWN, Member, printable
from dltool.data.media.cache import HEADER_BYTES, CacheEntry
from dltool.data.media.worker import Fault
from dltool.errors import DataError, MachineError, Problem
from dltool.machine import usable_cores
from dltool.text import and_more, counted, os_words


class CacheRows(Rows):
    """The rows of a file of the cache: (rows, height, width, channels) of uint8. It stays readable if it is removed.

    Rows are read, not mapped: a mapped page loads a megabyte of neighbours, so an epoch in random order would soon hold
    the whole file in memory."""

    def __init__(self, entry: CacheEntry) -> None:
        self.entry = entry
        self._numbers = np.arange(entry.shape[0])
        self._descriptor = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.entry.shape

    @property
    def dtype(self) -> Any:
        return np.dtype(np.uint8)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Raise MachineError: the disk failed, or the file was truncated."""
        indices = self._numbers[rows]
        result = np.empty((len(indices), *self.shape[1:]), np.uint8)
        row_bytes = math.prod(self.shape[1:])
        view = result.reshape(-1).data
        # Rows that follow each other are read at once.
        firsts = np.flatnonzero(np.diff(indices, prepend=-2) != 1)
        stops = [*firsts[1:].tolist(), len(indices)]
        for first, stop, row in zip(firsts.tolist(), stops, indices[firsts].tolist(), strict=False):
            self._read_at(view[first * row_bytes : stop * row_bytes], HEADER_BYTES + row * row_bytes)
        return result

    def _read_at(self, view: memoryview, position: int) -> None:
        while view:
            try:
                count = os.preadv(self._descriptor, [view], position)
            except OSError as error:
                raise MachineError(f"{os_words(error)}: cannot read {self.entry.path}") from None
            if not count:
                raise MachineError(f"{self.entry.path} has been cut short", "start again: it will be made anew")
            view, position = view[count:], position + count


@dataclass(frozen=True)
class DecodedRows(Rows, ABC):
    """The rows of `files`, decoded in this process on every access. `noun` is for messages."""

    files: Members
    noun: ClassVar[str]

    @abstractmethod
    def decode_into(self, row: np.ndarray, content: bytes, name: str) -> tuple[int, int] | None:
        """Decode the file `name` into a row of zeros. Return its (height, width) if that is not the row's. Raises
        UnreadableMember: it cannot be decoded."""

    @cached_property
    def threads(self) -> ThreadPoolExecutor:
        # Reading and decoding mostly release the interpreter lock.
        return ThreadPoolExecutor(usable_cores(), f"{self.noun}s")

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Decode in several threads. Raises DataError naming all files that cannot be decoded."""
        members = [self.files.members[index] for index in np.arange(len(self))[rows].tolist()]
        result = np.zeros((len(members), *self.shape[1:]), self.dtype)
        pieces = np.array_split(np.arange(len(members)), usable_cores() * 4)
        filled = self.threads.map(self.fill, repeat(self.files.reader), repeat(result), repeat(members), pieces)
        faults = [fault for found in filled for fault in found]
        if faults:
            raise DataError(self.problems(faults, len(members)))
        return result

    def fill(self, reader: Reader, result: np.ndarray, members: Sequence[Member], rows: np.ndarray) -> list[Fault]:
        """Decode some of `members` into their rows of `result`."""
        faults = []
        for row in rows.tolist():
            name = members[row].name
            try:
                size = self.decode_into(result[row], reader.read(members[row]), name)
            except UnreadableMember as error:
                faults.append(Fault(row, name, str(error)))
                continue
            if size is not None:
                faults.append(Fault(row, name, "", size))
        return faults

    def problems(self, faults: Sequence[Fault], count: int) -> list[Problem]:
        """Return the problems of all `faults` of `count` files."""
        return unusable(self.noun, faults, self.files)


def unusable(noun: str, faults: Sequence[Fault], files: Members) -> list[Problem]:
    """Return the problem that names the files that cannot be decoded, if any."""
    unread = [f"{printable(fault.name)} ({fault.message})" for fault in faults if fault.message]
    message = f"{counted(len(unread), noun)} in {files.path} cannot be used: {and_more(unread, SHOWN, '; ')}"
    return [Problem(files.place, message)] if unread else []
