"""Checkpoint files: a list of arrays and a JSON state in one file that is either valid or refused.

    magic             8 bytes
    header's length   8 bytes, little-endian
    header            JSON: format, step, state, and each array's name, shape and dtype
    arrays            raw, C order, little-endian, concatenated
    sha256            32 bytes, of everything before

Nothing in it can be executed. A directory keeps the newest two. A thread writes them, so that training does not wait
for the disk."""

import hashlib
import json
import math
import os
import re
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from dltool.durable_files import atomic_path, disk_errors, held_folder, open_file
from dltool.errors import MachineError, RunError
from dltool.runs.files import is_deep
from dltool.text import os_words

Arrays = Sequence[tuple[str, np.ndarray]]
MAGIC = b"dltool\x00\x01"
FORMAT = 1
FILE_NAME = re.compile(r"([0-9]{10}|[1-9][0-9]{10,})\.ckpt")
REMOVED = "`dltool runs prune --checkpoints` removes them, and a search those of all trials but the best"
HEADER_LIMIT = 64 * 2**20
CHUNK = 2**20
SECONDS_BETWEEN = 1.0
"""Least time between the starts of two writes: epochs may take milliseconds."""
DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
)


@dataclass(frozen=True)
class ArraySignature:
    """The name, shape and dtype that must match for an array to be restored."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """Return the size in bytes."""
        return math.prod(self.shape) * _storage(self.dtype).itemsize


@dataclass(frozen=True)
class Checkpoint:
    """Named arrays in order and the JSON state at global step `step`."""

    step: int
    arrays: tuple[tuple[str, np.ndarray], ...]
    state: Mapping[str, Any]


def checkpoint_path(directory: Path, step: int) -> Path:
    return directory / f"{step:010d}.ckpt"


def write_checkpoint(
    directory: Path, step: int, arrays: Arrays, state: Mapping[str, Any], before: int | None = None
) -> Path:
    """Write the checkpoint of global step `step`, then remove all but it and the newest one before it.

    `before` is the step of an older checkpoint that is known to be valid; one between the two may be damaged. `state`
    is anything JSON can hold, infinities and NaN too. The file is synced when this returns. Raises MachineError: the
    disk refuses; existing checkpoints are then unchanged. Raises ValueError: a checkpoint cannot hold a dtype."""
    for name, array in arrays:
        if array.dtype.name not in DTYPES:
            raise ValueError(f"{name}: a checkpoint cannot hold {array.dtype.name}")
    array_headers = [{"name": name, "shape": array.shape, "dtype": array.dtype.name} for name, array in arrays]
    header = json.dumps({"format": FORMAT, "step": step, "state": state, "arrays": array_headers}).encode()
    path = checkpoint_path(directory, step)
    if len(header) > HEADER_LIMIT:
        # read_checkpoint would refuse a longer one.
        message = f"{path}: a header of {len(header):,} bytes exceeds the limit of {HEADER_LIMIT:,}"
        raise MachineError(message, "it holds the history of all epochs: train fewer epochs, or use fewer metrics")
    with atomic_path(path, directory.parent) as temporary, open(temporary, "xb") as file:
        digest = hashlib.sha256()
        _write(file, digest, MAGIC + len(header).to_bytes(8, "little") + header)
        for _, array in arrays:
            stored = array.view(np.uint16) if array.dtype.name == "bfloat16" else array
            stored = np.asarray(stored, _storage(array.dtype.name), order="C")
            _write(file, digest, stored.reshape(-1).view(np.uint8).data)
        file.write(digest.digest())
    _remove_all_but_newest_two(directory, step, before)
    return path


def read_checkpoint(path: Path) -> Checkpoint:
    """Read and verify one checkpoint. Memory is allocated only for existing bytes. Raises RunError."""
    with open_file(path.parent, path.name) as file:
        try:
            return _read(file, str(path))
        except OSError as error:
            raise RunError(f"{path}: {os_words(error)}") from error


def has_checkpoints(directory: Path) -> bool:
    """Return whether any checkpoint exists, valid or not."""
    return bool(_steps(directory))


def newest_checkpoint(directory: Path) -> tuple[Checkpoint, tuple[str, ...]]:
    """Return the newest valid checkpoint, and why each newer one is invalid. Raises RunError: there is none."""
    skipped: list[str] = []
    for step in sorted(_steps(directory), reverse=True):
        try:
            return read_checkpoint(checkpoint_path(directory, step)), tuple(skipped)
        except RunError as error:
            skipped.append(str(error))
    if skipped:
        raise RunError(f"there is no valid checkpoint in {directory}: " + "; ".join(skipped))
    raise RunError(f"there is no checkpoint in {directory}", REMOVED)


class CheckpointWriter:
    """A thread that writes submitted states in order. A newer one replaces a waiting one; the last is always written.

    A failed write is raised by the next :meth:`submit` or at the end of the block, so no run completes without its last
    checkpoint. `since` is the step of the checkpoint that training resumes from; newer ones are damaged."""

    def __init__(self, directory: Path, since: int | None = None) -> None:
        self.directory = directory
        self.before = since
        self.changed = threading.Condition()
        self.waiting: tuple[int, Arrays, Mapping[str, Any]] | None = None
        self.failure: BaseException | None = None
        self.is_closing = False
        self.began = -math.inf
        self.thread = threading.Thread(target=self.work, name="checkpoints")

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        with self.changed:
            self.is_closing = True
            self.changed.notify()
        self.thread.join()
        # Another error, such as a stop, must not hide a failed write.
        if self.failure is not None and error is not self.failure:
            raise self.failure from error

    def submit(self, step: int, arrays: Arrays, state: Mapping[str, Any]) -> None:
        """Queue the state of global step `step`. The arrays must not change afterwards. Raises an earlier failure."""
        with self.changed:
            if self.failure is not None:
                raise self.failure
            self.waiting = (step, arrays, state)
            self.changed.notify()

    def wait(self) -> None:
        """Wait until a checkpoint is on the disk. Raises an earlier failure."""
        with self.changed:
            self.changed.wait_for(lambda: self.before is not None or self.failure is not None)
            if self.failure is not None:
                raise self.failure

    def work(self) -> None:
        while (job := self.next_job()) is not None:
            try:
                write_checkpoint(self.directory, *job, before=self.before)
                self.before = job[0]
            except BaseException as error:  # noqa: BLE001 (handed to the training, which raises it)
                self.failure = error
            with self.changed:
                self.changed.notify()
            if self.failure is not None:
                return

    def next_job(self) -> tuple[int, Arrays, Mapping[str, Any]] | None:
        """Wait for the next state to write and return it, None at the end."""
        with self.changed:
            self.changed.wait_for(lambda: self.waiting is not None or self.is_closing)
            self.changed.wait_for(lambda: self.is_closing, self.began + SECONDS_BETWEEN - time.monotonic())
            self.began = time.monotonic()
            job, self.waiting = self.waiting, None
            return job


def _storage(dtype: str) -> np.dtype[Any]:
    """Return the dtype in the file: little-endian, bfloat16 as uint16."""
    return np.dtype("uint16" if dtype == "bfloat16" else dtype).newbyteorder("<")


def _write(file: BinaryIO, digest: Any, data: bytes | memoryview) -> None:
    digest.update(data)
    file.write(data)


def _steps(directory: Path) -> list[int]:
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    return [int(match[1]) for name in names if (match := FILE_NAME.fullmatch(name))]


def remove_checkpoints(directory: Path) -> None:
    """Remove every checkpoint; the best weights stay. Raises MachineError."""
    _unlink(directory, _steps(directory))


def _remove_all_but_newest_two(directory: Path, step: int, before: int | None) -> None:
    """Remove older checkpoints, and those after `step`: they were found damaged when the run was resumed."""
    older = [other for other in _steps(directory) if other < step and (before is None or other <= before)]
    keep = {step, max(older, default=step)}
    _unlink(directory, set(_steps(directory)) - keep)


def _unlink(directory: Path, steps: Iterable[int]) -> None:
    with disk_errors(directory, "remove a checkpoint from"), held_folder(directory, directory.parent) as folder:
        for step in steps:
            with suppress(FileNotFoundError):
                os.unlink(checkpoint_path(folder, step))


def _read(file: BinaryIO, where: str) -> Checkpoint:
    file_size = os.fstat(file.fileno()).st_size
    opening = file.read(16)
    header_size = int.from_bytes(opening[8:], "little")
    if opening[:8] != MAGIC or len(opening) < 16:
        raise RunError(f"{where} is not a checkpoint, or damaged")
    if header_size > min(HEADER_LIMIT, file_size):
        raise RunError(f"{where} is damaged: it claims a header of {header_size:,} bytes")
    header = file.read(header_size)
    step, state, signatures = _parse_header(header, where)
    size = 16 + header_size + sum(signature.size for signature in signatures) + 32
    if size != file_size:
        raise RunError(f"{where} is damaged: expected {size:,} bytes, found {file_size:,}")
    digest = hashlib.sha256(opening + header)
    arrays = tuple((signature.name, _read_array(file, digest, signature, where)) for signature in signatures)
    if file.read() != digest.digest():
        raise RunError(f"{where} is damaged: its checksum does not match")
    return Checkpoint(step, arrays, state)


def _parse_header(header: bytes, where: str) -> tuple[int, dict[str, Any], tuple[ArraySignature, ...]]:
    try:
        fields = json.loads(header)
        written_in = fields["format"]
        if isinstance(written_in, int) and written_in > FORMAT:
            raise RunError(f"{where} is too new: checkpoint format {written_in}; this dltool reads format {FORMAT}")
        step, state = fields["step"], fields["state"]
        signatures = tuple(_parse_signature(entry) for entry in fields["arrays"])
        valid = written_in == FORMAT and type(step) is int and isinstance(state, dict) and not is_deep(state)
    except (ValueError, KeyError, TypeError, RecursionError):
        valid = False
    if not valid:
        raise RunError(f"{where} is damaged: its header cannot be read")
    return step, state, signatures


def _parse_signature(entry: Any) -> ArraySignature:
    name, shape, dtype = entry["name"], entry["shape"], entry["dtype"]
    dimensions_are_valid = len(shape) <= 32 and all(type(n) is int and 0 <= n < 2**48 for n in shape)
    if not isinstance(name, str) or not dimensions_are_valid or dtype not in DTYPES:
        raise ValueError("not the signature of an array")
    return ArraySignature(name, tuple(shape), dtype)


def _read_array(file: BinaryIO, digest: Any, signature: ArraySignature, where: str) -> np.ndarray:
    flat = np.empty(signature.size, np.uint8)
    for start in range(0, flat.size, CHUNK):
        chunk = flat[start : start + CHUNK].data
        if file.readinto(chunk) != len(chunk):  # type: ignore[attr-defined]
            raise RunError(f"{where} is damaged: unexpected end of file")
        digest.update(chunk)
    try:
        array = flat.view(_storage(signature.dtype)).reshape(signature.shape)
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
    except ValueError as error:
        shown = f"{signature.name} {signature.dtype}{list(signature.shape)}"
        raise RunError(f"{where} is damaged: {shown}: {error}") from None
    if signature.dtype == "bfloat16":
        from ml_dtypes import bfloat16

        return array.view(bfloat16)
    return array
