"""Follow an output back to the layers that make its values, by the config alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from dltool.config.keras.objects import UNKNOWN, KerasObject
from dltool.config.wording import snake_case
from dltool.errors import ConfigPath
from dltool.keras_names import arguments, find

LAYERS: ConfigPath = ("model", "layers")
LINEAR = "linear"
ONE_CLASS = ("softmax", "sparsemax")
"""Activations that give the probabilities of exclusive classes along the last axis; they add up to 1."""
EACH_CLASS = ("sigmoid", "hard_sigmoid", "sparse_sigmoid")
"""Activations that give independent probabilities."""
RANGES: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys((*ONE_CLASS, *EACH_CLASS), (0, 1)),
    **dict.fromkeys(("tanh", "hard_tanh", "softsign"), (-1, 1)),
    **dict.fromkeys(("relu", "softplus", "squareplus", "sparse_plus", "exponential"), (0, inf)),
    **dict.fromkeys(("log_softmax", "log_sigmoid"), (-inf, 0)),
    "relu6": (0, 6),
}
"""The lowest and the highest value of bounded activations."""

PASSING = ("Identity", "Masking", "ActivityRegularization", "Dropout", "SpatialDropout", "Gaussian", "AlphaDropout")
"""Beginnings of the names of layers that change no value at inference."""
RESHAPING = ("Flatten", "Reshape", "Permute")
AVERAGING = ("AveragePooling", "GlobalAveragePooling", "AdaptiveAveragePooling", "UpSampling", "Cropping", "Average")
CHOOSING = ("MaxPooling", "GlobalMaxPooling", "AdaptiveMaxPooling", "ZeroPadding", "Maximum", "Minimum", "Concatenate")
KEEPING = (*PASSING, *RESHAPING, *AVERAGING, *CHOOSING)
COMBINING = ("Add", "Subtract", "Multiply")
SCALING = ("BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization", "UnitNormalization")
UNBOUNDED = ("Embedding", "Rescaling", "Normalization", "MultiHeadAttention", "GroupQueryAttention")
WEIGHTED = ("Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D", "DepthwiseConv", "SeparableConv")
RECURRENT = ("LSTM", "GRU", "SimpleRNN", "ConvLSTM")
FEATURES = ("units", "filters", "output_dim")
"""Arguments that set the number of features."""


@dataclass(frozen=True)
class LastLayer:
    """The layer with the features of an output, and the activation of its values, both None if unknown.

    `activation_place` locates the activation, which may stand in a later layer. The activation may be the name of what
    changed its values afterwards: "MaxPooling2D of softmax"."""

    index: int
    layer: KerasObject
    units: int | None
    activation: str | None
    activation_place: ConfigPath

    def place(self, *inside: str) -> ConfigPath:
        return (*LAYERS, self.index, *self.layer.steps, *inside)

    @property
    def units_place(self) -> ConfigPath:
        return self.place(*(key for key in FEATURES if key in self.layer.arguments))

    @property
    def is_probability(self) -> bool:
        """Return whether it gives class probabilities whatever the loss: by a softmax, or by one sigmoid."""
        return self.activation in (EACH_CLASS if self.units == 1 else ONE_CLASS)


def last_layer(layers: Sequence[KerasObject], index: int | None) -> LastLayer | None:
    """Return what makes the output of the layer at `index`; None if the config does not show it."""
    if index is None or index < 0:
        return None
    made: list[LastLayer | None] = []
    by_name: dict[Any, LastLayer | None] = {}
    for number, entry in enumerate(layers[: index + 1]):
        layer = defined(layers, entry)
        # The first layer, and a name that no layer has, take an input of the model.
        before = [by_name.get(name) for name in layer.sources] or made[-1:] or [None]
        made.append(made_by(layer, number, before))
        by_name[entry.arguments.get("name")] = made[-1]
    return made[index]


def made_by(layer: KerasObject, index: int, before: Sequence[LastLayer | None]) -> LastLayer | None:
    """Return what makes the output of a layer, from what makes its inputs."""
    place = (*LAYERS, index, *layer.steps)
    activation = made_activation(layer)
    if activation is not None:
        if layer.kind == "layer" and layer.name and "activation" in arguments("layer", layer.name):
            place = (*place, "activation")
        return LastLayer(index, layer, features(layer), activation or None, place)
    earlier = [last for last in before if last is not None]
    return joined(layer, place, earlier) if len(earlier) == len(before) else None


def defined(layers: Sequence[KerasObject], layer: KerasObject) -> KerasObject:
    """Return the layer by Keras's main name; for a repeated use of a shared layer its definition with these sources."""
    sources = layer.sources
    if layer.is_shared:
        layer = next(each for each in layers if each.arguments.get("name") == layer.name and not each.is_shared)
    known = find(layer.kind, layer.name)
    name = layer.name if known is None else "" if known.code is not None else known.means
    return replace(layer, name=name, sources=sources)


