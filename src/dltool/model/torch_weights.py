"""Weights that PyTorch wrote, as safetensors, for Keras layers: each layer takes those of the module with its name."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dltool.durable_files import disk_errors
from dltool.errors import RunError
from dltool.model.calls import call_of, calls
from dltool.model.weights_file import LayerWeights

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
INTEGERS = {"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
MOST_HEADER = 100_000_000
"""The format's own limit, in bytes."""

NORMALIZATION = ("weight", "bias", "running_mean", "running_var")
TENSORS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("conv1d", "conv2d", "conv3d", "depthwise_conv1d", "depthwise_conv2d", "dense"), ("weight", "bias")
    ),
    **dict.fromkeys(("layer_normalization", "group_normalization"), ("weight", "bias")),
    "batch_normalization": NORMALIZATION,
    "embedding": ("weight",),
}
"""PyTorch's names of the weights of each kind of layer, in Keras's order."""
COUNTER = "num_batches_tracked"
"""A number beside the statistics of a batch normalization, which Keras does not have."""


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of floats by name: 8 bytes with the length of a JSON header, the header, then raw values.

    Source: https://github.com/huggingface/safetensors#format. Raises RunError: it is not such a file."""
    with disk_errors(path, "read"):
        data = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)
    length = int.from_bytes(data[:8].tobytes(), "little")
    if len(data) < 8 or length > min(MOST_HEADER, len(data) - 8):
        raise RunError(f"{path} is not a safetensors file")
    try:
        header = json.loads(data[8 : 8 + length].tobytes())
        values, tensors, claimed = data[8 + length :], {}, 0
        for name, entry in header.items():
            if name == "__metadata__" or entry["dtype"] in INTEGERS:
                continue
            dtype, shape, (begin, end) = np.dtype(DTYPES[entry["dtype"]]), tuple(entry["shape"]), entry["data_offsets"]
            if not all(type(size) is int and size >= 0 for size in (*shape, begin, end)):
                raise ValueError(name)
            claimed += max(end - begin, 0)
            # Tensors that share bytes could take any amount of memory.
            if end > len(values) or claimed > len(values) or end - begin != math.prod(shape) * dtype.itemsize:
                raise ValueError(name)
            raw = values[begin:end].tobytes()
            array = np.frombuffer(raw, dtype).reshape(shape)
            # bfloat16 is the upper half of a float32.
            tensors[name] = (array.astype("<u4") << 16).view("<f4") if entry["dtype"] == "BF16" else array
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunError(f"{path} is damaged: its header cannot be read: {str(error)[:100]}") from None
    return tensors


def torch_modules(tensors: Mapping[str, np.ndarray], own: Mapping[str, LayerWeights]) -> dict[str, LayerWeights]:
    """Return the weights of PyTorch's modules in Keras's layout, by the names of the layers in `own`.

    A module `blocks.0.conv` is the layer `blocks_0_conv` or `blocks/0/conv`: ".", "/" and "_" are the same. Modules
    whose layer is of another kind, or of none that has such weights, keep PyTorch's layout and fit no layer."""
    modules: dict[str, dict[str, np.ndarray]] = {}
    for name, tensor in tensors.items():
        module, _, weight = name.rpartition(".")
        modules.setdefault(plain(module), {})[weight] = tensor
    layers = {plain(name): name for name in own}
    found = {}
    for module, weights in modules.items():
        name = layers.get(module, module)
        kind = own[name].kind if name in own else ""
        order = [each for each in TENSORS.get(kind, ()) if each in weights]
        is_whole = name in own and set(weights) - {COUNTER} == set(order)
        arrays = weights
        if is_whole:
            targets = [own[name].arrays.get(f"vars/{index}") for index, _ in enumerate(order)]
            moved = [in_keras_layout(kind, weights[each], to) for each, to in zip(order, targets, strict=True)]
            arrays = {f"vars/{index}": array for index, array in enumerate(moved)}
        found[name] = LayerWeights(kind, arrays)
    return found


def plain(name: str) -> str:
    return name.replace(".", "_").replace("/", "_")


def in_keras_layout(kind: str, array: np.ndarray, target: Any) -> np.ndarray:
    """Return a weight of PyTorch's with Keras's order of axes: of a dense layer (out, in) → (in, out); of a convolution
    (out, in, *kernel) → (*kernel, in, out); of a depthwise one (in · multiplier, 1, *kernel) → (*kernel, in,
    multiplier), as in `target`."""
    if array.ndim < 2 or kind == "embedding":
        return array
    moved = array.transpose((*range(2, array.ndim), 1, 0))
    is_depthwise = kind.startswith("depthwise") and target is not None and target.size == moved.size
    return moved.reshape(target.shape) if is_depthwise and moved.shape[:-2] == target.shape[:-2] else moved


def flattened_inputs(core: keras.Model) -> set[str]:
    """Return the names of the dense layers that take a flattened image: their weights have another order, as PyTorch
    flattens the channels first and Keras last."""
    found = set()
    for call in calls(core):
        inputs = call.inputs if isinstance(call.layer, keras.layers.Dense) else ()
        while len(inputs) == 1:
            before = call_of(inputs[0])
            if isinstance(before.layer, keras.layers.Flatten | keras.layers.Reshape):
                found |= {call.layer.name} if before.inputs[0].shape[-1] != inputs[0].shape[-1] else set()
            inputs = () if getattr(before.layer, "weights", ()) else before.inputs
    return found
