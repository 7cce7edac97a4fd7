"""Variables of the environment that a config reads. Their values stay in memory: what is shown or written has the
expression `$(env.NAME)` instead."""

import os
import re

SHORTEST = 4
"""Fewer characters are no secret, and occur in other words."""
LOGIN = re.compile(r"(?<=://)[^\s/@]+@")
EXPRESSIONS: dict[str, str] = {}
"""The expression of each value that a config of this process has read: like the environment, it is of the process."""


def variable(name: str) -> str | None:
    """Return the value of a variable, None if it is not set. From here on it is concealed."""
    value = os.environ.get(name)
    if value is not None:
        conceal(value, f"$(env.{name})")
    return value


def conceal(value: str, expression: str) -> None:
    """Let :func:`concealed` replace the value by its expression."""
    if len(value) >= SHORTEST:
        EXPRESSIONS[value] = expression


def concealed(text: str) -> str:
    """Return a message or a log with values as their expressions, and URLs without the name and password in them."""
    if EXPRESSIONS:
        longest_first = sorted(EXPRESSIONS, key=len, reverse=True)
        text = re.sub("|".join(map(re.escape, longest_first)), lambda match: EXPRESSIONS[match[0]], text)
    return LOGIN.sub("…@", text) if "@" in text else text
