"""Checks of layers that need no built model: the last layer, and layers that would fail later or mislead."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dltool.config.keras.objects import PUBLISHED, UNKNOWN, KerasObject
from dltool.config.losses import loss_name
from dltool.config.outputs import LAYERS, OutputSpec
from dltool.config.schema import Config
from dltool.config.wording import snake_case
from dltool.errors import ConfigPath, Problem
from dltool.text import did_you_mean, near

SHAPELESS: Mapping[str, str | None] = {
    "Softmax": "softmax",
    **dict.fromkeys(("Activation", "ReLU", "LeakyReLU", "ELU", "PReLU")),
    **dict.fromkeys(("GaussianNoise", "BatchNormalization", "LayerNormalization")),
    **dict.fromkeys(("Dropout", "GaussianDropout", "AlphaDropout"), "linear"),
    **dict.fromkeys(("Identity", "Masking", "ActivityRegularization"), "linear"),
}
"""Layers with as many output features as input features, each with its activation, None if it is another."""


@dataclass(frozen=True)
class LastLayer:
    """An end of the model: its number of features and last activation, None if unknown."""

    index: int
    layer: KerasObject
    units: int | None
    activation: str | None

    def place(self, *inside: str) -> ConfigPath:
        return (*LAYERS, self.index, self.layer.name, *inside)

    @property
    def is_probability(self) -> bool:
        """Return whether it gives class probabilities whatever the loss: by a softmax, or by one sigmoid."""
        return (self.activation, self.units == 1) in (("softmax", False), ("sigmoid", True))


def last_layer(layers: Sequence[KerasObject]) -> LastLayer | None:
    """Return the end of the model; None if the config does not show the relevant layers."""
    activation: str | None = "linear"
    for index in reversed(range(len(layers))):
        layer = layers[index]
        if layer.sources and layer.name != "Dense":
            return None
        if layer.name == "Dense":
            own = name_of(layer.arguments.get("activation", "linear") or "linear")
            units = layer.arguments.get("units")
            ends = own if activation == "linear" else activation
            return LastLayer(index, layer, units if isinstance(units, int) else None, ends)
        if layer.name not in SHAPELESS:
            return None
        if activation == "linear":
            given = name_of(layer.arguments.get("activation"))
            activation = given if layer.name == "Activation" else SHAPELESS[layer.name]
    return None


def name_of(value: Any) -> str | None:
    """Return the name of an activation; None if unknown."""
    if value is UNKNOWN or value is None:
        return None
    return snake_case(value.name) if isinstance(value, KerasObject) else value if isinstance(value, str) else None


def activation_problems(last: LastLayer, head: OutputSpec) -> list[Problem]:
    """Find probabilities passed to a loss of logits, logits passed to a loss of probabilities, and a softmax over one
    output."""
    place, loss, activation = last.place("activation"), head.loss, last.activation
    if activation == "softmax" and last.units == 1:
        return [Problem(place, "softmax over one output is always 1", "activation: sigmoid")]
    if not loss_name(loss).endswith("crossentropy"):
        return []
    from_logits = loss.arguments.get("from_logits", False)
    if from_logits is True and activation in ("softmax", "sigmoid"):
        message = f"{activation} makes probabilities, and the loss has from_logits: true"
        return [Problem(place, message, "remove the activation, or from_logits", related=head.loss_related)]
    if from_logits is False and activation == "linear":
        wanted = "sigmoid" if loss_name(loss).startswith("binary") else "softmax"
        layer = "the last layer" if head.layer is None else "this layer"
        message = f"the loss expects probabilities, and {layer} has no activation"
        hint = f"activation: {wanted}, or from_logits: true"
        return [Problem(last.place(), message, hint, related=head.loss_related)]
    return []


HIGHEST_DECIBELS = 100.0
"""An upper bound on the loudness of audio between -1 and 1."""


def spectrogram_problems(config: Config) -> list[Problem]:
    """Find spectrograms that depend on other audio clips. MelSpectrogram cuts off values more than `top_db` below the
    loudest moment of the batch, not of each clip. Its output then depends on the batch, unless no value lies that
    low."""
    data, problems = config.data, []
    layers: dict[ConfigPath, KerasObject] = {}
    layers |= {("data", "preprocessing", index): layer for index, layer in enumerate(data.preprocessing)}
    layers |= {("data", "augmentation", index): layer for index, layer in enumerate(data.augmentation)}
    layers |= {(*LAYERS, index): layer for index, layer in enumerate(config.model.layers)}
    for place, layer in layers.items():
        least, top = decibels_needed(layer), layer.arguments.get("top_db", UNKNOWN)
        if least is not None and top is not UNKNOWN and top < least:
            message = (
                f"expected at least {least} decibels, got {top:g}: audio clips would depend on others in the batch"
            )
            problems.append(Problem((*place, layer.name, "top_db"), message, f"top_db: {least}"))
    return problems


def decibels_needed(layer: KerasObject) -> int | None:
    """Return the least `top_db` at which a spectrogram depends on its own audio clip alone; None for other layers."""
    power = layer.arguments.get("min_power", 1e-10)
    if layer.name != "MelSpectrogram" or layer.arguments.get("power_to_db") is False or power is UNKNOWN:
        return None
    return math.ceil(HIGHEST_DECIBELS - 10 * math.log10(max(power, 1e-30)))


def independent(layer: KerasObject) -> KerasObject:
    """Return the layer; a MelSpectrogram without `top_db` gets the value that makes it independent of the batch."""
    least = decibels_needed(layer)
    if least is None or "top_db" in layer.arguments:
        return layer
    return replace(layer, arguments={**layer.arguments, "top_db": float(least)})


def weight_file_problems(config: Config) -> list[Problem]:
    layers = [(index, layer) for index, layer in enumerate(config.model.layers) if layer.kind == "backbone"]
    places = [((*LAYERS, index, *layer.steps, "weights"), layer.arguments.get("weights")) for index, layer in layers]
    return [problem for place, path in places if (problem := missing_weights(path, place))]


def missing_weights(path: Any, place: ConfigPath) -> Problem | None:
    """Check the path of a weight file, which may also be null or the name of the published weights."""
    if not isinstance(path, str) or path == PUBLISHED or os.path.isfile(path):
        return None
    if os.path.exists(path):
        return Problem(place, f"{path} is not a file", "expected a .weights.h5 or .h5 file written by Keras")
    meant = did_you_mean(near(os.path.basename(path), [PUBLISHED]))
    hint = meant or f"write {PUBLISHED} for the published weights, null for random ones"
    return Problem(place, f"no such file: {path}", hint)
