"""How messages name types, bounds and values."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
}
BOUNDS = {"greater_than": "above", "greater_than_equal": "at least", "less_than": "below", "less_than_equal": "at most"}
MISSING = 'the key "{}" is missing'
BOUND_KEYS = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt", "less_than_equal": "le"}


def named(value: Any) -> str:
    """A value with its type in words, for "expected …, not …"."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'the text "{value[:60]}"'
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, Mapping):
        return "keys and values"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return f"the number {value}"


def bound(value: float) -> str:
    """A limit in full: 4,294,967,296."""
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def literal_choices(annotation: Any) -> Iterator[Any]:
    for member in get_args(annotation):
        yield from [member] if isinstance(member, str | int) else literal_choices(member)


def counted_name(name: str, counts: dict[str, int]) -> str:
    """The name, with the number of the repetition where `counts` has it already, as Keras does: dense, dense_1, …"""
    count = counts[name] = counts.get(name, -1) + 1
    return f"{name}_{count}" if count else name


def snake_case(name: str) -> str:
    """As Keras does: SparseCategoricalAccuracy → sparse_categorical_accuracy."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
