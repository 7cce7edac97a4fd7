"""Pictures row by row: from a file of decoded ones, or decoded as they are asked for."""

import math
import os
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import Any

import numpy as np

from dltool.data.files.file_tree import Reader, UnreadableMember
from dltool.data.files.listing import SHOWN, Member, printable
from dltool.data.media.cache import HEADER_BYTES, CacheEntry
from dltool.data.media.image_decode import BadImage, ImageForm, decode
from dltool.data.media.worker import ImageFault
from dltool.errors import ConfigPath, DataError, MachineError, Problem
from dltool.machine import usable_cores


class CacheFile:
    """An open file of the cache; it stays readable when it is removed.

    Rows are read, not mapped: a mapped page brings in a megabyte of neighbours, so that an epoch in random order would
    soon hold the whole file in this process's memory.
    """

    def __init__(self, entry: CacheEntry) -> None:
        self.entry = entry
        self._descriptor = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)

    def read(self, result: np.ndarray, indices: np.ndarray) -> None:
        """The rows `indices` (int64) into `result`, whose memory is in one piece.

        Raises:
            MachineError: the disk failed, or the file was cut short by somebody.
        """
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
                words = (error.strerror or str(error)).lower()
                raise MachineError(f"{words}: cannot read {self.entry.path}") from None
            if not count:
                raise MachineError(f"{self.entry.path} has been cut short", "start again: it will be made anew")
            view, position = view[count:], position + count


def row_numbers(rows: Any, count: int) -> np.ndarray:
    """int64 indices from 0 to `count`, from what an array of so many rows is indexed by.

    Raises:
        IndexError: a row that there is not.
    """
    if isinstance(rows, slice):
        return np.arange(*rows.indices(count), dtype=np.int64)
    indices = np.asarray(rows)
    indices = np.flatnonzero(indices) if indices.dtype == bool else indices.astype(np.int64)
    indices = np.where(indices < 0, indices + count, indices)
    if len(indices) and not (indices.min() >= 0 and indices.max() < count):
        raise IndexError(f"a row beyond the {count:,} that there are")
    return indices


@dataclass(frozen=True)
class CacheRows:
    """Rows `first` to `stop` of a cache file: (rows, height, width, channels) of uint8."""

    file: CacheFile
    first: int
    stop: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.file.entry.shape[1:])

    @property
    def dtype(self) -> Any:
        return np.dtype(np.uint8)

    def __len__(self) -> int:
        return self.stop - self.first

    def __getitem__(self, rows: Any) -> np.ndarray:
        indices = row_numbers(rows, len(self)) + self.first
        result = np.empty((len(indices), *self.shape[1:]), np.uint8)
        if len(indices):
            self.file.read(result, indices)
        return result

    def part(self, first: int, stop: int) -> "CacheRows":
        return CacheRows(self.file, self.first + first, self.first + stop)


@dataclass(frozen=True)
class Decoder:
    """How pictures are read and decoded in this process. `path` and `place` are for messages."""

    reader: Reader
    form: ImageForm
    size: tuple[int, int]
    path: str
    place: ConfigPath

    @cached_property
    def threads(self) -> ThreadPoolExecutor:
        # Pillow lets go of the interpreter while it decodes.
        return ThreadPoolExecutor(usable_cores(), "pictures")

    def fill(self, result: np.ndarray, first: int, members: Sequence[Member]) -> list[ImageFault]:
        """Decode members into rows of `result`, from `first` on."""
        faults = []
        for row, member in enumerate(members, first):
            try:
                pixels, size = decode(self.reader.read(member), self.form)
            except (BadImage, UnreadableMember) as error:
                faults.append(ImageFault(row, str(error)))
                continue
            if size == self.size:
                result[row] = np.frombuffer(pixels, np.uint8).reshape(result.shape[1:])
            else:
                faults.append(ImageFault(row, "", *size))
        return faults


@dataclass(frozen=True)
class DecodedRows:
    """Pictures that are decoded, in several threads, as they are asked for: (rows, height, width, channels) of uint8.

    Asking for a damaged one raises a DataError that names it.
    """

    decoder: Decoder
    members: tuple[Member, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.decoder.size, self.decoder.form.channels)

    @property
    def dtype(self) -> Any:
        return np.dtype(np.uint8)

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, rows: Any) -> np.ndarray:
        chosen = [self.members[index] for index in row_numbers(rows, len(self)).tolist()]
        result = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        pieces = usable_cores() * 4
        firsts = [len(chosen) * piece // pieces for piece in range(pieces)]
        parts = [chosen[first:stop] for first, stop in zip(firsts, [*firsts[1:], len(chosen)], strict=True)]
        filled = self.decoder.threads.map(self.decoder.fill, repeat(result), firsts, parts)
        faults = [fault for found in filled for fault in found]
        if faults:
            raise bad_pictures(faults, chosen, self.decoder.path, self.decoder.place, self.decoder.size)
        return result

    def part(self, first: int, stop: int) -> "DecodedRows":
        return DecodedRows(self.decoder, self.members[first:stop])


def bad_pictures(
    faults: Sequence[ImageFault], members: Sequence[Member], path: str, place: ConfigPath, size: tuple[int, int]
) -> DataError:
    """All that is wrong with the pictures `members`: those that cannot be read, and those of another size."""
    problems = []
    unread = [fault for fault in faults if fault.message]
    if unread:
        shown = "; ".join(f"{printable(members[fault.row].name)} ({fault.message})" for fault in unread[:SHOWN])
        more = f"; and {len(unread) - SHOWN:,} more" if len(unread) > SHOWN else ""
        counted = "1 picture" if len(unread) == 1 else f"{len(unread):,} pictures"
        problems.append(Problem(place, f"{counted} in {path} cannot be used: {shown}{more}"))
    others = [fault for fault in faults if not fault.message]
    if others:
        problems.append(different_sizes(others, members, len(unread), size, place))
    return DataError(problems)


def different_sizes(
    others: Sequence[ImageFault], members: Sequence[Member], unread: int, size: tuple[int, int], place: ConfigPath
) -> Problem:
    counts = {size: len(members) - len(others) - unread}
    examples: dict[tuple[int, int], str] = {}
    for fault in others:
        found = fault.height, fault.width
        counts[found] = counts.get(found, 0) + 1
        examples.setdefault(found, members[fault.row].name)
    most, second = sorted(counts, key=lambda found: (-counts[found], found))[:2]
    shown = ", ".join(f"{counts[found]:,} are {found[0]} × {found[1]}" for found in (most, second))
    rest = f", {len(members) - unread - counts[most] - counts[second]:,} of other sizes" if len(counts) > 2 else ""
    other = second if second in examples else most
    message = f"the pictures differ in size (height × width): {shown} ({printable(examples[other])}){rest}"
    return Problem(place, message, f"write size: [{most[0]}, {most[1]}]")
