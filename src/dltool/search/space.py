"""The space of a search: the values of config keys, checked at both ends of each, and put into the config."""

import ast
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from dltool.config.load import Document, build_config
from dltool.config.schema import Config
from dltool.config.search_options import Dimension, SearchOptions, inner_dimensions
from dltool.config.text.dump import plain_config
from dltool.config.text.merge import Steps, names_another, parse_steps, set_at
from dltool.config.text.resolve import replaced, without_notes
from dltool.config.text.tree import MappingEntry, Node, entries_of, find, format_path, to_plain
from dltool.errors import ConfigError, ConfigPath, Position, Problem
from dltool.keras_names import arguments, find_all
from dltool.text import did_you_mean, near, quoted

SPACE = ("search", "space")
Value = float | int | str
Values = Mapping[str, Value]
"""Values by parameter; of a choice the name of the option."""
FIGURES = 4
"""Of numbers that are tried: more would change no result that matters, and make configs hard to read."""
NOT_SEARCHED = {
    **dict.fromkeys(("name", "extends", "search", "track", "expect"), "it changes no result"),
    **dict.fromkeys(("seed",), "search.seeds trains the best trials with other seeds"),
    **dict.fromkeys(
        [f"data.{key}" for key in ("source", "validation", "test", "split", "target", "weights")],
        "trials on other examples cannot be compared",
    ),
}
"""Keys that no space may have, with the reason."""


class Suggest(Protocol):
    """What chooses the values of a trial: Optuna, or a test."""

    def suggest_float(
        self, name: str, low: float, high: float, /, *, step: float | None = ..., log: bool = ...
    ) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, /, *, step: int = ..., log: bool = ...) -> int: ...
    def suggest_categorical(self, name: str, choices: Any, /) -> Any: ...


@dataclass(frozen=True)
class Parameter:
    """One dimension: where its value stands (`steps`, of an inner one below its option), and its text (`node`).

    `inside` are the dimensions of each option of a choice, which count only where it is chosen."""

    name: str
    steps: Steps
    dimension: Dimension
    node: Node
    inside: Mapping[str, tuple["Parameter", ...]] = field(default_factory=dict)

    @property
    def path(self) -> ConfigPath:
        return tuple(step for step, _ in self.steps)

    @property
    def is_log(self) -> bool:
        return bool(self.dimension.log)

    def suggested(self, trial: Suggest) -> dict[str, Value]:
        """Return the value that `trial` suggests, and those of the dimensions inside it."""
        kind, step = self.dimension.kind, self.dimension.step
        if kind == "choice":
            chosen = trial.suggest_categorical(self.name, list(self.dimension.options))
            found: dict[str, Value] = {self.name: chosen}
            for inner in self.inside[chosen]:
                found |= inner.suggested(trial)
            return found
        low, high = self.dimension.bounds
        if kind == "integer":
            whole = 1 if step is None else int(step)
            return {self.name: trial.suggest_int(self.name, int(low), int(high), step=whole, log=self.is_log)}
        value = trial.suggest_float(self.name, low, high, step=step, log=self.is_log)
        return {self.name: min(high, max(low, float(f"{value:.{FIGURES}g}")))}

    def ends(self) -> Iterator[dict[str, Value]]:
        """Yield the values to check: both bounds, or each option with both bounds of each dimension inside it."""
        for value in self.dimension.bounds:
            yield {self.name: int(value) if self.dimension.kind == "integer" else value}
        for name in self.dimension.options:
            lows: dict[str, Value] = {self.name: name}
            for inner in self.inside[name]:
                lows |= next(inner.ends())
            yield lows
            for inner in self.inside[name]:
                yield from (lows | end for end in list(inner.ends())[1:])

    def node_of(self, values: Values) -> Node:
        """Return the text of its value, with the values of the dimensions inside it."""
        value = values[self.name]
        if self.dimension.kind != "choice":
            return Node(value, self.node.position, str(value))
        options = self.node.value["choice"].node
        node = next(node for name, node in zip(self.dimension.options, nodes_in(options), strict=True) if name == value)
        for inner in self.inside[str(value)]:
            node = replaced(node, inner.path, inner.node_of(values))
        return node

    def holds(self, value: Any) -> bool:
        """Return whether the dimension has this value."""
        if self.dimension.kind == "choice":
            return value in self.dimension.options
        low, high = self.dimension.bounds
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and low <= value <= high and (self.dimension.kind != "integer" or isinstance(value, int))


