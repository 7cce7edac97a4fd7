"""A disk that fails, dies or loses power at a chosen operation.

It stands between the writing modules and the system: `write` (through the files that these modules open), `fsync`,
`rename`, `unlink` and `mkdir` are numbered from 1 in the order in which they are called. What HDF5 and zip write on
their own is not numbered; their fsync and rename are.

After a power loss, in the worst case, a file has the bytes of its last fsync, and a folder the names of its last fsync.
A file system may also have kept more than that. Three cases stand for all:

    nothing    of what was not synced has reached the disk
    unlinks    only removals have
    names      all names have, but no bytes
"""

import builtins
import contextlib
import errno
import io
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dltool import durable_files
from dltool.runs import checkpoint_file
from dltool.runs import directory as run_directory
from dltool.runs import files as run_files

CASES = ("nothing", "unlinks", "names")
REAL = {name: getattr(os, name) for name in ("fsync", "replace", "rename", "unlink", "mkdir")}
ORIGINAL = dict(REAL)
"""What to put back: a test may seed a bug in REAL."""
OPENING = (checkpoint_file, durable_files, run_directory, run_files)


@dataclass
class Disk:
    """Installed, it calls `before(number, operation)` before each operation, which may raise, kill or look."""

    root: Path
    before: Callable[[int, str], None]
    after_sync: Callable[[int], None] = lambda descriptor: None
    removed: Callable[[Path], None] = lambda path: None
    operations: list[str] = field(default_factory=list)
    turn: Any = field(default_factory=threading.RLock)

    def counts(self, operation: str, path: Any) -> None:
        if isinstance(path, int):
            where = os.readlink(f"/proc/self/fd/{path}")
        else:
            # The folder may be named by its open descriptor.
            where = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        if where.startswith(str(self.root)):
            self.operations.append(f"{operation} {where.removeprefix(str(self.root))}")
            self.before(len(self.operations), operation)

    def install(self) -> None:
        # One after the other: whoever looks at the disk sees an integer of operations.
        def fsync(descriptor: int) -> None:
            with self.turn:
                self.counts("fsync", descriptor)
                REAL["fsync"](descriptor)
                self.after_sync(descriptor)

        def unlink(path: Any, **options: Any) -> None:
            with self.turn:
                self.counts("unlink", path)
                if not options:
                    self.removed(Path(path))
                REAL["unlink"](path, **options)

        def on_first(name: str) -> Callable[..., None]:
            def operate(path: Any, *arguments: Any, **options: Any) -> None:
                with self.turn:
                    self.counts(name, path)
                    REAL[name](path, *arguments, **options)

            return operate

        def open_file(file: Any, mode: str = "r", buffering: int = -1, **options: Any) -> Any:
            if not isinstance(file, int) and "x" not in mode and "w" not in mode and "+" not in mode:
                return builtins.open(file, mode, buffering, **options)
            if "b" not in mode or mode == "rb":
                return builtins.open(file, mode, buffering, **options)
            raw = Raw(file, mode.replace("b", ""))
            raw.disk = self
            return raw if buffering == 0 else io.BufferedWriter(raw)

        os.fsync, os.unlink = fsync, unlink  # type: ignore[assignment]
        for name in ("replace", "rename", "mkdir"):
            setattr(os, name, on_first(name))
        for module in OPENING:
            module.open = open_file  # type: ignore[attr-defined]

    @staticmethod
    def remove() -> None:
        for name, function in ORIGINAL.items():
            setattr(os, name, function)
        for module in OPENING:
            with contextlib.suppress(AttributeError):
                del module.open

    @contextlib.contextmanager
    def installed(self) -> Iterator["Disk"]:
        self.install()
        try:
            yield self
        finally:
            self.remove()


