"""Decodes images into rows of a file, in a process of its own that imports neither TensorFlow nor the config.

:mod:`dltool.data.media.processes` starts it, and pickles to it first the work, then members with their rows. It answers
these with their faults, or with the OSError of writing."""

import gc
import pickle
import sys
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from dltool.data.files.file_tree import Reader, UnreadableMember
from dltool.data.files.listing import Member
from dltool.data.media.cache import CHECKSUM_BYTES
from dltool.data.media.image_decode import ImageForm, decode


class Fault(NamedTuple):
    """A file that cannot be used: a `message`, or else an image of another (height, width) than the rest."""

    row: int
    name: str
    message: str
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class ImageWork:
    """Decode images to `form`, all of `size` (height, width), into the rows of the file `output` from byte `offset`
    on; their CRC-32, of four bytes each, from byte `checksums` on."""

    reader: Reader
    form: ImageForm
    size: tuple[int, int]
    output: str
    offset: int
    checksums: int


def decode_rows(work: ImageWork, rows: Iterable[tuple[int, Member]]) -> list[Fault]:
    """Write the pixels of some members to their rows of the output. Raises OSError: writing failed."""
    faults = []
    checksums: list[tuple[int, bytes]] = []
    with open(work.output, "r+b") as output:
        for row, member in rows:
            try:
                pixels, size = decode(work.reader.read(member), work.form)
            except UnreadableMember as error:
                faults.append(Fault(row, member.name, str(error)))
                continue
            if size == work.size:
                output.seek(work.offset + row * len(pixels))
                output.write(pixels)
                checksums.append((row, zlib.crc32(pixels).to_bytes(CHECKSUM_BYTES, "little")))
            else:
                faults.append(Fault(row, member.name, "", size))
        # Apart from the pixels: each seek flushes what was written.
        for _, run in groupby(enumerate(checksums), lambda each: each[1][0] - each[0]):
            (_, (first, _)), *_ = numbered = [*run]
            output.seek(work.checksums + CHECKSUM_BYTES * first)
            output.write(b"".join(checksum for _, (_, checksum) in numbered))
    return faults


def main() -> None:
    work: ImageWork = pickle.load(sys.stdin.buffer)  # noqa: S301 (from the process that started this one)
    # Imported modules stay; garbage collection can skip them.
    gc.freeze()
    with suppress(EOFError):
        while True:
            rows = pickle.load(sys.stdin.buffer)  # noqa: S301
            try:
                answer: list[Fault] | OSError = decode_rows(work, rows)
            except OSError as error:
                answer = error
            pickle.dump(answer, sys.stdout.buffer)
            sys.stdout.flush()
