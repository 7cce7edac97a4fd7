"""YAML text → :class:`Node` tree with positions, by the YAML 1.2 core schema.

The tree is composed here from PyYAML's parser events, because PyYAML's own composer and constructor lose positions,
overwrite duplicate keys, follow YAML 1.1 and recurse without a limit."""

import os
import re
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import yaml

from dltool.config.text.scalars import AmbiguousScalar, resolve_scalar
from dltool.config.text.tree import MappingEntry, Node, scalars, size, to_plain
from dltool.errors import ConfigError, ConfigPath, Position, Problem
from dltool.text import near, os_words

MOST_BYTES = 1_000_000
MOST_NODES = 20_000
DEEPEST = 60
YAML = (".yaml", ".yml")
BRACES = re.compile(r"\$\{(\w+)\}")

OPENERS = {
    "while parsing a flow sequence": ('this "[" is never closed', 'a "]" or a comma is missing'),
    "while parsing a flow mapping": ('this "{" is never closed', 'a "}" or a comma is missing'),
    "while scanning a quoted scalar": ("this quote is never closed", ""),
}
"""PyYAML's contexts of something left open, as message and hint."""


def read_bytes(path: Path, shown_as: str, what: str = "a config file", endings: Collection[str] = YAML) -> bytes:
    """Read a regular file of at most a megabyte; `what` and `endings` are for messages. Raises ConfigError: anything
    else."""
    start = Position(shown_as, 1, 1)
    try:
        # Without O_NONBLOCK, opening a FIFO would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        raise ConfigError(Problem(start, "no such file", near_files(path, endings))) from None
    except OSError as error:
        raise ConfigError(Problem(start, f"cannot be read: {os_words(error)}")) from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise ConfigError(Problem(start, f"is a directory, not {what}", near_files(path / "x", endings)))
        raise ConfigError(Problem(start, "is not a regular file"))
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ConfigError(Problem(start, f"is larger than {MOST_BYTES:,} bytes: not {what}"))
    return content


def near_files(path: Path, endings: Collection[str]) -> str:
    """Return a hint naming files beside `path` with similar names."""
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    names = sorted(item.name for item in path.parent.iterdir() if item.suffix in endings)
    paths = [str(path.parent / name) for name in near(path.name, names, 3, 0.5) or names[:3]]
    return f"did you mean {' or '.join(paths)}?" if paths else ""


