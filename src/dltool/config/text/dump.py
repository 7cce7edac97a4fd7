"""The resolved config as YAML, and the origin of each value."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import yaml

from dltool.config.choices import Choice
from dltool.config.columns import Target
from dltool.config.keras.objects import UNKNOWN, KerasObject
from dltool.config.keras.objects import to_plain as plain_object
from dltool.config.load import Document
from dltool.config.schema import Config
from dltool.config.section import Section, keys_of
from dltool.config.text.scalars import is_plain_text
from dltool.config.text.tree import children, find, is_argument
from dltool.errors import ConfigPath


class Expression(str):
    """The expression of a `value` that depends on the environment: it is shown and recorded instead of the value."""

    def __new__(cls, text: str, value: Any) -> Self:
        expression = super().__new__(cls, text)
        expression.value = value
        return expression

    value: Any


def plain_config(section: Section) -> dict[str, Any]:
    """Return a section as dicts, lists and scalars, without values that are None, or empty by default. Of a whole
    config, values that depend on the environment are Expressions."""
    keys = keys_of(type(section))
    given = {key: getattr(section, field) for key, field in zip(keys, type(section).model_fields, strict=True)}
    defaults = {
        key: None if field.is_required() else field.get_default(call_default_factory=True)
        for key, field in keys.items()
    }
    values = {key: (value, plain(value)) for key, value in given.items()}
    found = {
        key: written for key, (value, written) in values.items() if value != defaults[key] or written not in (None, {})
    }
    return expressed(found, (), section._expressions) if isinstance(section, Config) else found


def expressed(value: Any, path: ConfigPath, expressions: Mapping[ConfigPath, tuple[Any, str]]) -> Any:
    """Return plain data with the expressions of values that have not changed since. `Dense: 10` has that of its first
    argument, and `csv: [a.csv]` those of its first option."""
    if not expressions:
        return value
    if isinstance(value, Mapping):
        return {key: expressed(item, (*path, key), expressions) for key, item in value.items()}
    if isinstance(value, list):
        return [expressed(item, (*path, index), expressions) for index, item in enumerate(value)]
    short = (path[:depth] + path[depth + 1 :] for depth in range(len(path) - 1))
    known = map(expressions.get, (*(path[:depth] for depth in range(len(path), 0, -1)), *short))
    return next((Expression(text, value) for old, text in filter(None, known) if old == value), value)


def plain(value: Any) -> Any:
    if isinstance(value, KerasObject):
        return plain_object(value)
    if isinstance(value, Choice):
        options = plain_config(value.options)
        return {value.name: options} if options else value.name
    if isinstance(value, Target):
        return plain_target(value)
    if isinstance(value, Section):
        return plain_config(value)
    if isinstance(value, tuple) and value and isinstance(value[0], Target):
        return {target.columns[0]: plain(target.type) for target in value}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return value


def plain_target(target: Target) -> Any:
    kind = None if target.type is None else plain(target.type)
    if len(target.columns) == 1:
        return {target.columns[0]: kind} if kind else target.columns[0]
    return list(target.columns) if target.columns else kind


def dump_yaml(config: Config) -> str:
    """Return YAML that loads as this config: dollar signs are doubled, strings that would read as numbers quoted."""
    text: str = yaml.dump(plain_config(config), Dumper=CoreDumper, sort_keys=False, allow_unicode=True, width=120)
    return text


class CoreDumper(yaml.SafeDumper):
    """Writes strings that YAML 1.2 and YAML 1.1 readers read alike."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = None if is_plain_text(text) else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", text.replace("$", "$$"), style=style)


CoreDumper.add_representer(str, CoreDumper.represent_text)
CoreDumper.add_representer(Expression, yaml.SafeDumper.represent_str)


@dataclass(frozen=True)
class ValueOrigin:
    """A resolved value and its origin: `file:line:column`, a `--set` argument, or "default"."""

    path: ConfigPath
    value: Any
    origin: str
    written: str


def origins(document: Document, config: Config) -> list[ValueOrigin]:
    """Return every scalar of the config, in order."""
    return [origin_of(document, path, value) for path, value in leaves(plain_config(config), ())]


def leaves(value: Any, path: ConfigPath) -> Iterator[tuple[ConfigPath, Any]]:
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    if not value or not isinstance(value, Mapping | list):
        yield path, value
    for step, below in items:
        yield from leaves(below, (*path, step))


def origin_of(document: Document, path: ConfigPath, value: Any) -> ValueOrigin:
    place, _ = document.written(path)
    node, depth = None, len(place)
    while node is None:
        node = find(document.root, place[:depth])
        depth -= 1
    is_shorthand = not list(children(node)) and path  # `Dense: 10` holds `Dense.units`
    if depth + 1 < len(place) and not is_shorthand:
        return ValueOrigin(path, value, "default", "")
    position = node.position
    where = position.file if is_argument(position) else f"{position.file}:{position.line}:{position.column}"
    written = node.written if "$" in node.written else ""
    return ValueOrigin(path, "known when the data has been read" if value is UNKNOWN else value, where, written)
