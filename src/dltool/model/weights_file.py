"""Checks a file of weights, without Keras. As a program it does so within limits: HDF5 trusts what it reads."""

import hashlib
import re
import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from dltool.errors import RunError

CHECKSUM = "dltool_sha256"
MOST_OBJECTS = 100_000
NUMBERS = "biufc"
BFLOAT16_AS_STORED = "V2"
LONGEST_NAME = 200
SECONDS, BYTES_PER_SECOND = 4, 50_000_000
"""Processor time to start, and the least speed after that: a tenth of the usual one."""


def main(path: Path, is_signed: bool = True) -> None:
    """Check the file, with its checksum if it `is_signed`; write a reason to stdout and exit with the code of RunError,
    or be ended by the limit."""
    size = path.stat().st_size
    seconds = SECONDS + size // BYTES_PER_SECOND
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    try:
        if not is_signed and not h5py.is_hdf5(path):
            raise RunError(f"{path} is not a file of weights")
        with h5py.File(path, "r") as file:
            found = checksum(plain_arrays(file, path, size))
            if is_signed and found != str(file.attrs.get(CHECKSUM)):
                raise RunError(f"{path} is damaged: its checksum does not match")
    except RunError as error:
        sys.stdout.write(str(error))
        sys.exit(error.exit_code)


def plain_arrays(file: h5py.File, path: Path, most: int | None) -> dict[str, h5py.Dataset]:
    """Return the plain arrays by name, unread, of at most `most` bytes in total. `path` is for messages.

    HDF5 can refer to other files and declare more than a file holds. Raises RunError: this file does."""
    arrays: dict[str, h5py.Dataset] = {}
    total = 0
    pending: list[h5py.Group] = [file]
    seen = {address(file)}
    while pending:
        group = pending.pop()
        for name in group:
            full_name = f"{group.name.rstrip('/')}/{name}"
            shown = full_name[:200]
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise RunError(f"{path} has a link at {shown}; weights have none")
            item = group[name]
            dict(item.attrs)
            if address(item) in seen or len(seen) >= MOST_OBJECTS:
                raise RunError(f"{path} has a loop, or too many groups, at {shown}")
            seen.add(address(item))
            if isinstance(item, h5py.Group):
                pending.append(item)
                continue
            is_array = isinstance(item, h5py.Dataset) and item.shape is not None
            if not is_array or (item.dtype.kind not in NUMBERS and item.dtype != BFLOAT16_AS_STORED):
                raise RunError(f"{path} has something else than an array of numbers at {shown}")
            if item.external is not None or item.is_virtual:
                raise RunError(f"{path} keeps {shown} in another file; weights are in one")
            if item.chunks is not None:
                raise RunError(f"{path} has {shown} in chunks, which may be compressed; weights are plain")
            arrays[full_name] = item
            total += item.size * item.dtype.itemsize
            if most is not None and total > most:
                raise RunError(f"{path} declares more at {shown} than its {most:,} bytes can hold")
    return arrays


@dataclass(frozen=True)
class LayerWeights:
    """The weights of one layer by their place in it, `vars/0`. `kind` is its class in Keras's files, `conv2d`."""

    kind: str
    arrays: dict[str, Any]


def layers_in(
    file: h5py.File, path: Path = Path("the new weights"), most: int | None = None
) -> dict[str, LayerWeights]:
    """Return the weights of each layer in a file that Keras wrote, unread, by name: `network/conv`. Raises as
    :func:`plain_arrays`, which explains `path` and `most`."""
    found: dict[str, LayerWeights] = {}
    for place, array in plain_arrays(file, path, most).items():
        group, names, steps, kind = file, [], place.strip("/").split("/"), ""
        while len(steps) > 2 and steps[0] == "layers":
            kind, group = re.sub(r"_\d+$", "", steps[1]), group["layers"][steps[1]]
            # Files of older versions of Keras have no names.
            name = group["vars"].attrs.get("name") if "vars" in group else None
            names.append(str(name or steps[1])[:LONGEST_NAME])
            steps = steps[2:]
        if names and array.dtype != BFLOAT16_AS_STORED:
            found.setdefault("/".join(names), LayerWeights(kind, {})).arrays["/".join(steps)] = array
    return found


def checksum(arrays: Mapping[str, h5py.Dataset]) -> str:
    """Return a checksum of the arrays; HDF5 has none for arrays that are not chunked."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape} {array.attrs.get('dtype', '')}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return f"sha256:{digest.hexdigest()}"


def address(item: Any) -> Any:
    """Return the object's address in its file, the same for every hard link to it."""
    return h5py.h5o.get_info(item.id).addr


if __name__ == "__main__":
    main(Path(sys.argv[1]), is_signed="--unsigned" not in sys.argv)
