"""Keras objects as a config names them: `Flatten`, `Dense: 10`, `Dense: {units: 10, activation: relu}`.

Names, arguments and types come from the tables of :mod:`dltool.keras_names`. Nothing is imported or built here.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dltool.config.keras_ranges import out_of_range
from dltool.config.keras_values import UNKNOWN, Unknown, check_plain, did_you_mean
from dltool.config.wording import named
from dltool.errors import ConfigPath, Problem
from dltool.keras_names import KINDS, Argument, KerasName, arguments, find, find_all, near, nearest

__all__ = ["UNKNOWN", "KerasObject", "Unknown", "parse_keras_object", "to_plain"]

HOMES = {
    "layer": "layers belong at model.layers",
    "optimizer": "it belongs at training.optimizer",
    "loss": "it belongs at training.loss",
    "metric": "it belongs at training.metrics",
    "callback": "it belongs at training.callbacks",
    "schedule": "it belongs at the optimizer's learning_rate",
    "initializer": "it belongs at an argument such as kernel_initializer",
    "regularizer": "it belongs at an argument such as kernel_regularizer",
    "constraint": "it belongs at an argument such as kernel_constraint",
    "activation": "it belongs at an argument such as activation",
}
ARGUMENT_HOMES = {
    **dict.fromkeys(
        ("input_shape", "batch_input_shape", "input_dim"), "leave it out: the data gives the input's shape"
    ),
    **{
        key: f"it belongs at training.{key}"
        for key in ("batch_size", "callbacks", "epochs", "loss", "metrics", "optimizer")
    },
    "learning_rate": "it belongs at training.optimizer, under the optimizer's name",
    "lr": 'did you mean "learning_rate"?',
    "decay": "give learning_rate a schedule, such as ExponentialDecay",
    "validation_split": "it belongs at data.split.validation",
    "class_weight": "it belongs at training.class_weights",
}
"""Where an argument goes that its object does not take."""

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
}
CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")


@dataclass(frozen=True)
class KerasObject:
    """A Keras class or function by its Keras name, with its Keras arguments.

    `is_string` marks a Keras string identifier (`adam`, `relu`, `accuracy`), which Keras itself resolves. Arguments may
    hold further Keras objects.
    """

    kind: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    is_string: bool = False


Parsed = tuple[KerasObject | None, list[Problem]]


def parse_keras_object(kind: str, value: Any, path: ConfigPath = ()) -> Parsed:
    """The object of `kind` that `value` (plain YAML data) names, and every mistake in it.

    Places are `path` and then as the YAML is nested: `(*path, "Dense", "units")`. The object is None where there are
    problems, and for UNKNOWN.
    """
    if value is UNKNOWN:
        return None, []
    if isinstance(value, KerasObject):
        return value, []
    if isinstance(value, str):
        return parse_name(kind, value, path)
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, given),) = value.items()
        if isinstance(name, str):
            return parse_with_arguments(kind, name, given, (*path, name))
    if isinstance(value, Mapping) and len(value) > 1:
        return None, [several_names(kind, value, path)]
    what = "an empty mapping" if value == {} else named(value)
    return None, [Problem(path, f"expected the name of {KINDS[kind]}, not {what}", f"for example {EXAMPLES[kind]}")]


def parse_name(kind: str, name: str, path: ConfigPath) -> Parsed:
    found, problems = usable_name(kind, name, path, at_key=False)
    if found is None:
        return None, problems
    problems = missing_arguments(found, (), path)
    keras_object = KerasObject(kind, name if found.is_string else found.means, is_string=found.is_string)
    return (None, problems) if problems else (keras_object, [])


def parse_with_arguments(kind: str, name: str, given: Any, place: ConfigPath) -> Parsed:
    found, problems = usable_name(kind, name, place, at_key=True)
    if found is None:
        return None, problems
    if found.is_string and not arguments(kind, name):
        return parse_function(found, given, place)
    values, problems = parse_arguments(found, given, place)
    return (None, problems) if problems else (KerasObject(kind, found.means, values), [])


def parse_function(found: KerasName, given: Any, place: ConfigPath) -> Parsed:
    """What has a name only: a function, or a string that Keras resolves by the shapes."""
    if given is None or given == {}:
        return KerasObject(found.kind, found.name, is_string=True), []
    classes = found.kind if found.kind == "loss" else "layer"
    same = [other for other in nearest(classes, found.means.replace("_", ""), 1) if is_class_of(found.means, other)]
    hint = f"{same[0]} takes arguments" if same else f"write {found.name} alone"
    return None, [Problem(place, f"{found.name} takes no arguments here", hint)]


def is_class_of(function: str, name: str) -> bool:
    return function.replace("_", "") == name.lower()


def usable_name(kind: str, name: str, place: ConfigPath, at_key: bool) -> tuple[KerasName | None, list[Problem]]:
    # Keras reads the names of optimizers, and these words, in upper and lower case.
    is_caseless = kind == "optimizer" or name.lower() in {"accuracy", "acc", "crossentropy", "ce"}
    found = find(kind, name) or (find(kind, name.lower()) if is_caseless else None)
    if found is None:
        return None, [unknown_name(kind, name, place, at_key)]
    if found.refusal:
        return None, [Problem(place, f"{name} {found.refusal}", at_key=at_key)]
    return found, []


def unknown_name(kind: str, name: str, place: ConfigPath, at_key: bool) -> Problem:
    call = re.match(r"([\w.]+)\s*\(", name)
    last = (call[1] if call else name).split(".")[-1]
    if call:
        hint = f"write {last}: {{…}} with its arguments inside" if find(kind, last) else f"for example {EXAMPLES[kind]}"
        return Problem(place, "a config names things and calls nothing", hint, at_key)
    if re.fullmatch(r"\w+(\.\w+)+", name):
        hint = f'write "{last}"' if find(kind, last) else f"for example {EXAMPLES[kind]}"
        return Problem(
            place, f'"{name[:60]}" is an import path: nothing is imported, Keras names stand alone', hint, at_key
        )
    close = nearest(kind, name)
    others = find_all(name)
    if others:
        other = others[0].kind
        is_same_word = bool(close) and close[0].lower().replace("_", "") == name.lower().replace("_", "")
        hint = did_you_mean(close[:1]) if is_same_word else HOMES[other]
        return Problem(place, f"{name} is {KINDS[other]}, not {KINDS[kind]}", hint, at_key)
    noun = KINDS[kind].split(" ", 1)[1]
    hint = did_you_mean(close) or elsewhere(kind, name) or f"for example {EXAMPLES[kind]}"
    return Problem(place, f'unknown {noun} "{name[:60]}"', hint, at_key)


def elsewhere(kind: str, name: str) -> str:
    """A near name of another kind."""
    for other, words in KINDS.items():
        close = near(name, nearest(other, name, 1), 1, cutoff=0.8) if other != kind else []
        if close:
            return f"{close[0]} is {words}: {HOMES[other]}"
    return ""


def several_names(kind: str, value: Mapping[Any, Any], path: ConfigPath) -> Problem:
    message = f"expected one name of {KINDS[kind]}, not {len(value)} keys"
    if "class_name" in value:
        return Problem(path, message, f"write {value['class_name']}: {{…}}, with what is under config inside")
    first, *rest = value
    if not isinstance(first, str) or find(kind, first) is None:
        return Problem(path, message, f"for example {EXAMPLES[kind]}")
    names = next(iter(arguments(kind, first)), None)
    inside = [] if value[first] is None or names is None else [f"{names}: {shown(value[first])}"]
    if isinstance(value[first], Mapping):
        inside = [f"{key}: {shown(item)}" for key, item in value[first].items()]
    inside += [f"{key}: {shown(value[key])}" for key in rest]
    return Problem(path, message, f"nest the arguments: {first}: {{{', '.join(inside)}}}")


def shown(value: Any) -> str:
    is_short = isinstance(value, str | int | float) and len(str(value)) <= 20
    return str(value).lower() if isinstance(value, bool) else str(value) if is_short else "…"


def parse_arguments(found: KerasName, given: Any, place: ConfigPath) -> tuple[dict[str, Any], list[Problem]]:
    """The canonical arguments of a class. A single value is the first argument; nothing means no arguments."""
    known = arguments(found.kind, found.name)
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        first = next((argument for argument in known.values() if argument.is_positional), None)
        if first is None:
            return {}, [Problem(place, f"{found.name} takes no value", f"write {found.name} alone")]
        value, wrong = parse_value(found, first, given, place)
        return {first.name: value}, wrong + missing_arguments(found, {first.name: value}, place, at_key=True)
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in given.items():
        if name in known:
            values[name], wrong = parse_value(found, known[name], value, (*place, name))
            problems += wrong
        else:
            problems.append(unknown_argument(found, name, (*place, name)))
    # `unitz` is meant to be `units`, which then is not missing as well.
    meant = {near_argument(found, name) for name in given if name not in known}
    problems += missing_arguments(found, {*given, *meant}, place, at_key=True)
    return values, problems + excluded_arguments(found, values, place)


def unknown_argument(found: KerasName, name: Any, place: ConfigPath) -> Problem:
    known = list(arguments(found.kind, found.name))
    close = near_argument(found, name)
    hint = ARGUMENT_HOMES.get(str(name)) or (did_you_mean([close]) if close else "")
    if close and is_layer_name(name) and arguments(found.kind, found.name)[close].types[0] in {"layer", "layers"}:
        hint = f"write {close}: {{{name}: …}}"
    elif name == "lr" and "learning_rate" not in known:
        hint = ARGUMENT_HOMES["learning_rate"]
    return Problem(place, f"unknown argument of {found.means}", hint or takes(found, known), at_key=True)


def near_argument(found: KerasName, name: Any) -> str | None:
    """The argument that `name` was probably meant to be, or to be in: `layer` for `LSTM: 64`."""
    known = arguments(found.kind, found.name)
    if is_layer_name(name):
        return next((argument.name for argument in known.values() if argument.types[0] in {"layer", "layers"}), None)
    return next(iter(near(str(name), list(known), 1)), None)


def is_layer_name(name: Any) -> bool:
    return isinstance(name, str) and name[:1].isupper() and find("layer", name) is not None


def takes(found: KerasName, known: list[str]) -> str:
    shown_names = ", ".join(known[:6])
    return f"it takes {shown_names}{', …' if len(known) > 6 else ''}" if known else f"write {found.name} alone"


def missing_arguments(
    found: KerasName, given: Iterable[str | None], place: ConfigPath, at_key: bool = False
) -> list[Problem]:
    missing = [
        name for name, argument in arguments(found.kind, found.name).items() if argument.required and name not in given
    ]
    if not missing or (found.is_string and found.kind == "metric" and found.name == "Accuracy"):
        return []
    example = ", ".join(f"{name}: …" for name in missing)
    what = "argument" if len(missing) == 1 else "arguments"
    message = f"{found.means} needs the {what} {' and '.join(missing)}"
    return [Problem(place, message, f"for example {found.means}: {{{example}}}", at_key)]


def excluded_arguments(found: KerasName, values: Mapping[str, Any], place: ConfigPath) -> list[Problem]:
    """Keras's optimizers clip in one way at most."""
    given = [name for name in CLIPPING if values.get(name) is not None] if found.kind == "optimizer" else []
    if len(given) < 2:
        return []
    first, second = given[:2]
    related = (((*place, first), f"{first} is given here"),)
    return [Problem((*place, second), f"{first} and {second} exclude each other", at_key=True, related=related)]


