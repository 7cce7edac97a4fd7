"""Config values that differ between runs. Items of lists, such as layers, are paired by name and content."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from dltool.config.text.dump import leaves
from dltool.config.text.tree import format_path
from dltool.errors import ConfigPath
from dltool.runs.configs import Values

MOST_PAIRS = 100_000
"""Pairs of items that are compared. The items of longer lists are paired by index."""
MOST_LEAVES = 50
"""Values of an item that are compared, as an untrusted config may have any number."""
LETTERS = "ABCDEFGH"
"""Names of the runs in tables and figures."""


@dataclass(frozen=True)
class ConfigPart:
    """A part of a run's config at its own path. A list is a dict by index."""

    path: ConfigPath
    value: Any

    def below(self, key: str | int) -> "ConfigPart | None":
        return ConfigPart((*self.path, key), self.value[key]) if key in self.value else None

    @property
    def kind(self) -> str:
        """Return the name that an item of a list begins with, as in `Dense: {units: 10}`; "" if it has none."""
        keys = list(self.value) if isinstance(self.value, dict) else [self.value]
        return str(keys[0]) if len(keys) == 1 else ""

    @property
    def name(self) -> str | None:
        """Return the name of a layer; None if it has none."""
        inside = self.value.get(self.kind) if isinstance(self.value, dict) else None
        return inside.get("name") if isinstance(inside, dict) else None

    @cached_property
    def content(self) -> frozenset[str]:
        return frozenset(repr(leaf) for leaf in islice(leaves(self.value, ()), MOST_LEAVES))


Parts = Sequence[ConfigPart | None]
"""The paired parts of all runs; None if a run has none."""


def as_written(value: Any) -> Any:
    """Return a value of a tree with lists as lists."""
    if not isinstance(value, dict):
        return value
    inside = {key: as_written(each) for key, each in value.items()}
    return list(inside.values()) if 0 in inside else inside


def tree_of(values: Values) -> dict[Any, Any]:
    """Return values by path as nested dicts. Lists are dicts by index, and empty values are empty dicts."""
    root: dict[Any, Any] = {}
    for path, value in values.items():
        inside = root
        for step in path[:-1]:
            inside = inside.setdefault(step, {})
        if path:
            inside[path[-1]] = {} if value in ([], {}) else value
    return root


def differing(trees: Sequence[Mapping[Any, Any]]) -> Iterator[tuple[str, Parts]]:
    """Yield the path and the part of each run for every value that differs. The path is that of the first run that
    has the item of a list; its letter follows, unless it is A."""
    yield from differing_parts((), "", [ConfigPart((), tree) for tree in trees])


def differing_parts(place: ConfigPath, letter: str, parts: Parts) -> Iterator[tuple[str, Parts]]:
    if len({repr(part and part.value) for part in parts}) == 1 and None not in parts:
        return
    there = [part for part in parts if part is not None]
    keys = list(dict.fromkeys(key for part in there if isinstance(part.value, dict) for key in part.value))
    are_choices = len(keys) > 1 and all(len(part.value) == 1 for part in there if isinstance(part.value, dict))
    are_items = bool(keys) and all(isinstance(key, int) for key in keys)
    items = [item for part in there if isinstance(part.value, dict) for item in part.value.values()]
    if not all(isinstance(part.value, dict) for part in there) or (are_choices and not are_items):
        yield format_path(place) + letter, parts
    elif not are_items:
        for key in keys:
            yield from differing_parts((*place, key), letter, [part and part.below(key) for part in parts])
    elif not any(isinstance(item, dict) for item in items):
        # One row for all numbers of a shape, or all names of metrics.
        yield format_path(place) + letter, parts
    else:
        for row in aligned([[*items_of(part)] for part in parts]):
            index = next(index for index, item in enumerate(row) if item is not None)
            first = row[index]
            assert first is not None
            mark = f" ({LETTERS[index]})" if index else ""
            if None in row:
                yield format_path(first.path) + mark, row
            else:
                yield from differing_parts(first.path, mark, row)


def items_of(part: ConfigPart | None) -> Iterator[ConfigPart]:
    for index in part.value if part is not None else ():
        yield ConfigPart((*part.path, index), part.value[index])  # type: ignore[union-attr]


def aligned(lists: Sequence[Sequence[ConfigPart]]) -> list[list[ConfigPart | None]]:
    """Return the items of all lists in rows of paired items."""
    rows: list[list[ConfigPart | None]] = [[item] for item in lists[0]]
    for number, items in enumerate(lists[1:], start=1):
        known = [next(item for item in row if item is not None) for row in rows]
        rows = [
            [*([None] * number if i is None else rows[i]), None if j is None else items[j]]
            for i, j in pairing(known, items)
        ]
    return rows


def pairing(first: Sequence[ConfigPart], other: Sequence[ConfigPart]) -> list[tuple[int | None, int | None]]:
    """Return the indices of paired items in order, None beside an item without a partner. Of all pairings that keep
    the order, it is one of the largest sum of likeness, as in a sequence alignment (S. B. Needleman and C. D. Wunsch,
    J. Mol. Biol. 48, 1970)."""
    shorter = min(len(first), len(other))
    start = next((i for i in range(shorter) if first[i].value != other[i].value), shorter)
    end = next((i for i in range(shorter - start) if first[-1 - i].value != other[-1 - i].value), shorter - start)
    last, stop = len(first) - end, len(other) - end
    if (last - start) * (stop - start) > MOST_PAIRS:
        both = range(max(len(first), len(other)))
        return [(i if i < len(first) else None, i if i < len(other) else None) for i in both]
    best = {(i, j): 0.0 for i in range(start, last + 1) for j in range(start, stop + 1)}
    for i in range(last - 1, start - 1, -1):
        for j in range(stop - 1, start - 1, -1):
            alike = likeness(first[i], other[j])
            best[i, j] = max(alike and alike + best[i + 1, j + 1], best[i + 1, j], best[i, j + 1])
    found: list[tuple[int | None, int | None]] = [(i, i) for i in range(start)]
    i = j = start
    while i < last or j < stop:
        alike = likeness(first[i], other[j]) if i < last and j < stop else 0
        if alike and best[i, j] == alike + best[i + 1, j + 1]:
            found.append((i, j))
            i, j = i + 1, j + 1
        elif i < last and (j == stop or best[i, j] == best[i + 1, j]):
            found.append((i, None))
            i += 1
        else:
            found.append((None, j))
            j += 1
    return found + [(last + k, stop + k) for k in range(end)]


def likeness(first: ConfigPart, other: ConfigPart) -> float:
    """Return how alike two items are: 0 for a different class and name, more for more equal values."""
    is_named = first.name is not None and first.name == other.name
    if first.kind != other.kind and not is_named:
        return 0.0
    either = first.content | other.content
    return 1 + 3 * is_named + len(first.content & other.content) / max(1, len(either))
