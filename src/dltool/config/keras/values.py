"""Checks plain values of Keras arguments against the types of :mod:`dltool.keras_names.argument_types`."""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, Final

from dltool.config.text.scalars import AmbiguousScalar, resolve_scalar
from dltool.config.wording import WORDS, named
from dltool.errors import ConfigPath, Problem
from dltool.text import did_you_mean, joined, near


class Unknown(Enum):
    """The class of :data:`UNKNOWN`."""

    UNKNOWN = "UNKNOWN"

    def __str__(self) -> str:
        return self.name


UNKNOWN: Final = Unknown.UNKNOWN
"""A value that depends on data not read yet. It is accepted everywhere."""

ITEMS = {"ints": ("int",), "floats": ("float",), "texts": ("text",)}
ANY_CASE = {"padding", "data_format", "interpolation"}
"""Arguments whose choices Keras reads in upper and lower case."""


def check_plain(types: Sequence[str], argument: str, value: Any, place: ConfigPath) -> tuple[Any, list[Problem]]:
    """Return `value` as Keras expects it, and its error."""
    if value is UNKNOWN or "any" in types:
        return value, []
    if isinstance(value, list | tuple):
        return check_list(types, argument, list(value), place)
    if isinstance(value, str):
        choices = choices_of(types)
        fits = "text" in types or value in choices or (argument in ANY_CASE and value.lower() in choices)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        is_final = "number" in types or ("int" in types and isinstance(value, int))
        fits = is_final or "float" in types
        if fits and not is_final and abs(value) < 2**1000:
            # Keras refuses `SGD(momentum=0)`: it must be 0.0.
            value = float(value)
    else:
        fits = ("null" if value is None else "bool" if isinstance(value, bool) else "mapping") in types
    return value, [] if fits else [mismatch(types, value, place)]


def check_list(types: Sequence[str], argument: str, value: list[Any], place: ConfigPath) -> tuple[Any, list[Problem]]:
    typed = next((word for word in types if word.split(":")[0] in ITEMS), None)
    if typed is None:
        return value, [] if "list" in types else [mismatch(types, value, place)]
    name, _, length = typed.partition(":")
    if length and len(value) != int(length):
        return value, [Problem(place, f"{expected([typed]).replace('a list of', 'expected')}, got {len(value)}")]
    checked, problems = [], []
    for index, item in enumerate(value):
        result, found = check_plain(ITEMS[name], argument, item, (*place, index))
        checked.append(result)
        problems += found
    return checked, problems


def mismatch(types: Sequence[str], value: Any, place: ConfigPath) -> Problem:
    if "code" in types:
        return Problem(place, "takes a Python object, which a config cannot hold", "leave it out")
    return Problem(place, f"expected {expected(types)}, got {named(value)}", type_hint(types, value))


def expected(types: Iterable[str]) -> str:
    """Return the types in a sentence: "an integer or a list of 2 integers"."""
    words: list[str] = []
    for each in types:
        name, _, length = each.partition(":")
        if length:
            items = WORDS[name].removesuffix("s" if length == "1" else "")
            words.append(items.replace("a list of", f"a list of {length}"))
        elif name != "null":
            words.append(WORDS.get(name, name.strip('"')))
    return joined(words, "or") or "null"


def type_hint(types: Sequence[str], value: Any) -> str:
    if isinstance(value, float) and "int" in types and value.is_integer():
        return f"write {int(value)}"
    if isinstance(value, str):
        if "bool" in types and value.lower() in {"yes", "no", "on", "off", "true", "false"}:
            return f'"{value}" is a string in YAML 1.2; write true or false'
        if value.lower() in {"none", "null"} and "null" in types:
            return "write null"
        return did_you_mean(near(value, choices_of(types))) or number_hint(types, value)
    if "text" in types and isinstance(value, bool | int | float):
        return f'quote it: "{named(value).removeprefix("the number ")}"'
    return ""


def number_hint(types: Sequence[str], value: str) -> str:
    try:
        number = resolve_scalar(value)
    except AmbiguousScalar:
        return ""
    fits = isinstance(number, int) or (isinstance(number, float) and {"float", "number"} & set(types))
    wanted = {"int", "float", "number"} & set(types)
    return f"write {value} without quotes" if wanted and fits and not isinstance(number, bool) else ""


def choices_of(types: Iterable[str]) -> list[str]:
    return [word[1:-1] for word in types if word.startswith('"')]
