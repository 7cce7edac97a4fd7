"""Networks of KerasHub used as a layer: images with values 0 to 255 in, a feature map or tokens out."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from dltool.config.keras.objects import HUB, PUBLISHED, KerasObject
from dltool.config.last_layer import LAYERS
from dltool.config.presets import (
    CONVERTER,
    DESCRIPTION,
    EXPECTED,
    WEIGHTS,
    is_folder,
    read_preset,
    refuse_other_networks,
)
from dltool.config.schema import Config
from dltool.errors import ConfigError, ConfigPath, MachineError, Problem
from dltool.installation import install_extra
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
from dltool.text import Shape, did_you_mean, near, quoted, shape_text


def with_networks(config: Config) -> Config:
    """Return the config with the network of each preset written into it, which a run then needs no preset for.

    Raises ConfigError: a preset is unknown or damaged; MachineError: it cannot be downloaded."""
    layers = list(config.model.layers)
    for index, entry in enumerate(layers):
        if entry.name == HUB and not entry.arguments.get("network"):
            place = (*LAYERS, index, *entry.steps, "preset")
            network = read_preset(folder_of(entry.arguments["preset"], place), place)
            layers[index] = replace(entry, arguments={**entry.arguments, "network": network})
    return config.model_copy(update={"model": config.model.model_copy(update={"layers": tuple(layers)})})


def import_hub(place: ConfigPath) -> Any:
    """Return the module of KerasHub. Raises MachineError: it is not installed."""
    try:
        import keras_hub
    except ImportError:
        message = "networks of KerasHub need a package that is not installed"
        raise MachineError(Problem(place, message, install_extra("hub"))) from None
    return keras_hub


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

    found: list[Path] = []
    for name in (DESCRIPTION, WEIGHTS, CONVERTER):
        try:
            found.append(Path(get_file(preset, name)))
        except (OSError, ValueError, ImportError) as error:
            if name == CONVERTER and isinstance(error, FileNotFoundError):
                continue
            message = f"{name} of the preset {preset} cannot be downloaded from {known[preset]['kaggle_handle']}"
            hint = "with a network, or name a folder that save_to_preset has written: preset: ./folder"
            raise MachineError(Problem(place, message, hint)) from error
    return found[0].parent


def make_preset(
    entry: KerasObject, shape: Shape, place: ConfigPath, name: str, made_here: Related
) -> tuple[keras.Model, WeightsFile | None]:
    """Return the network that a preset describes, for images of `shape`, (height, width, channels), and the file of its
    weights. The layers are those of KerasHub behind the preset's own range of values. Arguments and errors are as those
    of :func:`dltool.model.backbones.make_backbone`; MachineError also without KerasHub."""
    inside = (*place, *entry.steps)
    arguments = {"weights": PUBLISHED, "trainable": True, "name": name, **entry.arguments}
    described: Mapping[str, Any] = arguments["network"]
    refuse_other_networks(described, (*inside, "network"))
    title = described["class"]
    refuse_other_shape(title, described["config"]["image_shape"], shape, place, made_here)
    models = import_hub(inside).models
    network_class = getattr(models, title, None)
    if not (isinstance(network_class, type) and issubclass(network_class, models.Backbone)):
        raise ConfigError(Problem((*inside, "preset"), f"KerasHub has no network {quoted(title)}", EXPECTED))
    path = None if arguments["weights"] is None else folder_of(arguments["preset"], (*inside, "preset")) / WEIGHTS
    if path is not None:
        refuse_unreadable(path, (*inside, "preset"))
    try:
        with own_names():
            images = keras.Input(shape, name="images")
            made = network_class(**described["config"])
            inputs = rescaled(images, described)
            # The layers themselves: phases can name them, and loading a model of Keras's own layers needs no KerasHub.
            network = keras.Model(images, made.call(inputs), name=arguments["name"])
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


def rescaled(images: Any, described: Mapping[str, Any]) -> Any:
    """Return the images in the network's own range, if the preset has one."""
    scale, offset = described.get("scale"), described.get("offset")
    if scale is None and offset is None:
        return images
    # As float32: half of its digits would be lost to mixed precision.
    values = 1.0 if scale is None else scale, 0.0 if offset is None else offset
    return keras.layers.Rescaling(*values, dtype="float32", name="rescaling")(images)


def refuse_other_shape(title: str, needed: Any, shape: Shape, place: ConfigPath, made_here: Related) -> None:
    """Raise ConfigError unless images of `shape` have the sizes that the network needs, None for any."""
    if len(shape) == 3 and all(size in (None, other) for size, other in zip(needed, shape, strict=True)):
        return
    message = f"{title} takes images {shape_text(tuple(needed))}, and {shape_text(shape)} arrives"
    hint = "a backbone stands before Flatten and the like"
    if len(shape) == 3:
        is_channels = needed[2] not in (None, shape[2])
        sizes = f"add `Resizing: {{height: {needed[0]}, width: {needed[1]}}}` before it"
        hint = (
            COLOURS if is_channels and needed[2] == CHANNELS else "set channels in the source" if is_channels else sizes
        )
    raise ConfigError(Problem(place, message, hint, related=made_here))
