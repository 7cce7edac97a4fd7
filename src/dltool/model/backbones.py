"""Networks of keras.applications used as a layer: images with values 0 to 255 in, features out; weights from a file."""

import contextlib
import hashlib
import re
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from dltool.config.keras.objects import PUBLISHED, KerasObject
from dltool.config.layer_checks import missing_weights
from dltool.data.sources.download import PublishedFile, fetch, keras_cache
from dltool.errors import ConfigError, ConfigPath, MachineError, Problem, RunError
from dltool.keras_names import smallest_input
from dltool.model.keras_objects import KERAS_ERRORS, OUT_OF_MEMORY, TooManyParametersError, keras_class, plain_message
from dltool.model.saving import refuse_damaged
from dltool.text import Shape, shape_text

CHANNELS = 3
COLOURS = "channels: 3 in the source; of grey images `Concatenate: {from: [input, input, input]}` makes three"
MODELS = "models"
"""The folder for published weights in Keras's cache."""

Related = tuple[tuple[ConfigPath, str], ...]


@dataclass(frozen=True)
class WeightsFile:
    """The file that initial weights came from."""

    path: Path
    sha256: str


def make_backbone(
    entry: KerasObject, shape: Shape, place: ConfigPath, name: str, made_here: Related
) -> tuple[keras.Model, WeightsFile | None]:
    """Return the network that `entry` names, for images of `shape`, (height, width, 3), and the file of its weights.

    Its own preprocessing stands in front unless Keras builds it in, so the network takes values of 0 to 255. `name` is
    used unless the config gives one; `made_here` describes where the images come from.

    Raises ConfigError: the network cannot take such images, or the weights file belongs to another network.
    Raises MachineError: published weights are not in Keras's cache and cannot be downloaded, or memory ran out."""
    refuse_other_shapes(entry.name, shape, place, made_here)
    inside = (*place, *entry.steps)
    function = keras_class(entry, place)
    # Keras identifies a network by its name.
    arguments = {"weights": PUBLISHED, "trainable": True, "name": name, **entry.arguments}
    weights, is_trainable, title = (arguments.pop(key) for key in ("weights", "trainable", "name"))
    if missing := missing_weights(weights, (*inside, "weights")):
        raise ConfigError(missing)
    if weights not in (None, PUBLISHED):
        refuse_unreadable(Path(weights), (*inside, "weights"))
    try:
        with own_names(), files_of_keras(entry.name, (*inside, "weights")) as files, warnings.catch_warnings():
            # Warnings about small images and about layers that a file does not fit; dltool reports both itself.
            warnings.simplefilter("ignore")
            images = keras.Input(shape, name="images")
            prepared = sys.modules[function.__module__].preprocess_input(images)
            arguments |= {"include_top": False, "weights": weights, "input_tensor": prepared, "input_shape": shape}
            network = function(**arguments)
    except TooManyParametersError as error:
        raise ConfigError(Problem(place, f"{entry.name} makes the model too large: {error}")) from error
    except OUT_OF_MEMORY as error:
        raise MachineError(Problem(place, f"out of memory while building {entry.name}")) from error
    except (OSError, *KERAS_ERRORS) as error:
        path = files[0] if files else weights
        if path in (None, PUBLISHED):
            raise ConfigError(Problem(place, f"{entry.name}: {plain_message(error)}", related=made_here)) from error
        raise ConfigError(weights_problem(entry.name, str(path), (*inside, "weights"), error)) from error
    # Keras's own network takes its input as a list.
    network = keras.Model(images, network.output, name=title)
    network.trainable = is_trainable
    infer_while_frozen(network)
    path = files[0] if files else weights
    return network, None if path is None else WeightsFile(Path(path), digest(Path(path)))


def refuse_unreadable(path: Path, place: ConfigPath) -> None:
    """Raise ConfigError unless HDF5 can read all of a file of weights, which holds nothing but arrays."""
    expected = "a .weights.h5 or .h5 that Keras has written"
    if not path.is_file():
        raise ConfigError(Problem(place, f"no such file: {path}", expected))
    try:
        refuse_damaged(path, is_signed=False)
    except RunError as error:
        raise ConfigError(Problem(place, str(error), expected)) from None


