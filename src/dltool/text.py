"""Words and numbers in messages: suggestions, abbreviated lists, counts, safe characters."""

import math
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any
from unicodedata import category

from dltool.environment import concealed

ESCAPED = {*"\u061c\u200e\u200f\u2028\u2029", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}
"""Bidirectional characters, and the separators of lines and paragraphs: escaped as control characters are."""
LONGEST_NAME = 200
"""Longer names resemble no other: comparing them would take seconds."""
LARGEST_NUMBER = 1e9
"""Larger numbers are written as 1.234e+09: nobody counts more commas."""


def printable(text: str) -> str:
    """Return `text` with control and bidirectional characters escaped, so that data cannot control the terminal."""
    if text.isprintable():
        return text
    return "".join(
        f"\\x{ord(each):02x}" if each != "\t" and (category(each) in ("Cc", "Cs") or each in ESCAPED) else each
        for each in text
    )


def whole_text(text: str) -> str:
    """Return the text with lone surrogates escaped, so that it can be encoded."""
    return text.encode("utf-8", "backslashreplace").decode()


def near(name: str, known: Iterable[str], most: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return up to `most` of `known` that resemble `name` in any case: the nearest first, then in order. Names that
    differ only in case and underscores are returned once. `cutoff` is difflib's ratio."""
    from difflib import SequenceMatcher

    if len(name) > LONGEST_NAME:
        return []

    def likeness(wanted: str, other: str) -> float:
        matcher = SequenceMatcher(None, other, wanted)
        return matcher.ratio() if matcher.real_quick_ratio() >= cutoff and matcher.quick_ratio() >= cutoff else 0.0

    scored = [(likeness(name.lower(), other.lower()), other) for other in known]
    alike = [(score, likeness(name, other), other) for score, other in scored if score >= cutoff]
    best: dict[str, str] = {}
    for *_, other in sorted(alike, key=lambda item: item[:2], reverse=True):
        best.setdefault(other.lower().replace("_", ""), other)
    return list(best.values())[:most]


def did_you_mean(names: Iterable[str]) -> str:
    """Return the hint that suggests `names`; empty if there are none."""
    quoted_names = [f'"{name}"' for name in names]
    return f"did you mean {joined(quoted_names, 'or')}?" if quoted_names else ""


def is_meant(names: Iterable[str], pattern: str) -> bool:
    """Return whether the pattern, in which `*` matches any characters, is one of the names."""
    expression = ".*".join(map(re.escape, pattern.split("*")))
    return any(re.fullmatch(expression, name) for name in names)


def joined(words: Sequence[str], last: str) -> str:
    """Return all words as a list: "a, b or c"."""
    return f" {last} ".join([*([", ".join(words[:-1])] if words[:-1] else []), *words[-1:]])


def listed(words: Sequence[str], most: int, separator: str = ", ") -> str:
    """Return the first `most` words: "a, b, …"."""
    return separator.join([*words[:most], *(["…"] if len(words) > most else [])])


def and_more(words: Sequence[str], most: int, separator: str = ", ") -> str:
    """Return the first `most` words and how many follow: "a, b and 3 more", "a; b; and 3 more"."""
    rest = f"and {len(words) - most:,} more" if len(words) > most else ""
    before = " " if separator == ", " else separator
    return separator.join(words[:most]) + (before + rest if rest else "")


def plural(count: int, singular: str, several: str = "") -> str:
    """Return the form for `count`: "row", "rows"; "class", "classes"; "row is", "rows are" if both are given."""
    return singular if count == 1 else several or f"{singular}{'es' if singular.endswith('s') else 's'}"


def counted(count: int, singular: str, several: str = "") -> str:
    """Return "1 row", "1,000 rows", "2 classes", as :func:`plural` says."""
    return f"{count:,} {plural(count, singular, several)}"


def shortened(text: str, longest: int) -> str:
    # A part of a value could not be recognised later.
    text = concealed(text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def quoted(text: str, longest: int = 60) -> str:
    """Return the text in quotes, truncated if it is long."""
    return f'"{shortened(text, longest)}"'


def value_text(value: Any) -> str:
    """Return a value as YAML writes it."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def os_words(error: OSError) -> str:
    """Return the operating system's message: "no such file or directory". Errors of host names are below 0."""
    return (os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)).lower()


def number(value: float, largest: float = 0.0) -> str:
    """Return a result in few figures: `0.4472`, `4.4720`, `44.72`, `447`, `447,200`; integers unchanged.

    Values that stand together have the same decimals if each is given the `largest` of them; one that these would
    leave with a single figure has three."""
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return str(value)
    size = max(abs(value), abs(largest))
    if size >= LARGEST_NUMBER:
        return f"{value:.3e}"
    decimals = 4 if size < 10 else 2 if size < 100 else 0
    if decimals == 0:
        value = float(f"{value:.4g}")
    return f"{value:,.{decimals}f}" if abs(value) >= 10.0 ** (1 - decimals) or value == 0 else f"{value:.3g}"


def largest_of(values: Iterable[Any]) -> float:
    """Return the largest absolute value of the finite floats among `values`, 0 if there is none."""
    return max((abs(each) for each in values if isinstance(each, float) and math.isfinite(each)), default=0.0)


def numbers(values: Iterable[float]) -> list[str]:
    """Return values that stand together, as :func:`number` does, with the same decimals."""
    values = list(values)
    largest = largest_of(values)
    return [number(each, largest) for each in values]


def data_number(value: float, figures: int = 7) -> str:
    """Return a number of the data, integers unrounded: `1,234,567`, `0.25`. float32 has seven figures."""
    is_whole = abs(value) < LARGEST_NUMBER and (value == round(value) or abs(value) >= 10**figures)
    return f"{value:,.0f}" if is_whole else f"{value:,.{figures}g}"


def short(count: int) -> str:
    """Return a large number with three digits: `512`, `12.4 k`, `296 M`, `1.05 G`."""
    for factor, prefix in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= factor:
            value = count / factor
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {prefix}"
    return str(count)


UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def size_text(size: int) -> str:
    """Return a number of bytes: `512 B`, `4.1 MB`, `12 GB`."""
    unit, factor = max((item for item in UNITS.items() if item[1] <= max(size, 1)), key=lambda item: item[1])
    amount = size / factor
    return f"{amount:.1f} {unit}" if amount < 10 and factor > 1 else f"{amount:.0f} {unit}"


def duration(seconds: float) -> str:
    """Return `4.1 s`, `2 min 05 s`, `1 h 02 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"


def shape(sizes: Iterable[int | None]) -> str:
    """Return `28 × 28 × 1`; a dimension that varies between examples is `?`."""
    return " × ".join("?" if size is None else str(size) for size in sizes) or "one value"


Shape = tuple[int | None, ...]
"""The shape of a tensor without its batch axis."""


def shape_text(shape: Shape) -> str:
    """Return `(26, 26, 32)`, as Keras writes it, with ? for a dimension that varies."""
    inside = ", ".join("?" if size is None else str(size) for size in shape)
    return f"({inside},)" if len(shape) == 1 else f"({inside})"
