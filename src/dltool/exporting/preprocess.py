"""Preprocessing of the inputs that the file of a model takes preprocessed. It needs no packages."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dltool.data.dates import DATE_PARTS, SECONDS_A_DAY

PUNCTUATION = re.compile(rb'[!"#$%&()\*\+,\-\./:;<=>?@\[\\\]^_`{|}~\']')
BLANKS = re.compile(rb"[ \t\n\v\f\r]+")
# TensorFlow lowers ASCII letters alone.
LOWER = bytes(code + 32 if 65 <= code <= 90 else code for code in range(256))
BEFORE_ALL_DATES = -(10**9)  # days; a missing date is the smallest int64


def read_states() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(__file__).parent / "preprocess.json").read_text("utf-8"))
    return found


def preprocessed(state: dict[str, Any], values: Any) -> list[Any]:
    """Return the values of an input as the model takes them, for raw values, or lists of them."""
    if state["kind"] == "text" and state["output_mode"] == "int" and state["length"] is None:
        found = [text_indices(state, value) for value in values]
        longest = max(map(len, found), default=0)
        return [each + [0] * (longest - len(each)) for each in found]
    return [nested(state, value) for value in values]


def nested(state: dict[str, Any], value: Any) -> Any:
    is_one = value is None or isinstance(value, str) or not hasattr(value, "__len__")
    return PREPROCESSED[state["kind"]](state, value) if is_one else [nested(state, each) for each in value]


def category(state: dict[str, Any], value: str | None) -> int:
    return int(state["indices"].get(value or "", state["unknown"]))


def text(state: dict[str, Any], value: str | None) -> list[Any]:
    indices = text_indices(state, value)
    if state["output_mode"] == "int":
        return [*indices, *[0] * (state["length"] - len(indices))][: state["length"]]
    found = [0.0] * (state["size"] or len(state["vocabulary"]))
    for index in indices:
        found[index] = 1.0 if state["output_mode"] == "multi_hot" else found[index] + 1.0
    weights = state["weights"]
    return found if weights is None else [count * weight for count, weight in zip(found, weights, strict=False)]


def text_indices(state: dict[str, Any], value: str | None) -> list[int]:
    if "table" not in state:
        state["table"] = {word.encode(): index for index, word in enumerate(state["vocabulary"])}
    unknown = 1 if state["output_mode"] == "int" else 0
    return [state["table"].get(word, unknown) for word in words(state, value or "")]


def words(state: dict[str, Any], value: str) -> list[bytes]:
    """Return the words of a text, byte for byte those of Keras's TextVectorization."""
    data = value.encode("utf-8", "replace")
    if state["standardize"] in ("lower", "lower_and_strip_punctuation"):
        data = data.translate(LOWER)
    if state["standardize"] in ("strip_punctuation", "lower_and_strip_punctuation"):
        data = PUNCTUATION.sub(b"", data)
    if state["split"] == "whitespace":
        found = [word for word in BLANKS.split(data) if word]
    else:
        found = [character.encode() for character in data.decode()]
    sizes = state["ngrams"] or [1]
    sizes = range(1, sizes + 1) if isinstance(sizes, int) else sizes
    return [b" ".join(found[at : at + size]) for size in sizes for at in range(len(found) - size + 1)]


def date(state: dict[str, Any], value: int | None) -> list[float]:
    """Return the parts of a date, seconds since 1970, scaled."""
    is_missing = value is None or int(value) // SECONDS_A_DAY < BEFORE_ALL_DATES
    seconds = state["fill"] if is_missing or value is None else int(value)
    found = []
    for part, center, spread in zip(state["parts"], state["center"], state["spread"], strict=True):
        if part == "elapsed":
            found.append((seconds - round(center * SECONDS_A_DAY)) / (spread * SECONDS_A_DAY))
        else:
            found.append((DATE_PARTS[part](seconds) - center) / spread)
    return found


def number(state: dict[str, Any], value: float | None) -> list[float]:
    is_missing = value is None or math.isnan(value)
    filled = state["fill"] if is_missing or value is None else float(value)
    if state["scale"] == "log":
        filled = math.copysign(math.log1p(abs(filled)), filled)
    if state["scale"] != "none":
        filled = (filled - state["center"]) / state["spread"]
    return [filled, float(is_missing)] if state["indicator"] else [filled]


PREPROCESSED: dict[str, Callable[[dict[str, Any], Any], Any]] = {
    "category": category,
    "text": text,
    "date": date,
    "number": number,
}
