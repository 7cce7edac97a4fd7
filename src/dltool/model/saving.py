"""Save and load a model's files: the best weights, and the model for other programs."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from dltool.durable_files import atomic_path, atomic_write
from dltool.errors import RunError
from dltool.model.keras_objects import KERAS_ERRORS

CHECKSUM = "dltool_sha256"
MOST_OBJECTS = 100_000
NUMBERS = "biufc"
BFLOAT16_AS_STORED = "V2"


def save_weights(core: keras.Model, path: Path) -> None:
    """Write `path` (`….weights.h5`) atomically, with a checksum in it. Raises MachineError."""
    # In memory: on a full disk, HDF5 ends the process. Keras does the same for `.keras`, but has no public name for it.
    from keras.src.saving import saving_lib

    buffer = io.BytesIO()
    store = saving_lib.H5IOStore(buffer, mode="w")
    saving_lib._save_state(
        weights_alone(core), weights_store=store, assets_store=None, inner_path="", visited_saveables=set()
    )
    arrays = plain_arrays(store.h5_file, Path("the new weights"), most=None)
    store.h5_file.attrs[CHECKSUM] = checksum(arrays)
    store.close()
    atomic_write(path, buffer.getvalue())


def load_weights(core: keras.Model, path: Path) -> None:
    """Load weights into a model. Raises RunError: the file is missing, damaged, or of another model."""
    if path.is_symlink() or not path.is_file():
        raise RunError(f"{path} is missing", "it is written after the first epoch; dltool resume resumes a run")
    try:
        with h5py.File(path, "r") as file:
            if checksum(plain_arrays(file, path, path.stat().st_size)) != str(file.attrs.get(CHECKSUM)):
                raise RunError(f"{path} is damaged: its checksum does not match")
        weights_alone(core).load_weights(path)
    except (OSError, *KERAS_ERRORS) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"{path} does not hold the weights of this model: {reason}") from None


def weights_alone(core: keras.Model) -> keras.Model:
    """Return the same layers without the optimizer, which Keras would save and load with the weights.

    A resumed run writes the best weights again, when the optimizer is at another step."""
    return keras.Model(core.inputs, core.outputs, name=core.name)


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


def save_model(full: keras.Model, path: Path) -> None:
    """Write `path` (`….keras`), a plain Keras model, atomically. Raises MachineError."""
    with atomic_path(path) as temporary:
        full.save(temporary)