def parse_value(found: KerasName, argument: Argument, value: Any, place: ConfigPath) -> tuple[Any, list[Problem]]:
    """One argument's value in canonical form: Keras objects inside it parsed, numbers and texts checked."""
    types = set(argument.types)
    if value is UNKNOWN or (value is None and "null" in types):
        return value, []
    if "layers" in types and (isinstance(value, list | tuple) or types == {"layers"}):
        return parse_layers(value, place)
    kinds = [kind for kind in argument.types if kind in KINDS]
    if kinds:
        kind = "layer" if kinds[0] == "activation" and is_layer(value) else kinds[0]
        is_plain = (
            kind == "schedule" and not isinstance(value, Mapping) and not (isinstance(value, str) and find(kind, value))
        )
        if not is_plain:
            return parse_keras_object(kind, value, place)
    value, problems = check_plain(argument.types, argument.name, value, place)
    return value, problems or wrong_values(found, argument.name, value, place)


def is_layer(value: Any) -> bool:
    """Whether an activation is given as a layer: `LeakyReLU: {negative_slope: 0.1}`."""
    name = next(iter(value)) if isinstance(value, Mapping) and len(value) == 1 else value
    return isinstance(name, str) and find("activation", name) is None and find("layer", name) is not None


def parse_layers(value: Any, place: ConfigPath) -> tuple[Any, list[Problem]]:
    if not isinstance(value, list | tuple):
        return value, [Problem(place, f"expected a list of layers, not {named(value)}", "write [Dense: 10, …]")]
    parsed = [(item, *parse_keras_object("layer", item, (*place, index))) for index, item in enumerate(value)]
    layers = [item if item is UNKNOWN else layer for item, layer, _ in parsed]
    return layers, [problem for *_, problems in parsed for problem in problems]


