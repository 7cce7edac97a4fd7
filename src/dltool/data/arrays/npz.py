"""Reads `.npz` and `.npy` files. Pickles are refused before anything is decoded."""

import math
import sys
import zipfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np

from dltool.data.arrays.npz_header import Header, header_of_npy, header_of_npz
from dltool.data.files.archives import damage
from dltool.errors import ConfigPath, DataError, MachineError, Problem


def npz_headers(file: Path | BytesIO, shown_as: str, place: ConfigPath) -> dict[str, Header]:
    """Return the header of every array in an `.npz`. Raises DataError: not an `.npz` file, or damaged."""
    headers = header_of_npz(file)
    if headers:
        return headers
    if not zipfile.is_zipfile(file):
        hint = "np.savez writes one" + ("; for .npy files give x and y" if shown_as.endswith(".npy") else "")
        raise DataError(Problem(place, f"{shown_as} is not an .npz file", hint))
    raise DataError(Problem(place, f"{shown_as} is damaged, or holds no arrays"))


def read_npz(
    file: Path | BytesIO, names: Iterable[str], headers: dict[str, Header], shown_as: str, place: ConfigPath
) -> dict[str, np.ndarray]:
    """Read the arrays called `names`, all of which are in `headers`.

    Raises:
        DataError: pickled objects, named fields, or a damaged file.
        MachineError: an array does not fit in memory."""
    names = list(names)
    DataError.refuse(problem for name in names if (problem := refused(headers[name], name, shown_as, place)))
    arrays = {}
    if isinstance(file, BytesIO):
        file.seek(0)  # reading the headers moved it
    try:
        with damage(shown_as, place), np.load(file, allow_pickle=False) as archive:
            for name in names:
                arrays[name] = checked_text(archive[name])
    except MemoryError:
        raise too_large(headers[name], name, place) from None
    return arrays


def read_npy(path: Path, name: str, place: ConfigPath) -> np.ndarray:
    """Read the array of an `.npy` file.

    Raises:
        DataError: not an `.npy` file, pickled objects, named fields, or damaged.
        MachineError: it does not fit in memory."""
    try:
        with path.open("rb") as file:
            header = header_of_npy(file, path.stat().st_size)
    except (OSError, ValueError) as error:
        raise DataError(Problem(place, f"{path} is not an .npy file: {error}", "np.save writes one")) from None
    if problem := refused(header, name, path, place):
        raise DataError(problem)
    try:
        with damage(path, place):
            return checked_text(np.asarray(np.load(path, allow_pickle=False)))
    except MemoryError:
        raise too_large(header, name, place) from None


def refused(header: Header, name: str, file: str | Path, place: ConfigPath) -> Problem | None:
    if not isinstance(header.descr, str):
        return Problem(place, f"{name} has named fields; expected a plain array")
    if "O" in header.descr:
        message = f"{name} holds Python objects, stored as a pickle, and a pickle can run code: it is not loaded"
        hint = "save numbers or text, for example np.savez(file, x=np.array(x, dtype=np.float32))"
        return Problem(place, message, hint)
    try:
        expected = bytes_of(header)
    except (TypeError, ValueError, SyntaxError):
        return Problem(place, f"{name} has the unknown dtype {header.descr}")
    if expected != header.data_bytes:
        return Problem(place, f"{file}: {name} is damaged: expected {expected:,} bytes, found {header.data_bytes:,}")
    return None


def checked_text(array: np.ndarray) -> np.ndarray:
    """Return the array. Raises ValueError: text with numbers that are no characters, which crash Python."""
    if array.dtype.kind == "U" and array.nbytes:
        codes = np.ascontiguousarray(array).view(array.dtype.str[0] + "u4")
        if codes.max() > sys.maxunicode:
            raise ValueError("its text has characters beyond Unicode")
    return array


def bytes_of(header: Header) -> int:
    return math.prod((int(np.dtype(header.descr).itemsize), *header.shape))


def too_large(header: Header, name: str, place: ConfigPath) -> MachineError:
    message = f"{name} does not fit in memory: {header.shape} is {bytes_of(header) / 1e9:.1f} GB"
    return MachineError(Problem(place, message))
