"""Preprocessing layers with state: fitted on the training examples alone, saved, and restored bit for bit."""

import io
import json
import math
import os
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dltool.config.columns import LEAST_TOKENS
from dltool.config.keras.objects import TOKENIZER, KerasObject
from dltool.data.arrays.npz_header import header_of_npz
from dltool.data.arrays.rows import Rows, is_text
from dltool.data.files.archives import DAMAGED
from dltool.durable_files import read_file
from dltool.errors import ConfigError, ConfigPath, Problem, RunError
from dltool.model.apply import Applied, Names, Placed, apply_layer
from dltool.model.column_states import COLUMNS, LARGEST_FILE, ColumnState
from dltool.model.hub import tokenizer_files
from dltool.model.keras_objects import KERAS_ERRORS, make, plain_message
from dltool.model.tokenizers import make_tokenizer, tokens_of

GIVEN_STATE: Mapping[str, str] = {
    "Normalization": "mean",
    "Discretization": "bin_boundaries",
    "StringLookup": "vocabulary",
    "IntegerLookup": "vocabulary",
    "TextVectorization": "vocabulary",
    TOKENIZER: "vocabulary",
}
"""The layers that are fitted on data or read from a preset, and the argument that sets their state instead."""

ARRAYS, VOCABULARY = "arrays.npz", "vocabulary.txt"
BATCH_BYTES = 2**28


@dataclass(frozen=True)
class LayerState:
    """The fitted state of one layer: arrays by name, and its vocabulary (with special tokens) if it has one."""

    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    vocabulary: Sequence[Any] | None = None


VECTOR_MODES = ("multi_hot", "count", "tf_idf")

PreprocessingState = Mapping[str, LayerState]
"""By "INDEX-LAYER", such as "0-Normalization": the index counts the config's preprocessing layers from 0."""


def learns(entry: KerasObject) -> bool:
    """Return whether the run stores the layer's state: it is fitted, or read from a file that may change."""
    return entry.name in GIVEN_STATE and (entry.arguments.get(GIVEN_STATE[entry.name]) is None or reads_file(entry))


def reads_file(entry: KerasObject) -> bool:
    """Return whether the layer's vocabulary is given as a file name."""
    return isinstance(entry.arguments.get("vocabulary"), str)


def build_preprocessing(
    layers: Sequence[KerasObject], source: Placed, names: Names, training: Rows | None, state: PreprocessingState | None
) -> list[Applied]:
    """Apply the config's preprocessing layers to `source`; restore their state from `state`, else fit them.

    `training` are the raw inputs of the training split, (examples, …). If both are None, layers keep their initial
    state, which suffices for shapes that do not depend on the data.

    Raises ConfigError: a layer cannot take its input, or cannot be fitted on the data; RunError: the saved state does
    not belong to these layers."""
    place: ConfigPath = ("data", "preprocessing")
    applied: list[Applied] = []
    raw = source.tensor
    for index, entry in enumerate(layers):
        layer_place, key = (*place, index), f"{index}-{entry.name}"
        if state is not None and learns(entry) and key not in state:
            raise RunError(f"the saved preprocessing has no state for {key}")
        kept = None if state is None else state.get(key)
        name = names.next(entry.name)
        if entry.name == TOKENIZER:
            applied.append(apply_tokenizer(entry, kept, source, layer_place, name))
        else:
            # The state holds the vocabulary, and its file may have changed.
            own = {name: value for name, value in entry.arguments.items() if kept is None or name != "vocabulary"}
            layer = make(replace(entry, arguments=own), layer_place, name=name)
            if kept is not None:
                restore_layer(layer, kept, source)
            elif training is not None and learns(entry) and not reads_file(entry):
                adapt(layer, layer_place, keras.Model(raw, source.tensor) if applied else None, training)
            applied.append(with_true_shape(entry, apply_layer(layer, [source], layer_place)))
        layer = applied[-1].layer
        source = Placed(applied[-1].output, layer_place)
        reason = "learns by gradients" if layer.trainable_weights or entry.name == "BatchNormalization" else ""
        if reason := reason or "makes a mask" * (getattr(source.tensor, "_keras_mask", None) is not None):
            message = f"{entry.name} {reason}, which does not pass between preprocessing and the model"
            raise ConfigError(Problem((*layer_place, entry.name), message, "it belongs at model.layers"))
        if getattr(source.tensor, "sparse", False) or getattr(source.tensor, "ragged", False):
            raise ConfigError(Problem(layer_place, "sparse and ragged outputs are not supported here"))
    return applied


def apply_tokenizer(
    entry: KerasObject, kept: LayerState | None, source: Placed, place: ConfigPath, name: str
) -> Applied:
    """Apply the tokenizer of a preset to texts, by its `kept` files or those of the preset.

    Raises ConfigError: the source has no texts, the length is too short, or the files are damaged."""
    inside, length = (*place, entry.name, "preset"), entry.arguments["sequence_length"]
    if length < LEAST_TOKENS:
        message = f"expected at least {LEAST_TOKENS} tokens: the start, one of the text, and the end"
        raise ConfigError(Problem((*place, entry.name, "sequence_length"), message))
    if source.tensor.dtype != "string" or source.shape:
        raise ConfigError(Problem(place, f"{entry.name} takes one text of each example, and here are other values"))
    files = {file: array.tobytes() for file, array in kept.arrays.items()} if kept is not None else None
    layer = make_tokenizer(files or tokenizer_files(entry.arguments["preset"], inside), inside, name)
    return Applied(place, entry.name, layer, tokens_of(layer, source.tensor, length), (length,), 0)


