"""Predicted classes of pixels as image files, one for each image."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

import numpy as np
from PIL import Image

from dltool.config.schema import Config
from dltool.data.facts import Facts
from dltool.durable_files import atomic_write
from dltool.errors import ConfigError
from dltool.evaluation.tasks import evaluators
from dltool.evaluation.tasks.classes import ClassEvaluator


def are_masks(facts: Facts) -> bool:
    """Return whether the only target is a class for each pixel."""
    targets = [*facts.targets.values()]
    return len(targets) == 1 and targets[0].task.is_index and len(targets[0].shape) == 2


def refuse_folder(out: Path) -> None:
    """Raise ConfigError: `out` exists, or has no folder to be in."""
    if out.exists() or not out.parent.is_dir():
        why = "exists already" if out.exists() else f"there is no folder {out.parent}"
        raise ConfigError(f"--out {out}: {why}", "name a new folder for the masks")


def write_masks(
    out: Path, files: Sequence[str], outputs: Mapping[str, np.ndarray], config: Config, facts: Facts
) -> list[str]:
    """Write a PNG for each of `files` into the new folder `out`, and return their paths.

    Its pixels are what the masks of training have: grey values, or colours. Raises MachineError: it cannot be
    written."""
    (output,) = evaluators(config, facts)
    assert isinstance(output, ClassEvaluator)
    values = outputs[output.head.name]
    classes = output.decided(output.probabilities(values.reshape(-1, values.shape[-1]))).reshape(values.shape[:-1])
    pixels = pixels_of(next(iter(facts.targets.values())).class_names)[classes]
    stems = [PurePath(*(part for part in PurePath(file).parts if part not in ("/", ".."))) for file in files]
    names = [stem.with_suffix(".png") for stem in stems]
    if len({*names}) < len(names):
        names = [stem.with_name(f"{row}-{stem.name}.png") for row, stem in enumerate(stems)]
    for name, mask in zip(names, pixels, strict=True):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        Image.fromarray(mask).save(content, "PNG")
        atomic_write(out / name, content.getvalue())
    return [str(out / name) for name in names]


def pixels_of(names: Sequence[str]) -> np.ndarray:
    """Return the pixel of each class, (classes,) of uint8 or uint16, or (classes, 3) of colours; or its index."""
    if all(name.startswith("#") for name in names):
        return np.array([[*bytes.fromhex(name[1:])] for name in names], np.uint8)
    values = [int(name) for name in names if name.isdecimal()]
    values = values if len(values) == len(names) and max(values) < 2**16 else [*range(len(names))]
    return np.array(values, np.uint8 if max(values) < 256 else np.uint16)
