"""Folders that KerasHub's `save_to_preset` writes: a network and its tokenizer, read as data and never run."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dltool.config.columns import TextColumn
from dltool.config.keras.objects import HUB, TOKENIZER, KerasObject
from dltool.config.last_layer import LAYERS
from dltool.config.schema import Config
from dltool.errors import ConfigError, ConfigPath, Problem

DESCRIPTION, WEIGHTS, CONVERTER = "config.json", "model.weights.h5", "image_converter.json"
TOKENIZER_FILE = "tokenizer.json"
VOCABULARIES = ("vocabulary.txt", "vocabulary.json", "merges.txt", "vocabulary.spm")
"""The files in the folder ASSETS: of WordPiece, of byte pairs (two), of SentencePiece."""
ASSETS = "assets/tokenizer"
EXPECTED = "expected a folder that save_to_preset of KerasHub has written"
NOT_OF_THE_NETWORK = ("name", "trainable", "dtype")
"""What the config decides, and not the preset."""


def is_folder(preset: str) -> bool:
    """Return whether a preset is the path of a folder; otherwise it is the name of a published one."""
    return "/" in preset


def preset_problems(config: Config) -> list[Problem]:
    """Return the problems of preset folders; those of networks that a run has recorded are not read."""
    places = [((*LAYERS, index, *layer.steps, "preset"), layer) for index, layer in enumerate(config.model.layers)]
    networks = [(place, str(layer.arguments["preset"])) for place, layer in places if is_unread(layer)]
    problems: list[Problem] = []
    for place, preset in (*networks, *tokenizers(config)):
        try:
            if is_folder(preset) and place[0] == "data":
                read_tokenizer(Path(preset), place)
            elif is_folder(preset):
                refuse_untokenized(config, read_preset(Path(preset), place), preset, place)
        except ConfigError as error:
            problems += error.problems
    return problems


def is_unread(layer: KerasObject) -> bool:
    """Return whether the layer is a network of KerasHub that only its preset describes."""
    return layer.name == HUB and isinstance(layer.arguments.get("preset"), str) and not layer.arguments.get("network")


def tokenizers(config: Config) -> Iterator[tuple[ConfigPath, str]]:
    """Yield the presets of the tokenizers in the config, with their config paths."""
    for index, layer in enumerate(config.data.preprocessing):
        if layer.name == TOKENIZER and isinstance(layer.arguments.get("preset"), str):
            yield ("data", "preprocessing", index, TOKENIZER, "preset"), layer.arguments["preset"]
    for name, column in (config.data.inputs or {}).items():
        if isinstance(column.options, TextColumn) and column.options.preset is not None:
            yield ("data", "inputs", name, "text", "preset"), column.options.preset


def is_for_texts(network: Mapping[str, Any]) -> bool:
    return "image_shape" not in (network.get("config") or ())


def refuse_untokenized(config: Config, network: Mapping[str, Any], preset: str, place: ConfigPath) -> None:
    """Raise ConfigError if a network for texts gets no tokens of its own vocabulary."""
    if is_for_texts(network) and preset not in [each for _, each in tokenizers(config)]:
        message = f"{network['class']} takes the tokens that its own preset makes of texts"
        hint = f"add `{TOKENIZER}: {{preset: {preset}, sequence_length: 128}}` to data.preprocessing, or of a table, "
        hint += f"`COLUMN: {{text: {{preset: {preset}, length: 128}}}}` to data.inputs"
        raise ConfigError(Problem(place, message, hint))


def read_tokenizer(folder: Path, place: ConfigPath) -> dict[str, bytes]:
    """Return the files of a preset's tokenizer by name: its description, and its vocabulary in one or two.

    Raises ConfigError: they are missing or cannot be read."""
    refuse_missing(folder, [TOKENIZER_FILE], place, "save_to_preset of the tokenizer writes it beside its network")
    paths = [folder / TOKENIZER_FILE, *(folder / ASSETS / name for name in VOCABULARIES)]
    try:
        return {path.name: path.read_bytes() for path in paths if path.is_file()}
    except OSError as error:
        raise ConfigError(Problem(place, f"{folder}: {error.strerror}", EXPECTED)) from None


def refuse_missing(folder: Path, names: list[str], place: ConfigPath, hint: str = EXPECTED) -> None:
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        message = f"{folder} has no {' and no '.join(missing)}" if folder.is_dir() else f"no such folder: {folder}"
        raise ConfigError(Problem(place, message, hint if folder.is_dir() else EXPECTED))


def read_preset(folder: Path, place: ConfigPath) -> dict[str, Any]:
    """Return the network that the files in `folder` describe, in the form of the argument `network`: its class in
    KerasHub, the arguments of the class, and the scale and offset that images are brought into its range by.

    Raises ConfigError: a file is missing or damaged, or describes something else."""
    refuse_missing(folder, [DESCRIPTION, WEIGHTS], place)
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
    """Raise ConfigError unless `network` describes one for images or for texts alone, by plain values and no other
    objects. `pad` is the token that texts are padded with."""
    name, arguments = network.get("class"), network.get("config")
    is_valid = isinstance(name, str) and network.keys() <= {"class", "config", "scale", "offset", "pad"}
    is_valid = is_valid and all(is_range(network.get(key)) for key in ("scale", "offset", "pad"))
    if not is_valid or not isinstance(arguments, Mapping):
        raise ConfigError(Problem(place, "the description of the network is damaged", EXPECTED))
    shape, words = arguments.get("image_shape"), arguments.get("vocabulary_size")
    is_for_images = isinstance(shape, list | tuple) and len(shape) == 3
    if not is_plain(arguments) or not (is_for_images or ("image_shape" not in arguments and isinstance(words, int))):
        message = f"{name} is not a network for images or texts alone"
        hint = "networks made of others are not taken; resnet_18_imagenet and bert_tiny_en_uncased are"
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
