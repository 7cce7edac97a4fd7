"""Checks of layers that need no built model: the last activation, and layers that would fail later or mislead."""

import math
import os
from dataclasses import replace
from typing import Any

from dltool.config.keras.objects import PUBLISHED, UNKNOWN, KerasObject
from dltool.config.last_layer import EACH_CLASS, LAYERS, LINEAR, ONE_CLASS, RANGES, LastLayer
from dltool.config.losses import MARGIN, ONE_HOT, OVERLAP, SEQUENCES, SPARSE, family_of, loss_name
from dltool.config.outputs import OutputSpec
from dltool.config.schema import Config
from dltool.errors import ConfigPath, Problem
from dltool.text import did_you_mean, near


def activation_problems(last: LastLayer, head: OutputSpec, is_data_known: bool) -> list[Problem]:
    """Find an activation whose values are not what the loss takes: probabilities, logits, or outputs with a sign."""
    activation, family, related = last.activation, family_of(head.loss), head.loss_related
    if activation in ONE_CLASS and last.units == 1:
        return [Problem(last.activation_place, f"{activation} over one output is always 1", "activation: sigmoid")]
    from_logits = head.loss.arguments.get("from_logits", False)
    if activation is None or from_logits is UNKNOWN:
        return []
    are_probabilities = activation in (*ONE_CLASS, *EACH_CLASS)
    # Several outputs may be those of classes, for which the loss itself is wrong.
    has_signs = family is MARGIN and (last.units == 1 or is_data_known)
    if has_signs and (are_probabilities or RANGES.get(activation, (-1, 1))[0] >= 0):
        message = f"the loss takes outputs whose sign is the class, and {activation} gives none below 0"
        return [Problem(last.activation_place, message, "activation: tanh, or none", related=related)]
    takes_logits = from_logits is True or (family is SEQUENCES and is_data_known)
    if not (family.has_probabilities or takes_logits):
        return []
    if takes_logits:
        loss, way = ("has from_logits: true", ", or from_logits") if from_logits else ("takes logits", "")
        message, hint = f"{activation} makes probabilities, and the loss {loss}", f"remove the activation{way}"
        return [Problem(last.activation_place, message, hint, related=related)] if are_probabilities else []
    fitting = ONE_CLASS if family in (SPARSE, ONE_HOT) else (*ONE_CLASS, *EACH_CLASS)
    # One output for these losses is the units' problem, once the classes are known.
    if activation in fitting or (fitting is ONE_CLASS and last.units == 1):
        return []
    wanted = "softmax" if family in (SPARSE, ONE_HOT) or (family is OVERLAP and last.units != 1) else "sigmoid"
    # Other layers have no activation, or their classes become an axis of their own only later.
    is_late = last.units is None or " of " in activation
    hint = "end with Softmax" if wanted == "softmax" and is_late else f"activation: {wanted}"
    if activation == LINEAR:
        layer = "the last layer" if head.layer is None else "this layer"
        message = f"the loss expects probabilities, and {layer} has no activation"
        hint += ", or from_logits: true" * loss_name(head.loss).endswith("crossentropy")
        return [Problem(last.place(), message, hint, related=related)]
    of_classes = " of classes that add up to 1" if wanted == "softmax" else ""
    message = f"the loss expects probabilities{of_classes}, and {activation} gives none"
    return [Problem(last.activation_place, message, hint, related=related)]


HIGHEST_DECIBELS = 100.0
"""An upper bound on the loudness of audio between -1 and 1."""


def spectrogram_problems(config: Config) -> list[Problem]:
    """Find spectrograms that depend on other audio clips: MelSpectrogram cuts off values more than `top_db` below the
    loudest moment of the batch, not of each clip. Without values that low, it does not matter."""
    data, problems = config.data, []
    parts = (("data", "preprocessing"), data.preprocessing), (("data", "augmentation"), data.augmentation)
    for part, layers in (*parts, (LAYERS, config.model.layers)):
        for index, layer in enumerate(layers):
            least, top = decibels_needed(layer), layer.arguments.get("top_db", UNKNOWN)
            if least is not None and top is not UNKNOWN and top < least:
                message = f"expected at least {least} decibels, got {top:g}"
                message += ": audio clips would depend on others in the batch"
                problems.append(Problem((*part, index, layer.name, "top_db"), message, f"top_db: {least}"))
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


NORMALIZING = ("BatchNormalization", "LayerNormalization", "RMSNormalization", "UnitNormalization", "Softmax")


def axis_problems(config: Config) -> list[Problem]:
    """Find layers that would compare examples of a batch with each other, along the axis 0."""
    problems = []
    for part, layers in ((("data", "preprocessing"), config.data.preprocessing), (LAYERS, config.model.layers)):
        for index, layer in enumerate(layers):
            axis = layer.arguments.get("axis")
            if layer.name in NORMALIZING and (0 in axis if isinstance(axis, list | tuple) else axis == 0):
                place = (*part, index, *layer.steps, "axis")
                problems.append(Problem(place, "axis 0 is that of the examples", "axis: -1, the last one"))
    return problems


WEIGHTS_ENDINGS = (".h5", ".keras", ".safetensors")


def weight_file_problems(config: Config) -> list[Problem]:
    layers = [(index, layer) for index, layer in enumerate(config.model.layers) if layer.kind == "backbone"]
    places = [((*LAYERS, index, *layer.steps, "weights"), layer.arguments.get("weights")) for index, layer in layers]
    problems = [problem for place, path in places if (problem := missing_weights(path, place))]
    start, teacher = config.model.start, config.training.teacher
    runs = {("model", "start", "run"): start and start.run, ("training", "teacher", "run"): teacher and teacher.run}
    for place, run in runs.items():
        if isinstance(run, str) and not os.path.isdir(run):
            problems.append(Problem(place, f"no such run: {run}", "expected the folder of a run"))
    if start is not None and isinstance(start.weights, str):
        place, is_there = ("model", "start", "weights"), os.path.isfile(start.weights)
        if not is_there or not start.weights.endswith(WEIGHTS_ENDINGS):
            message = f"{start.weights} is not a file of weights" if is_there else f"no such file: {start.weights}"
            problems.append(
                Problem(place, message, "expected .weights.h5 or .keras by Keras, or .safetensors by PyTorch")
            )
    return problems


def missing_weights(path: Any, place: ConfigPath) -> Problem | None:
    """Check the path of a weight file, which may also be null or the name of the published weights."""
    if not isinstance(path, str) or path == PUBLISHED or os.path.isfile(path):
        return None
    if os.path.exists(path):
        return Problem(place, f"{path} is not a file", "expected a .weights.h5 or .h5 file written by Keras")
    meant = did_you_mean(near(os.path.basename(path), [PUBLISHED]))
    hint = meant or f"write {PUBLISHED} for the published weights, null for random ones"
    return Problem(place, f"no such file: {path}", hint)
