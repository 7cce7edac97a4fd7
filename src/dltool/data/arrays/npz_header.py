"""Shapes and dtypes of the arrays in `.npy` and `.npz` files, read from their headers without NumPy."""

import ast
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dltool.data.files.archives import DAMAGED

LONGEST_HEADER = 10_000


@dataclass(frozen=True)
class Header:
    """`descr` is NumPy's text for the dtype ("|u1", "<f4", "|O"), or a list of fields. `data_bytes` follow the
    header."""

    shape: tuple[int, ...]
    descr: Any
    data_bytes: int


def header_of_npz(path: str | Path | IO[bytes]) -> dict[str, Header]:
    """Return the headers by array name; empty if the file cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                member.filename.removesuffix(".npy"): header_of_npy(archive.open(member), member.file_size)
                for member in archive.infolist()
                if member.filename.endswith(".npy")
            }
    except DAMAGED:
        return {}


def header_of_npy(file: IO[bytes], total_bytes: int) -> Header:
    """Return the header of one array (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html). Raises
    ValueError: the bytes are not a `.npy` file."""
    start = file.read(8)
    if len(start) < 8 or not start.startswith(b"\x93NUMPY"):
        raise ValueError("not a .npy file")
    length_bytes = 2 if start[6] == 1 else 4
    length = int.from_bytes(file.read(length_bytes), "little")
    if length > LONGEST_HEADER:
        raise ValueError("the header is too long")
    try:
        header = ast.literal_eval(file.read(length).decode("utf-8" if start[6] >= 3 else "latin1").strip())
        shape, descr = tuple(header["shape"]), header["descr"]
    except (SyntaxError, ValueError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise ValueError("the header cannot be read") from error
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError("the shape is not one")
    return Header(shape, descr, total_bytes - 8 - length_bytes - length)