def made_activation(layer: KerasObject) -> str | None:
    """Return the activation of values that the layer makes itself, "" if unknown; None if it passes values on."""
    if layer.kind == "backbone":
        return f"the backbone {layer.name}"
    if not layer.name:
        return ""
    inner = layer.arguments.get("layer")
    if layer.name in ("TimeDistributed", "SpectralNormalization", "Bidirectional"):
        is_sum = layer.arguments.get("merge_mode", "concat") == "sum"
        return "" if is_sum or not isinstance(inner, KerasObject) else made_activation(inner) or ""
    if layer.name.startswith(RECURRENT):
        activation = name_of(layer.arguments.get("activation", "tanh"))
        return f"{layer.name} of {activation}" if activation in ONE_CLASS else activation
    if layer.name.startswith(WEIGHTED):
        return name_of(layer.arguments.get("activation"))
    if layer.name in (*SCALING, *UNBOUNDED):
        return LINEAR
    is_known = own_activation(layer) is not None or layer.name.startswith(KEEPING)
    return None if is_known or layer.name in (*COMBINING, "RepeatVector") else ""


def own_activation(layer: KerasObject) -> str | None:
    """Return the activation of a layer that is nothing else; None for other layers."""
    if layer.name == "Activation":
        return name_of(layer.arguments.get("activation"))
    if layer.name == "Softmax":
        return "softmax" if layer.arguments.get("axis", -1) == -1 else "Softmax over another axis"
    return name_of(layer) if layer.name in ("ReLU", "LeakyReLU", "ELU", "PReLU") else None


def joined(layer: KerasObject, place: ConfigPath, earlier: Sequence[LastLayer]) -> LastLayer:
    """Return what the layer makes of the values before it."""
    first, activations = earlier[0], {each.activation for each in earlier}
    own = own_activation(layer)
    if own is not None:
        is_same = own in (LINEAR, "")
        return first if is_same else replace(first, activation=own, activation_place=place)
    units = [each.units for each in earlier]
    sizes = sum(each or 0 for each in units) if layer.name == "Concatenate" and None not in units else first.units
    last = replace(first, units=None if layer.name.startswith(RESHAPING) else sizes)
    if None in activations:
        return replace(last, activation=None)
    if layer.name in COMBINING and LINEAR in activations:
        return replace(last, activation=LINEAR)
    are_alone = activations <= {*EACH_CLASS}
    is_other = layer.name in COMBINING and not (layer.name == "Multiply" and are_alone)
    is_mixed = len(activations) > 1 and not are_alone and not activations <= {*ONE_CLASS}
    if is_other or is_mixed or (first.activation in ONE_CLASS and mixes_classes(layer, first.units)):
        named = " and ".join(sorted(map(str, activations)))
        return replace(last, activation=f"{layer.name} of {named}", activation_place=place)
    return last


def mixes_classes(layer: KerasObject, units: int | None) -> bool:
    """Return whether the last axis no longer holds the probabilities of all classes."""
    if layer.name == "Reshape":
        shape = layer.arguments.get("target_shape", UNKNOWN)
        size = shape[-1] if isinstance(shape, Sequence) and shape else None
        return isinstance(size, int) and size > 0 and units is not None and size != units
    return layer.name == "Permute" or layer.name.startswith(CHOOSING)


def features(layer: KerasObject) -> int | None:
    """Return the size of the last axis; None if the config does not show it."""
    inner = layer.arguments.get("layer")
    if isinstance(inner, KerasObject):
        size = features(inner)
        doubled = layer.name == "Bidirectional" and layer.arguments.get("merge_mode", "concat") == "concat"
        return 2 * size if doubled and size is not None else size
    size = next((layer.arguments[key] for key in FEATURES if key in layer.arguments), None)
    is_last = layer.name != "" and layer.arguments.get("data_format") != "channels_first"
    return size if isinstance(size, int) and is_last else None


def name_of(value: Any) -> str:
    """Return the name of an activation, "" if unknown; null stands for linear."""
    if value is None:
        return LINEAR
    if value is UNKNOWN:
        return ""
    return snake_case(value.name).replace("re_lu", "relu") if isinstance(value, KerasObject) else str(value)
