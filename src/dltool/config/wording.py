"""Words for types, bounds and values in messages, and Keras's own names."""

import math
import re
from collections.abc import Mapping
from typing import Any

from dltool.keras_names import KINDS
from dltool.text import quoted

WORDS = {
    "int": "an integer",
    "float": "a number",
    "number": "a number",
    "bool": "true or false",
    "text": "a string",
    "list": "a list",
    "mapping": "a mapping",
    "ints": "a list of integers",
    "floats": "a list of numbers",
    "texts": "a list of strings",
    "layers": "a list of layers",
    **KINDS,
}
"""By the words of :mod:`dltool.keras_names.argument_types`."""
BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
MISSING = 'missing key "{}"'


def named(value: Any) -> str:
    """Return a value with its type, for "expected …, got …"."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the string {quoted(value)}"
    if isinstance(value, list | tuple):
        return WORDS["list"]
    if isinstance(value, Mapping):
        return WORDS["mapping"]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return f"the number {value}"


def counted_name(name: str, counts: dict[str, int]) -> str:
    """Return the name, numbered if `counts` has it already, as Keras does: dense, dense_1, …"""
    count = counts[name] = counts.get(name, -1) + 1
    return f"{name}_{count}" if count else name


def snake_case(name: str) -> str:
    """Return a name as Keras does: SparseCategoricalAccuracy → sparse_categorical_accuracy."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
