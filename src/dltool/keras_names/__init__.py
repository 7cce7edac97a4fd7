"""Names that Keras offers, by kind, without importing Keras.

The tables beside this module are written from the installed Keras by :mod:`scripts.keras_names.generate`; a test
compares them with it. `signatures.json` is read at the first look-up, `docs.json` at the first request for a
description."""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from dltool.text import near

FOLDER = Path(__file__).parent
KINDS = {
    "layer": "a layer",
    "initializer": "an initializer",
    "regularizer": "a regularizer",
    "constraint": "a constraint",
    "optimizer": "an optimizer",
    "schedule": "a learning-rate schedule",
    "loss": "a loss",
    "metric": "a metric",
    "callback": "a callback",
    "activation": "an activation",
    "backbone": "a backbone",
}
"""The kinds of Keras objects, each with its name for messages."""


@dataclass(frozen=True)
class Argument:
    """One argument of a constructor. `types` are types of :mod:`dltool.keras_names.argument_types`. `is_positional` is
    false for keyword arguments that all objects of the kind take, such as a layer's `name` and `dtype`."""

    name: str
    types: tuple[str, ...]
    required: bool
    default: Any = None
    is_positional: bool = True


@dataclass(frozen=True)
class AllowedCode:
    """A Python file that the command line allows, as it was read: nothing is read or run a second time. `shown_as` is
    its path as given, `sha256` in hexadecimal digits. `names` are its classes, kind → name → entry, as in
    `signatures.json`."""

    shown_as: str
    source: bytes
    sha256: str
    names: Mapping[str, Mapping[str, Any]] = field(hash=False, compare=False)


ALLOWED: list[AllowedCode] = []
"""The allowed files, see :func:`allowing`."""


OWN: Mapping[str, Mapping[str, Any]] = {
    "loss": {
        "Quantile": {
            "doc": "Computes the pinball loss: the model predicts a quantile, such as the 0.9 quantile.",
            "documented": {"quantile": "The share of targets that are to lie below the prediction."},
            "arguments": [
                ["quantile", "float"],
                ["reduction", '"sum_over_batch_size"|"sum"|"none"|null', "sum_over_batch_size"],
                ["name", "text|null", "quantile"],
            ],
        }
    },
    "layer": {
        "KerasHubTokenizer": {
            "doc": "Turns texts into the tokens of a preset of KerasHub, between a start and an end; needs keras-hub.",
            "documented": {
                "preset": "The name of a published one, or with a slash, a folder that save_to_preset has written.",
                "sequence_length": "The number of tokens of a text: longer ones are cut, shorter ones are padded.",
            },
            "arguments": [["preset", "text"], ["sequence_length", "int"]],
        }
    },
    "backbone": {
        "KerasHub": {
            "doc": "A network of KerasHub for images of 0 to 255 or texts, without its classifier; needs keras-hub.",
            "documented": {
                "preset": "The name of a published one, or with a slash, a folder that save_to_preset has written.",
                "network": "Written by dltool: what the preset describes, so that a run does not need the preset.",
                "output": "Of texts: a vector for each token, or with pooled_output, one for the text.",
            },
            "arguments": [
                ["preset", "text"],
                ["output", '"sequence_output"|"pooled_output"|null', None],
                ["network", "mapping|null", None],
                ["trainable", "bool", True],
                ["name", "text|null", None],
            ],
            "smallest": 1,
        }
    },
}
"""What Keras has no name for, as in `signatures.json`, with its description. A class of the user's may replace it."""


@contextmanager
def allowing(files: Iterable[AllowedCode]) -> Iterator[None]:
    """Make the classes in `files` available by name within the block, like keras.saving.custom_object_scope. Only the
    command line can do so; a config cannot."""
    ALLOWED.extend(files)
    try:
        yield
    finally:
        ALLOWED.clear()


def with_code(path: Path | str) -> str:
    """Quote a run or a config for a follow-up command, with the options for the allowed files."""
    return shlex.quote(str(path)) + options_for(code.shown_as for code in ALLOWED)


def options_for(files: Iterable[str]) -> str:
    """Return the options that name files of user code: " --allow-code my.py"."""
    return "".join(f" --allow-code {shlex.quote(file)}" for file in files)