class Raw(io.FileIO):
    """A file whose every write(2) is an operation; one that fails has written a half."""

    disk: Disk

    def write(self, data: Any) -> int:
        with self.disk.turn:
            try:
                self.disk.counts("write", self.fileno())
            except OSError:
                super().write(memoryview(data).cast("B")[: len(data) // 2])
                raise
            return super().write(data)


def failing(number: int, code: int) -> Callable[[int, str], None]:
    """The operation with this number fails. A full disk then stays full; removing still works on it.

    The suite gives each operation one of three errors in turn, not each of them all three.
    """

    def before(current: int, operation: str) -> None:
        full = code == errno.ENOSPC and current > number and operation not in ("unlink", "rename", "replace")
        if current == number or full:
            raise OSError(code, os.strerror(code))

    return before


@dataclass
class Durable:
    """What would be on the disk after a power loss. `root` and what it holds at first are durable."""

    root: Path
    contents: dict[int, bytes] = field(default_factory=dict)
    names: dict[int, dict[str, int]] = field(default_factory=dict)
    unlinked: set[tuple[int, str, int]] = field(default_factory=set)
    pinned: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        for folder, _, files in os.walk(self.root):
            for path in (folder, *(os.path.join(folder, file) for file in files)):
                descriptor = os.open(path, os.O_RDONLY)
                self.synced(descriptor)
                os.close(descriptor)

    def synced(self, descriptor: int) -> None:
        """After an fsync."""
        status = os.fstat(descriptor)
        # Held open, so that the number of the inode is not used again.
        self.pinned.append(os.dup(descriptor))
        if stat.S_ISDIR(status.st_mode):
            with os.scandir(descriptor) as entries:
                self.names[status.st_ino] = {entry.name: entry.inode() for entry in entries}
            self.unlinked = {key for key in self.unlinked if key[0] != status.st_ino}
        elif stat.S_ISREG(status.st_mode):
            self.contents[status.st_ino] = Path(f"/proc/self/fd/{descriptor}").read_bytes()

    def removed(self, path: Path) -> None:
        """Before an unlink."""
        with contextlib.suppress(FileNotFoundError):
            self.unlinked.add((os.stat(path.parent).st_ino, path.name, os.stat(path, follow_symlinks=False).st_ino))

    def image(self, case: str) -> dict[str, bytes | None]:
        """The files by path, and None for a folder, after a power loss now."""
        found: dict[str, bytes | None] = {}
        # Folders and links are told by what they are now; the number of an inode that is gone is a file's.
        now = {os.stat(folder).st_ino: folder for folder, _, _ in os.walk(self.root)}

        def add(folder: int, path: str) -> None:
            names = self.names.get(folder, {})
            if case == "names" and folder in now:
                names = {entry.name: entry.inode() for entry in os.scandir(now[folder])}
            for name, number in names.items():
                if case == "unlinks" and (folder, name, number) in self.unlinked:
                    continue
                where = f"{path}{name}"
                if number in now:
                    found[where] = None
                    add(number, f"{where}/")
                elif name != "latest":
                    found[where] = self.contents.get(number, b"")

        add(os.stat(self.root).st_ino, "")
        return found


def write_image(image: dict[str, bytes | None], folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, data in image.items():
        path = folder / name
        if data is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


@dataclass
class PowerLosses:
    """Collects the distinct images of a power loss before each operation, each with what had been promised by then."""

    root: Path
    promised: int = -1
    images: list[tuple[dict[str, bytes | None], int]] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)

    def disk(self) -> Disk:
        self.durable = Durable(self.root)
        return Disk(self.root, lambda number, operation: self.look(), self.durable.synced, self.durable.removed)

    def look(self) -> None:
        for case in CASES:
            image = self.durable.image(case)
            key = hash((self.promised, tuple(sorted((name, data) for name, data in image.items() if data is not None))))
            if key not in self.seen:
                self.seen.add(key)
                self.images.append((image, self.promised))

    def promise(self, step: int) -> None:
        """A checkpoint of this step is said to be on the disk."""
        self.promised = step
        self.look()


# --- seeded bugs: each must be found ---


def without_file_sync() -> None:
    real = durable_files.sync
    durable_files.sync = lambda path: real(path) if Path(path).is_dir() else None


def without_folder_sync() -> None:
    real = durable_files.sync
    durable_files.sync = lambda path: None if Path(path).is_dir() else real(path)
