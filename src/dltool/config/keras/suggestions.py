"""Errors in a name or an argument of a Keras object, with suggestions."""

import re
from collections.abc import Mapping
from typing import Any

from dltool.errors import ConfigPath, Problem
from dltool.keras_names import KINDS, KerasName, arguments, find, find_all, nearest
from dltool.text import did_you_mean, listed, near, quoted, value_text

HOMES = {
    "layer": "layers belong at model.layers",
    "optimizer": "it belongs at training.optimizer",
    "loss": "it belongs at training.loss",
    "metric": "it belongs at training.metrics",
    "callback": "it belongs at training.callbacks",
    "schedule": "it belongs at the optimizer's learning_rate",
    **{
        kind: f"it belongs at an argument such as kernel_{kind}"
        for kind in ("initializer", "regularizer", "constraint")
    },
    "activation": "it belongs at an argument such as activation",
    "backbone": "it belongs at model.layers, as backbone: {NAME: {…}}",
}
OF_TRAINING = ("batch_size", "callbacks", "epochs", "loss", "metrics", "optimizer")
ARGUMENT_HOMES = {
    **dict.fromkeys(
        ("input_shape", "batch_input_shape", "input_dim"), "leave it out: the data gives the input's shape"
    ),
    **{key: f"it belongs at training.{key}" for key in OF_TRAINING},
    **dict.fromkeys(("include_top", "classes", "classifier_activation"), "leave it out: the layers after it classify"),
    "include_preprocessing": "leave it out: a backbone always takes images of 0 to 255",
    "learning_rate": "it belongs at training.optimizer, under the optimizer's name",
    "lr": 'did you mean "learning_rate"?',
    "decay": "give learning_rate a schedule, such as ExponentialDecay",
    "validation_split": "it belongs at data.split.validation",
    "class_weight": "it belongs at training.class_weights",
}
"""The right location of arguments that an object does not take."""

OWN_KINDS = ("layer", "loss", "metric")
"""Kinds that --allow-code extends."""
EXAMPLES = {
    "layer": "Dense: 10",
    "optimizer": "Adam: {learning_rate: 1e-3}",
    "loss": "mean_squared_error",
    "metric": "accuracy",
    "callback": "EarlyStopping: {patience: 3}",
    "schedule": "CosineDecay: {initial_learning_rate: 1e-3, decay_steps: 1000}",
    "initializer": "he_normal",
    "regularizer": "L2: 1e-4",
    "constraint": "MaxNorm: 3",
    "activation": "relu",
    "backbone": "EfficientNetV2B0: {weights: imagenet}",
}


def unknown_name(kind: str, name: str, place: ConfigPath, at_key: bool) -> Problem:
    call = re.match(r"([\w.]+)\s*\(", name)
    last = (call[1] if call else name).split(".")[-1]
    if call:
        hint = f"write {last}: {{…}} with its arguments inside" if find(kind, last) else f"for example {EXAMPLES[kind]}"
        return Problem(place, "a config cannot call functions", hint, at_key)
    if re.fullmatch(r"\w+(\.\w+)+", name):
        hint = f'write "{last}"' if find(kind, last) else f"for example {EXAMPLES[kind]}"
        return Problem(place, f"expected a Keras name, got the import path {quoted(name)}", hint, at_key)
    if kind == "layer" and name == "backbone":
        return Problem(place, "a backbone is only allowed in model.layers, as backbone: {NAME: {…}}", "", at_key)
    close = nearest(kind, name) or (near(name, ["backbone"]) if kind == "layer" else [])
    if others := find_all(name):
        other = others[0].kind
        is_same_word = bool(close) and close[0].lower().replace("_", "") == name.lower().replace("_", "")
        hint = did_you_mean(close[:1]) if is_same_word else HOMES[other]
        if (kind, other) == ("layer", "backbone"):
            hint = f"write backbone: {{{name}: {{…}}}} in model.layers"
        return Problem(place, f"{name} is {KINDS[other]}, not {KINDS[kind]}", hint, at_key)
    noun = KINDS[kind].split(" ", 1)[1]
    hint = did_you_mean(close) or elsewhere(kind, name) or f"for example {EXAMPLES[kind]}"
    # Functions may be losses and metrics; layers are classes.
    own_name = r"[A-Z]\w*" if kind == "layer" else r"[A-Za-z]\w*"
    if hint.startswith("for example") and kind in OWN_KINDS and re.fullmatch(own_name, name):
        hint += "; your own code needs --allow-code FILE.py"
    return Problem(place, f"unknown {noun} {quoted(name)}", hint, at_key)


def elsewhere(kind: str, name: str) -> str:
    """Return a near name of another kind."""
    for other, words in KINDS.items():
        close = near(name, nearest(other, name, 1), cutoff=0.8) if other != kind else []
        if close:
            return f"{close[0]} is {words}: {HOMES[other]}"
    return ""


def several_names(kind: str, value: Mapping[Any, Any], path: ConfigPath) -> Problem:
    message = f"expected one name of {KINDS[kind]}, got {len(value)} keys"
    if "class_name" in value:
        return Problem(path, message, f"write {value['class_name']}: {{…}}, with what is under config inside")
    first, *rest = value
    if not isinstance(first, str) or find(kind, first) is None or all(find(kind, str(name)) for name in rest):
        return Problem(path, message, f"for example {EXAMPLES[kind]}")
    names = next(iter(arguments(kind, first)), None)
    inside = [] if value[first] is None or names is None else [f"{names}: {short_value(value[first])}"]
    if isinstance(value[first], Mapping):
        inside = [f"{key}: {short_value(item)}" for key, item in value[first].items()]
    inside += [f"{key}: {short_value(value[key])}" for key in rest]
    return Problem(path, message, f"nest the arguments: {first}: {{{', '.join(inside)}}}")


def short_value(value: Any) -> str:
    return value_text(value) if isinstance(value, str | int | float) and len(str(value)) <= 20 else "…"


def unknown_argument(found: KerasName, name: Any, place: ConfigPath) -> Problem:
    known = list(arguments(found.kind, found.name))
    close = near_argument(found, name)
    hint = ARGUMENT_HOMES.get(str(name)) or (did_you_mean([close]) if close else "")
    if close and is_layer_name(name) and arguments(found.kind, found.name)[close].types[0] in {"layer", "layers"}:
        hint = f"write {close}: {{{name}: …}}"
    elif name == "lr" and "learning_rate" not in known:
        hint = ARGUMENT_HOMES["learning_rate"]
    takes = f"it takes {listed(known, 6)}" if known else f"write {found.name} alone"
    return Problem(place, f"unknown argument of {found.means}", hint or takes, at_key=True)


def near_argument(found: KerasName, name: Any) -> str | None:
    """Return the argument probably meant by `name`, or meant to hold it: `layer` for `LSTM: 64`."""
    known = arguments(found.kind, found.name)
    if is_layer_name(name):
        return next((argument.name for argument in known.values() if argument.types[0] in {"layer", "layers"}), None)
    return next(iter(near(str(name), known)), None)


def is_layer_name(name: Any) -> bool:
    return isinstance(name, str) and name[:1].isupper() and find("layer", name) is not None
