"""The weights that a model starts with, from another run, a file, or the copy that a run keeps of them."""

import contextlib
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from dltool.config.schema import Config, StartOptions
from dltool.errors import ConfigError, ConfigPath, Problem, RunError
from dltool.model.backbones import digest
from dltool.model.saving import refuse_damaged, restore_weights, stored_weights
from dltool.model.torch_weights import flattened_inputs, read_safetensors, torch_modules
from dltool.model.trainable import add_lora
from dltool.model.weights_file import LayerWeights, layers_in
from dltool.runs.checkpoint_file import read_checkpoint
from dltool.runs.directory import open_run
from dltool.text import and_more, did_you_mean, is_meant, joined, near, quoted, shape_text

START: ConfigPath = ("model", "start")
MOST_NAMES = 10
WEIGHTS_IN_KERAS = "model.weights.h5"
SAFETENSORS = ".safetensors"
FLATTENED = "takes a flattened image, whose values PyTorch orders otherwise"


@dataclass(frozen=True)
class StartedWeights:
    """What a model has started with: the arrays taken, by layer and place, and the fields of run.json.

    `record` has the source and its SHA-256; the layers that were taken; `new`, the reason for each layer with weights
    that was not; and `unused`, the layers of the source that the model does not have."""

    arrays: Mapping[str, np.ndarray]
    record: Mapping[str, Any]


def add_weights(config: Config, core: keras.Model, is_pretrained: bool, start: Path | None) -> StartedWeights | None:
    """Load the weights that the model starts with, if any, and return them; then add the matrices of LoRA, which
    loading would set to 0. `start` is a run's copy of the former. Raises as :func:`start_with`, :func:`start_again`."""
    started = None
    if is_pretrained and start is not None:
        started = start_again(core, start)
    elif is_pretrained and config.model.start is not None:
        started = start_with(core, config.model.start)
    add_lora(config, core)
    return started


def start_with(core: keras.Model, options: StartOptions) -> StartedWeights:
    """Load weights of the run or file that `options` name into the layers of `core` with the same name and shapes.

    Raises ConfigError: the source cannot be read, none or not all of the named layers fit."""
    place = (*START, "weights" if options.run is None else "run")
    content = stored_weights(core)
    with h5py.File(content, "r+") as file:
        order = {layer.name: index for index, layer in enumerate(core.layers)}
        own = dict(sorted(layers_in(file).items(), key=lambda each: order.get(each[0].split("/")[0], 0)))
        chosen = chosen_layers(core, own, options)
        try:
            with opened_source(options, own) as (path, found):
                mismatches = {name: mismatch(own[name], found.get(name)) for name in chosen}
                if path.suffix == SAFETENSORS:
                    mismatches |= {name: FLATTENED for name in flattened_inputs(core) if mismatches.get(name) == ""}
                refuse_mismatches(own, found, mismatches, options)
                taken = [name for name, reason in mismatches.items() if not reason]
                arrays = {
                    f"{name}/{inner}": put(target, found[name].arrays[inner])
                    for name in taken
                    for inner, target in own[name].arrays.items()
                }
                # The run itself, where the config names its latest.
                origin = {"source": str(path if options.run is None else path.parents[1]), "sha256": digest(path)}
                unused = [name for name in found if name not in own]
        except RunError as error:
            raise ConfigError(Problem(place, each.message, each.hint) for each in error.problems) from None
    restore_weights(core, content)
    new = {name: mismatches.get(name) or "is not named in layers" for name in own if name not in taken}
    return StartedWeights(arrays, {**origin, "taken": taken, "new": new, "unused": unused})


def start_again(core: keras.Model, copy: Path) -> StartedWeights:
    """Load the weights that a run keeps of its start. Raises RunError: they are damaged, or of another model."""
    kept = read_checkpoint(copy)
    content, arrays = stored_weights(core), dict(kept.arrays)
    with h5py.File(content, "r+") as file:
        own = {
            f"{name}/{inner}": array for name, each in layers_in(file).items() for inner, array in each.arrays.items()
        }
        for name, array in arrays.items():
            if name not in own or own[name].shape != array.shape:
                raise RunError(f"{copy} does not hold weights of this model: {quoted(name)}", "train a new run")
            put(own[name], array)
    restore_weights(core, content)
    return StartedWeights(arrays, kept.state)


