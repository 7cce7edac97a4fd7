"""Preprocessing layers with state: fitted on the training examples alone, saved, and put back bit for bit."""

import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dltool.config.keras_objects import KerasObject
from dltool.errors import ConfigError, ConfigPath, Problem, RunError
from dltool.model.apply import Applied, Names, Origin, apply_layer, made_layer
from dltool.model.keras_objects import KERAS_ERRORS, plain_message

GIVEN_STATE: Mapping[str, str] = {
    "Normalization": "mean",
    "Discretization": "bin_boundaries",
    "StringLookup": "vocabulary",
    "IntegerLookup": "vocabulary",
    "TextVectorization": "vocabulary",
}
"""The layers that learn from data, and the argument that gives their state instead."""

ARRAYS, VOCABULARY = "arrays.npz", "vocabulary.txt"
BATCH_BYTES = 2**28


@dataclass(frozen=True)
class LayerState:
    """What one layer learnt: arrays by name, and a vocabulary (special tokens included) where it has one."""

    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    vocabulary: Sequence[Any] | None = None


PreprocessingState = Mapping[str, LayerState]
"""By "INDEX-LAYER", such as "0-Normalization": the index counts the config's preprocessing layers from 0."""


def learns(entry: KerasObject) -> bool:
    return entry.name in GIVEN_STATE and entry.arguments.get(GIVEN_STATE[entry.name]) is None


def build_preprocessing(
    entries: Sequence[KerasObject],
    source: Origin,
    names: Names,
    training_inputs: np.ndarray | None,
    state: PreprocessingState | None,
) -> list[Applied]:
    """The config's preprocessing layers, applied to `source`; those with state get it from `state`, else learn it.

    `training_inputs` are the raw inputs of the training part, (examples, …). With neither, layers keep their initial
    state: enough to know the shapes where they do not depend on the data.

    Raises:
        ConfigError: a layer cannot take its input, or the data cannot be learnt from.
        RunError: the saved state does not belong to these layers.
    """
    place: ConfigPath = ("data", "preprocessing")
    applied: list[Applied] = []
    raw = source.tensor
    for index, entry in enumerate(entries):
        layer_place = (*place, index)
        layer = made_layer(entry, layer_place, names)
        if learns(entry):
            if state is not None:
                restore_layer(layer, state_of(state, f"{index}-{entry.name}"), source)
            elif training_inputs is not None:
                adapt(layer, layer_place, keras.Model(raw, source.tensor) if applied else None, training_inputs)
        applied.append(apply_layer(layer, source, layer_place))
        source = Origin(applied[-1].output, layer_place)
        if getattr(source.tensor, "sparse", False) or getattr(source.tensor, "ragged", False):
            raise ConfigError(Problem(layer_place, "sparse and ragged outputs are not supported here"))
    return applied


