"""A model's files: the best weights, and the model for other programs."""

from pathlib import Path

import h5py
import keras

from dltool.durable_files import atomic_path
from dltool.errors import RunError


def save_weights(core: keras.Model, path: Path) -> None:
    """Write `path` (`….weights.h5`) as a whole. Raises MachineError."""
    with atomic_path(path) as temporary:
        core.save_weights(temporary)


def load_weights(core: keras.Model, path: Path) -> None:
    """Raises RunError where the file is missing, damaged, or of another model."""
    if path.is_symlink() or not path.is_file():
        raise RunError(f"{path} is missing")
    try:
        check_self_contained(path)
        core.load_weights(path)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise RunError(f"{path} does not hold the weights of this model: {first_line(error)}") from None


def check_self_contained(path: Path) -> None:
    """HDF5 can refer to other files on the machine; weights never do.

    Raises:
        RunError: this file does.
    """
    with h5py.File(path, "r") as file:
        pending: list[h5py.Group] = [file]
        while pending:
            group = pending.pop()
            for name in group:
                link = group.get(name, getlink=True)
                if not isinstance(link, h5py.HardLink):
                    raise RunError(f"{path} has a link at {name}; weights have none")
                item = group[name]
                if isinstance(item, h5py.Group):
                    pending.append(item)
                elif item.external is not None or item.is_virtual:
                    raise RunError(f"{path} keeps {name} in another file; weights are in one")


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def save_model(full: keras.Model, path: Path) -> None:
    """Write `path` (`….keras`), a plain Keras model, as a whole. Raises MachineError."""
    with atomic_path(path) as temporary:
        full.save(temporary)
