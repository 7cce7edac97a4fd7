"""Leaves files out that cannot be decoded: `on_error: skip`."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import PIL

from dltool.data.files.class_folders import Item, Labelled
from dltool.data.files.digests import names_and_times
from dltool.data.files.file_tree import Members, UnreadableMember
from dltool.data.files.listing import printable
from dltool.data.media.cache import find_digests, keep_digests
from dltool.errors import DataError, MachineError, Problem
from dltool.machine import usable_cores
from dltool.text import and_more, counted

LISTED = 100
FAULTY, GOOD = b"\0", b"\1"


def without_faulty(
    found: Labelled, members: Members, decode: Callable[[str, bytes], object], noun: str, cache: int
) -> Labelled:
    """Return the items that `decode` takes, and a warning that names the others. It is called with the name and content
    of each file, and raises UnreadableMember; its outcome is kept in the cache unless `cache` is 0.

    Raises DataError: no file for training is left."""

    def outcome(item: Item) -> bytes:
        try:
            decode(item.member.name, members.reader.read(item.member))
        except UnreadableMember:
            return FAULTY
        return GOOD

    items = [item for part in found.parts.values() for item in part]
    described = f"whole {PIL.__version__} {names_and_times(item.member for item in items)}"
    key = hashlib.sha256(described.encode()).hexdigest()[:32]
    outcomes = find_digests(key, len(items)) if cache else None
    if outcomes is None:
        with ThreadPoolExecutor(usable_cores(), f"{noun}s") as threads:
            outcomes = b"".join(threads.map(outcome, items))
        if cache:
            # Without a cache they are decoded again next time.
            with suppress(OSError, MachineError):
                keep_digests(key, outcomes)
    faulty = {item.member.name for item, each in zip(items, outcomes, strict=True) if bytes([each]) == FAULTY}
    if not faulty:
        return found
    parts = {part: tuple(each for each in some if each.member.name not in faulty) for part, some in found.parts.items()}
    if not parts["training"]:
        raise DataError(Problem(members.place, f"none of the {noun}s of {members.path} for training can be read"))
    files_are = counted(len(faulty), f"{noun} cannot be read and is", f"{noun}s cannot be read and are")
    names = [printable(item.member.name) for item in items if item.member.name in faulty]
    warning = f"{files_are} left out: {and_more(names, LISTED)}"
    kept = {part: some for part, some in parts.items() if some}
    return replace(found, parts=kept, warnings=(*found.warnings, warning))
