"""Values changed in the text of a config, which keeps its comments, its order and its layout."""

from collections.abc import Iterable
from typing import Any

import yaml

from dltool.config.text.dump import CoreDumper
from dltool.config.text.merge import Steps, set_at
from dltool.config.text.scalars import is_plain_text
from dltool.config.text.tree import Node, find, to_plain
from dltool.config.text.yaml_reader import parse_yaml
from dltool.errors import ConfigError, ConfigPath, Position


class NotEditable(ValueError):
    """A text whose layout does not allow the change."""


class RawDumper(CoreDumper):
    """Writes strings as they stand in a config, with their `$`."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_plain_text(text) else '"')


RawDumper.add_representer(str, RawDumper.represent_text)


def raw_yaml(value: Any) -> str:
    """Return plain data as YAML that reads as the same, `$` included."""
    text: str = yaml.dump(value, Dumper=RawDumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def on_one_line(value: Any) -> str:
    text: str = yaml.dump(
        [value], Dumper=RawDumper, sort_keys=False, allow_unicode=True, width=10**6, default_flow_style=True
    )
    return text.strip()[1:-1]


def edited(text: str, values: Iterable[tuple[ConfigPath, Any]], without: Iterable[str] = ()) -> str:
    """Return the text with plain `values` at config paths, and `without` some sections.

    Raises NotEditable: the layout does not allow it."""
    try:
        for key in without:
            text = without_section(text, key)
        for path, value in values:
            text = with_value(text, path, value)
    except (yaml.YAMLError, ConfigError) as error:
        raise NotEditable(str(error)) from error
    return text


def with_value(text: str, path: ConfigPath, value: Any) -> str:
    """Return the text with one value replaced, or added at the end of its mapping."""
    here = Position("", 1, 1)
    old = parse_yaml(text, "")
    steps: Steps = tuple((step, here) for step in path)
    new = set_at(old, steps, parse_yaml(raw_yaml(value), ""), ())
    chain, keys = nodes_along(yaml.compose(text, Loader=yaml.SafeLoader), path)
    node, depth = chain[-1], len(chain) - 1
    inner = find(new, path[:depth])
    assert inner is not None
    before, after = find(old, path[:depth]), to_plain(inner)
    if depth == len(path) or not isinstance(node, yaml.MappingNode) or not is_wider(before, after):
        changed = replaced_text(text, node, keys[-1], on_one_line(after))
    else:
        entry = on_one_line({path[depth]: nested(path[depth + 1 :], value)})[1:-1]
        if node.flow_style:
            entry, at = ", " * bool(node.value) + entry, node.end_mark.index - 1
        else:
            entry, at = f"\n{' ' * node.start_mark.column}{entry}", line_end(text, end_of(node))
        changed = text[:at] + entry + text[at:]
    if to_plain(parse_yaml(changed, "")) != to_plain(new):
        raise NotEditable("the text would read differently")
    return changed


def is_wider(before: Node | None, after: Any) -> bool:
    """Return whether a mapping kept its keys."""
    plain = to_plain(before) if before is not None else None
    return isinstance(plain, dict) and isinstance(after, dict) and plain.keys() <= after.keys()


def nested(path: ConfigPath, value: Any) -> Any:
    for step in reversed(path):
        value = {step: value}
    return value


def nodes_along(node: Any, path: ConfigPath) -> tuple[list[Any], list[Any]]:
    """Return the nodes on a path as far as they are in the text, and the node of the key of each."""
    chain, keys = [node], [None]
    for step in path:
        if isinstance(node, yaml.MappingNode):
            pairs = {key.value: (key, below) for key, below in node.value}
        else:
            items = node.value if isinstance(node, yaml.SequenceNode) else ()
            pairs = {index: (None, below) for index, below in enumerate(items)}
        if step not in pairs:
            break
        key, node = pairs[step]
        chain.append(node)
        keys.append(key)
    return chain, keys


def replaced_text(text: str, node: Any, key: Any, new: str) -> str:
    is_block = isinstance(node, yaml.CollectionNode) and not node.flow_style
    start = node.start_mark.index
    if is_block and key is not None:
        # A block begins below its key.
        start, new = key.end_mark.index, f": {new}"
    return text[:start] + new + text[end_of(node) :]


def end_of(node: Any) -> int:
    """Return where the text of a node ends: of a block, that of its last value."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    index: int = node.end_mark.index
    return index


def line_end(text: str, index: int) -> int:
    end = text.find("\n", index)
    return len(text) if end < 0 else end


def without_section(text: str, key: str) -> str:
    """Return the text without a section at the top level, and without the comment above it."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise NotEditable("the config is not in block style")
    for name, node in root.value:
        if name.value == key:
            lines = text.splitlines(keepends=True)
            first, last = name.start_mark.line, text.count("\n", 0, end_of(node))
            while first > 1 and lines[first - 1].startswith("#"):
                first -= 1
            return "".join([*lines[:first], *lines[last + 1 :]])
    return text
