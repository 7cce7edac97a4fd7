"""Python source text in the layout of `ruff format`: values, calls and Keras objects."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dltool.config.keras.objects import KerasObject
from dltool.keras_names import arguments, find

WIDTH = 88
INNER_WIDTH = WIDTH - 4
"""That of lines which become those of a function."""
MODULES: Mapping[str, str] = {
    "layer": "layers",
    "optimizer": "keras.optimizers",
    "schedule": "keras.optimizers.schedules",
    "loss": "keras.losses",
    "metric": "keras.metrics",
    "callback": "keras.callbacks",
    "initializer": "keras.initializers",
    "regularizer": "keras.regularizers",
    "constraint": "keras.constraints",
    "activation": "keras.activations",
    "backbone": "keras.applications",
}
"""Where the script finds Keras objects, by kind."""


@dataclass(frozen=True)
class Bracketed:
    """Items between brackets, which may stand on a line each. Every item has its prefix, such as "units="."""

    head: str
    items: tuple[tuple[str, "Code"], ...]
    tail: str


Code = str | Bracketed


def flat(code: Code) -> str:
    """Return the code in one line."""
    if isinstance(code, str):
        return code
    inside = ", ".join(prefix + flat(item) for prefix, item in code.items)
    comma = "," * (code.head == "(" and len(code.items) == 1)
    return f"{code.head}{inside}{comma}{code.tail}"


def laid_out(code: Code, before: str = "", after: str = "", indent: int = 0, width: int = WIDTH) -> list[str]:
    """Return the lines of `before`, the code and `after`: one, if it fits, else one for each item."""
    line = " " * indent + before + flat(code) + after
    if isinstance(code, str) or len(line) <= width or not code.items:
        return [line]
    lines = [" " * indent + before + code.head]
    for prefix, item in code.items:
        lines += laid_out(item, prefix, ",", indent + 4, width)
    return [*lines, " " * indent + code.tail + after]


def applied(layer: Code, before: str, *items: Code, **named: Code) -> list[str]:
    """Return the lines of `before` and a layer that is applied to its arguments: those of it in lines of their own if
    it has some, and the others otherwise."""
    whole = call(flat(layer), *items, **named)
    after = flat(whole).removeprefix(flat(layer))
    if isinstance(layer, Bracketed) and layer.items and len(after) < WIDTH:
        return laid_out(layer, before, after, width=INNER_WIDTH)
    return laid_out(whole, before, width=INNER_WIDTH)


def call(function: str, *positional: Code, **named: Code) -> Bracketed:
    items = [*(("", each) for each in positional), *((f"{name}=", each) for name, each in named.items())]
    return Bracketed(f"{function}(", tuple(items), ")")


def sequence(items: Iterable[Code]) -> Bracketed:
    return Bracketed("[", tuple(("", each) for each in items), "]")


def mapping(items: Mapping[str, Code]) -> Bracketed:
    return Bracketed("{", tuple((f"{text(key)}: ", each) for key, each in items.items()), "}")


def text(value: str) -> str:
    """Return a string literal with the quotes that `ruff format` prefers."""
    written = repr(value)
    if written[0] == "'" and '"' not in value:
        return '"' + written[1:-1].replace("\\'", "'") + '"'
    return written


def value(item: Any) -> Code:
    """Return plain data and Keras objects as code."""
    if isinstance(item, KerasObject):
        return keras_object(item)
    if isinstance(item, Mapping):
        return mapping({str(key): value(each) for key, each in item.items()})
    if isinstance(item, list | tuple):
        parts = tuple(("", value(each)) for each in item)
        are_numbers = all(isinstance(each, int | float) for each in item) and len(item) <= 4
        return Bracketed("(", parts, ")") if are_numbers and item else Bracketed("[", parts, "]")
    return text(item) if isinstance(item, str) else repr(item)


def keras_object(item: KerasObject, more: Mapping[str, Any] | None = None, without: Sequence[str] = ()) -> Code:
    """Return the construction of a Keras object, with `more` arguments and `without` some of its own. Required ones
    come first, without their names."""
    known = find(item.kind, item.name)
    is_own = known is not None and known.code is not None
    if item.is_string:
        return item.name if is_own else text(item.name)
    of_call = item.call_arguments
    given = {k: v for k, v in item.arguments.items() if k not in of_call and k not in without} | dict(more or {})
    positional: list[Code] = []
    for name, argument in {} if is_own else arguments(item.kind, item.name).items():
        if not (argument.required and argument.is_positional and name in given):
            break
        positional.append(value(given.pop(name)))
    function = item.name if is_own else f"{MODULES[item.kind]}.{item.name}"
    return call(function, *positional, **{name: value(each) for name, each in given.items()})
