"""The model of the augmentation layers, which change examples and may mix their labels, in training only."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from dltool.config.checks import MIXING
from dltool.config.keras.objects import KerasObject
from dltool.config.outputs import OutputSpec
from dltool.data.arrays.rows import Rows
from dltool.data.facts import Facts
from dltool.errors import ConfigError, ConfigPath, Problem
from dltool.keras_names import arguments
from dltool.model.apply import Applied, Names, Placed, apply_layer, apply_layers, made_here
from dltool.model.inputs import Preprocessed
from dltool.model.keras_objects import make
from dltool.text import Shape, shape_text

AUGMENTATION: ConfigPath = ("data", "augmentation")
IMAGE_AXES = 3
USUAL_RANGES = ((0, 1), (-1, 1), (0, 255))
LEAST_USED = 16
"""Images use at least this fraction of their range of values."""
MOST_MEASURED = 256


def mixed_shape(facts: Facts, head: OutputSpec, one_hot: Mapping[str, int]) -> Shape:
    """Return the shape of the only output's target for the loss; irrelevant with several outputs."""
    own = facts.targets[head.target].shape if head.target is not None else ()
    return (*own, one_hot[head.name]) if head.name in one_hot else own


def build_augmentation(
    entries: tuple[KerasObject, ...], inputs: Preprocessed, names: Names, target: Shape
) -> keras.Model | None:
    """Build the model of the augmentation layers. They must keep the shape: validation and prediction omit them. If a
    layer mixes labels, the model maps inputs and targets; `target` is the target's shape for the loss."""
    if not entries:
        return None
    prepared = next(iter(inputs.outputs.values()))
    start = Placed(keras.Input(prepared.shape, dtype=prepared.tensor.dtype, name="augmentation_input"), prepared.place)
    if any(entry.name in MIXING for entry in entries):
        applied, labels = apply_mixing(entries, start, keras.Input(target, name="labels"), names)
    else:
        applied, labels = apply_layers(entries, start, AUGMENTATION, names), None
    if applied[-1].output_shape != prepared.shape:
        changed = next(layer for layer in applied if layer.output_shape != prepared.shape)
        kept, made = shape_text(prepared.shape), shape_text(changed.output_shape)
        message = f"augmentation must keep the shape {kept}, and {changed.name} makes {made}"
        hint = "data.preprocessing has layers that change the shape of every example, such as CenterCrop"
        raise ConfigError(Problem(changed.path, message, hint, related=made_here(prepared)))
    if labels is None:
        return keras.Model(start.tensor, applied[-1].output, name="augmentation")
    before, after = labels
    return keras.Model([start.tensor, before], [applied[-1].output, after], name="augmentation")


def refuse_value_ranges(
    entries: Sequence[KerasObject], inputs: Preprocessed, training: Mapping[str, Rows] | None
) -> None:
    """Raise ConfigError for layers whose `value_range` is not that of the preprocessed images, measured on some."""
    ranged = [index for index, entry in enumerate(entries) if "value_range" in arguments("layer", entry.name)]
    if not ranged or training is None:
        return
    ((name, rows),) = training.items()
    images = np.asarray(keras.Model(inputs.raw[name].tensor, inputs.outputs[name].tensor)(rows[:MOST_MEASURED]))
    ConfigError.refuse(p for index in ranged for p in range_problems((*AUGMENTATION, index), entries[index], images))


def range_problems(place: ConfigPath, entry: KerasObject, images: np.ndarray) -> list[Problem]:
    """Return the problem of a layer with a `value_range` that is not that of the images it gets."""
    low, high = float(images.min()), float(images.max())
    least, most = entry.arguments.get("value_range", (0, 255))
    if least <= low and high <= most and high - least >= (most - least) / LEAST_USED:
        return []
    fitting = [(a, b) for a, b in USUAL_RANGES if a <= low and high <= b]
    a, b = fitting[0] if fitting else (math.floor(low), math.ceil(high))
    message = f"it takes values from {least:g} to {most:g}, and the images have values from {low:.4g} to {high:.4g}"
    return [Problem((*place, entry.name, "value_range"), message, f"value_range: [{a}, {b}]")]


def apply_mixing(
    entries: Sequence[KerasObject], source: Placed, before: Any, names: Names
) -> tuple[list[Applied], tuple[Any, Any]]:
    """Apply augmentation layers, some of which mix the labels `before` too; return the labels after them as well."""
    applied, labels = [], before
    for index, entry in enumerate(entries):
        place = (*AUGMENTATION, index)
        layer = make(entry, place, name=names.next(entry.name))
        if entry.name in MIXING:
            if len(source.shape) != IMAGE_AXES or len(before.shape) != 1 + 1:
                arrives = f"{shape_text(source.shape)} arrives with targets {shape_text(tuple(before.shape[1:]))}"
                message = f"{entry.name} mixes images (height, width, channels) of one class each, and {arrives}"
                raise ConfigError(Problem(place, message, related=made_here(source)))
            mixed = layer({"images": source.tensor, "labels": labels})
            labels = mixed["labels"]
            applied.append(Applied(place, entry.name, layer, mixed["images"], source.shape, 0))
        else:
            applied.append(apply_layer(layer, [source], place))
        source = Placed(applied[-1].output, place)
    return applied, (before, labels)


def augmented(augmentation: keras.Model | None, inputs: Any, targets: Any) -> tuple[Any, Any]:
    """Return a batch after augmentation, which may mix the targets of its single output."""
    if augmentation is None or len(augmentation.inputs) == 1:
        return inputs if augmentation is None else augmentation(inputs, training=True), targets
    inputs, mixed = augmentation([inputs, *keras.tree.flatten(targets)], training=True)
    return inputs, keras.tree.pack_sequence_as(targets, [mixed])
