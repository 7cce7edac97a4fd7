"""Merges the layers of a config: `extends` below the file, `--set` above it."""

import re
from collections.abc import Mapping
from dataclasses import replace

from dltool.config.text.expressions import NAME
from dltool.config.text.tree import MappingEntry, Node, find
from dltool.config.text.yaml_reader import parse_yaml
from dltool.errors import ConfigError, ConfigPath, Position, Problem
from dltool.keras_names import first_argument

SOURCE_PLACES = (("data", "source"), ("data", "validation"), ("data", "test"))
NAMES_ONE_THING = {*SOURCE_PLACES, ("training", "optimizer"), ("training", "loss")}
STEP = re.compile(r"([A-Za-z_][\w-]*)|\[([0-9]+)\]")


def merge(base: Node, over: Node, path: ConfigPath = ()) -> Node:
    """Merge `over` into `base`: mappings key by key, everything else is replaced. In a mapping of one name to its
    arguments (`{Adam: {…}}`), another name drops the old arguments."""
    if not isinstance(base.value, Mapping) or not isinstance(over.value, Mapping):
        return over
    if names_another(base.value, over.value, path):
        return over
    entries = dict(base.value)
    for key, entry in over.value.items():
        below = entries.get(key)
        node = merge(below.node, entry.node, (*path, key)) if below else entry.node
        entries[key] = MappingEntry(entry.key, node)
    return Node(entries, over.position)


def names_another(base: Mapping[str, MappingEntry], over: Mapping[str, MappingEntry], path: ConfigPath) -> bool:
    if path == ("data", "target"):
        # One or a list, the whole value is replaced.
        return base.keys() != over.keys()
    if len(base) != 1 or len(over) != 1 or base.keys() == over.keys():
        return False
    (old,), (new,) = base, over
    return path in NAMES_ONE_THING or (old[:1].isupper() and new[:1].isupper())


def apply_setting(root: Node, argument: str) -> Node:
    """Return `root` with one `--set` argument (`training.epochs=1`, `training.metrics+=AUC`) applied. Raises
    ConfigError: the argument cannot be read, or points nowhere in a list. Positions are in the argument."""
    shown_as = f"--set {argument}"
    name, equals, value = argument.partition("=")
    key = name.removesuffix("+")
    steps = parse_steps(key, shown_as, bool(equals))
    if steps[0][0] == "extends":
        raise ConfigError(Problem(steps[0][1], "extends cannot be set from the command line", "write it in the file"))
    node = parse_yaml(value, shown_as, start=len(name) + 1)
    if key != name:
        node = appended(find(root, tuple(step for step, _ in steps)), node, steps[-1][1], key)
    return set_at(root, steps, node, ())


def appended(old: Node | None, new: Node, position: Position, key: str) -> Node:
    """Return the list with a value, or the values of a list, at its end. A missing list is empty."""
    items = new.value if isinstance(new.value, tuple) else (new,)
    if old is None or old.value is None:
        return replace(new, value=items)
    if not isinstance(old.value, tuple):
        is_variable = isinstance(old.value, str) and NAME.fullmatch(old.value)
        hint = f"append to vars.{old.value[1:]}" if is_variable else f"write {key}=VALUE to replace it"
        raise ConfigError(Problem(position, "this is not a list", hint))
    return replace(old, value=(*old.value, *items))


Steps = tuple[tuple[str | int, Position], ...]


def parse_steps(name: str, shown_as: str, has_value: bool) -> Steps:
    def fail(column: int, message: str) -> ConfigError:
        return ConfigError(Problem(Position(shown_as, 1, column + 1), message, "write KEY.KEY[INDEX]=VALUE"))

    if not has_value:
        raise fail(0, "missing =")
    steps: list[tuple[str | int, Position]] = []
    column = 0
    while column < len(name):
        if name[column] == "." and steps:
            column += 1
        match = STEP.match(name, column)
        if match is None:
            raise fail(column, "expected a key")
        step: str | int = match[1] if match[1] is not None else int(match[2])
        steps.append((step, Position(shown_as, 1, column + 1, match.end() - column)))
        column = match.end()
        if column < len(name) and name[column] not in ".[":
            raise fail(column, "expected a key")
    if not steps or isinstance(steps[0][0], int) or name.endswith("."):
        raise fail(max(0, len(name) - 1), "expected a key")
    return tuple(steps)


def set_at(node: Node, steps: Steps, value: Node, path: ConfigPath) -> Node:
    if not steps:
        return value
    (step, position), *rest = steps
    if isinstance(step, int):
        if not isinstance(node.value, tuple):
            raise ConfigError(Problem(position, "this is not a list"))
        if step >= len(node.value):
            last = f"its items are [0] to [{len(node.value) - 1}]" if node.value else "it is empty"
            raise ConfigError(Problem(position, f"the list has no item [{step}]", last))
        items = list(node.value)
        items[step] = set_at(items[step], tuple(rest), value, (*path, step))
        return replace(node, value=tuple(items))
    if path and isinstance(path[-1], str) and path[-1][:1].isupper():
        # `Dense: 10` is to get another argument.
        node = as_arguments(path[-1], node)
    old = node.value if isinstance(node.value, Mapping) else {}
    below = old[step].node if step in old else Node({}, position)
    entry = MappingEntry(position, set_at(below, tuple(rest), value, (*path, step)))
    if names_another(old, {step: entry}, path):
        return Node({step: entry}, position)
    return Node({**old, step: entry}, node.position)


def as_arguments(name: str, node: Node) -> Node:
    """Return the `10` of `Dense: 10` as `{units: 10}`; leave mappings, null and names without a first argument."""
    first = None if isinstance(node.value, Mapping) or node.value is None else first_argument(name)
    return Node({first: MappingEntry(node.position, node)}, node.position) if first else node