def decode(content: bytes, shown_as: str) -> str:
    try:
        text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
        offset, what = content.find(b"\0"), "NUL: not a text file"
    except UnicodeDecodeError as error:
        offset, what = error.start, "not UTF-8"
    if offset >= 0:
        before = content[:offset].decode("utf-8", errors="replace")
        place = Position(shown_as, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise ConfigError(Problem(place, f"byte {offset} is {what}", "save the file as UTF-8"))
    return text


def parse_yaml(text: str, shown_as: str, *, start: int | None = None) -> Node:
    """Parse one YAML document. `shown_as` is the file name in positions. If it is a command-line argument, which may be
    empty, `start` is the number of characters before the text. Raises ConfigError: every duplicate key, tag, ambiguous
    scalar and the like, or the first syntax error."""
    composer = Composer(text, shown_as, start)
    try:
        node = composer.document()
    except yaml.MarkedYAMLError as error:
        raise ConfigError([*composer.problems, composer.syntax_problem(error)]) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = composer.at(before.count("\n"), len(before) - (before.rfind("\n") + 1))
        raise ConfigError(Problem(place, f"the character U+{int(error.character):04X} is not allowed")) from None
    if composer.problems:
        raise ConfigError(composer.problems)
    return node


def values_by_path(content: bytes, shown_as: str) -> dict[ConfigPath, Any]:
    """Return every scalar and every empty list or mapping of a YAML file by its path. Raises ConfigError: it is no
    YAML."""
    return {path: to_plain(node) for path, node in scalars(parse_yaml(decode(content, shown_as), shown_as))}


class Composer:
    """Builds nodes from the parser's events; collects in `problems` the errors that do not stop the parser."""

    def __init__(self, text: str, shown_as: str, start: int | None) -> None:
        self.text = text
        self.shown_as = shown_as
        self.start = start
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node | None] = {}
        self.events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)
        self.node_count = 0

    def document(self) -> Node:
        next(self.events)  # the stream's start
        event = next(self.events)
        if isinstance(event, yaml.StreamEndEvent):
            if self.start is not None:
                return Node(None, self.at(0, 0))
            raise ConfigError(Problem(self.at(0, 0), "the file is empty", "`dltool init` writes a config"))
        node = self.node(next(self.events), 0)
        next(self.events)  # the document's end
        event = next(self.events)
        if not isinstance(event, yaml.StreamEndEvent):
            self.report(event, "expected one YAML document, got a second one")
        return node

    def report(self, event: yaml.Event, message: str, hint: str = "") -> None:
        self.problems.append(Problem(self.position(event), message, hint))

    def node(self, event: yaml.Event, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        if depth > DEEPEST:
            raise ConfigError(Problem(self.position(event), f"nested deeper than {DEEPEST} levels"))
        assert isinstance(event, yaml.ScalarEvent | yaml.SequenceStartEvent | yaml.MappingStartEvent)
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.report(event, f"the tag {tag} is not allowed", "configs hold plain values only: remove the tag")
        if event.anchor is not None:
            self.anchors[event.anchor] = None  # being built: an alias to it from inside would be a cycle
        if isinstance(event, yaml.ScalarEvent):
            node = self.scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(item := next(self.events), yaml.SequenceEndEvent):
                items.append(self.node(item, depth + 1))
            node = Node(tuple(items), self.position(event))
        else:
            node = self.mapping(event, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        self.count(1, event)
        return node

    def count(self, nodes: int, event: yaml.Event) -> None:
        self.node_count += nodes
        if self.node_count > MOST_NODES:
            message = f"expands to more than {MOST_NODES:,} values"
            raise ConfigError(Problem(self.position(event), message, "fewer aliases, or a shorter file"))

    def alias(self, event: yaml.AliasEvent) -> Node:
        anchor = str(event.anchor)
        node = self.anchors.get(anchor)
        if node is None:
            is_cycle = anchor in self.anchors
            self.report(event, f"*{anchor} contains itself" if is_cycle else f"undefined anchor &{anchor}")
            return Node(None, self.position(event))
        self.count(size(node), event)
        return node

    def scalar(self, event: yaml.ScalarEvent) -> Node:
        value: Any = event.value
        try:
            value = resolve_scalar(event.value) if event.implicit[0] else event.value
        except AmbiguousScalar as error:
            self.report(event, *error.args)
        return Node(value, self.position(event), event.value)

    def mapping(self, start: yaml.Event, depth: int) -> Node:
        entries: dict[str, MappingEntry] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.node(event, depth + 1)
            node = self.node(next(self.events), depth + 1)
            if not isinstance(key.value, str):
                hint = f'write "{key.written}" with quotes' if key.written else ""
                self.report(event, f"a key must be a string, got {key.written or 'a collection'}", hint)
            elif key.value == "<<" and key.written == "<<":
                hint = "use `extends` to build on another file"
                self.report(event, "merge keys (<<) are not part of YAML 1.2", hint)
            elif key.value in entries:
                self.report(event, f'duplicate key "{key.value}" (first at line {entries[key.value].key.line})')
            else:
                entries[key.value] = MappingEntry(self.position(event), node)
        return Node(entries, self.position(start))

    def position(self, event: yaml.Event) -> Position:
        start, end = event.start_mark, event.end_mark
        assert start is not None
        assert end is not None
        is_scalar = isinstance(event, yaml.ScalarEvent | yaml.AliasEvent)
        width = max(1, end.column - start.column) if is_scalar and start.line == end.line else 1
        return self.at(start.line, start.column, width)

    def at(self, line: int, column: int, width: int = 1) -> Position:
        """Return the position of a line and column that count from 0."""
        return Position(self.shown_as, line + 1, column + 1 + (0 if line else self.start or 0), width)

    def syntax_problem(self, error: yaml.MarkedYAMLError) -> Problem:
        """Return PyYAML's error in plain language, at the construct that was left open if that is the cause."""
        mark, opener = error.problem_mark or error.context_mark, error.context_mark
        assert mark is not None, "PyYAML's parser always says where"
        position = self.at(mark.line, mark.column)
        what = error.problem or "not valid YAML"
        lines = self.text.splitlines()
        line = lines[mark.line] if mark.line < len(lines) else ""
        if "'\\t'" in what or "\t" in line[: mark.column + 1]:
            return Problem(position, "a tab cannot indent YAML", "use spaces")
        if what == "mapping values are not allowed here":
            key, _, value = line.strip().partition(": ")
            hint = f'quote the string: {key}: "{value}"' if ": " in value else "check the indentation"
            return Problem(position, 'a second ": " on one line' if ": " in value else "a key cannot begin here", hint)
        if brace := BRACES.search(line):
            position = self.at(mark.line, brace.start(), len(brace[0]))
            return Problem(position, f"invalid reference {brace[0]}", f"write ${brace[1]}")
        if opener is not None and error.context in OPENERS:
            return Problem(self.at(opener.line, opener.column), *OPENERS[error.context])
        if what.startswith("expected <block end>"):
            return Problem(position, "does not line up with the lines above", "check the indentation")
        return Problem(position, f"not valid YAML: {what}")
