"""Plain YAML scalars by the YAML 1.2 core schema.

Source: YAML 1.2.2, section 10.3.2 (https://yaml.org/spec/1.2.2/#1032-tag-resolution). Stricter in two places, where
YAML 1.1 readers would silently see another number: `010` and `1:30` are refused."""

import re

Scalar = str | int | float | bool | None

CONSTANTS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{sign + dot: float(sign + "inf") for sign in ("", "+", "-") for dot in (".inf", ".Inf", ".INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
INTEGER = re.compile(r"[-+]?[0-9]+")
BASED_INTEGER = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
SEXAGESIMAL = re.compile(r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?")
MOST_DIGITS = 40


class AmbiguousScalar(ValueError):
    """A scalar that YAML readers read differently: the message, and a hint how to write it."""


def resolve_scalar(text: str) -> Scalar:
    """Return the value of a plain (unquoted) scalar."""
    if text in CONSTANTS:
        return CONSTANTS[text]
    if LEADING_ZERO.fullmatch(text):
        digits = text.lstrip("+-0_") or "0"
        raise AmbiguousScalar(
            f"{text} has a leading zero: other YAML readers read it as octal",
            f'write {digits}, or "{text}" for a string',
        )
    if SEXAGESIMAL.fullmatch(text):
        raise AmbiguousScalar(f"other YAML readers read {text} as a base-60 number", f'write "{text}" for a string')
    if INTEGER.fullmatch(text) or BASED_INTEGER.fullmatch(text):
        if len(text) > MOST_DIGITS:
            raise AmbiguousScalar(f"a number of {len(text)} digits", "if it is a string, quote it")
        return int(text, 0) if BASED_INTEGER.fullmatch(text) else int(text)
    if FLOAT.fullmatch(text) and len(text) <= MOST_DIGITS:
        return float(text)
    return text


def is_plain_text(text: str) -> bool:
    """Return whether `text`, written without quotes, reads as the same string."""
    try:
        return resolve_scalar(text) == text
    except AmbiguousScalar:
        return False
