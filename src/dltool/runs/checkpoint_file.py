"""Checkpoint files: a list of arrays and a JSON state in one file that is either valid or refused.

    magic             8 bytes
    header's length   8 bytes, little-endian
    header            JSON: format, step, state, and each array's name, shape and dtype
    arrays            raw, C order, little-endian, concatenated
    sha256            32 bytes, of everything before

Nothing in it can be executed. A directory keeps the newest two."""

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dltool.durable_files import atomic_path, disk_errors, open_file
from dltool.errors import MachineError, RunError
from dltool.runs.files import is_deep
from dltool.text import os_words

MAGIC = b"dltool\x00\x01"
FORMAT = 1
FILE_NAME = re.compile(r"([0-9]{10,})\.ckpt")
HEADER_LIMIT = 64 * 2**20
CHUNK = 2**20
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

    def __str__(self) -> str:
        return f"{self.name} {self.dtype}{list(self.shape)}"


@dataclass(frozen=True)
class Checkpoint:
    """Named arrays in order and the JSON state at global step `step`."""

    step: int
    arrays: tuple[tuple[str, np.ndarray], ...]
    state: Mapping[str, Any]


def signature_of(arrays: Sequence[tuple[str, np.ndarray]]) -> tuple[ArraySignature, ...]:
    """Return the arrays' signatures. Raises ValueError: a checkpoint cannot hold the dtype."""
    for name, array in arrays:
        if array.dtype.name not in DTYPES:
            raise ValueError(f"{name}: a checkpoint cannot hold {array.dtype.name}")
    return tuple(ArraySignature(name, array.shape, array.dtype.name) for name, array in arrays)


def checkpoint_path(directory: Path, step: int) -> Path:
    return directory / f"{step:010d}.ckpt"


def write_checkpoint(
    directory: Path,
    step: int,
    arrays: Sequence[tuple[str, np.ndarray]],
    state: Mapping[str, Any],
    before: int | None = None,
) -> Path:
    """Write the checkpoint of global step `step`, then remove all but it and the newest one before it.

    `before` is the step of an older checkpoint that is known to be valid; one between the two may be damaged. `state`
    is anything JSON can hold, infinities and NaN too. The file is synced when this returns. Raises MachineError: the
    disk refuses; existing checkpoints are then unchanged."""
    array_headers = [vars(signature) for signature in signature_of(arrays)]
    header = json.dumps({"format": FORMAT, "step": step, "state": state, "arrays": array_headers}).encode()
    path = checkpoint_path(directory, step)
    if len(header) > HEADER_LIMIT:
        # read_checkpoint would refuse a longer one.
        message = f"{path}: a header of {len(header):,} bytes exceeds the limit of {HEADER_LIMIT:,}"
        raise MachineError(message, "it holds the history of all epochs: train fewer epochs, or use fewer metrics")
    with atomic_path(path) as temporary, open(temporary, "xb") as file:
        digest = hashlib.sha256()
        _write(file, digest, MAGIC + len(header).to_bytes(8, "little") + header)
        for _, array in arrays:
            stored = array.view(np.uint16) if array.dtype.name == "bfloat16" else array
            _write(
                file, digest, np.asarray(stored, _storage(array.dtype.name), order="C").reshape(-1).view(np.uint8).data
            )
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
            checkpoint = read_checkpoint(checkpoint_path(directory, step))
        except RunError as error:
            skipped.append(str(error))
            continue
        return checkpoint, tuple(skipped)
    if skipped:
        raise RunError(f"there is no valid checkpoint in {directory}: " + "; ".join(skipped))
    raise RunError(f"there is no checkpoint in {directory}")


# --- writing ---


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
    steps = [int(match[1]) for name in names if (match := FILE_NAME.fullmatch(name))]
    return [step for step in steps if checkpoint_path(directory, step).name in names]


def remove_checkpoints(directory: Path) -> None:
    """Remove every checkpoint; the best weights stay. Raises MachineError."""
    with disk_errors(directory, "remove a checkpoint from"):
        for step in _steps(directory):
            os.unlink(checkpoint_path(directory, step))


def _remove_all_but_newest_two(directory: Path, step: int, before: int | None) -> None:
    """Remove older checkpoints, and those after `step`: they were found damaged when the run was resumed."""
    older = [other for other in _steps(directory) if other < step and (before is None or other <= before)]
    keep = {step, max(older, default=step)}
    with disk_errors(directory, "remove an old checkpoint from"):
        for other in set(_steps(directory)) - keep:
            with suppress(FileNotFoundError):
                os.unlink(checkpoint_path(directory, other))


# --- reading ---


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
    storage = _storage(signature.dtype)
    flat = np.empty(signature.size, np.uint8)
    for start in range(0, flat.size, CHUNK):
        chunk = flat[start : start + CHUNK].data
        if file.readinto(chunk) != len(chunk):  # type: ignore[attr-defined]
            raise RunError(f"{where} is damaged: unexpected end of file")
        digest.update(chunk)
    try:
        array = flat.view(storage).reshape(signature.shape).astype(storage.newbyteorder("="), copy=False)
    except ValueError as error:
        raise RunError(f"{where} is damaged: {signature}: {error}") from None
    if signature.dtype == "bfloat16":
        from ml_dtypes import bfloat16

        return array.view(bfloat16)
    return array
