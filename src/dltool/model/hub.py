"""Networks of KerasHub used as a layer: images of 0 to 255 or tokens of texts in, features out."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from dltool.config.keras.objects import HUB, PUBLISHED, KerasObject
from dltool.config.last_layer import LAYERS
from dltool.config.presets import (
    ASSETS,
    CONVERTER,
    DESCRIPTION,
    EXPECTED,
    TOKENIZER_FILE,
    VOCABULARIES,
    WEIGHTS,
    is_folder,
    is_for_texts,
    read_preset,
    read_tokenizer,
    refuse_other_networks,
    refuse_untokenized,
)
from dltool.config.schema import Config
from dltool.errors import ConfigError, ConfigPath, MachineError, Problem
from dltool.model.backbones import (
    CHANNELS,
    COLOURS,
    Related,
    WeightsFile,
    digest,
    infer_while_frozen,
    own_names,
    refuse_unreadable,
    weights_problem,
)
from dltool.model.keras_objects import KERAS_ERRORS, OUT_OF_MEMORY, TooManyParametersError, plain_message
from dltool.model.tokenizers import import_hub, make_tokenizer
from dltool.text import Shape, did_you_mean, near, quoted, shape_text


def with_networks(config: Config, is_connected: bool = True) -> Config:
    """Return the config with the network of each preset written into it, which a run then needs no preset for.

    The token of padding is left out before workers are connected (`is_connected`), as tokenizers run operations of
    TensorFlow. Raises ConfigError: a preset is unknown or damaged; MachineError: it cannot be downloaded."""
    layers = list(config.model.layers)
    for index, entry in enumerate(layers):
        if entry.name != HUB or not isinstance(entry.arguments.get("preset"), str):
            continue
        place, preset = (*LAYERS, index, *entry.steps, "preset"), entry.arguments["preset"]
        network = entry.arguments.get("network") or read_preset(folder_of(preset, place), place)
        refuse_untokenized(config, network, preset, place)
        if is_connected and is_for_texts(network) and "pad" not in network:
            network = {**network, "pad": make_tokenizer(tokenizer_files(preset, place), place).pad_token_id}
        layers[index] = replace(entry, arguments={**entry.arguments, "network": network})
    return config.model_copy(update={"model": config.model.model_copy(update={"layers": tuple(layers)})})


def tokenizer_files(preset: str, place: ConfigPath) -> dict[str, bytes]:
    """Return the files of the tokenizer of a preset. Raises as :func:`folder_of` and `read_tokenizer`."""
    return read_tokenizer(folder_of(preset, place), place)


def folder_of(preset: str, place: ConfigPath) -> Path:
    """Return the folder of a preset, which is downloaded if it has a name and KerasHub's cache does not hold it.

    Raises ConfigError: no preset has the name; MachineError: it cannot be downloaded."""
    if is_folder(preset):
        return Path(preset)
    known = import_hub(place).models.Backbone.presets
    if preset not in known:
        hint = did_you_mean(near(preset, known)) or f"a folder is written with a slash: ./{preset}"
        raise ConfigError(Problem(place, f"KerasHub has no preset {quoted(preset)}", hint))
    # KerasHub has no public name for this.
    from keras_hub.src.utils.preset_utils import get_file

    others = (CONVERTER, TOKENIZER_FILE, *(f"{ASSETS}/{name}" for name in VOCABULARIES))
    found: list[Path] = []
    for name in (DESCRIPTION, WEIGHTS, *others):
        try:
            found.append(Path(get_file(preset, name)))
        except (OSError, ValueError, ImportError) as error:
            if name in others and isinstance(error, FileNotFoundError):
                continue
            message = f"{name} of the preset {preset} cannot be downloaded from {known[preset]['kaggle_handle']}"
            hint = "with a network, or name a folder that save_to_preset has written: preset: ./folder"
            raise MachineError(Problem(place, message, hint)) from error
    return found[0].parent


def make_preset(
    entry: KerasObject, shape: Shape, place: ConfigPath, name: str, made_here: Related
) -> tuple[keras.Model, WeightsFile | None]:
    """Return the network that a preset describes, for images of `shape`, (height, width, channels), or so many tokens,
    (tokens,), and the file of its weights. The layers are those of KerasHub behind the preset's own range of values.
    Arguments and errors are as those of :func:`dltool.model.backbones.make_backbone`; MachineError also without
    KerasHub."""
    inside = (*place, *entry.steps)
    arguments = {"weights": PUBLISHED, "trainable": True, "name": name, **entry.arguments}
    described: Mapping[str, Any] = arguments["network"]
    refuse_other_networks(described, (*inside, "network"))
    title = described["class"]
    refuse_other_shape(title, described, shape, place, made_here)
    if arguments.get("output") and not is_for_texts(described):
        raise ConfigError(Problem((*inside, "output"), "only networks for texts have it", "remove it", at_key=True))
    models = import_hub(inside).models
    network_class = getattr(models, title, None)
    if not (isinstance(network_class, type) and issubclass(network_class, models.Backbone)):
        raise ConfigError(Problem((*inside, "preset"), f"KerasHub has no network {quoted(title)}", EXPECTED))
    path = None if arguments["weights"] is None else folder_of(arguments["preset"], (*inside, "preset")) / WEIGHTS
    if path is not None:
        refuse_unreadable(path, (*inside, "preset"))
    try:
        with own_names():
            made = network_class(**described["config"])
            apply = encoded if is_for_texts(described) else mapped
            # The layers themselves: phases can name them, and loading a model of Keras's own layers needs no KerasHub.
            network = keras.Model(*apply(made, described, shape, arguments.get("output")), name=arguments["name"])
    except TooManyParametersError as error:
        raise ConfigError(Problem(place, f"{title} makes the model too large: {error}")) from error
    except OUT_OF_MEMORY as error:
        raise MachineError(Problem(place, f"out of memory while building {title}")) from error
    except KERAS_ERRORS as error:
        raise ConfigError(Problem(place, f"{title}: {plain_message(error)}", related=made_here)) from error
    try:
        if path is not None:
            made.load_weights(path)
    except (OSError, *KERAS_ERRORS) as error:
        raise ConfigError(weights_problem(title, str(path), (*inside, "preset"), error)) from error
    network.trainable = arguments["trainable"]
    infer_while_frozen(network)
    return network, None if path is None else WeightsFile(path, digest(path))


def mapped(made: Any, described: Mapping[str, Any], shape: Shape, _: str | None) -> tuple[Any, Any]:
    """Return images, and what the network makes of them in its own range, if the preset has one."""
    images = inputs = keras.Input(shape, name="images")
    scale, offset = described.get("scale"), described.get("offset")
    if scale is not None or offset is not None:
        # As float32: half of its digits would be lost to mixed precision.
        values = 1.0 if scale is None else scale, 0.0 if offset is None else offset
        inputs = keras.layers.Rescaling(*values, dtype="float32", name="rescaling")(images)
    return images, made.call(inputs)


def encoded(made: Any, described: Mapping[str, Any], shape: Shape, kind: str | None) -> tuple[Any, Any]:
    """Return tokens, and what the network makes of them: of each a vector (tokens, features), with a mask that leaves
    out padding; or as `pooled_output`, one (features,): the network's own, or else that of the first token.

    Raises ValueError: the network takes something else."""
    tokens = keras.Input(shape, dtype="int32", name="tokens")
    mask = keras.ops.not_equal(tokens, described.get("pad") or 0)
    known = {"token_ids": tokens, "padding_mask": keras.ops.cast(mask, "int32")}
    known["segment_ids"] = keras.ops.zeros_like(tokens)
    if not isinstance(made.input, dict) or not made.input.keys() <= known.keys():
        raise ValueError("it takes more than the tokens of one text")
    found = made.call({name: known[name] for name in made.input})
    found = found if isinstance(found, dict) else {"sequence_output": found}
    if kind == "pooled_output":
        return tokens, found.get(kind, found["sequence_output"][:, 0])
    is_token = keras.ops.cast(mask, found["sequence_output"].dtype)[:, :, None]
    return tokens, keras.layers.Masking(name="padding")(found["sequence_output"] * is_token)


def refuse_other_shape(
    title: str, described: Mapping[str, Any], shape: Shape, place: ConfigPath, made_here: Related
) -> None:
    """Raise ConfigError unless images of `shape` have the sizes that the network needs, None for any; or so many tokens
    arrive as it takes."""
    needed, most = described["config"].get("image_shape"), described["config"].get("max_sequence_length")
    if is_for_texts(described):
        if len(shape) == 1 and not (isinstance(most, int) and (shape[0] or 0) > most):
            return
        takes, hint = (
            f"at most {most} tokens" if len(shape) == 1 else "tokens",
            "its tokenizer makes them, and no layer before it",
        )
    else:
        if len(shape) == 3 and all(size in (None, other) for size, other in zip(needed, shape, strict=True)):
            return
        takes, hint = f"images {shape_text(tuple(needed))}", "a backbone stands before Flatten and the like"
        if len(shape) == 3 and needed[2] in (None, shape[2]):
            hint = f"add `Resizing: {{height: {needed[0]}, width: {needed[1]}}}` before it"
        elif len(shape) == 3:
            hint = COLOURS if needed[2] == CHANNELS else "set channels in the source"
    message = f"{title} takes {takes}, and {shape_text(shape)} arrives"
    raise ConfigError(Problem(place, message, hint, related=made_here))