@dataclass(frozen=True)
class Space:
    """The parameters of a search."""

    parameters: tuple[Parameter, ...]

    def suggested(self, trial: Suggest) -> dict[str, Value]:
        """Return a value for each parameter, as `trial` suggests them."""
        found: dict[str, Value] = {}
        for parameter in self.parameters:
            found |= parameter.suggested(trial)
        return found

    def applied(self, document: Document, values: Values) -> Document:
        """Return the config with these values. Raises ConfigError: a list has no such item."""
        root = document.root
        for parameter in self.parameters:
            if parameter.name in values:
                root = set_at(root, parameter.steps, parameter.node_of(values), ())
        return replace(document, root=root, layers=[])

    def every(self) -> Iterator[Parameter]:
        """Yield all parameters, those inside choices too."""
        pending = list(self.parameters)
        while pending:
            parameter = pending.pop(0)
            yield parameter
            pending = [inner for each in parameter.inside.values() for inner in each] + pending


def nodes_in(options: Node) -> list[Node]:
    return [entry.node for entry in options.value.values()] if isinstance(options.value, Mapping) else [*options.value]


def search_options(document: Document) -> SearchOptions:
    """Return the section `search` of a valid config. Raises ConfigError: there is none."""
    node = find(document.root, ("search",))
    if node is None or node.value is None:
        hint = "write search: {space: {training.optimizer.Adam.learning_rate: {log: [1e-4, 1e-1]}}}"
        raise ConfigError(Problem((), "the config has no search space", hint))
    return SearchOptions.model_validate(to_plain(without_notes(node, ("search",))))


def read_space(document: Document) -> Space:
    """Return the space of a valid config. Raises ConfigError: a path cannot be searched."""
    dimensions, problems, found = search_options(document).space, list[Problem](), list[Parameter]()
    for key, entry in entries_of(find(document.root, SPACE)).items():
        if key in dimensions:
            with ConfigError.collected(problems):
                steps = steps_of(key, entry)
                refuse_unlike(document.root, key, steps)
                found.append(parameter_of(key, steps, dimensions[key], entry.node))
    ConfigError.refuse(problems)
    return Space(tuple(found))


def steps_of(key: str, entry: MappingEntry) -> Steps:
    """Return the steps of a path in the text of its key. Raises ConfigError: it is no path, or not to be searched."""
    line, begin = entry.key.line, entry.key.column + (entry.key.width > len(key))
    try:
        steps = parse_steps(key, entry.key.file, True)
    except ConfigError as error:
        raise ConfigError(
            replace(problem, place=entry.key, hint="write KEY.KEY[INDEX]") for problem in error.problems
        ) from None
    plain = format_path(tuple(step for step, _ in steps))
    for name, why in NOT_SEARCHED.items():
        if plain == name or plain.startswith((f"{name}.", f"{name}[")):
            raise ConfigError(Problem((*SPACE, key), f"{name} cannot be searched: {why}", "remove it", at_key=True))
    return tuple((step, Position(at.file, line, begin + at.column - 1, at.width)) for step, at in steps)


def refuse_unlike(root: Node, key: str, steps: Steps) -> None:
    """Raise ConfigError for a path that would create a variable, or replace one Keras object by another."""
    path: ConfigPath = ()
    for step, position in steps:
        node = find(root, path)
        if path == ("vars",) and step not in entries_of(node):
            hint = did_you_mean(near(str(step), entries_of(node))) or "define it under vars"
            raise ConfigError(Problem(position, f"there is no variable {quoted(str(step))}", hint))
        name = node.value if node is not None and isinstance(node.value, str) else ""
        entries = entries_of(node)
        is_class = isinstance(step, str) and step[:1].isupper()
        is_other = names_another(entries, {str(step): MappingEntry(position, Node(None, position))}, path)
        if is_class and (is_other or (name and not name.startswith("$") and name.lower() != str(step).lower())):
            there = name or next(iter(entries))
            usual = f"search {format_path(path)} with a choice to try several"
            hint = did_you_mean(near(str(step), [there], cutoff=0.8)) or usual
            raise ConfigError(Problem(position, f"{format_path(path)} is {there}, not {step}", hint))
        path = (*path, step)


