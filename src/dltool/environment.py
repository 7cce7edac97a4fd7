"""Variables of the environment that a config reads. Their values stay in memory: what is shown or written has the
expression `$(env.NAME)` instead."""

import os
import re

SHORTEST, LONG = 3, 8
"""Characters: fewer than the first are no secret; fewer than the second may be a word, unless in quotes or a path."""
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
        patterns = (
            re.escape(value) if len(value) >= LONG else rf"(?<=[\"'/]){re.escape(value)}(?=[\"'/])"
            for value in longest_first
        )
        text = re.sub("|".join(patterns), lambda match: EXPRESSIONS[match[0]], text)
    return LOGIN.sub("…@", text) if "@" in text else text
