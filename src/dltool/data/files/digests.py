"""Digests of the contents of files, which reveal changes independently of modification times."""

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np

from dltool.data.files.file_tree import Members, Reader, UnreadableMember
from dltool.data.files.listing import Member, printable
from dltool.data.media.cache import find_digests, keep_digests
from dltool.errors import ConfigPath, DataError, MachineError, Problem
from dltool.machine import usable_cores

DIGEST_BYTES = 32
CHUNK = 256
"""Files that a thread reads at a time."""


def file_digests(files: Members, *, use_cache: bool) -> np.ndarray:
    """Return (files, 32) of uint8: a sha256 of the content of each file.

    In a zip the CRC-32 stands for the content. Other files are read once: the cache keeps the digests by their names,
    sizes and times. Raises DataError: a file can no longer be read."""
    distinct = {member.name: member for member in files.members}
    rows = {name: row for row, name in enumerate(distinct)}
    key = names_and_times(distinct.values())
    if files.kind == "zip":
        found = b"".join(
            hashlib.sha256(f"{member.size} {member.identity}".encode()).digest() for member in distinct.values()
        )
    elif kept := find_digests(key, len(distinct) * DIGEST_BYTES) if use_cache else None:
        found = kept
    else:
        found = read_all(files.reader, list(distinct.values()), files.place)
        if use_cache:
            # Without a cache they are computed again next time.
            with suppress(OSError, MachineError):
                keep_digests(key, found)
    return np.frombuffer(found, np.uint8).reshape(-1, DIGEST_BYTES)[[rows[member.name] for member in files.members]]


def names_and_times(members: Iterable[Member]) -> str:
    """Return a hexadecimal sha256 of the files' names, sizes and times, or positions in a tar."""
    named = "\0".join(f"{member.name}\0{member.size}\0{member.identity}" for member in members)
    return hashlib.sha256(named.encode("utf-8", "surrogateescape")).hexdigest()


def read_all(reader: Reader, members: Sequence[Member], place: ConfigPath) -> bytes:
    def digests(first: int) -> bytes:
        return b"".join(digest_of(member) for member in members[first : first + CHUNK])

    def digest_of(member: Member) -> bytes:
        try:
            return hashlib.sha256(reader.read(member)).digest()
        except UnreadableMember as error:
            message = f"{printable(member.name)} in {reader.path} cannot be read: {error}"
            raise DataError(Problem(place, message)) from None

    with ThreadPoolExecutor(usable_cores(), "contents") as threads:
        return b"".join(threads.map(digests, range(0, len(members), CHUNK)))