def parameter_of(name: str, steps: Steps, dimension: Dimension, node: Node) -> Parameter:
    """Return a parameter with the parameters inside its options."""
    inside: dict[str, tuple[Parameter, ...]] = {}
    if dimension.kind == "choice":
        options = dict(zip(dimension.options, nodes_in(node.value["choice"].node), strict=True))
        for option, there in options.items():
            found = []
            for path, plain in inner_dimensions(to_plain(there)):
                inner = find(there, path)
                assert inner is not None
                label = ".".join(filter(None, (f"{name}={option}", format_path(path))))
                below = tuple((step, inner.position) for step in path)
                found.append(parameter_of(label, below, Dimension.model_validate(plain), inner))
            inside[option] = tuple(found)
    return Parameter(name, steps, dimension, node, inside)


def check_space(document: Document, space: Space, check: Callable[[Document], Config]) -> None:
    """Check the config at both ends of each dimension and with each option, the others as written.

    `check` raises ConfigError for an invalid config. Raises ConfigError: every problem, with its position; a parameter
    that changes nothing; two parameters for one value."""
    problems: dict[tuple[Any, str], Problem] = {}
    for parameter in space.parameters:
        found = set()
        for end in parameter.ends():
            try:
                candidate = space.applied(document, end)
                with located(candidate):
                    found.add(repr(plain_config(check(candidate))))
            except ConfigError as error:
                name = list(end)[-1]
                shown = end[name] if isinstance(end[name], str) else f"{end[name]:g}"
                for problem in error.problems:
                    new = replace(problem, message=f"with {name} = {shown}: {problem.message}")
                    problems.setdefault((problem.place, problem.message), new)
                found |= {repr(end), ""}
        if len(found) == 1:
            where = parameter.steps[-1][1]
            hint = "use it in the model or the training, or remove it here"
            problems[where, ""] = Problem(where, f"{parameter.name} changes nothing", hint)
    ConfigError.refuse(problems.values())
    lows: dict[str, Value] = {}
    for parameter in space.parameters:
        lows |= next(parameter.ends())
    root = space.applied(document, lows).root
    for parameter in space.parameters:
        if find(root, parameter.path) != parameter.node_of(lows):
            message = f"{parameter.name}: another key of the space replaces its value"
            raise ConfigError(Problem(parameter.steps[-1][1], message))


@contextmanager
def located(document: Document) -> Iterator[None]:
    """Give the problems of the block their positions in this document."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(
            replace(
                problem,
                place=document.position(problem.place or (), problem.at_key),
                related=tuple((document.position(place), words) for place, words in problem.related),
            )
            for problem in error.problems
        ) from None


def values_as_written(document: Document, space: Space) -> dict[str, Value]:
    """Return the values that the config has already, where the space has them; none of dimensions inside choices."""
    plain, found = plain_config(build_config(document)), dict[str, Value]()
    for parameter in space.parameters:
        node = find(document.root, parameter.path)
        value = to_plain(node) if node is not None else plain_value(plain, parameter.path)
        if parameter.dimension.kind == "choice":
            named = (name for name, option in parameter.dimension.options.items() if option == value)
            value = next(named, None)
            if parameter.inside.get(str(value)):
                continue
        elif node is None and value is None:
            value = default_of(parameter.path)
        if value is not None and parameter.holds(value):
            found[parameter.name] = value
    return found


def plain_value(plain: Any, path: ConfigPath) -> Any:
    for step in path:
        try:
            plain = plain[step]
        except (KeyError, IndexError, TypeError):
            return None
    return plain


def default_of(path: ConfigPath) -> Any:
    """Return Keras's default of an argument, None if it has none."""
    name, argument = (str(step) for step in path[-2:]) if len(path) > 1 else ("", "")
    for found in find_all(name):
        known = arguments(found.kind, name).get(argument)
        if known is not None and known.default is not None:
            try:
                value = ast.literal_eval(str(known.default))
            except (ValueError, SyntaxError):
                return None
            return value if isinstance(value, int | float) and math.isfinite(value) else None
    return None


def with_metric(document: Document, metric: str) -> Document:
    """Return the config with the metric of the search as its monitor."""
    given = find(document.root, ("search", "metric"))
    return document if given is None else with_values_at(document, [("training.checkpoint.monitor", metric)], given)


def with_values_at(document: Document, values: Sequence[tuple[str, Any]], origin: Node | None = None) -> Document:
    """Return the config with values that the search itself sets, by path; they stand at `origin`."""
    root, position = document.root, (origin or document.root).position
    for path, value in values:
        steps = tuple((step, position) for step, _ in parse_steps(path, "", True))
        root = set_at(root, steps, Node(value, position, str(value)), ())
    return replace(document, root=root, layers=[])
