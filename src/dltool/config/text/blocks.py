"""`model.blocks`, `repeat` and layers used again by name → one flat list of layers, each with its place in the text."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from dltool.config.keras.objects import BACKBONE, FROM, UNKNOWN
from dltool.config.outputs import LAYERS
from dltool.config.schema import OWN_NAMES
from dltool.config.text.expressions import Substitution
from dltool.config.text.merge import as_arguments
from dltool.config.text.tree import MappingEntry, Node, children, find, scalars
from dltool.config.wording import counted_name, named, snake_case
from dltool.errors import ConfigError, ConfigPath, Problem, TextPath
from dltool.keras_names import find as find_keras

BLOCKS: ConfigPath = ("model", "blocks")
REPEAT, INDEX, NAME = "repeat", "index", "name"
INPUT = "input"
"""What `from` calls what a block was given, and outside of blocks all that the data gives, unless a column has the
name."""
MOST_TIMES = 1_000
MOST_LAYERS = 10_000
WORD = re.compile(r"[A-Za-z_]\w*")

Uses = tuple[tuple[TextPath, str], ...]
"""The uses of blocks and rounds of repeats that led to a layer, the innermost first, each in a few words."""
Source = tuple[int | str, ...]
"""What a layer takes: numbers of layers in the flat list, or names that are none of its layers, such as columns."""


@dataclass(frozen=True)
class WrittenLayer:
    """Where a layer of the flat list was written, and what brought it there."""

    place: TextPath
    uses: Uses = ()


def written(place: ConfigPath, layers: Sequence[WrittenLayer]) -> tuple[TextPath, Uses]:
    """A place in the config in force as one in the text, and the uses that led there."""
    index = place[2] if len(place) > 2 and place[:2] == LAYERS else None
    if isinstance(place, TextPath) or not isinstance(index, int) or index >= len(layers):
        return TextPath(place), ()
    return TextPath((*layers[index].place, *place[3:])), layers[index].uses


@dataclass(frozen=True)
class LayerScope:
    """A block as written: its parameters with their defaults (null where one must be given), and its layers.

    One that is not whole has a mistake in its own keys.
    """

    place: ConfigPath
    parameters: Mapping[str, Node]
    layers: tuple[Node, ...]
    is_whole: bool


@dataclass(frozen=True)
class Named:
    """What a name stands for: the number of a layer in the flat list, and the layer or use of a block that has it."""

    number: int
    place: ConfigPath


@dataclass(frozen=True)
class Scope:
    """One list of layers: what names and `$` stand for in it.

    `named` are its layers by name; `given` is what `from: input` takes, None for what the
    data gives. Names that are not here may be those of `outer`.
    """

    values: Substitution
    given: Source | None = None
    prefix: str = ""
    uses: Uses = ()
    named: dict[str, Named] = field(default_factory=dict)
    outer: "Scope | None" = None

    def find(self, name: str) -> Source:
        if name == INPUT and self.given is not None:
            return self.given
        if name in self.named:
            return (self.named[name].number,)
        return self.outer.find(name) if self.outer else (name,)

    def names(self) -> tuple[str, ...]:
        """What `from` may name here besides `input`."""
        return (*self.named, *(self.outer.names() if self.outer else ()))


def flat_layers(
    model: Node, substitution: Substitution, has_columns: bool, ends: Collection[str] = ()
) -> tuple[tuple[Node, ...], tuple[WrittenLayer, ...], Mapping[str, str]]:
    """The layers of `model` (unresolved), one after the other, names and expressions replaced.

    Also what those that the config calls `ends` are called there: the last layer of a block by its name, the one of the
    last round in a `repeat`.

    A layer that one in a block takes by `from: input` gets a name where it has none, so that the list says it all.
    Mistakes are added to the problems of `substitution`. Where the data `has_columns`, names may be theirs.

    Raises:
        ConfigError: blocks that contain themselves, or too many layers.
    """
    expansion = Expansion(substitution, blocks_of(model, substitution.problems), has_columns)
    expansion.refuse_cycles()
    scope = Scope(substitution)
    expansion.lay_all(items_of(find(model, ("layers",))), LAYERS, scope, ())
    called = {name: expansion.name_of(scope.named[name].number) for name in ends if name in scope.named}
    return tuple(expansion.layers), tuple(expansion.written), called


def blocks_of(model: Node, problems: list[Problem]) -> dict[str, LayerScope]:
    """The blocks that are well-formed. How a block is built up is checked with the rest of the config."""
    blocks: dict[str, LayerScope] = {}
    for name, entry in entries_of(find(model, ("blocks",))).items():
        place = (*BLOCKS, name)
        if not name.isidentifier() or name in (REPEAT, BACKBONE) or find_keras("layer", name):
            what = "has a meaning of its own" if name.isidentifier() else "is no name: letters, digits and _ only"
            problems.append(Problem(place, f"{name} {what}", "choose another name", at_key=True))
            continue
        parameters, body = entries_of(find(entry.node, ("parameters",))), items_of(find(entry.node, ("layers",)))
        keys = {key for key, _ in children(entry.node) if not str(key).startswith("x-")}
        is_whole = bool(body) and keys <= {"parameters", "layers"}
        blocks[name] = LayerScope(place, {key: parameter.node for key, parameter in parameters.items()}, body, is_whole)
        problems += parameter_problems(blocks[name]) if is_whole else ()
    return blocks


def parameter_problems(block: LayerScope) -> Iterator[Problem]:
    used = {word for item in block.layers for _, node in scalars(item) for word in words_of(node.value)}
    for name in block.parameters:
        place = (*block.place, "parameters", name)
        if not name.isidentifier() or name in {*OWN_NAMES, INDEX, NAME, FROM}:
            yield Problem(place, f"{name} cannot be the name of a parameter", "choose another name", at_key=True)
        elif name not in used:
            yield Problem(place, "nothing in the block uses this parameter", f"use ${name}, or remove it", at_key=True)


def entries_of(node: Node | None) -> Mapping[str, MappingEntry]:
    """What a mapping holds; nothing where it is none, which the validation says."""
    return node.value if node is not None and isinstance(node.value, Mapping) else {}


def items_of(node: Node | None) -> tuple[Node, ...]:
    """Likewise of a list."""
    return node.value if node is not None and isinstance(node.value, tuple) else ()


def words_of(value: Any) -> list[str]:
    return WORD.findall(value) if isinstance(value, str) and "$" in value else []


def head(item: Node) -> tuple[str, Node | None]:
    """The name and the arguments of an entry of a list of layers; no name where it is no such entry."""
    if isinstance(item.value, str):
        return item.value, None
    if isinstance(item.value, Mapping) and len(item.value) == 1:
        ((name, entry),) = item.value.items()
        return name, entry.node
    return "", None


def head_of_layer(item: Node) -> tuple[ConfigPath, Node | None]:
    """The steps to the arguments of a layer, the last of which is its name, and the arguments."""
    name, given = head(item)
    if name == BACKBONE and given is not None and head(given)[0]:
        return (BACKBONE, head(given)[0]), head(given)[1]
    return (name,), given


@dataclass
class Expansion:
    """The flat list as it grows: its layers, resolved, and where each was written."""

    base: Substitution
    blocks: Mapping[str, LayerScope]
    has_columns: bool
    layers: list[Node] = field(default_factory=list)
    written: list[WrittenLayer] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    rounds: int = 0
    names: dict[str, ConfigPath] = field(default_factory=dict)

    def refuse_cycles(self) -> None:
        """Raises ConfigError: a block contains itself."""
        uses = {name: set(self.used_by(block.layers)) for name, block in self.blocks.items()}
        done: set[str] = set()

        def visit(name: str, above: tuple[str, ...]) -> None:
            if name in above:
                chain = " → ".join((*above[above.index(name) :], name))
                raise ConfigError(
                    Problem(TextPath((*BLOCKS, name)), f"the block contains itself: {chain}", at_key=True)
                )
            if name not in done:
                for other in uses[name]:
                    visit(other, (*above, name))
                done.add(name)

        for name in self.blocks:
            visit(name, ())

    def used_by(self, items: Sequence[Node]) -> Iterator[str]:
        for item in items:
            name, given = head(item)
            if name == REPEAT and given is not None:
                yield from self.used_by(items_of(find(given, ("layers",))))
            elif name in self.blocks:
                yield name

    def problem(
        self, place: ConfigPath, message: str, hint: str = "", at_key: bool = False, scope: Scope | None = None
    ) -> None:
        self.base.problems.append(Problem(TextPath(place), message, hint, at_key, scope.uses if scope else ()))

    def lay_all(self, items: Sequence[Node], place: ConfigPath, scope: Scope, before: Source) -> Source:
        """Adds the layers of a list, the first of which takes `before`. Gives what the last one makes."""
        for index, item in enumerate(items):
            before = self.lay(item, (*place, index), scope, before)
        return before

    def lay(self, item: Node, place: ConfigPath, scope: Scope, before: Source) -> Source:
        name, given = head(item)
        if name == REPEAT:
            return self.lay_repeat(given, (*place, REPEAT), scope, before)
        if name in self.blocks:
            return self.lay_block(name, given, place, scope, before)
        return self.lay_layer(scope.values.resolve(item, place), place, scope, before)

    # --- repeat ---

    def lay_repeat(self, given: Node | None, place: ConfigPath, scope: Scope, before: Source) -> Source:
        options = entries_of(given)
        for key in options:
            if key not in ("times", "layers"):
                self.problem((*place, key), "unknown key", "repeat takes times and layers", at_key=True, scope=scope)
        items = items_of(options["layers"].node) if "layers" in options else ()
        if "times" not in options or not items:
            example = "for example repeat: {times: 3, layers: [Dense: 10]}"
            self.problem(place, "repeat needs times and a list of layers", example, at_key=True, scope=scope)
            return before
        times = scope.values.resolve(options["times"].node, (*place, "times"))
        count = self.count_of(times, (*place, "times"), scope)
        self.rounds += count
        if self.rounds > MOST_LAYERS:
            raise ConfigError(Problem(TextPath(place), f"more than {MOST_LAYERS:,} rounds in all", at_key=True))
        for number in range(count):
            is_known = times.value is not UNKNOWN
            index = replace(times, value=number if is_known else UNKNOWN, written=f"${INDEX}")
            use = ((TextPath(place), f"round {number + 1} of {count}: ${INDEX} is {number}"),) if is_known else ()
            inside = replace(scope, values=with_values(scope.values, {INDEX: index}), uses=(*use, *scope.uses))
            before = self.lay_all(items, (*place, "layers"), inside, before)
        return before

    def count_of(self, times: Node, place: ConfigPath, scope: Scope) -> int:
        """How often; once where that depends on data that has not been read, for the sake of the mistakes inside."""
        value = times.value
        if value is UNKNOWN:
            return 1
        if not isinstance(value, int) or isinstance(value, bool):
            self.problem(place, f"expected a whole number, not {named(value)}", scope=scope)
            return 0
        if not 1 <= value <= MOST_TIMES:
            self.problem(place, f"must be between 1 and {MOST_TIMES:,}, not {value}", scope=scope)
            return 0
        return value

    # --- blocks ---

    def lay_block(self, name: str, given: Node | None, place: ConfigPath, scope: Scope, before: Source) -> Source:
        block = self.blocks[name]
        if not block.is_whole:
            return before
        arguments = self.block_arguments(name, block, given, (*place, name), scope)
        own = {key: arguments.pop(key) for key in (NAME, FROM) if key in arguments}
        if FROM in own:
            before = self.sources(own[FROM], (*place, name, FROM), scope) or before
        label = self.label(own, name, scope)
        inside = Scope(
            replace(
                with_values(self.base, arguments), home="make it a parameter of the block, or define it under vars"
            ),
            before or None,
            f"{label}_",
            ((TextPath(place), "used here"), *scope.uses),
            outer=scope,
        )
        after = self.lay_all(block.layers, (*block.place, "layers"), inside, before)
        if NAME in own:
            self.give_name(own[NAME].value, after, place, (*place, name, NAME), scope)
        return after

    def give_name(self, name: Any, after: Source, use: ConfigPath, place: ConfigPath, scope: Scope) -> None:
        """The name that the `use` of a block gives to what the block makes."""
        if name is UNKNOWN:
            return
        if not isinstance(name, str) or not name:
            self.problem(place, f"expected a name, not {named(name)}", scope=scope)
            return
        self.refuse_taken(name, use, place, scope)
        if after and isinstance(after[0], int):
            scope.named[name] = Named(after[0], use)

    def block_arguments(
        self, name: str, block: LayerScope, given: Node | None, place: ConfigPath, scope: Scope
    ) -> dict[str, Node]:
        """The values of all parameters, and `name` and `from` where they are given."""
        first = next(iter(block.parameters), None)
        values = entries_of(given)
        if given is not None and given.value is not None and not isinstance(given.value, Mapping):
            if first is None:
                self.problem(place, f"{name} takes no value", f"write {name} alone", scope=scope)
            else:
                values = {first: MappingEntry(given.position, given)}
        found: dict[str, Node] = {}
        for key, entry in values.items():
            if key in block.parameters or key in (NAME, FROM):
                found[key] = scope.values.resolve(entry.node, (*place, key))
                continue
            known = ", ".join(block.parameters) or "none"
            near = get_close_matches(key, block.parameters, 1, 0.5)
            hint = f'did you mean "{near[0]}"?' if near else f"its parameters: {known}"
            self.problem((*place, key), f"unknown parameter of {name}", hint, at_key=True, scope=scope)
        for key, default in block.parameters.items():
            if key in found:
                continue
            if default.value is None:
                example = f"for example {name}: {{{key}: …}}"
                self.problem(place, f"{name} needs the parameter {key}", example, at_key=True, scope=scope)
                found[key] = replace(default, value=UNKNOWN)
            else:
                found[key] = self.base.resolve(default, (*block.place, "parameters", key))
        return found

    def label(self, own: Mapping[str, Node], name: str, scope: Scope) -> str:
        """What the names of the layers in this use of a block begin with."""
        given = own[NAME].value if NAME in own else None
        return counted_name(f"{scope.prefix}{given if isinstance(given, str) else name}", self.counts)

    # --- layers ---

    def lay_layer(self, item: Node, place: ConfigPath, scope: Scope, before: Source) -> Source:
        steps, given = head_of_layer(item)
        name = str(steps[-1])
        if not name:
            return self.add(item, place, scope)
        arguments = entries_of(given)
        if steps == (name,) and not find_keras("layer", name):
            shared = scope.find(name)
            if isinstance(shared[0], int):
                name = self.name_of(shared[0])
                item = renamed(item, name)
            elif self.is_misspelt(name, place, scope):
                return before
        inside = (*place, *steps[:-1], name)
        taken = self.sources(arguments[FROM].node, (*inside, FROM), scope) if FROM in arguments else before
        previous = (len(self.layers) - 1,)
        if FROM in arguments or (taken and taken != previous):
            item = with_argument(item, FROM, self.names_of(taken, arguments.get(FROM), item))
        local = arguments[NAME].node.value if NAME in arguments else None
        if isinstance(local, str) and local:
            self.refuse_taken(local, place, (*inside, NAME), scope)
            node = arguments[NAME].node
            item = with_argument(item, NAME, replace(node, value=self.actual_name(scope.prefix + local, place)))
        after = self.add(item, place, scope)
        if isinstance(local, str) and isinstance(after[0], int):
            scope.named[local] = Named(after[0], place)
        return after

    def add(self, item: Node, place: ConfigPath, scope: Scope) -> Source:
        if len(self.layers) == MOST_LAYERS:
            raise ConfigError(Problem(TextPath(place), f"more than {MOST_LAYERS:,} layers", related=scope.uses))
        self.layers.append(item)
        self.written.append(WrittenLayer(TextPath(place), scope.uses))
        return (len(self.layers) - 1,)

    def refuse_taken(self, name: str, layer: ConfigPath, place: ConfigPath, scope: Scope) -> None:
        """A name stands for one layer of a list; in the rounds of a `repeat` for the latest."""
        other = scope.named.get(name)
        if other is not None and other.place != layer:
            related = ((TextPath(other.place), "by this"), *scope.uses)
            message = f'the name "{name[:60]}" is taken'
            self.base.problems.append(Problem(TextPath(place), message, "choose another name", related=related))

    def is_misspelt(self, name: str, place: ConfigPath, scope: Scope) -> bool:
        """Whether it is near the name of a block or of a layer, which is then said."""
        if name in self.blocks:
            self.problem(place, f"no value can stand for the block {name}", "write its name here", scope=scope)
            return True
        near = get_close_matches(name, [*self.blocks, REPEAT, *scope.names()], 1, 0.75)
        if not near or not name[:1].islower():
            return False
        hint = f'did you mean "{near[0]}"?'
        self.problem((*place, name), f'unknown layer or block "{name[:60]}"', hint, at_key=True, scope=scope)
        return True

    def sources(self, node: Node, place: ConfigPath, scope: Scope) -> Source:
        """What the value of a `from` names. What is no name stays for the validation to refuse."""
        is_list = isinstance(node.value, tuple)
        items = node.value if is_list else (node,)
        if not all(isinstance(item.value, str) for item in items):
            return ()
        found: list[int | str] = []
        for index, item in enumerate(items):
            source = scope.find(item.value)
            if source == (item.value,) and item.value != INPUT and not self.has_columns:
                near = get_close_matches(item.value, scope.names(), 1, 0.5)
                hint = f'did you mean "{near[0]}"?' if near else f"known are {', '.join((INPUT, *scope.names()))}"
                where = (*place, index) if is_list else place
                self.problem(where, f'nothing before it is called "{item.value[:60]}"', hint, scope=scope)
            found += source
        return tuple(found)

    def names_of(self, sources: Source, entry: MappingEntry | None, item: Node) -> Node:
        """The value of a `from` in the flat list."""
        node = entry.node if entry else item
        if not sources:
            return node
        names = tuple(
            replace(node, value=self.name_of(source) if isinstance(source, int) else source, written="")
            for source in sources
        )
        is_list = len(names) > 1 or (entry is not None and isinstance(entry.node.value, tuple))
        return replace(node, value=names, written="") if is_list else names[0]

    def name_of(self, number: int) -> str:
        """The name of a layer, which gets one where it has none."""
        item = self.layers[number]
        steps, given = head_of_layer(item)
        name = str(steps[-1])
        arguments = entries_of(given)
        if NAME in arguments and isinstance(arguments[NAME].node.value, str):
            return str(arguments[NAME].node.value)
        new = self.actual_name(f"{snake_case(name)}_{number}", (*LAYERS, number))
        self.layers[number] = with_argument(item, NAME, replace(item, value=new, written=""))
        return new

    def actual_name(self, name: str, place: ConfigPath) -> str:
        """The name itself, or in later rounds of a `repeat` one with a number."""
        actual, count = name, 0
        while self.names.get(actual) == place:
            count += 1
            actual = f"{name}_{count}"
        self.names.setdefault(actual, place)
        return actual


def with_values(substitution: Substitution, values: Mapping[str, Node]) -> Substitution:
    """One in which these names stand for nodes that are resolved already."""
    return replace(
        substitution,
        variables={**substitution.variables, **values},
        resolved={**substitution.resolved, **values},
    )


def renamed(item: Node, name: str) -> Node:
    if isinstance(item.value, str):
        return replace(item, value=name)
    ((_, entry),) = item.value.items()
    return replace(item, value={name: entry})


def with_argument(item: Node, key: str, value: Node) -> Node:
    """The layer with one more argument. `Dense` and `Dense: 10` become `Dense: {units: 10, …}`."""
    name, given = head(item)
    if name == BACKBONE and given is not None and head(given)[0]:
        return replace(item, value={name: replace(item.value[name], node=with_argument(given, key, value))})
    if given is None:
        return replace(
            item,
            value={name: MappingEntry(item.position, replace(item, value={key: MappingEntry(item.position, value)}))},
        )
    ((_, entry),) = item.value.items()
    named_ones = as_arguments(name, given)
    if named_ones.value is not None and not isinstance(named_ones.value, Mapping):
        return item
    inside = {**entries_of(named_ones), key: MappingEntry(value.position, value)}
    return replace(item, value={name: replace(entry, node=replace(given, value=inside))})
