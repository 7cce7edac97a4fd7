"""The functions of an ejected script, each with those lines alone that the run needs.

They stand in functions.txt, a section each. A line begins with the flags that it needs, or must not have (!), and a
bar; a plus behind the bar continues the line before."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from dltool.config.columns import UNIX
from dltool.ejecting.ejected_run import Block

FUNCTIONS = Path(__file__).with_name("functions.txt")


@cache
def sections() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in FUNCTIONS.read_text("utf-8").splitlines():
        if line.startswith("== "):
            lines = found[line.removeprefix("== ")] = []
        else:
            lines.append(line)
    return found


def function(name: str, flags: Iterable[str] = ()) -> Block:
    """Return the lines of a section that these flags need."""
    given = {*flags}
    lines: Block = []
    for line in sections()[name]:
        condition, _, code = line.partition("|")
        if all((flag in given) != bool(mark) for mark, flag in re.findall(r"(!?)(\w+)", condition)):
            lines += [lines.pop() + code[1:]] if code.startswith("+") else [code]
    return lines


OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "number": {"missing": "median", "scale": "standard", "pieces": None, "indicator": False},
    "category": {"min_count": 1, "missing": "as_category", "unknown": "as_category"},
    "boolean": {"missing": "most_frequent", "indicator": False},
    "date": {},
    "text": {"ngrams": None, "standardize": "lower_and_strip_punctuation", "split": "whitespace"},
}
"""The options that are arguments of the functions, with their defaults."""


def changed(kind: str, options: Any) -> dict[str, Any]:
    """Return the arguments of a column's function. Numbers and booleans that must not be missing need no filling."""
    found = {name: own for name, usual in OPTIONS[kind].items() if (own := getattr(options, name)) != usual}
    if kind != "category" and found.get("missing") == "error":
        del found["missing"]
    return found


def column_functions(kind: str, options: Sequence[Any], flags: set[str]) -> Iterator[Block]:
    """Yield the functions for columns of a type with these options. `flags` may hold "typed": the cells of the table
    are not all text, "wide": some numbers need float64 until they are scaled, and "windows": the training split has
    windows, and not rows."""
    arguments = [(name, own) for each in options for name, own in changed(kind, each).items()]
    flags = flags | {name for name, _ in arguments} | {own for _, own in arguments if isinstance(own, str)}
    if kind == "number":
        yield from [function(name) for flag, name in (("log", "signed_log"), ("pieces", "edges_of")) if flag in flags]
    elif kind == "category":
        are_embedded = {each.embedding is not None for each in options}
        flags |= {"mixed"} if len(are_embedded) == 2 else {"embedded"} if True in are_embedded else set()
    elif kind == "date":
        formats = [each.format for each in options if each.format is not None]
        flags |= {"unit" if each in UNIX else "format" for each in formats}
        flags |= {part for each in options for part in each.parts}
    lines = function(kind, flags)
    yield [line.replace("[train]", "[seen]") for line in lines] if "windows" in flags else lines
