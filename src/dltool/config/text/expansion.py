"""Expands `model.blocks`, `repeat` and shared layers to one flat list of layers, each with its location in the text."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dltool.config.keras.objects import FROM, UNKNOWN
from dltool.config.last_layer import LAYERS
from dltool.config.text.blocks import (
    INDEX,
    INPUT,
    NAME,
    REPEAT,
    LayerScope,
    Uses,
    WrittenLayer,
    blocks_of,
    head,
    head_of_layer,
    with_argument,
)
from dltool.config.text.expressions import Substitution
from dltool.config.text.tree import MappingEntry, Node, entries_of, find, items_of
from dltool.config.wording import counted_name, named, snake_case
from dltool.errors import ConfigError, ConfigPath, Problem, TextPath
from dltool.keras_names import find as find_keras
from dltool.text import did_you_mean, near, quoted

MOST_TIMES = 1_000
MOST_LAYERS = 10_000

Source = tuple[int | str, ...]
"""The inputs of a layer: indices into the flat list, or names of inputs, such as columns."""


@dataclass(frozen=True)
class BlockUse:
    """A use of a block that has a name, to be used again: its arguments, and the index of its first layer."""

    block: str
    arguments: Mapping[str, Node]
    first: int


@dataclass(frozen=True)
class Scope:
    """The scope of one list of layers: layer names and `$` variables visible in it. `named` maps names to an index into
    the flat list and the path of the layer or use of a block that has the name, `reusable` to such a use. `given` is
    the meaning of `from: input`, None for the inputs of the data. Other names are looked up in `outer`."""

    values: Substitution
    given: Source | None = None
    prefix: str = ""
    uses: Uses = ()
    named: dict[str, tuple[int, ConfigPath]] = field(default_factory=dict)
    reusable: dict[str, BlockUse] = field(default_factory=dict)
    outer: "Scope | None" = None

    def find(self, name: str) -> Source:
        if name == INPUT and self.given is not None:
            return self.given
        if name in self.named:
            return self.named[name][:1]
        return self.outer.find(name) if self.outer else (name,)

    def use_of(self, name: str) -> BlockUse | None:
        """Return the use of a block that has this name."""
        if name in self.named:
            return self.reusable.get(name)
        return self.outer.use_of(name) if self.outer else None

    def names(self) -> tuple[str, ...]:
        """Return the names that `from` may use here besides `input`."""
        return (*self.named, *(self.outer.names() if self.outer else ()))

    def problem(
        self, place: ConfigPath, message: str, hint: str = "", at_key: bool = False, related: Uses = ()
    ) -> None:
        self.values.problems.append(Problem(TextPath(place), message, hint, at_key, (*related, *self.uses)))

    def give_name(self, name: str, place: ConfigPath, made: Source, maker: ConfigPath) -> None:
        """Bind a name to the output of its `maker`; in a `repeat` the latest round counts."""
        _, other = self.named.get(name, (0, maker))
        if other != maker:
            related = ((TextPath(other), "by this"),)
            self.problem(place, f"the name {quoted(name)} is taken", "choose another name", related=related)
        if made and isinstance(made[0], int):
            self.named[name] = made[0], maker


def flat_layers(
    model: Node, substitution: Substitution, has_columns: bool, ends: Collection[str] = ()
) -> tuple[tuple[Node, ...], tuple[WrittenLayer, ...], Mapping[str, str]]:
    """Return the flat list of the layers of `model` (unresolved), with names and expressions replaced.

    The last result maps `ends`, names of layers in the config, to names in the list: the last layer of a block, the
    last round of a `repeat`. Layers that a block uses by `from: input` are named if necessary. Problems are added to
    those of `substitution`. With `has_columns`, names may be those of columns. Raises ConfigError: blocks that contain
    themselves, or too many layers."""
    expansion = Expansion(substitution, blocks_of(model, substitution.problems), has_columns)
    scope = Scope(substitution)
    expansion.lay_all(items_of(find(model, ("layers",))), LAYERS, scope, ())
    called = {name: expansion.name_of(scope.named[name][0]) for name in ends if name in scope.named}
    return tuple(expansion.layers), tuple(expansion.written), called


@dataclass
class Expansion:
    """The flat list while it grows: resolved layers and the locations where they were written."""

    base: Substitution
    blocks: Mapping[str, LayerScope]
    has_columns: bool
    layers: list[Node] = field(default_factory=list)
    written: list[WrittenLayer] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    rounds: int = 0

    def lay_all(self, items: Sequence[Node], place: ConfigPath, scope: Scope, before: Source) -> Source:
        """Add the layers of a list, the first of which takes `before`. Return the output of the last one."""
        for index, item in enumerate(items):
            inside = (*place, index)
            name, given = head(item)
            if name == REPEAT:
                before = self.lay_repeat(given, (*inside, REPEAT), scope, before)
            elif name in self.blocks:
                before = self.lay_block(name, given, inside, scope, before)
            elif use := scope.use_of(name):
                before = self.lay_block(name, given, inside, scope, before, use)
            else:
                before = self.lay_layer(scope.values.resolve(item, inside), inside, scope, before)
        return before

    def lay_repeat(self, given: Node | None, place: ConfigPath, scope: Scope, before: Source) -> Source:
        options = entries_of(given)
        for key in options.keys() - {"times", "layers"}:
            scope.problem((*place, key), "unknown key", "repeat takes times and layers", at_key=True)
        items = items_of(options["layers"].node) if "layers" in options else ()
        if "times" not in options or not items:
            example = "for example repeat: {times: 3, layers: [Dense: 10]}"
            scope.problem(place, "repeat needs times and a list of layers", example, at_key=True)
            return before
        times = scope.values.resolve(options["times"].node, (*place, "times"))
        count = count_of(times.value, (*place, "times"), scope)
        self.rounds += count
        if self.rounds > MOST_LAYERS:
            raise ConfigError(Problem(TextPath(place), f"more than {MOST_LAYERS:,} rounds in all", at_key=True))
        for number in range(count):
            index, uses = replace(times, value=UNKNOWN, written=f"${INDEX}"), scope.uses
            if times.value is not UNKNOWN:
                index = replace(index, value=number)
                uses = ((TextPath(place), f"round {number + 1} of {count}: ${INDEX} is {number}"), *uses)
            inside = replace(scope, values=with_values(scope.values, {INDEX: index}), uses=uses)
            before = self.lay_all(items, (*place, "layers"), inside, before)
        return before

    def lay_block(
        self, key: str, given: Node | None, place: ConfigPath, scope: Scope, before: Source, use: BlockUse | None = None
    ) -> Source:
        """Add the layers of the block `key`; those of an earlier `use` with this name again, with other inputs."""
        name = use.block if use else key
        block = self.blocks[name]
        if not block.is_whole:
            return before
        open_block = replace(block, parameters={}) if use else block
        arguments = self.block_arguments(key, open_block, given, (*place, key), scope)
        own_name, source = arguments.pop(NAME, None), arguments.pop(FROM, None)
        earlier, use = use, use or BlockUse(name, arguments, len(self.layers))
        if source is not None:
            before = self.sources(source, (*place, key, FROM), scope) or before
        use_name = own_name.value if own_name else key
        # The names of its layers begin with the name of this use.
        label = counted_name(f"{scope.prefix}{use_name if isinstance(use_name, str) else key}", self.labels)
        home = "make it a parameter of the block, or define it under vars"
        values = replace(with_values(self.base, use.arguments), home=home)
        uses = ((TextPath(place), "used here"), *scope.uses)
        inside = Scope(values, before or None, f"{label}_", uses, outer=scope)
        begin = len(self.layers)
        after = self.lay_all(block.layers, (*block.place, "layers"), inside, before)
        if earlier:
            self.share(use.first, begin)
        if own_name and isinstance(use_name, str) and use_name:
            scope.give_name(use_name, (*place, key, NAME), after, place)
            scope.reusable[use_name] = use
        elif own_name and use_name is not UNKNOWN:
            scope.problem((*place, key, NAME), f"expected a name, got {named(use_name)}")
        return after

    def share(self, first: int, begin: int) -> None:
        """Make the layers from `begin` on those from `first` on, with other inputs."""
        for offset, item in enumerate(self.layers[begin:]):
            steps, inside = head_of_layer(item)
            # The block itself may use a layer again.
            if len(steps) == 2 or find_keras("layer", str(steps[0])):
                own = {name: entry for name, entry in entries_of(inside).items() if name in (FROM, NAME)}
                value = {self.name_of(first + offset): MappingEntry(item.position, replace(item, value=own))}
                self.layers[begin + offset] = replace(item, value=value)

    def block_arguments(
        self, name: str, block: LayerScope, given: Node | None, place: ConfigPath, scope: Scope
    ) -> dict[str, Node]:
        """Return the values of all parameters, and `name` and `from` if they are given."""
        values = entries_of(given)
        if given is not None and given.value is not None and not isinstance(given.value, Mapping):
            values = {first: MappingEntry(given.position, given) for first in list(block.parameters)[:1]}
            if not values:
                scope.problem(place, f"{name} takes no value", f"write {name} alone")
        found: dict[str, Node] = {}
        for key, entry in values.items():
            if key in block.parameters or key in (NAME, FROM):
                found[key] = scope.values.resolve(entry.node, (*place, key))
            else:
                usual = f"its parameters: {', '.join(block.parameters) or 'none'}"
                hint = did_you_mean(near(key, block.parameters, cutoff=0.5)) or usual
                scope.problem((*place, key), f"unknown parameter of {name}", hint, at_key=True)
        missing = {key: default for key, default in block.parameters.items() if key not in found}
        for key, default in missing.items():
            found[key] = self.base.resolve(default, (*block.place, "parameters", key))
            if default.value is None:
                example = f"for example {name}: {{{key}: …}}"
                scope.problem(place, f"{name} needs the parameter {key}", example, at_key=True)
                found[key] = replace(default, value=UNKNOWN)
        return found

    def lay_layer(self, item: Node, place: ConfigPath, scope: Scope, before: Source) -> Source:
        steps, given = head_of_layer(item)
        name = str(steps[-1])
        if not name:
            return self.add(item, place, scope)
        arguments = entries_of(given)
        if steps == (name,) and not find_keras("layer", name):
            shared = scope.find(name)
            if isinstance(shared[0], int):
                own = self.name_of(shared[0])
                item = replace(item, value=own if item.value == name else {own: item.value[name]})
                name = own
            elif self.is_misspelt(name, place, scope):
                return before
        inside = (*place, *steps[:-1], name)
        taken = self.sources(arguments[FROM].node, (*inside, FROM), scope) if FROM in arguments else before
        previous = (len(self.layers) - 1,)
        if FROM in arguments or (taken and taken != previous):
            item = with_argument(item, FROM, self.names_of(taken, arguments.get(FROM), item))
        own_name = arguments[NAME].node if NAME in arguments else None
        if own_name is None or not isinstance(own_name.value, str) or not own_name.value:
            return self.add(item, place, scope)
        full_name = replace(own_name, value=counted_name(scope.prefix + own_name.value, self.names))
        after = self.add(with_argument(item, NAME, full_name), place, scope)
        scope.give_name(own_name.value, (*inside, NAME), after, place)
        return after

    def add(self, item: Node, place: ConfigPath, scope: Scope) -> Source:
        if len(self.layers) == MOST_LAYERS:
            raise ConfigError(Problem(TextPath(place), f"more than {MOST_LAYERS:,} layers", related=scope.uses))
        self.layers.append(item)
        self.written.append(WrittenLayer(TextPath(place), scope.uses))
        return (len(self.layers) - 1,)

    def is_misspelt(self, name: str, place: ConfigPath, scope: Scope) -> bool:
        """Report a name that resembles the name of a block or layer."""
        if name in self.blocks:
            scope.problem(place, f"a variable cannot name the block {name}", "write its name here")
            return True
        hint = did_you_mean(near(name, [*self.blocks, REPEAT, *scope.names()], cutoff=0.75))
        if not hint or not name[:1].islower():
            return False
        scope.problem((*place, name), f"unknown layer or block {quoted(name)}", hint, at_key=True)
        return True

    def sources(self, node: Node, place: ConfigPath, scope: Scope) -> Source:
        """Return the sources that a `from` names. Anything but names is left to the validation."""
        is_list = isinstance(node.value, tuple)
        items = node.value if is_list else (node,)
        if not all(isinstance(item.value, str) for item in items):
            return ()
        found: list[int | str] = []
        for index, item in enumerate(items):
            source = scope.find(item.value)
            if source == (item.value,) and item.value != INPUT and not self.has_columns:
                usual = f"known: {', '.join((INPUT, *scope.names()))}"
                hint = did_you_mean(near(item.value, scope.names(), cutoff=0.5)) or usual
                where = (*place, index) if is_list else place
                scope.problem(where, f"no input or earlier layer is called {quoted(item.value)}", hint)
            found += source
        return tuple(found)

    def names_of(self, sources: Source, entry: MappingEntry | None, item: Node) -> Node:
        """Return the value of a `from` in the flat list."""
        node = entry.node if entry else item
        if not sources:
            return node
        texts = [self.name_of(source) if isinstance(source, int) else source for source in sources]
        names = tuple(replace(node, value=text, written="") for text in texts)
        is_list = len(names) > 1 or (entry is not None and isinstance(entry.node.value, tuple))
        return replace(node, value=names, written="") if is_list else names[0]

    def name_of(self, number: int) -> str:
        """Return the name of a layer; an unnamed layer is named."""
        item = self.layers[number]
        steps, given = head_of_layer(item)
        name = entries_of(given).get(NAME)
        if name is not None and isinstance(name.node.value, str):
            return str(name.node.value)
        new = f"{snake_case(str(steps[-1]))}_{number}"
        self.layers[number] = with_argument(item, NAME, replace(item, value=new, written=""))
        return new


def count_of(times: Any, place: ConfigPath, scope: Scope) -> int:
    """Return the number of rounds; 1 if it depends on unread data, to find the problems inside."""
    if times is UNKNOWN:
        return 1
    if not isinstance(times, int) or isinstance(times, bool):
        scope.problem(place, f"expected an integer, got {named(times)}")
        return 0
    if not 1 <= times <= MOST_TIMES:
        scope.problem(place, f"must be between 1 and {MOST_TIMES:,}, got {times}")
        return 0
    return times


def with_values(substitution: Substitution, values: Mapping[str, Node]) -> Substitution:
    """Return a substitution with names for nodes that are resolved already."""
    variables, resolved = {**substitution.variables, **values}, {**substitution.resolved, **values}
    return replace(substitution, variables=variables, resolved=resolved)