@dataclass(frozen=True)
class KerasName:
    """A name that Keras gives to a class or function.

    `means` is the name of the class or function itself: "Adam" for "adam", "MaxPooling2D" for "MaxPool2D". `is_string`
    marks identifiers that Keras resolves, and functions, which have no arguments to set. `refusal` says why a config
    cannot use the name ("runs Python code, …"), or is empty. `code` is the file of a user class. `call` are the
    arguments that the call of a layer takes, not its constructor."""

    kind: str
    name: str
    means: str
    is_string: bool = False
    refusal: str = ""
    code: AllowedCode | None = None
    call: tuple[str, ...] = ()


def find(kind: str, name: str) -> KerasName | None:
    entry = table(kind).get(name)
    if entry is None:
        return None
    means = entry.get("means", name)
    target = table(kind)[means]
    is_string = "string" in entry or "chosen" in entry or "function" in target
    code = next((code for code in ALLOWED if name in code.names.get(kind, {})), None)
    return KerasName(kind, name, means, is_string, target.get("refused", ""), code, tuple(target.get("call", ())))


def find_all(name: str) -> list[KerasName]:
    """Return the name under every kind that has it."""
    return [found for kind in KINDS if (found := find(kind, name))]


def names(kind: str) -> list[str]:
    """Return every name of a kind that a config may use, including aliases and string identifiers."""
    return [name for name in table(kind) if not find_known(kind, name).refusal]


def find_known(kind: str, name: str) -> KerasName:
    keras_name = find(kind, name)
    if keras_name is None:
        raise KeyError(name)
    return keras_name


def arguments(kind: str, name: str) -> Mapping[str, Argument]:
    """Return the arguments of a class by name, its own first, then those of every object of the kind. Empty for
    functions and for names that Keras resolves by the shapes."""
    entry = table(kind)[find_known(kind, name).means]
    found = {item[0]: read_argument(item) for item in entry.get("arguments", ())}
    if "base" in entry:
        for item in signatures()["base"][entry["base"]]["arguments"]:
            found.setdefault(item[0], read_argument(item, is_positional=False))
    return found


def read_argument(item: list[Any], is_positional: bool = True) -> Argument:
    name, types, *default = item
    return Argument(name, tuple(types.split("|")), not default, default[0] if default else None, is_positional)


def first_argument(name: str) -> str | None:
    """Return the argument that a single value sets: "units" in `Dense: 10`. None if there is none."""
    every = (argument for found in find_all(name) for argument in arguments(found.kind, name).values())
    return next((argument.name for argument in every if argument.is_positional), None)


def smallest_input(name: str) -> int:
    """Return the minimum height and width of a backbone's images."""
    return int(table("backbone")[name]["smallest"])


def nearest(kind: str, name: str, count: int = 3) -> list[str]:
    """Return up to `count` names of the kind that resemble `name`, the nearest first."""
    return near(name, names(kind), count)


def summary(kind: str, name: str) -> str:
    """Return Keras's one-sentence description of a name, as Keras writes it; empty if there is none."""
    return str(described(kind, name).get("doc", ""))


def argument_summary(kind: str, name: str, argument: str) -> str:
    """Return a one-sentence description of an argument, or an empty string."""
    entry = described(kind, name)
    own = entry.get("documented") or entry.get("arguments", {})
    shared = docs()["base"].get(kind, {}).get("arguments", {})
    return str(own.get(argument) or shared.get(argument, ""))


def described(kind: str, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = {**docs()[kind], **OWN.get(kind, {})}.get(find_known(kind, name).means, {})
    return found


def table(kind: str) -> Mapping[str, Any]:
    entries: Mapping[str, Any] = {**signatures()[kind], **OWN.get(kind, {})}
    for code in ALLOWED:
        entries = {**entries, **code.names.get(kind, {})}
    return entries


def signatures() -> Mapping[str, Any]:
    return read("signatures.json")


def docs() -> Mapping[str, Any]:
    return read("docs.json")


@cache
def read(file_name: str) -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads((FOLDER / file_name).read_text(encoding="utf-8"))
    return content
