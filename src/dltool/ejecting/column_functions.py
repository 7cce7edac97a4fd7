"""The functions of an ejected script, each with those lines alone that the run needs.

They stand in functions.txt, a section each. A line begins with the flags that it needs, or must not have (!), and a
bar; a plus behind the bar continues the line before."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

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
    given, lines = {*flags}, []
    for line in sections()[name]:
        condition, _, code = line.partition("|")
        if all((flag in given) != bool(mark) for mark, flag in re.findall(r"(!?)(\w+)", condition)):
            lines += [lines.pop() + code[1:]] if code.startswith("+") else [code]
    return lines


def column_functions(kind: str, options: Sequence[Any], is_typed: bool, has_wide: bool) -> Iterator[Block]:
    """Yield the functions for columns of a type with these options. `is_typed`: the cells of the table are not all
    text; `has_wide`: some numbers need float64 until they are scaled."""
    flags = {"typed"} if is_typed else set()
    missing = {getattr(each, "missing", "error") for each in options} - {"error"}
    flags |= {"indicator"} if any(getattr(each, "indicator", False) for each in options) else set()
    if kind == "number":
        scales = {each.scale for each in options}
        flags |= scales | ({"several"} if scales != {"standard"} else set()) | ({"wide"} if has_wide else set())
        flags |= {"scaled"} if scales != {"none"} else set()
        flags -= {"none"} if scales == {"none"} else set()
        flags |= {"fill"} if missing - {"median"} else set()
        flags |= {"mean"} & missing | ({"pieces"} if any(each.pieces for each in options) else set())
        yield from [function("signed_log")] if "log" in scales else []
        yield from [function("edges_of")] if "pieces" in flags else []
    elif kind == "category":
        are_embedded = {each.embedding is not None for each in options}
        flags |= {"embedded"} if are_embedded == {True} else {"mixed"} if len(are_embedded) == 2 else set()
        flags |= {"min_count"} if any(each.min_count > 1 for each in options) else set()
        flags |= {"strict"} if any(each.unknown == "error" for each in options) else set()
        flags |= {"missing"} if {each.missing for each in options} != {"as_category"} else set()
        flags |= {"most_frequent"} & missing
    elif kind == "boolean":
        flags |= {"fill"} if missing - {"most_frequent"} else set()
    elif kind == "date":
        formats = [each.format or "" for each in options]
        flags |= {"unit"} if any(each.startswith("unix") for each in formats) else set()
        flags |= {"format"} if any(each and not each.startswith("unix") for each in formats) else set()
        flags |= {"elapsed"} if any("elapsed" in each.parts for each in options) else set()
    yield function(kind, flags)
