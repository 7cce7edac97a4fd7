"""Pictures row by row: from a file of decoded ones, or decoded as they are asked for."""

import mmap
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import Any

import numpy as np

from dltool.data.image_cache import HEADER_BYTES, Entry
from dltool.data.image_decode import BadImage, ImageForm, decode
from dltool.data.image_worker import Fault
from dltool.data.listing import SHOWN, Member, printable
from dltool.data.members import Reader, UnreadableMember
from dltool.errors import ConfigPath, DataError, Problem
from dltool.machine import usable_cores

KEPT_BYTES = 64 * 2**20
"""So much of a mapped file may stay in this process's memory."""
READ_AROUND = 64 * 1024
"""With a page that is touched, the kernel brings in its neighbours."""


class MappedFile:
    """The rows of a cache file as one array that is not in memory."""

    def __init__(self, entry: Entry) -> None:
        with entry.path.open("rb") as file:
            self._mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.array = np.ndarray(entry.shape, np.uint8, self._mapping, HEADER_BYTES)
        self._touched = 0

    def touched(self, rows: int, are_neighbours: bool) -> None:
        """Counts what was read; what is more than `KEPT_BYTES` goes back to the kernel, which has it in its cache."""
        row_bytes = self.array[0].nbytes if len(self.array) else 0
        self._touched += rows * (row_bytes if are_neighbours else row_bytes + READ_AROUND)
        if self._touched > KEPT_BYTES and hasattr(mmap, "MADV_DONTNEED"):
            self._mapping.madvise(mmap.MADV_DONTNEED)
            self._touched = 0


@dataclass(frozen=True)
class MappedRows:
    """Rows `first` to `stop` of a cache file: (rows, height, width, channels) of uint8."""

    file: MappedFile
    first: int
    stop: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.file.array.shape[1:])

    @property
    def dtype(self) -> Any:
        return self.file.array.dtype

    def __len__(self) -> int:
        return self.stop - self.first

    def __getitem__(self, rows: Any) -> np.ndarray:
        result = np.array(self.file.array[self.first : self.stop][rows])
        self.file.touched(len(result), isinstance(rows, slice))
        return result

    def part(self, first: int, stop: int) -> "MappedRows":
        return MappedRows(self.file, self.first + first, self.first + stop)


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

    def fill(self, result: np.ndarray, first: int, members: Sequence[Member]) -> list[Fault]:
        """Decode members into rows of `result`, from `first` on."""
        faults = []
        for row, member in enumerate(members, first):
            try:
                pixels, size = decode(self.reader.read(member), self.form)
            except (BadImage, UnreadableMember) as error:
                faults.append(Fault(row, str(error)))
                continue
            if size == self.size:
                result[row] = np.frombuffer(pixels, np.uint8).reshape(result.shape[1:])
            else:
                faults.append(Fault(row, "", *size))
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
        indices = np.arange(len(self))[rows]
        chosen = [self.members[index] for index in indices]
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
    faults: Sequence[Fault], members: Sequence[Member], path: str, place: ConfigPath, size: tuple[int, int]
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
    others: Sequence[Fault], members: Sequence[Member], unread: int, size: tuple[int, int], place: ConfigPath
) -> Problem:
    counts = {size: len(members) - len(others) - unread}
    examples: dict[tuple[int, int], str] = {}
    for fault in others:
        found = fault.height, fault.width
        counts[found] = counts.get(found, 0) + 1
        examples.setdefault(found, members[fault.row].name)
    most, second = sorted(counts, key=lambda found: (-counts[found], found))[:2]
    shown = " and ".join(f"{counts[found]:,} are {found[0]} × {found[1]}" for found in (most, second))
    rest = f", and there are {len(counts) - 2:,} other sizes" if len(counts) > 2 else ""
    other = second if second in examples else most
    message = f"the pictures differ in size (height × width): {shown} ({printable(examples[other])}){rest}"
    return Problem(place, message, f"write size: [{most[0]}, {most[1]}]")
