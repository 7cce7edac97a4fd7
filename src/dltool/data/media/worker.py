"""Decodes images into rows of a file, in a process of its own that imports neither TensorFlow nor the config.

:mod:`dltool.data.media.processes` starts it, writes lines of JSON to it and reads one for each: first the work, then
members with their rows, to which it answers with faults."""

import gc
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from dltool.data.files.file_tree import Access, Reader, UnreadableMember
from dltool.data.files.listing import Member
from dltool.data.media.image_decode import ImageForm, decode


class Fault(NamedTuple):
    """A file that cannot be used: a `message`, or else an image of another (height, width) than the rest."""

    row: int
    message: str
    height: int = 0
    width: int = 0


@dataclass(frozen=True)
class ImageWork:
    """Decode images to `form`, all of `size` (height, width); row r begins at `offset + r * row_bytes` of the file
    `output`. `descriptor` is an open file to read from instead of the one that `access` names."""

    access: Access
    form: ImageForm
    size: tuple[int, int]
    output: str
    offset: int
    descriptor: int = -1

    @property
    def row_bytes(self) -> int:
        return self.size[0] * self.size[1] * self.form.channels


def decode_rows(work: ImageWork, reader: Reader, output: int, rows: Iterable[tuple[int, Member]]) -> list[Fault]:
    """Write the pixels of some members to their rows of the open file `output`. Raises OSError: writing failed."""
    faults = []
    for row, member in rows:
        try:
            pixels, size = decode(reader.read(member), work.form)
        except UnreadableMember as error:
            faults.append(Fault(row, str(error)))
            continue
        if size == work.size:
            write_at(output, pixels, work.offset + row * work.row_bytes)
        else:
            faults.append(Fault(row, "", *size))
    return faults


def write_at(output: int, pixels: bytes, position: int) -> None:
    written = os.pwrite(output, pixels, position)
    # A write may be partial: a full disk, or a very large image.
    while written < len(pixels):
        written += os.pwrite(output, pixels[written:], position + written)


def to_json(work: ImageWork) -> dict[str, Any]:
    return {
        "access": [work.access.path, work.access.kind],
        "form": [work.form.size, work.form.channels, work.form.resize],
        "size": work.size,
        "output": work.output,
        "offset": work.offset,
        "descriptor": work.descriptor,
    }


def from_json(data: dict[str, Any]) -> ImageWork:
    size, channels, resize = data["form"]
    form = ImageForm(tuple(size) if size else None, channels, resize)
    height, width = data["size"]
    return ImageWork(Access(*data["access"]), form, (height, width), data["output"], data["offset"], data["descriptor"])


def main() -> None:
    answers = sys.stdout
    work = from_json(json.loads(sys.stdin.readline()))
    reader = Reader(work.access, descriptor=work.descriptor)
    output = os.open(work.output, os.O_WRONLY | os.O_CLOEXEC)
    # Imported modules stay; garbage collection can skip them.
    gc.freeze()
    for line in sys.stdin:
        members = ((row, Member(*fields)) for row, *fields in json.loads(line))
        try:
            answer: dict[str, Any] = {"faults": decode_rows(work, reader, output, members)}
        except OSError as error:
            answer = {"errno": error.errno, "words": error.strerror}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
