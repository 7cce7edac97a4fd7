"""The files of a folder, a zip or a tar, read in place; nothing is unpacked."""

import os
import struct
import tempfile
import weakref
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shutil import copyfileobj
from typing import Literal

from dltool.data.files.archives import DAMAGED, list_tar, list_zip, uncompressed
from dltool.data.files.listing import Member, list_folder
from dltool.data.files.paths import require, unreadable
from dltool.errors import ConfigPath, DataError, MachineError, Problem
from dltool.text import os_words

Kind = Literal["folder", "zip", "tar", "compressed tar"]
LOCAL_HEADER = struct.Struct("<4s22xHH")
LOCAL_SIGNATURE = b"PK\x03\x04"
# Space for the name and the extra fields before a zip's file, so that one read usually suffices.
MARGIN = 512


CHANGED = "it has changed since the files were listed"


class UnreadableMember(Exception):
    """A file cannot be read; the message gives the reason without the name."""


@dataclass(frozen=True)
class Members:
    """The files of `path` in natural order ("2.jpg" before "10.jpg"), and all folders, also those without files."""

    path: str
    kind: Kind
    members: tuple[Member, ...]
    folders: tuple[str, ...]
    place: ConfigPath

    @cached_property
    def reader(self) -> "Reader":
        """Return the one reader of these files. The first access is for one thread."""
        return Reader(self.path, self.kind, self.place)

    def part_name(self, part: str) -> str:
        return f"the {part} split of {Path(self.path).name}"

    def read(self, member: Member) -> bytes:
        """Read the whole content of a file.

        Raises:
            DataError: it cannot be read, is damaged, or has changed since the files were listed.
            MachineError: no room for the temporary copy that a compressed tar needs."""
        try:
            return self.reader.read(member)
        except UnreadableMember as error:
            message = f"{member.name} in {self.path} cannot be read: {error}"
            raise DataError(Problem(self.place, message)) from None


class Reader:
    """Reads members by their position, in any order. Thread-safe.

    A pickled copy reads from the same open file: it is for a process that inherits `descriptor` (-1 for a folder)."""

    def __init__(self, path: str, kind: Kind, place: ConfigPath) -> None:
        self.path, self.kind = path, kind
        self.descriptor = -1
        if kind != "folder":
            try:
                is_compressed = kind == "compressed tar"
                self.descriptor = spooled(path) if is_compressed else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except DAMAGED as error:
                if not isinstance(error, OSError) or not error.errno:
                    message = f"{path} is damaged: {error}"
                    raise DataError(Problem(place, message, "write or copy it again")) from None
                hint = "a compressed tar is expanded into a nameless temporary file: set TMPDIR to a folder with room"
                message = f"{path} cannot be opened: {os_words(error)}"
                raise MachineError(Problem(place, message, hint if "tar" in kind else "")) from None
            weakref.finalize(self, os.close, self.descriptor)

    def read(self, member: Member) -> bytes:
        """Read a whole file. Raises UnreadableMember."""
        content = self.read_start(member, member.size + 1)
        if len(content) == member.size:
            return content
        raise UnreadableMember(
            CHANGED if self.kind == "folder" else f"expected {member.size:,} bytes, found {len(content):,}"
        )

    def read_start(self, member: Member, most: int) -> bytes:
        """Read at most `most` bytes, from the start, without the checks of :meth:`read`. Raises UnreadableMember."""
        try:
            if self.kind == "folder":
                return start_of_file(os.path.join(self.path, member.name), most, member)
            if self.kind == "zip":
                return zipped(self.descriptor, member)[:most]
            if self.kind == "tar":
                refuse_changed(self.descriptor, member)
            return os.pread(self.descriptor, min(most, member.size), member.start)
        except OSError as error:
            raise UnreadableMember(os_words(error)) from None


def spooled(path: str) -> int:
    """Return a compressed tar as an unnamed temporary file, which vanishes with this process."""
    with uncompressed(Path(path)) as source, tempfile.TemporaryFile() as file:
        copyfileobj(source, file, 2**20)
        file.flush()
        return os.dup(file.fileno())


def start_of_file(path: str, most: int, member: Member) -> bytes:
    # Opening a FIFO that has replaced the file would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        refuse_changed(descriptor, member)
        return os.pread(descriptor, most, 0)
    finally:
        os.close(descriptor)


def refuse_changed(descriptor: int, member: Member) -> None:
    """Raise UnreadableMember if the file, or its archive, has been written to since it was listed.

    The status change time, too, would tell of a file whose time was set back, but of a new name or owner as well."""
    if not member.identity.startswith(f"{os.fstat(descriptor).st_mtime_ns}:"):
        raise UnreadableMember(CHANGED)


def zipped(descriptor: int, member: Member) -> bytes:
    """Read a file of a zip (APPNOTE.TXT, 4.3.7), checked against its CRC-32."""
    block = os.pread(descriptor, LOCAL_HEADER.size + MARGIN + member.stored, member.start)
    if len(block) < LOCAL_HEADER.size or not block.startswith(LOCAL_SIGNATURE):
        raise UnreadableMember("the zip is damaged, or has changed")
    _, name_length, extra_length = LOCAL_HEADER.unpack_from(block)
    start = LOCAL_HEADER.size + name_length + extra_length
    content = block[start : start + member.stored]
    if len(content) < member.stored:
        content = os.pread(descriptor, member.stored, member.start + start)
    if member.is_deflated:
        try:
            # One byte more than declared, and no more: it may be a bomb.
            content = zlib.decompressobj(-15).decompress(content, member.size + 1)
        except zlib.error as error:
            raise UnreadableMember(f"damaged: {error}") from None
    if len(content) != member.size or zlib.crc32(content) != int(member.identity, 16):
        raise UnreadableMember("damaged: its checksum is wrong")
    return content


def open_members(path: str, place: ConfigPath) -> Members:
    """List the files of a folder, a zip or a tar (also .tar.gz, .tar.bz2, .tar.xz), without hidden ones.

    `place` is the config path that names it. Raises DataError: it is missing, none of these, damaged, or harmful."""
    found = require(path, place, allow_folder=True)
    if found.is_dir():
        return Members(str(found), "folder", *list_folder(found, place), place)
    kind = kind_of(found, place)
    list_archive = list_zip if kind == "zip" else list_tar
    return Members(str(found), kind, *list_archive(found, place), place)


def is_archive(path: Path) -> bool:
    """Return whether the file begins like a zip, a tar, or a compressed file, which may be a tar."""
    try:
        kind_of(path, ())
    except DataError:
        return False
    return True


def kind_of(path: Path, place: ConfigPath) -> Kind:
    """Return the kind of a file by its first bytes, whatever its name."""
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise unreadable(path, place, error) from None
    if start.startswith((LOCAL_SIGNATURE, b"PK\x05\x06")):
        return "zip"
    if start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")):
        return "compressed tar"
    if start[257:262] == b"ustar":
        return "tar"
    message = f"{path} is neither a folder, nor a zip or tar archive"
    raise DataError(Problem(place, message, "unpack it, or name a folder"))
