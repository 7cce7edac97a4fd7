"""Config values with their positions in the text."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dltool.errors import ConfigPath, Position

ARGUMENTS = ("--set", "--name", "--seed", "DataFrame")
"""Command-line options that set values of the config."""


@dataclass(frozen=True)
class Node:
    """A scalar, a tuple of nodes or a mapping of entries, with its position. `written` is the text of a scalar: `3.10`
    for the number 3.1, `$classes` for the number 10. If the value comes from a variable, `defined` is the position of
    the variable's value and `position` that of its use; of a text with variables in it, the first characters count. If
    the value depends on the environment, `expression` is a text that gives it again: `Bearer $(env.TOKEN)`."""

    value: Any
    position: Position
    written: str = ""
    defined: Position | None = None
    expression: str = ""


@dataclass(frozen=True)
class MappingEntry:
    """A value of a mapping, with the position of its key."""

    key: Position
    node: Node


def to_plain(node: Node) -> Any:
    if isinstance(node.value, Mapping):
        return {key: to_plain(entry.node) for key, entry in node.value.items()}
    if isinstance(node.value, tuple):
        return [to_plain(item) for item in node.value]
    return node.value


def size(node: Node) -> int:
    """Return the number of nodes; nodes under an alias count at every use."""
    return 1 + sum(size(child) for _, child in children(node))


def entries_of(node: Node | None) -> Mapping[str, MappingEntry]:
    """Return the entries of a mapping; none for anything else, which the validation reports."""
    return node.value if node is not None and isinstance(node.value, Mapping) else {}


def items_of(node: Node | None) -> tuple[Node, ...]:
    """Return the items of a list; none for anything else."""
    return node.value if node is not None and isinstance(node.value, tuple) else ()


def children(node: Node) -> Iterator[tuple[str | int, Node]]:
    if isinstance(node.value, Mapping):
        yield from ((key, entry.node) for key, entry in node.value.items())
    elif isinstance(node.value, tuple):
        yield from enumerate(node.value)


def with_children(node: Node, change: Callable[[str | int, Node], Node]) -> Node:
    """Return the node with each of its children changed."""
    if isinstance(node.value, Mapping):
        entries = {key: replace(entry, node=change(key, entry.node)) for key, entry in node.value.items()}
        return replace(node, value=entries)
    if isinstance(node.value, tuple):
        return replace(node, value=tuple(change(index, item) for index, item in enumerate(node.value)))
    return node


def scalars(node: Node, path: ConfigPath = ()) -> Iterator[tuple[ConfigPath, Node]]:
    """Yield every scalar and every empty collection below `node`, with its path."""
    below = list(children(node))
    for step, child in below:
        yield from scalars(child, (*path, step))
    if not below:
        yield path, node


def find(node: Node, path: ConfigPath) -> Node | None:
    for step in path:
        match = next((child for key, child in children(node) if key == step), None)
        if match is None:
            return None
        node = match
    return node


def position_of(root: Node, path: ConfigPath, at_key: bool = False) -> Position:
    """Return the position of the value at `path`, or of its key; of the nearest parent if it is not in the text."""
    node, position = root, root.position
    for index, step in enumerate(path):
        child = find(node, (step,))
        if child is None:
            return position
        is_at_key = (at_key and index == len(path) - 1) or isinstance(child.value, Mapping | tuple)
        position = node.value[step].key if is_at_key and isinstance(node.value, Mapping) else child.position
        node = child
    return position


def is_argument(position: Position) -> bool:
    """Return whether the position is in a command-line argument: `--set …`, `--name …` or `--seed …`."""
    return position.file.startswith(tuple(f"{option} " for option in ARGUMENTS))


def format_path(path: ConfigPath) -> str:
    """Return a path as text: `model.layers[3].Dense.units`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
