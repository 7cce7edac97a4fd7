"""Text that is safe to show, and numbers as people read them."""

import math
import unicodedata
from collections.abc import Iterable

BIDIRECTIONAL = {*"\u061c\u200e\u200f", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}


def printable(text: str) -> str:
    """`text` with control and bidirectional characters as escapes, so that data cannot steer the terminal."""
    if text.isprintable():
        return text
    return "".join(
        character if character == "\t" or not is_control(character) else f"\\x{ord(character):02x}"
        for character in text
    )


def whole_text(text: str) -> str:
    """The text with escapes for what is no character, so that any file can hold it."""
    return text.encode("utf-8", "backslashreplace").decode()


def is_control(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cs"} or character in BIDIRECTIONAL or character in "\u2028\u2029"


def counted(count: int, noun: str) -> str:
    """ "1 row", "1,000 rows", "2 classes"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}{'es' if noun.endswith('s') else 's'}"


def number(value: float) -> str:
    """Four significant decimals for metrics, whole numbers as they are."""
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return str(value)
    return f"{value:.4f}" if 0.001 <= abs(value) < 100_000 or value == 0 else f"{value:.3e}"


def yaml_value(value: object) -> str:
    """A value as YAML writes it."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def short(count: int) -> str:
    """`512`, `12.4 k`, `296 M`, `1.05 G`: a large number to three figures."""
    for factor, prefix in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= factor:
            value = count / factor
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {prefix}"
    return str(count)


def duration(seconds: float) -> str:
    """`4.1 s`, `2 min 05 s`, `1 h 02 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"


def shape(sizes: Iterable[int | None]) -> str:
    """`28 × 28 × 1`; a size that differs from example to example is `?`."""
    return " × ".join("?" if size is None else str(size) for size in sizes) or "one value"


Shape = tuple[int | None, ...]
"""That of a tensor without its batch axis."""


def shape_text(shape: Shape) -> str:
    """`(26, 26, 32)`, as Keras writes it, with ? for an axis whose length varies."""
    inside = ", ".join("?" if size is None else str(size) for size in shape)
    return f"({inside},)" if len(shape) == 1 else f"({inside})"
