"""Rows of decoded files, from a file of the cache or decoded on access. For images and audio clips alike."""

import math
import os
import weakref
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dltool.data.arrays.rows import Rows
from dltool.data.files.file_tree import Members, UnreadableMember
from dltool.data.files.listing import SHOWN, printable
from dltool.data.media.cache import CHECKSUM_BYTES, HEADER_BYTES, CacheEntry, remove
from dltool.data.media.worker import Fault
from dltool.errors import DataError, MachineError, Problem
from dltool.machine import usable_cores
from dltool.text import and_more, counted, os_words


class CacheRows(Rows):
    """The rows of a file of the cache: (rows, height, width, channels) of uint8. It stays readable if it is removed.

    Rows are read, not mapped: a mapped page loads a megabyte of neighbours, so an epoch in random order would soon hold
    the whole file in memory. The checksum of each row is compared when it is first read, and after the file's times
    have changed. `path` is the file's name when it is complete."""

    dtype: ClassVar[Any] = np.dtype(np.uint8)

    def __init__(self, entry: CacheEntry, path: Path) -> None:
        self.entry, self.path = entry, path
        self._numbers = np.arange(entry.shape[0])
        self._is_checked = np.zeros(entry.shape[0], bool)
        self._checksums: list[int] = []
        self._times: tuple[int, int] | None = None
        self._descriptor = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.entry.shape

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Raise MachineError: the disk failed, or the file was changed, which is then removed."""
        indices = self._numbers[rows]
        self._forget_checks()
        result = np.empty((len(indices), *self.shape[1:]), np.uint8)
        row_bytes = math.prod(self.shape[1:])
        view = result.reshape(-1).data
        # Rows that follow each other are read at once.
        firsts = np.flatnonzero(np.diff(indices, prepend=-2) != 1)
        stops = [*firsts[1:].tolist(), len(indices)]
        for first, stop, row in zip(firsts.tolist(), stops, indices[firsts].tolist(), strict=False):
            self._read_at(view[first * row_bytes : stop * row_bytes], HEADER_BYTES + row * row_bytes)
        self._check(indices, result)
        return result

    def _forget_checks(self) -> None:
        """Compare checksums again if the file has been written to."""
        status = os.fstat(self._descriptor)
        if (times := (status.st_mtime_ns, status.st_ctime_ns)) != self._times:
            self._times = times
            self._is_checked[:], self._checksums = False, []

    def _check(self, indices: np.ndarray, pixels: np.ndarray) -> None:
        unchecked = np.flatnonzero(~self._is_checked[indices])
        if len(unchecked) and not self._checksums:
            stored = bytearray(CHECKSUM_BYTES * len(self))
            self._read_at(memoryview(stored), self.entry.checksums)
            self._checksums = np.frombuffer(stored, "<u4").tolist()
        for position, row in zip(unchecked.tolist(), indices[unchecked].tolist(), strict=True):
            if zlib.crc32(pixels[position]) != self._checksums[row]:
                remove(self.path)
                message = f"{self.path} is damaged: the checksum of image {row:,} is wrong"
                raise MachineError(message, "start again: it will be made anew")
        self._is_checked[indices] = True

    def _read_at(self, view: memoryview, position: int) -> None:
        while view:
            try:
                count = os.preadv(self._descriptor, [view], position)
            except OSError as error:
                raise MachineError(f"{os_words(error)}: cannot read {self.path}") from None
            if not count:
                raise MachineError(f"{self.path} has been cut short", "start again: it will be made anew")
            view, position = view[count:], position + count


REPLACE = "replace or remove them"


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
        reader, members = self.files.reader, [self.files.members[row] for row in np.arange(len(self))[rows].tolist()]
        result = np.zeros((len(members), *self.shape[1:]), self.dtype)

        def fill(piece: np.ndarray) -> list[Fault]:
            faults = []
            for row in piece.tolist():
                name = members[row].name
                try:
                    size = self.decode_into(result[row], reader.read(members[row]), name)
                except UnreadableMember as error:
                    faults.append(Fault(row, name, str(error)))
                else:
                    faults += [] if size is None else [Fault(row, name, "", size)]
            return faults

        # An archive is read from its start to its end.
        by_place = np.argsort([member.start for member in members], kind="stable")
        filled = self.threads.map(fill, np.array_split(by_place, usable_cores() * 4))
        DataError.refuse(self.problems([fault for found in filled for fault in found], len(members)))
        return result

    def problems(self, faults: Sequence[Fault], count: int) -> list[Problem]:
        """Return the problems of all `faults` of `count` files."""
        return unusable(self.noun, faults, self.files)


def unusable(noun: str, faults: Sequence[Fault], files: Members) -> list[Problem]:
    """Return the problem that names the files that cannot be decoded, if any."""
    unread = [f"{printable(fault.name)} ({fault.message})" for fault in faults if fault.message]
    message = f"{counted(len(unread), noun)} in {files.path} cannot be used: {and_more(unread, SHOWN, '; ')}"
    return [Problem(files.place, message, REPLACE)] if unread else []