def infer_while_frozen(network: keras.Model) -> None:
    """Run the network in inference mode, without dropout, while it is frozen.

    Freezing alone does so for batch normalization. `training=False` at the call does not last: the outer model
    overrides it. A class of our own would make the saved model need dltool."""
    as_built = network.call

    def call(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return as_built(inputs, training=training if network.trainable_variables else False, mask=mask)

    network.call = call


def refuse_other_shapes(name: str, shape: Shape, place: ConfigPath, made_here: Related) -> None:
    """Raise ConfigError unless `shape` is (height, width, 3) and large enough for the backbone `name`."""
    least = smallest_input(name)
    arrives = f"and {shape_text(shape)} arrives"
    needs = f"{name} takes images (height, width, {CHANNELS}) of at least {least} × {least}, {arrives}"
    hint = ""
    if len(shape) != 3:
        hint = "a backbone stands before Flatten and the like"
    elif shape[-1] != CHANNELS:
        hint = COLOURS
    elif any(size is not None and size < least for size in shape[:2]):
        hint = f"add `Resizing: {{height: {least}, width: {least}}}` before it, or more"
    if hint:
        raise ConfigError(Problem(place, needs, hint, related=made_here))


@contextlib.contextmanager
def own_names() -> Iterator[None]:
    """Restart Keras's counters of layer names within the block, so that names are the same in every process."""
    # Keras has no public name for this.
    from keras.src.backend.common import global_state
    from keras.src.utils.naming import reset_uids

    counts = global_state.get_global_attribute("object_name_uids")
    reset_uids()
    try:
        yield
    finally:
        global_state.set_global_attribute("object_name_uids", counts)


@contextlib.contextmanager
def files_of_keras(name: str, place: ConfigPath) -> Iterator[list[str]]:
    """Download Keras's published files with dltool's code within the block, and list them. Keras's own download has no
    timeout and fails with a bare Exception."""
    from keras.src.utils import file_utils

    got: list[str] = []

    def get_file(fname: str, origin: str, cache_subdir: str = MODELS, file_hash: str | None = None) -> str:
        file = PublishedFile(fname, origin, md5=file_hash, folder=cache_subdir)
        hint = "put the file there, or name one of your own: weights: PATH"
        fetch(file, f"the file of {name}'s weights", place, hint)
        got.append(str(keras_cache(cache_subdir) / fname))
        return got[-1]

    original = file_utils.get_file
    file_utils.get_file = get_file
    try:
        yield got
    finally:
        file_utils.get_file = original


MISMATCHES = (
    r"for object <\w+ name=([^,>]+).*variable\.shape=(\([^)]*\)), Received: value\.shape=(\([^)]*\))",
    r"\(named ([^)]+)\).*expects shape (\([^)]*\))\. Received saved weight with shape (\([^)]*\))",
    r"Layer '([^']+)' expected (\d+) variables, but received (\d+)",
)
"""Keras's messages for a layer that a file does not fit: its name, and shape or number of weights in layer and file."""


def weights_problem(name: str, path: str, place: ConfigPath, error: BaseException) -> Problem:
    """Describe why the file at `path` cannot be the weights of the backbone `name`."""
    if isinstance(error, OSError) or "File format not supported" in str(error):
        reason = f": {error}" if isinstance(error, OSError) else ""
        return Problem(place, f"{path} is not a file of weights{reason}", "a .weights.h5 or .h5 that Keras has written")
    hint = f"only {name} itself, with the same arguments, has weights that fit"
    found = next((match for pattern in MISMATCHES if (match := re.search(pattern, str(error), re.DOTALL))), None)
    if found is None:
        return Problem(place, f"{path} does not fit {name}: {plain_message(error)}", hint)
    layer, needed, there = found.groups()
    what = "weights of shape " if needed.startswith("(") else "weights: "
    return Problem(place, f"{path} does not fit {name}: {layer} has {what}{needed}, and the file has {there}", hint)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