def put(target: h5py.Dataset, array: Any) -> np.ndarray:
    """Write an array into a dataset; return it as the dataset has it."""
    target[...] = np.asarray(array)
    return np.asarray(target)


@contextlib.contextmanager
def opened_source(
    options: StartOptions, own: Mapping[str, LayerWeights]
) -> Iterator[tuple[Path, Mapping[str, LayerWeights]]]:
    """Yield the file that holds the weights, and these by layer. Raises RunError: it cannot be read."""
    path = Path(str(options.weights)) if options.run is None else open_run(Path(options.run)).best_weights
    if not path.is_file():
        raise RunError(
            f"{path} is missing", "a run has weights of its own from its first epoch on, unless data.final is none"
        )
    if path.suffix == SAFETENSORS:
        yield path, torch_modules(read_safetensors(path), own)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = path
        if path.suffix == ".keras":
            file = unpacked(path, Path(folder))
        refuse_damaged(file, is_signed=options.run is not None)
        with h5py.File(file, "r") as content:
            yield path, layers_in(content, path, file.stat().st_size)


def unpacked(path: Path, folder: Path) -> Path:
    """Write the weights of a `.keras` file into the folder. Raises RunError: it is not one that Keras wrote."""
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(WEIGHTS_IN_KERAS)
            # Keras compresses nothing.
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > path.stat().st_size:
                raise RunError(f"{path} is compressed; weights are plain")
            return Path(archive.extract(info, folder))
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} is not a model that Keras saved: {error}") from None


def chosen_layers(core: keras.Model, own: Mapping[str, Any], options: StartOptions) -> list[str]:
    """Return the layers that shall take their weights. Raises ConfigError: a pattern names no layer with weights."""
    if options.layers is None:
        return list(own)
    names = {name: name.split("/") for name in own}
    known = list(dict.fromkeys(part for parts in names.values() for part in reversed(parts)))
    ConfigError.refuse(
        Problem(
            (*START, "layers", index),
            f"no layer with weights is called {quoted(pattern)}",
            did_you_mean(near(pattern.replace("*", ""), known, 3)) or f"the layers are {and_more(known, MOST_NAMES)}",
        )
        for index, pattern in enumerate(options.layers)
        if not is_meant(known, pattern)
    )
    return [name for name, parts in names.items() if any(is_meant(parts, each) for each in options.layers)]


def mismatch(own: LayerWeights, theirs: LayerWeights | None) -> str:
    """Return why a layer cannot take the weights of the same name; empty if it can."""
    if theirs is None:
        return "is not in the source"
    ours, found = shapes(own), shapes(theirs)
    return "" if ours == found else f"has weights of shape {in_words(ours)}, and the source has {in_words(found)}"


def shapes(layer: LayerWeights) -> dict[str, tuple[int, ...]]:
    return {inner: tuple(array.shape) for inner, array in layer.arrays.items()}


def in_words(found: Mapping[str, tuple[int, ...]]) -> str:
    return joined([shape_text(shape) for _, shape in sorted(found.items())][:MOST_NAMES], "and") or "none"


def refuse_mismatches(
    own: Mapping[str, LayerWeights],
    found: Mapping[str, LayerWeights],
    mismatches: Mapping[str, str],
    options: StartOptions,
) -> None:
    """Raise ConfigError if no layer fits, or one that a pattern names does not."""
    hint = f"its layers with weights: {and_more(sorted(found), MOST_NAMES)}" if found else "it has no weights of layers"
    for index, pattern in enumerate(options.layers or ()):
        wrong = [name for name, reason in mismatches.items() if reason and is_meant(name.split("/"), pattern)]
        if wrong:
            more = f", and {len(wrong) - 1} more do not fit" if len(wrong) > 1 else ""
            message = f"{wrong[0]} {mismatches[wrong[0]]}{more}"
            raise ConfigError(Problem((*START, "layers", index), message, hint))
    if all(mismatches.values()):
        named = [f": {name} {mismatches[name]}" for name in own if name in found]
        message = f"no layer of the source has the name and shapes of one of the model{named[0] if named else ''}"
        raise ConfigError(Problem((*START, "weights" if options.run is None else "run"), message, hint))