def wrong_values(found: KerasName, argument: str, value: Any, place: ConfigPath) -> list[Problem]:
    if found.kind == "layer" and argument == "name" and isinstance(value, str) and ("/" in value or not value):
        return [Problem(place, 'the name of a layer cannot be empty or contain "/"')]
    if isinstance(value, int | float) and not isinstance(value, bool):
        message = out_of_range(found.means, argument, value)
        return [Problem(place, message)] if message else []
    if isinstance(value, list | tuple):
        items = enumerate(value)
        return [problem for index, item in items for problem in wrong_values(found, argument, item, (*place, index))]
    return []


def to_plain(keras_object: KerasObject) -> Any:
    """YAML data that :func:`parse_keras_object` reads as this very object."""
    if keras_object.arguments:
        return {keras_object.name: {name: plain_value(value) for name, value in keras_object.arguments.items()}}
    found = find(keras_object.kind, keras_object.name)
    # `Accuracy` alone is a string to Keras, `Accuracy: {}` the class.
    is_ambiguous = not keras_object.is_string and found is not None and found.is_string
    return {keras_object.name: {}} if is_ambiguous else keras_object.name


def plain_value(value: Any) -> Any:
    if isinstance(value, KerasObject):
        return to_plain(value)
    if isinstance(value, list | tuple):
        return [plain_value(item) for item in value]
    return value
