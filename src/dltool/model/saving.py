"""Save and load a model's files: the best weights, and the model for other programs."""

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras

from dltool.durable_files import atomic_path, atomic_write, held_folder
from dltool.errors import RunError
from dltool.model.keras_objects import KERAS_ERRORS
from dltool.model.trainable import merge_lora
from dltool.model.weights_file import CHECKSUM, checksum, plain_arrays


def save_weights(core: keras.Model, path: Path) -> None:
    """Write `path` (`….weights.h5`), in a folder of a run, atomically and with a checksum in it. Raises MachineError,
    and RunError: the folder is missing or a link."""
    # In memory: on a full disk, HDF5 ends the process.
    buffer = stored_weights(core)
    with h5py.File(buffer, "r+") as file:
        file.attrs[CHECKSUM] = checksum(plain_arrays(file, Path("the new weights"), most=None))
    atomic_write(path, buffer.getvalue(), path.parent.parent)


def stored_weights(core: keras.Model) -> io.BytesIO:
    """Return the weights as the content of a `.weights.h5` file."""
    # Keras does the same for `.keras`, but has no public name for it.
    from keras.src.saving import saving_lib

    buffer = io.BytesIO()
    store = saving_lib.H5IOStore(buffer, mode="w")
    saving_lib._save_state(
        weights_alone(core), weights_store=store, assets_store=None, inner_path="", visited_saveables=set()
    )
    store.close()
    return buffer


def restore_weights(core: keras.Model, content: io.BytesIO) -> None:
    """Load the content of a `.weights.h5` file of this model."""
    from keras.src.saving import saving_lib

    store = saving_lib.H5IOStore(content, mode="r")
    saving_lib._load_state(weights_alone(core), store, assets_store=None, inner_path="", visited_saveables=set())
    store.close()


def load_weights(core: keras.Model, path: Path, *, is_own: bool = False) -> None:
    """Load weights into a model, whose layers are then plain, without LoRA; those that this process has just written
    (`is_own`) need no check.

    Raises RunError: the file is missing, damaged, or of another model."""
    if path.is_symlink() or not path.is_file():
        hint = "dltool resume writes it in the first epoch; of the trials of a search, only the best one keeps it"
        raise RunError(f"{path} is missing", hint)
    if not is_own:
        refuse_damaged(path)
    try:
        with held_folder(path.parent, path.parent.parent) as folder:
            weights_alone(core).load_weights(folder / path.name)
    except (OSError, *KERAS_ERRORS) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"{path} does not hold the weights of this model: {reason}") from None
    merge_lora(core)


def refuse_damaged(path: Path, *, is_signed: bool = True) -> None:
    """Read the file in a process of its own: damaged, it can crash HDF5 or keep it forever. Weights that dltool wrote
    are signed: they hold their checksum. Raises RunError."""
    folders = os.pathsep.join(folder for folder in sys.path if os.path.isabs(folder))
    child = subprocess.run(
        # -P: no module in the user's folder shadows one of ours.
        [sys.executable, "-P", "-m", "dltool.model.weights_file", path, *([] if is_signed else ["--unsigned"])],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": folders, "PYTHONUTF8": "1"},
        # Ctrl-C is for this process alone.
        process_group=0,
    )
    if child.returncode:
        is_known = child.returncode == RunError.exit_code
        raise RunError(child.stdout if is_known else f"{path} is damaged: HDF5 cannot read it")


def weights_alone(core: keras.Model) -> keras.Model:
    """Return the same layers without the optimizer, which Keras would save and load with the weights. A resumed run
    writes the best weights again, when the optimizer is at another step."""
    return keras.Model(core.inputs, core.outputs, name=core.name)


def save_model(full: keras.Model, path: Path) -> None:
    """Write `path` (`….keras`), a plain Keras model in a run, atomically. The same model gives the same bytes.

    Raises MachineError."""
    from keras.src.saving import saving_lib

    buffer = io.BytesIO()
    saving_lib.save_model(full, buffer)
    with (
        atomic_path(path, path.parent) as temporary,
        zipfile.ZipFile(buffer) as made,
        zipfile.ZipFile(temporary, "w") as archive,
    ):
        for member in made.infolist():
            # The earliest time that an archive can hold.
            info = zipfile.ZipInfo(member.filename)
            info.file_size = member.file_size
            with made.open(member) as source, archive.open(info, "w") as target:
                is_json = member.filename.endswith(".json")
                shutil.copyfileobj(io.BytesIO(repeatable(source.read())) if is_json else source, target)


def repeatable(document: bytes) -> bytes:
    """Return a JSON document of a `.keras` file without the time of saving, and with shared objects numbered in their
    order. Keras identifies them by their addresses in memory."""
    numbers: dict[Any, int] = {}

    def plain(found: dict[str, Any]) -> dict[str, Any]:
        if "shared_object_id" in found:
            found["shared_object_id"] = numbers.setdefault(found["shared_object_id"], len(numbers))
        return found | {"date_saved": "1980-01-01@00:00:00"} if "date_saved" in found else found

    return json.dumps(json.loads(document, object_hook=plain)).encode()
