"""Patterns for the names of files: `{class}/{speaker}_{number}.wav`."""

import re
from collections.abc import Iterator

from dltool.errors import Problem

FIELD = re.compile(r"\{([^{}]*)\}")
EXAMPLE = 'for example "{class}/{speaker}_{number}.wav"'


def file_pattern(text: str) -> re.Pattern[str]:
    """What matches the end of a path, from the beginning of a folder's or file's name; each `{name}` is a group.

    A group takes as much as it can, within the name of one folder or file.

    Raises:
        ValueError: the pattern is not one; its problems are those of :func:`pattern_problems`.
    """
    if pattern_problems(text):
        raise ValueError(text)
    pieces = FIELD.split(text)
    expression = "".join(f"(?P<{piece}>[^/]+)" if index % 2 else re.escape(piece) for index, piece in enumerate(pieces))
    return re.compile(f"(?:.*/)?{expression}", re.DOTALL)


def pattern_problems(text: str) -> list[Problem]:
    """What is wrong with a pattern, at the place ()."""
    return [Problem((), message, hint) for message, hint in mistakes(text)]


def mistakes(text: str) -> Iterator[tuple[str, str]]:
    names = FIELD.findall(text)
    if "{" in FIELD.sub("", text) or "}" in FIELD.sub("", text):
        yield "a brace without its other half", EXAMPLE
    for name in dict.fromkeys(names):
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
            yield f'"{{{name}}}" is no name: letters, digits and underscores', EXAMPLE
        elif names.count(name) > 1:
            yield f"{{{name}}} stands in it twice", "give the two different names"
    if "class" not in names:
        yield "the pattern does not say where the class stands", f"write {{class}} in it, {EXAMPLE}"
    if "}{" in text:
        yield "nothing stands between two names", "it could not be told where one ends"
    if text.startswith("/") or ".." in text.split("/"):
        yield "the pattern is matched against the end of a path", f"leave out what is in front, {EXAMPLE}"
