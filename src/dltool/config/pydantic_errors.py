"""Convert problems to pydantic's errors and back.

A validator refuses a value by :func:`refuse`; :func:`value_problems` translates pydantic's own errors."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from dltool.config.keras.values import UNKNOWN
from dltool.config.wording import BOUNDS, WORDS, named
from dltool.errors import ConfigPath, Problem
from dltool.text import counted, did_you_mean, joined, near

TYPES = {
    "int_type": "int",
    "float_type": "float",
    "string_type": "text",
    "bool_type": "bool",
    "tuple_type": "list",
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "mapping"),
}
"""Pydantic's type errors, each with the expected type."""
LENGTHS = {"string_too_short": "at least one character", "string_too_long": "one character"}
YAML_1_1 = {"yes": "true", "on": "true", "no": "false", "off": "false"}
NUMBERS_ONLY = "such names stand for numbers"
GROUPED = re.compile(r"[-+]?[0-9]+(_[0-9]+)+(\.[0-9]*)?")
"""A number that is valid in Python but not in YAML."""


def refusal(*problems: Problem) -> PydanticCustomError:
    """Return the error by which a validator refuses a value. Config paths are relative to the value."""
    return PydanticCustomError("problems", "refused", {"problems": list(problems)})


def refuse(*problems: Problem) -> None:
    """Raise PydanticCustomError if there are any problems."""
    if problems:
        raise refusal(*problems)


def problems_in(error: PydanticCustomError) -> list[Problem]:
    found: list[Problem] = (error.context or {})["problems"]
    return found


def relocated(problem: Problem, base: ConfigPath) -> Problem:
    """Return the problem with `base` in front of its config path."""
    related = tuple(((*base, *place) if isinstance(place, tuple) else place, words) for place, words in problem.related)
    place = (*base, *problem.place) if isinstance(problem.place, tuple) else base
    return replace(problem, place=place, related=related)


def value_problems(
    details: Mapping[str, Any], place: ConfigPath, annotation: Any, written: str = ""
) -> Iterator[Problem]:
    """Translate one of pydantic's errors about the value at `place`, whose source text is `written`. `annotation` is
    the type of its field."""
    kind, context, value = details["type"], details.get("ctx", {}), details["input"]
    given = written if value is UNKNOWN and written else named(value)
    limit = next((key for key in BOUNDS if key in context), None)
    choices = (
        [str(choice).lower() if isinstance(choice, bool) else str(choice) for choice in literal_choices(annotation)]
        if kind != "tuple_type"
        else []
    )
    if kind == "problems":
        yield from (relocated(problem, place) for problem in context["problems"])
    elif limit is not None:
        # With all its digits: 4,294,967,296.
        most = f"{context[limit]:,}" if isinstance(context[limit], int) else f"{context[limit]:g}"
        yield Problem(place, f"must be {BOUNDS[limit]} {most}, got {value}")
    elif kind == "finite_number":
        yield Problem(place, f"must be a finite number, got {value}")
    elif kind in LENGTHS:
        yield Problem(place, f"expected {LENGTHS[kind]}, got {given}")
    elif kind in ("too_short", "too_long"):
        least, most = context.get("min_length", 0), context.get("max_length", math.inf)
        if not value:
            yield Problem(place, f"the {'mapping' if isinstance(value, Mapping) else 'list'} is empty")
        elif not least <= len(value) <= most:
            bound, words = (least, "at least ") if len(value) < least else (most, "at most ")
            is_exact = bound in lengths(annotation, "min_length") & lengths(annotation, "max_length")
            yield Problem(place, f"expected {'' if is_exact else words}{counted(bound, 'value')}, got {len(value)}")
        # Otherwise the items with an error are not counted, and speak for themselves.
    elif kind == "unknown_whole":
        yield Problem(place, f"expected {context['expected']}, got {given}", NUMBERS_ONLY)
    elif kind == "literal_error" or (choices and kind in TYPES):
        yield from choice_problems(place, value, given, choices, annotation)
    elif kind in TYPES:
        hint = NUMBERS_ONLY if value is UNKNOWN else type_hint(kind, value, written, annotation)
        yield Problem(place, f"expected {WORDS[TYPES[kind]]}, got {given}", hint)
    else:
        yield Problem(place, details["msg"])


def is_repeated(details: Mapping[str, Any], place: ConfigPath, earlier: Iterable[Problem]) -> bool:
    """Return whether a member of a union refuses the type of a value in which an `earlier` member found errors."""
    depth, found = len(place), (problem.place for problem in earlier)
    is_of_type = details["type"] in {*TYPES, "literal_error"}
    return is_of_type and any(isinstance(each, tuple) and each[:depth] == place for each in found)


def annotation_of(field: FieldInfo | None) -> Any:
    """Return the type of a field with its bounds of a length, which pydantic takes out of `annotation`."""
    if field is None:
        return None
    is_bounded = any(hasattr(each, "max_length") or hasattr(each, "min_length") for each in field.metadata)
    return field.rebuild_annotation() if is_bounded else field.annotation


def lengths(annotation: Any, bound: str) -> set[int]:
    """Return each `min_length` or `max_length` of a type and of the members of its unions."""
    bounds = (each for field in getattr(annotation, "__metadata__", ()) for each in getattr(field, "metadata", [field]))
    own = {getattr(each, bound) for each in bounds if hasattr(each, bound)}
    return own.union(*(lengths(member, bound) for member in get_args(annotation) if member is not ...))


def literal_choices(annotation: Any) -> Iterator[Any]:
    """Yield the values of every `Literal` in a type."""
    for member in get_args(annotation):
        yield from [member] if isinstance(member, str | int) else literal_choices(member)


def choice_problems(
    place: ConfigPath, value: Any, given: str, choices: list[str], annotation: Any
) -> Iterator[Problem]:
    """Yield one problem for a value that is none of `choices`, whatever the number of union members."""
    # A number may have bounds.
    members = [get_args(member)[0] if get_origin(member) is Annotated else member for member in get_args(annotation)]
    is_mapping = any(get_origin(member) is dict or hasattr(member, "model_fields") for member in members)
    others = ["a number"] * (float in members) + ["a mapping"] * is_mapping
    if not (is_mapping and isinstance(value, Mapping)):
        longer = [choice for choice in choices if len(str(value)) > 3 and str(value) in choice]
        # Of two that are equally near, the later one is the more general.
        hint = did_you_mean(longer[:1] or near(str(value), reversed(choices)))
        yield Problem(place, f"expected {joined(choices + others, 'or')}, got {given}", hint)


def type_hint(kind: str, value: Any, written: str, annotation: Any) -> str:
    """Return the likely intended form of a value of the wrong type."""
    if str(value).lower() in YAML_1_1 and (kind == "bool_type" or bool in get_args(annotation)):
        return f"write {YAML_1_1[str(value).lower()]}"
    if kind in {"int_type", "float_type"} and isinstance(value, str) and GROUPED.fullmatch(value):
        return f"write {value.replace('_', '')}"
    if kind == "string_type" and written:
        return f'quote it: "{written}"'
    if kind == "tuple_type":
        text = written or (value if isinstance(value, str) else "")
        return f"write [{text}]" if text and max(lengths(annotation, "min_length"), default=1) < 2 else ""
    if kind == "int_type" and isinstance(value, float) and value.is_integer():
        return f"write {int(value)}, or use // in the expression" if written.startswith("$") else f"write {int(value)}"
    return ""