def adapt(layer: Any, place: ConfigPath, before: keras.Model | None, inputs: np.ndarray) -> None:
    """Let `layer` learn from `inputs` after the layers `before` it, in batches where they are large."""
    rows = max(1, BATCH_BYTES // max(1, inputs[:1].nbytes * 4))
    text = inputs.dtype.kind in "OUS"

    def batches() -> Iterator[Any]:
        for first in range(0, len(inputs), rows):
            batch: Any = inputs[first : first + rows]
            if text:
                batch = keras.ops.convert_to_tensor(batch.astype(object), dtype="string")
            yield before(batch, training=False) if before is not None else batch

    try:
        if len(inputs) <= rows:
            only = next(batches())
            layer.adapt(only if text and before is None else np.asarray(only))
        else:
            layer.adapt(batches())
    except KERAS_ERRORS as error:
        raise ConfigError(
            Problem(place, f"{type(layer).__name__} cannot learn from the training examples: {plain_message(error)}")
        ) from error


def state_of(state: PreprocessingState, key: str) -> LayerState:
    if key not in state:
        raise RunError(f"the saved preprocessing has no state for {key}")
    return state[key]


def layer_state(layer: Any) -> LayerState:
    """What `layer` has learnt."""
    if isinstance(layer, keras.layers.Normalization):
        mean, variance, count = layer.get_weights()
        return LayerState({"mean": mean, "variance": variance, "count": count})
    if isinstance(layer, keras.layers.Discretization):
        return LayerState({"bin_boundaries": np.asarray(layer.bin_boundaries, dtype=np.float64)})
    arrays: dict[str, np.ndarray] = {}
    lookup = getattr(layer, "_lookup_layer", layer)
    if lookup.output_mode == "tf_idf":
        arrays["idf_weights"] = np.asarray(lookup.idf_weights_const)
    return LayerState(arrays, layer.get_vocabulary())


def restore_layer(layer: Any, state: LayerState, source: Origin) -> None:
    """Give a new `layer`, to be applied to `source`, what another one like it had learnt."""
    try:
        if isinstance(layer, keras.layers.Normalization):
            layer.build(source.tensor.shape)
            layer.set_weights([state.arrays[name] for name in ("mean", "variance", "count")])
            layer.finalize_state()
        elif isinstance(layer, keras.layers.Discretization):
            layer.bin_boundaries = state.arrays["bin_boundaries"].tolist()
        else:
            size = len(state.vocabulary or ())
            # tf_idf weights are padded to max_tokens where the layer's output is.
            weights = state.arrays.get("idf_weights")
            layer.set_vocabulary(list(state.vocabulary or ()), None if weights is None else weights[:size])
    except KERAS_ERRORS as error:
        message = f"the saved preprocessing does not fit {type(layer).__name__}: {plain_message(error)}"
        raise RunError(message) from error


def save_preprocessing(state: PreprocessingState, directory: Path) -> None:
    """Write a folder a layer: `arrays.npz`, and `vocabulary.txt` with one JSON value a line."""
    for key, layer in state.items():
        folder = directory / key
        folder.mkdir(parents=True, exist_ok=True)
        if layer.arrays:
            arrays: dict[str, Any] = dict(layer.arrays)
            np.savez(folder / ARRAYS, **arrays)
        if layer.vocabulary is not None:
            lines = [json.dumps(plain(token), ensure_ascii=False) + "\n" for token in layer.vocabulary]
            (folder / VOCABULARY).write_text("".join(lines), encoding="utf-8", newline="\n")


def plain(token: Any) -> str | int:
    return token if isinstance(token, str) else int(token)


def load_preprocessing(directory: Path) -> PreprocessingState:
    """Read what :func:`save_preprocessing` wrote. Nothing in it is executed.

    Raises:
        RunError: a file is missing or damaged.
    """
    state = {}
    for folder in sorted(directory.iterdir()) if directory.is_dir() else ():
        if not re.fullmatch(r"\d+-[A-Za-z0-9]+", folder.name) or folder.is_symlink() or not folder.is_dir():
            raise RunError(f"unexpected in the saved preprocessing: {folder.name}")
        state[folder.name] = load_layer_state(folder)
    return state


def load_layer_state(folder: Path) -> LayerState:
    arrays, vocabulary = folder / ARRAYS, folder / VOCABULARY
    if arrays.is_symlink() or vocabulary.is_symlink():
        raise RunError(f"a link in the saved preprocessing: {folder.name}")
    try:
        loaded: dict[str, np.ndarray] = {}
        if arrays.exists():
            with np.load(arrays, allow_pickle=False) as file:
                loaded = {name: file[name] for name in file.files}
        words = None
        if vocabulary.exists():
            text = vocabulary.read_text(encoding="utf-8")
            words = [json.loads(line) for line in text.split("\n") if line]
    except (OSError, ValueError, EOFError, LookupError, zipfile.BadZipFile, zlib.error) as error:
        raise RunError(f"the saved preprocessing of {folder.name} is damaged: {error}") from error
    return LayerState(loaded, words)
