"""What `init --set` says about a table, and hints of other commands in its terms."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic_core import PydanticCustomError

from dltool.config.columns import parse_column_type
from dltool.config.pydantic_errors import problems_in
from dltool.config.sources import TABLE_SOURCES, parse_source
from dltool.config.text.merge import apply_setting
from dltool.config.text.tree import Node, to_plain
from dltool.errors import ConfigError, Position, Problem

FORM = "write --set data.source.KIND.OPTION=VALUE or --set data.inputs.COLUMN=TYPE; edit the config for all else"
REQUIRED = {"sql": {"url": "sqlite:///FILE", "query": "SELECT 1 ORDER BY 1"}}
OPTION = re.compile(r'\b(header|quote|encoding|delimiter|missing|skip_rows): (\[[^\]]*\]|"[^"]*"|[\w-]+)')
BEFORE = r"(write |it: |say how its \w+ are written: |categories, | or |^)"
COLUMN = re.compile(BEFORE + r"([^;]+?: (?:\{(?:number|date): \{[^}]*\}\}|category))")


@dataclass(frozen=True)
class GivenSettings:
    """Options of a source, whose kind is empty if there are none, and the types of columns as YAML."""

    kind: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)


def given_by(settings: Sequence[str]) -> GivenSettings:
    """Read the arguments of `--set`. Raises ConfigError: they are wrong, or about something else than a table."""
    root = Node({}, Position("--set", 1, 1))
    for argument in settings:
        root = apply_setting(root, argument)
    tree = to_plain(root)
    kind: str
    options: Any
    data = tree.pop("data", {})
    source, columns = (data.pop("source", {}), data.pop("inputs", {})) if isinstance(data, dict) else (None, None)
    kind, options = next(iter(source.items()), ("", {})) if isinstance(source, dict) else ("", None)
    is_table = kind in ("", *TABLE_SOURCES) and isinstance(options, dict) and not {"path", "url"} & options.keys()
    if tree or data or not (is_table and isinstance(columns, dict)):
        raise ConfigError(f"--set {settings[-1]}: init takes options of a table and types of its columns", FORM)
    try:
        for value in columns.values():
            parse_column_type(value)
        if not kind:
            return GivenSettings(columns=columns)
        found = parse_source({kind: {**REQUIRED.get(kind, {"path": "FILE"}), **options}}).options
    except PydanticCustomError as error:
        raise ConfigError(in_terms_of_init(problem, kind, settings) for problem in problems_in(error)) from None
    return GivenSettings(kind, found.model_dump(include={*options}), columns)


def in_terms_of_init(problem: Problem, kind: str, settings: Sequence[str] = ()) -> Problem:
    """Return a problem whose hint names the options of `init` instead of keys of a config that is not written: perhaps
    that one of its `settings` may be wrong."""

    def option(match: re.Match[str]) -> str:
        return f"--set {shlex.quote(f'data.source.{kind}.{match[1]}={match[2]}')}"

    def column(match: re.Match[str]) -> str:
        return f"{match[1]}--set {shlex.quote(f'data.inputs={{{match[2]}}}')}"

    hint = COLUMN.sub(column, OPTION.sub(option, problem.hint))
    hint = hint or (f"without --set {shlex.quote(settings[-1])}, init decides itself" if settings else "")
    return replace(problem, place=None, related=(), hint=hint)
