"""`model.blocks` and the entries of a list of layers, as written in a config."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dltool.config.keras.objects import BACKBONE, FROM
from dltool.config.text.expressions import OWN_NAMES
from dltool.config.text.merge import as_arguments
from dltool.config.text.tree import MappingEntry, Node, children, find, scalars
from dltool.errors import ConfigError, ConfigPath, Problem, TextPath
from dltool.keras_names import find as find_keras

BLOCKS: ConfigPath = ("model", "blocks")
REPEAT, INDEX, NAME = "repeat", "index", "name"
INPUT = "input"
"""In `from`, the input of a block; outside of blocks all inputs of the data, unless a column has this name."""
WORD = re.compile(r"[A-Za-z_]\w*")


Uses = tuple[tuple[TextPath, str], ...]
"""Descriptions of the uses of blocks and rounds of repeats that led to a layer, innermost first."""


@dataclass(frozen=True)
class WrittenLayer:
    """The location where a layer of the flat list was written, and the uses that led to it."""

    place: TextPath
    uses: Uses = ()


@dataclass(frozen=True)
class LayerScope:
    """A block as written: its parameters with their defaults (null if required), and its layers. It is incomplete if
    its own keys have errors."""

    place: ConfigPath
    parameters: Mapping[str, Node]
    layers: tuple[Node, ...]
    is_whole: bool


def blocks_of(model: Node, problems: list[Problem]) -> dict[str, LayerScope]:
    """Return the well-formed blocks. The form of all blocks is checked with the rest of the config."""
    blocks: dict[str, LayerScope] = {}
    for name, entry in entries_of(find(model, ("blocks",))).items():
        place = (*BLOCKS, name)
        if not name.isidentifier() or name in (REPEAT, BACKBONE) or find_keras("layer", name):
            invalid = "not a valid name: use letters, digits and _ only"
            what = f"{name} is {'a reserved name' if name.isidentifier() else invalid}"
            problems.append(Problem(place, what, "choose another name", at_key=True))
            continue
        parameters, body = entries_of(find(entry.node, ("parameters",))), items_of(find(entry.node, ("layers",)))
        keys = {key for key, _ in children(entry.node) if not str(key).startswith("x-")}
        is_whole = bool(body) and keys <= {"parameters", "layers"}
        blocks[name] = LayerScope(place, {key: parameter.node for key, parameter in parameters.items()}, body, is_whole)
        problems += parameter_problems(blocks[name]) if is_whole else ()
    return blocks


def parameter_problems(block: LayerScope) -> Iterator[Problem]:
    texts = [str(node.value) for item in block.layers for _, node in scalars(item) if "$" in str(node.value)]
    used = {word for text in texts for word in WORD.findall(text)}
    for name in block.parameters:
        place = (*block.place, "parameters", name)
        if not name.isidentifier() or name in {*OWN_NAMES, INDEX, NAME, FROM}:
            yield Problem(place, f"{name} cannot be the name of a parameter", "choose another name", at_key=True)
        elif name not in used:
            yield Problem(place, "unused parameter", f"use ${name}, or remove it", at_key=True)


def refuse_cycles(blocks: Mapping[str, LayerScope]) -> None:
    """Raise ConfigError if a block contains itself."""
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            chain = " → ".join((*above[above.index(name) :], name))
            raise ConfigError(Problem(TextPath((*BLOCKS, name)), f"the block contains itself: {chain}", at_key=True))
        if name not in done:
            for other in dict.fromkeys(blocks_in(blocks[name].layers, blocks)):
                visit(other, (*above, name))
            done.add(name)

    for name in blocks:
        visit(name, ())


def blocks_in(items: Sequence[Node], blocks: Mapping[str, LayerScope]) -> Iterator[str]:
    """Yield the blocks that a list of layers uses."""
    for item in items:
        name, given = head(item)
        if name == REPEAT:
            yield from blocks_in(items_of(find(given, ("layers",))) if given else (), blocks)
        elif name in blocks:
            yield name


def entries_of(node: Node | None) -> Mapping[str, MappingEntry]:
    """Return the entries of a mapping; none for anything else, which the validation reports."""
    return node.value if node is not None and isinstance(node.value, Mapping) else {}


def items_of(node: Node | None) -> tuple[Node, ...]:
    """Return the items of a list; none for anything else."""
    return node.value if node is not None and isinstance(node.value, tuple) else ()


def head(item: Node) -> tuple[str, Node | None]:
    """Return the name and the arguments of an entry of a list of layers; no name if it is malformed."""
    if isinstance(item.value, str):
        return item.value, None
    if isinstance(item.value, Mapping) and len(item.value) == 1:
        ((name, entry),) = item.value.items()
        return name, entry.node
    return "", None


def head_of_layer(item: Node) -> tuple[ConfigPath, Node | None]:
    """Return the path to the arguments of a layer, which ends with its name, and the arguments."""
    name, given = head(item)
    if name == BACKBONE and given is not None and head(given)[0]:
        return (BACKBONE, head(given)[0]), head(given)[1]
    return (name,), given


def with_argument(item: Node, key: str, value: Node) -> Node:
    """Return the layer with one more argument. `Dense` and `Dense: 10` become `Dense: {units: 10, …}`."""
    name, given = head(item)
    if name == BACKBONE and given is not None and head(given)[0]:
        return replace(item, value={name: replace(item.value[name], node=with_argument(given, key, value))})
    given = replace(item, value=None) if given is None else as_arguments(name, given)
    if given.value is not None and not isinstance(given.value, Mapping):
        return item
    inside = {**entries_of(given), key: MappingEntry(value.position, value)}
    return replace(item, value={name: MappingEntry(item.position, replace(given, value=inside))})