def with_true_shape(entry: KerasObject, applied: Applied) -> Applied:
    """Return `applied` with the shape that the layer really outputs. For one text an example, TextVectorization in a
    vector mode declares (1, vocabulary) and outputs (vocabulary,)."""
    shape = applied.output_shape
    if entry.name != "TextVectorization" or entry.arguments.get("output_mode") not in VECTOR_MODES or len(shape) != 2:
        return applied
    output = keras.layers.Reshape(shape[1:], name=f"{applied.layer.name}_vector")(applied.output)
    return replace(applied, output=output, output_shape=shape[1:])


def adapt(layer: Any, place: ConfigPath, before: keras.Model | None, inputs: Rows) -> None:
    """Fit `layer` on `inputs` passed through the layers `before` it; large inputs in batches."""
    rows = max(1, BATCH_BYTES // max(1, inputs[:1].nbytes * 4))
    text = is_text(inputs)

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
        message = f"{type(layer).__name__} cannot learn from the training examples: {plain_message(error)}"
        raise ConfigError(Problem(place, message)) from error


def layer_state(layer: Any) -> LayerState:
    if hasattr(layer, "preset_files"):
        return LayerState({name: np.frombuffer(content, np.uint8) for name, content in layer.preset_files.items()})
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


def restore_layer(layer: Any, state: LayerState, source: Placed) -> None:
    """Restore the fitted state into a new `layer`, to be applied to `source`."""
    try:
        if isinstance(layer, keras.layers.Normalization):
            layer.build(source.tensor.shape)
            layer.set_weights([state.arrays[name] for name in ("mean", "variance", "count")])
            layer.finalize_state()
        elif isinstance(layer, keras.layers.Discretization):
            layer.bin_boundaries = state.arrays["bin_boundaries"].tolist()
        else:
            size = len(state.vocabulary or ())
            # tf_idf weights are padded to max_tokens if the layer's output is.
            weights = state.arrays.get("idf_weights")
            layer.set_vocabulary(list(state.vocabulary or ()), None if weights is None else weights[:size])
    except KERAS_ERRORS as error:
        message = f"the saved preprocessing does not fit {type(layer).__name__}: {plain_message(error)}"
        raise RunError(message) from error


def save_preprocessing(layers: PreprocessingState, columns: Mapping[str, ColumnState], directory: Path) -> None:
    """Write one JSON file for all columns, and a folder for each layer. A folder holds `arrays.npz`, and
    `vocabulary.txt` with one JSON value a line."""
    if columns:
        (directory / COLUMNS).write_text(json.dumps(columns, ensure_ascii=False, indent=1), encoding="utf-8")
    for key, layer in layers.items():
        folder = directory / key
        folder.mkdir(parents=True, exist_ok=True)
        if layer.arrays:
            arrays: dict[str, Any] = dict(layer.arrays)
            np.savez(folder / ARRAYS, **arrays)
        if layer.vocabulary is not None:
            # Integers may be NumPy's.
            tokens = (token if isinstance(token, str) else int(token) for token in layer.vocabulary)
            lines = [json.dumps(token, ensure_ascii=False) + "\n" for token in tokens]
            (folder / VOCABULARY).write_text("".join(lines), encoding="utf-8", newline="\n")


def load_preprocessing(directory: Path) -> PreprocessingState:
    """Read the layers that :func:`save_preprocessing` wrote. Nothing is executed, and no link is followed.

    Raises RunError: a file is missing or damaged."""
    if directory.is_symlink():
        raise RunError(f"{directory} is a link; a run directory holds none")
    state = {}
    for folder in sorted(directory.iterdir()) if directory.is_dir() else ():
        if folder.name == COLUMNS:
            continue
        if not re.fullmatch(r"[0-9]{1,4}-[A-Za-z0-9]+", folder.name) or folder.is_symlink() or not folder.is_dir():
            raise RunError(f"unexpected in the saved preprocessing: {folder}")
        state[folder.name] = load_layer_state(directory, folder.name)
    return state


def load_layer_state(directory: Path, key: str) -> LayerState:
    folder = directory / key
    try:
        arrays: dict[str, np.ndarray] = {}
        if os.path.lexists(folder / ARRAYS):
            arrays = plain_arrays(read_file(directory, f"{key}/{ARRAYS}", LARGEST_FILE))
        words = None
        if os.path.lexists(folder / VOCABULARY):
            text = read_file(directory, f"{key}/{VOCABULARY}", LARGEST_FILE).decode("utf-8")
            words = [token_of(line) for line in text.split("\n") if line]
    except DAMAGED as error:
        raise RunError(f"{folder} is damaged: {error}") from error
    return LayerState(arrays, words)


def plain_arrays(content: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of an `.npz`. Raises ValueError unless they are uncompressed numbers of the declared size."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("it is compressed")
    headers = header_of_npz(io.BytesIO(content))
    is_whole = content.startswith(b"PK") and sum(member.file_size for member in members) <= len(content)
    if not is_whole or headers.keys() != {member.filename.removesuffix(".npy") for member in members}:
        raise ValueError("it holds something else than arrays, or declares more than it holds")
    for name, header in headers.items():
        is_number = isinstance(header.descr, str) and re.fullmatch(r"[<|][biuf][1248]", header.descr)
        if not is_number or math.prod(header.shape) * int(header.descr[2:]) != header.data_bytes:
            raise ValueError(f"{name} is not an array of numbers, or not whole")
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def token_of(line: str) -> str | int:
    """Parse a line of a vocabulary. Raises ValueError: it is neither a string nor an integer."""
    token = json.loads(line)
    if isinstance(token, bool) or not (isinstance(token, str) or (isinstance(token, int) and abs(token) < 2**63)):
        raise ValueError(f"{line[:60]} is neither a string nor an integer")
    return token
