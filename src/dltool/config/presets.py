"""Folders that KerasHub's `save_to_preset` writes: a network's description, read as data and never run."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dltool.config.keras.objects import HUB, KerasObject
from dltool.config.last_layer import LAYERS
from dltool.errors import ConfigError, ConfigPath, Problem

DESCRIPTION, WEIGHTS, CONVERTER = "config.json", "model.weights.h5", "image_converter.json"
EXPECTED = "expected a folder that save_to_preset of KerasHub has written"
NOT_OF_THE_NETWORK = ("name", "trainable", "dtype")
"""What the config decides, and not the preset."""


def is_folder(preset: str) -> bool:
    """Return whether a preset is the path of a folder; otherwise it is the name of a published one."""
    return "/" in preset


def preset_problems(layers: Iterable[KerasObject]) -> list[Problem]:
    """Return the problems of preset folders; those of networks that a run has recorded are not read."""
    problems: list[Problem] = []
    for index, layer in enumerate(layers):
        place = (*LAYERS, index, *layer.steps, "preset")
        preset = layer.arguments.get("preset")
        if layer.name == HUB and isinstance(preset, str) and is_folder(preset) and not layer.arguments.get("network"):
            try:
                read_preset(Path(preset), place)
            except ConfigError as error:
                problems += error.problems
    return problems


def read_preset(folder: Path, place: ConfigPath) -> dict[str, Any]:
    """Return the network that the files in `folder` describe, in the form of the argument `network`: its class in
    KerasHub, the arguments of the class, and the scale and offset that images are brought into its range by.

    Raises ConfigError: a file is missing or damaged, or describes something else."""
    missing = [name for name in (DESCRIPTION, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        message = f"{folder} has no {' and no '.join(missing)}" if folder.is_dir() else f"no such folder: {folder}"
        raise ConfigError(Problem(place, message, EXPECTED))
    described = read_json(folder / DESCRIPTION, place)
    package, _, name = str(described.get("registered_name")).partition(">")
    arguments = described.get("config")
    if package != "keras_hub" or not isinstance(arguments, Mapping):
        raise ConfigError(Problem(place, f"{folder / DESCRIPTION} does not describe a network of KerasHub", EXPECTED))
    network = {"class": name, "config": {k: v for k, v in arguments.items() if k not in NOT_OF_THE_NETWORK}}
    if (folder / CONVERTER).is_file():
        network |= image_range(read_json(folder / CONVERTER, place).get("config"), folder / CONVERTER, place)
    refuse_other_networks(network, place)
    return network


def read_json(path: Path, place: ConfigPath) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, Mapping):
        raise ConfigError(Problem(place, f"{path} is damaged: it is not a JSON object", EXPECTED))
    return found


def image_range(given: Any, path: Path, place: ConfigPath) -> dict[str, Any]:
    """Return the scale and the offset of an image converter: a number each, or a list of one for each channel. Older
    ones have a mean and a variance by channel."""
    try:
        scale, offset = given.get("scale"), given.get("offset")
        if "mean" in given and "variance" in given:
            deviations = [math.sqrt(variance) for variance in given["variance"]]
            pairs = zip(given["mean"], deviations, strict=True)
            scale, offset = [scale / each for each in deviations], [-mean / each for mean, each in pairs]
    except (AttributeError, TypeError, ValueError, ZeroDivisionError):
        raise ConfigError(Problem(place, f"{path} is damaged: it has no range of values", EXPECTED)) from None
    return {} if scale is None and offset is None else {"scale": scale, "offset": offset}


def refuse_other_networks(network: Mapping[str, Any], place: ConfigPath) -> None:
    """Raise ConfigError unless `network` describes one for images alone, by plain values and no other objects."""
    name, arguments = network.get("class"), network.get("config")
    known = {"class", "config", "scale", "offset"}
    is_valid = isinstance(name, str) and isinstance(arguments, Mapping) and network.keys() <= known
    if not is_valid or not all(is_range(network.get(key)) for key in ("scale", "offset")):
        raise ConfigError(Problem(place, "the description of the network is damaged", EXPECTED))
    shape = arguments.get("image_shape") if isinstance(arguments, Mapping) else None
    if not is_plain(arguments) or not isinstance(shape, list | tuple) or len(shape) != 3:
        message = f"{name} is not a network for images alone"
        hint = "networks for texts, or made of others, are not taken: a preset for images is resnet_18_imagenet"
        raise ConfigError(Problem(place, message, hint))


def is_range(value: Any) -> bool:
    numbers = value if isinstance(value, list | tuple) else [0 if value is None else value]
    return all(isinstance(each, int | float) and math.isfinite(each) for each in numbers)


def is_plain(arguments: Any) -> bool:
    """Return whether arguments are numbers, texts and lists of them: a mapping would describe an object."""
    lists = [each for each in arguments.values() if isinstance(each, list | tuple)]
    values = [each for each in arguments.values() if not isinstance(each, list | tuple)]
    while lists:
        values += [each for each in lists[0] if not isinstance(each, list | tuple)]
        lists = [each for each in lists[0] if isinstance(each, list | tuple)] + lists[1:]
    return all(each is None or isinstance(each, bool | int | float | str) for each in values)
