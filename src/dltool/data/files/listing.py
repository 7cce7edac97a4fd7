"""Contents of folders and archives; names that are refused or skipped."""

import os
import re
import stat
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from dltool.errors import ConfigPath, DataError, Problem
from dltool.text import and_more, os_words, shortened

SHOWN = 10
MOST_OFFENDERS = 100
LONGEST_NAME = 1_000
LARGEST_MEMBER = 2**30
# Hidden files, and those that operating systems create.
NOT_DATA = re.compile(r"(?:^|/)(?:\.|(?:__macosx|thumbs\.db|desktop\.ini)(?:/|$))", re.IGNORECASE)
KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Member(NamedTuple):
    """One file. `name` has its folders, with slashes ("train/cat/1.jpg"); `size` is in bytes.

    `identity` changes with the content: the CRC-32 in a zip, otherwise the modification and status change times, of
    which programs can set only the first. The other fields locate it in an archive: `stored` bytes at `start`, deflated
    or not."""

    name: str
    size: int
    identity: str
    start: int = 0
    stored: int = 0
    is_deflated: bool = False


Listing = tuple[tuple[Member, ...], tuple[str, ...]]
"""The files in natural order ("2.jpg" before "10.jpg"), and all folders, including those without files."""


def listing(members: Iterable[Member], folders: Iterable[str]) -> Listing:
    """Return the files sorted, without hidden ones and those that operating systems create."""
    kept = [member for member in members if not NOT_DATA.search(member.name)]
    kept.sort(key=lambda member: natural_key(member.name))
    named = {folder for folder in folders if not NOT_DATA.search(folder)}
    for parent in {member.name.rpartition("/")[0] for member in kept}:
        parts = parent.split("/") if parent else []
        named.update("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return tuple(kept), tuple(sorted(named, key=natural_key))


# Longer runs of digits are cut into several, so that no number is too long to compare.
DIGITS = re.compile("([0-9]{1,18})")


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Return a key that sorts runs of digits as numbers. Equal ones ("1", "01") are ordered by the name itself."""
    pieces: list[str | int] = list(DIGITS.split(name))
    pieces[1::2] = map(int, pieces[1::2])
    return pieces, name


def refused_name(name: str) -> str:
    """Return why a name in an archive is refused, or an empty string."""
    if name.startswith("/") or name[1:3] == ":/":
        return "an absolute path"
    if ".." in name and ".." in name.split("/"):
        return "leads out of the archive"
    return unusable_name(name)


def unusable_name(name: str) -> str:
    if len(name) > LONGEST_NAME:
        return f"a name of {len(name):,} characters"
    if name.isascii():
        return ""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "a name that is not UTF-8"
    return ""


def refused(path: Path, offenders: Sequence[tuple[str, str]], place: ConfigPath) -> DataError:
    """Return one error that lists `offenders`: names with reasons."""
    faults = and_more([f"{printable(name)} ({why})" for name, why in offenders], SHOWN, "; ")
    return DataError(Problem(place, f"{path} is refused, nothing of it was read: {faults}"))


def printable(name: str) -> str:
    """Return a name for a message, even if it is not UTF-8 or is very long."""
    return shortened(name.encode("utf-8", "backslashreplace").decode(), 200)


def list_folder(root: Path, place: ConfigPath) -> Listing:
    """List the files below `root`. Raises DataError: links that lead out of it or in a circle, FIFOs and devices,
    unreadable folders; all of them, or the first ones if they are many."""
    members: list[Member] = []
    folders: list[str] = []
    offenders: list[tuple[str, str]] = []
    real_root = os.path.realpath(root)
    waiting = deque([("", frozenset([real_root]))])
    # Folder by folder from the top, so that wrong folders, such as /, are detected early.
    while waiting and len(offenders) < MOST_OFFENDERS:
        folder, above = waiting.popleft()
        try:
            with os.scandir(os.path.join(root, folder)) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            offenders.append((folder, os_words(error)))
            continue
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            if NOT_DATA.search(entry.name):
                continue
            why = unusable_name(name) or refused_entry(entry, real_root, above)
            if why:
                offenders.append((name, why))
            elif entry.is_dir():
                folders.append(name)
                waiting.append((name, above | {os.path.realpath(entry.path)} if entry.is_symlink() else above))
            else:
                status = entry.stat()
                members.append(Member(name, status.st_size, times_of(status)))
    if offenders:
        raise refused(root, sorted(offenders), place)
    return listing(members, folders)


def times_of(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns}:{status.st_ctime_ns}"


def refused_entry(entry: os.DirEntry[str], real_root: str, above: frozenset[str]) -> str:
    """Return why an entry of a folder is refused, or an empty string."""
    try:
        if entry.is_symlink():
            target = os.path.realpath(entry.path)
            if os.path.commonpath([real_root, target]) != real_root:
                return f"a link out of the folder, to {printable(target)}"
            # Parents that are no links are those of the link's own path.
            if entry.is_dir() and (target in above or entry.path.startswith(target + os.sep)):
                return "a link to a folder it is in"
        mode = entry.stat().st_mode
    except OSError as error:
        return "a link to nothing" if entry.is_symlink() else os_words(error)
    if stat.S_ISDIR(mode):
        return ""
    if not stat.S_ISREG(mode):
        return KINDS.get(stat.S_IFMT(mode), "not a file")
    return too_large(entry.stat().st_size)


def too_large(size: int) -> str:
    return f"{size:,} bytes; a single file may have {LARGEST_MEMBER:,}" if size > LARGEST_MEMBER else ""
