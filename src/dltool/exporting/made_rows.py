"""Rows that every export has to survive: missing, unseen and extreme values, which the test rows may not have."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dltool.data.arrays.rows import Rows, text_array
from dltool.evaluation.model_interface import InputSchema
from dltool.evaluation.predictor import Predictor

MISSING: Mapping[str, Any] = {"float32": "nan", "float64": "nan", "string": "", "int64": -(2**63)}
"""What stands for a missing value, by the type of a raw input."""
FAR = 1e6
TEXTS = (
    "",
    "  ",
    "É à la carte, ñandú! ß İ",
    "non\u00a0breaking\u2003spaces\u0085and\ttabs",
    "<br /> don't [stop] it's a_b-c…",
    "漢字 😀 кириллица",
    " ".join(["long"] * 300),
)
UNSEEN = ("no such category", "Ünbekannt", " ")
SECONDS = (-2208988800 + 12345, -1, 0, 951782400, 4102444800, 86399)
"""1900, the last second of 1969, 1970, a 29 February, 2100, the end of a day."""
LEAST = 43
"""Batches of 1, 2, 7 and 33 rows."""


def made_rows(predictor: Predictor, seed: int, given: Mapping[str, Rows] | None) -> dict[str, np.ndarray]:
    """Return raw inputs, at least LEAST rows: in each row one input has an unusual value, then all of them, at random.

    Rows `given` are the others' values; without them, those are made too."""
    generator = np.random.Generator(np.random.Philox(seed))
    schemas = predictor.inputs
    unusual = {each.name: unusual_values(each) for each in schemas}
    usual = {each.name: usual_values(each, predictor, given, generator) for each in schemas}
    count = max(LEAST, sum(map(len, unusual.values())) + LEAST // 2)
    found = {each.name: usual[each.name][generator.integers(len(usual[each.name]), size=count)] for each in schemas}
    first = 0
    for each in schemas:
        values = unusual[each.name]
        for value in values:
            found[each.name][first] = spread(value, each, found[each.name][first], generator)
            first += 1
        for row in range(count - LEAST // 2, count) if len(values) else ():
            found[each.name][row] = spread(
                values[generator.integers(len(values))], each, found[each.name][row], generator
            )
    return found


def spread(value: Any, schema: InputSchema, usual: Any, generator: np.random.Generator) -> Any:
    """Return the value of a row, or for a window its values, of which about half are the unusual one."""
    if not schema.shape:
        return value
    chosen = generator.random(schema.shape) < 0.5 if schema.dtype != "uint8" else np.ones(schema.shape, bool)
    found = np.array(usual)
    found[chosen] = value
    return found


def unusual_values(schema: InputSchema) -> np.ndarray:
    """Return values of one input, of its own type."""
    missing = [MISSING[schema.dtype]] if schema.may_be_missing else []
    if schema.type == "category":
        others = () if schema.are_all else UNSEEN
        known = list(schema.categories or ())
        return text_array([*missing, *others, *known[:20]])
    if schema.dtype == "string":
        return text_array(TEXTS)
    if schema.type == "date":
        return np.array([*missing, *SECONDS], np.int64)
    if schema.type == "boolean":
        return np.array([*missing, 0, 1], np.float32)
    if schema.type == "number":
        low, high = schema.low or 0.0, schema.high or 1.0
        values = [low, high, 2 * low - high, 2 * high - low, 0, FAR, -FAR]
        return np.array([*map(float, [*missing, *values])], schema.dtype)
    return np.array([0, 255] if schema.dtype == "uint8" else [0], schema.dtype)


def usual_values(
    schema: InputSchema, predictor: Predictor, given: Mapping[str, Rows] | None, generator: np.random.Generator
) -> np.ndarray:
    """Return (rows, …) of one input as training had them."""
    if given is not None:
        rows = given[schema.name]
        return np.array(rows[np.arange(min(len(rows), LEAST))])
    size = (LEAST, *schema.shape)
    if schema.categories:
        return generator.choice(text_array(schema.categories), size)
    if schema.dtype == "string":
        state = predictor.built.fitted.columns.get(schema.name, {})
        words = [str(word) for word in state.get("vocabulary", ["a", "text"])][:50]
        return np.array([" ".join(generator.choice(words, 5)) for _ in range(int(np.prod(size)))], object).reshape(size)
    if schema.type == "date":
        return generator.integers(0, 2**30, size)
    if schema.dtype in ("float32", "float64"):
        low, high = (schema.low or 0.0, schema.high or 1.0) if schema.type == "number" else (0.0, 1.0)
        return generator.uniform(low, high, size).astype(schema.dtype)
    return generator.integers(0, 256 if schema.dtype == "uint8" else 1, size).astype(schema.dtype)
