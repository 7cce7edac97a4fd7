"""JSON Schema draft 07, as much of it as the schema of configs uses."""

import math
import re
from collections.abc import Iterator
from typing import Any

ONE = ("items", "additionalProperties", "propertyNames", "if", "then", "else")
NAMED = ("properties", "patternProperties", "definitions")


def every_schema(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield each schema inside a schema, itself included."""
    if isinstance(schema, dict):
        yield schema
        below = [schema[key] for key in ONE if key in schema] + schema.get("anyOf", [])
        below += [each for key in NAMED for each in schema.get(key, {}).values()]
        for each in below:
            yield from every_schema(each)


def follow(schema: Any, reference: str) -> Any:
    """Return what a reference leads to."""
    for step in reference.removeprefix("#/").split("/"):
        schema = schema[step]
    return schema


KEYWORDS = {"integer": int, "number": int | float, "string": str, "boolean": bool, "array": list, "object": dict}


def is_valid(schema: Any, value: Any, root: Any) -> bool:
    """Return whether `value` meets `schema`, a part of `root`."""
    if isinstance(schema, bool):
        return schema
    if "$ref" in schema:
        return is_valid(follow(root, schema["$ref"]), value, root)
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    branch = "then" if "if" in schema and is_valid(schema["if"], value, root) else "else"
    return all(
        (
            not types or any(is_type(name, value) for name in types),
            value in schema.get("enum", [value]),
            any(is_valid(member, value, root) for member in schema.get("anyOf", [True])),
            "if" not in schema or is_valid(schema.get(branch, True), value, root),
            not isinstance(value, str) or re.search(schema.get("pattern", ""), value),
            not is_type("number", value) or is_in_range(schema, value),
            not isinstance(value, list) or is_valid_list(schema, value, root),
            not isinstance(value, dict) or is_valid_mapping(schema, value, root),
        )
    )


def is_in_range(schema: Any, value: Any) -> bool:
    """Return whether a number has no bound on its wrong side, as is true of NaN."""
    return not (
        value < schema.get("minimum", value)
        or value > schema.get("maximum", value)
        or value <= schema.get("exclusiveMinimum", math.nan)
        or value >= schema.get("exclusiveMaximum", math.nan)
    )


def is_valid_list(schema: Any, value: Any, root: Any) -> bool:
    is_long_enough = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
    return is_long_enough and all(is_valid(schema.get("items", True), item, root) for item in value)


def is_type(name: str, value: Any) -> bool:
    if name == "null" or value is None:
        return name == "null" and value is None
    return isinstance(value, KEYWORDS[name]) and (name == "boolean" or not isinstance(value, bool))


def is_valid_mapping(schema: Any, value: Any, root: Any) -> bool:
    if not set(schema.get("required", ())) <= set(value):
        return False
    if not schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", len(value)):
        return False
    if not all(is_valid(schema.get("propertyNames", True), key, root) for key in value):
        return False
    for key, item in value.items():
        known = [schema["properties"][key]] if key in schema.get("properties", {}) else []
        known += [inner for pattern, inner in schema.get("patternProperties", {}).items() if re.search(pattern, key)]
        others = schema.get("additionalProperties", True)
        if not known and others is False:
            return False
        if not all(is_valid(inner, item, root) for inner in known or [others]):
            return False
    return True
