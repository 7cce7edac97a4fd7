"""Lists zip and tar archives. An archive with any harmful entry is refused."""

import bz2
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

from dltool.data.files.listing import KINDS, Listing, Member, listing, refuse, refused_name, times_of, too_large
from dltool.errors import ConfigPath, DataError, Problem

DAMAGED = (
    *(OSError, EOFError, ValueError, LookupError, OverflowError, RuntimeError),
    *(struct.error, zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
)
"""What Python's modules raise for damaged archives and compressed files."""
# Text shrinks to a tenth, silence to a hundredth; a bomb (deflate's maximum) to a thousandth.
LARGEST_RATIO = 200
SMALL = 2**20
# tarfile reads names and attributes of any length into memory.
LONGEST_TAR_HEADER = 2**20
ENCRYPTED = 1
TAR_KINDS = {
    **dict.fromkeys((tarfile.SYMTYPE, tarfile.LNKTYPE), "a link"),
    **dict.fromkeys((tarfile.CHRTYPE, tarfile.BLKTYPE), "a device"),
    tarfile.FIFOTYPE: "a FIFO",
}


def list_zip(path: Path, place: ConfigPath) -> Listing:
    """List the files of a zip, each identified by its CRC-32. Raises DataError: a damaged archive; paths out of it,
    links, devices, encryption, duplicate names, a bomb."""
    with damage(path, place), zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    # Some programs write backslashes between folders.
    names = [entry.filename.replace("\\", "/") for entry in entries]
    repeated = repeated_names(names)
    members: list[Member] = []
    folders: list[str] = []
    offenders: list[tuple[str, str]] = []
    for name, entry in zip(names, entries, strict=True):
        why = refused_name(name) or ("twice in it" if name in repeated else "") or refused_in_zip(entry)
        if why:
            offenders.append((name, why))
        elif name.endswith("/"):
            folders.append(name.rstrip("/"))
        else:
            where = entry.header_offset, entry.compress_size, entry.compress_type == zipfile.ZIP_DEFLATED
            members.append(Member(name, entry.file_size, f"{entry.CRC:08x}", *where))
    if sum(member.stored for member in members) > path.stat().st_size:
        offenders.append((path.name, "its files overlap, as in a zip bomb"))
    refuse(path, offenders, place)
    return listing(members, folders)


def refused_in_zip(entry: zipfile.ZipInfo) -> str:
    """Return why an entry of a zip is refused, or an empty string."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return KINDS.get(kind, "not a file")
    if entry.flag_bits & ENCRYPTED:
        return "encrypted"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"compressed by method {entry.compress_type}; only deflate is read"
    if entry.compress_type == zipfile.ZIP_STORED and entry.file_size != entry.compress_size:
        return "its two sizes differ"
    return too_large(entry.file_size) or bomb(entry.file_size, entry.compress_size)


def bomb(size: int, stored: int) -> str:
    is_bomb = size > max(SMALL, LARGEST_RATIO * stored)
    return f"a zip bomb: {stored:,} bytes that declare {size:,}" if is_bomb else ""


def repeated_names(names: list[str]) -> set[str]:
    return {name for name, count in Counter(names).items() if count > 1}


def list_tar(path: Path, place: ConfigPath) -> Listing:
    """List the files of a tar, compressed or not. Raises DataError as :func:`list_zip`."""
    status = path.stat()
    members: list[Member] = []
    folders: list[str] = []
    offenders: list[tuple[str, str]] = []
    total = 0
    with damage(path, place), uncompressed(path) as file, tarfile.open(fileobj=bounded(file), mode="r:") as archive:
        for entry in archive:
            name = tidy(entry.name)
            total += entry.size
            giant = too_large(entry.size) or bomb(total, status.st_size)
            if why := giant or refused_name(name) or refused_in_tar(entry):
                offenders.append((entry.name, why))
            elif entry.isdir():
                folders.append(name)
            else:
                identity = f"{times_of(status)}:{status.st_size}:{entry.offset_data}"
                members.append(Member(name, entry.size, identity, entry.offset_data, entry.size))
            if giant:
                # Continuing would unpack it.
                break
        else:
            check_end(archive, file)
    offenders += [(name, "twice in it") for name in sorted(repeated_names([member.name for member in members]))]
    refuse(path, offenders, place)
    return listing(members, [folder for folder in folders if folder])


def check_end(archive: tarfile.TarFile, file: IO[bytes]) -> None:
    """Raise ValueError for a damaged or missing header, which tarfile reads as the end."""
    file.seek(archive.offset)
    if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise ValueError(f"neither a header nor the end of the tar is at its byte {archive.offset:,}")


def tidy(name: str) -> str:
    """Normalize "./train/cat" to "train/cat". Other oddities stay, to be refused."""
    while name.startswith("./"):
        name = name[2:]
    return "" if name == "." else name


def refused_in_tar(entry: tarfile.TarInfo) -> str:
    """Return why an entry of a tar is refused, or an empty string."""
    if entry.isfile() or entry.isdir():
        return "a file with holes" if entry.issparse() else ""
    return TAR_KINDS.get(entry.type, "not a file")


@contextmanager
def uncompressed(path: Path) -> Iterator[IO[bytes]]:
    """Open the bytes of the tar itself."""
    openers: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
    with path.open("rb") as file:
        opener = openers.get(file.read(2))
    with (opener or open)(path, "rb") as opened:
        yield opened


def bounded(file: IO[bytes]) -> Any:
    """Return the file with a limit for each read: headers that declare gigabytes are refused unread."""

    def read(size: int = -1) -> bytes:
        if not 0 <= size <= LONGEST_TAR_HEADER:
            raise ValueError("a header of it is absurdly long")
        return file.read(size)

    return SimpleNamespace(read=read, seek=file.seek, tell=file.tell)


@contextmanager
def damage(path: Path | str, place: ConfigPath) -> Iterator[None]:
    try:
        yield
    except DAMAGED as error:
        raise DataError(Problem(place, f"{path} is damaged: {error}", "write or copy it again")) from None
