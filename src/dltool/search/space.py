"""The space of a search: the values of config keys, checked at both ends of each, and put into the config."""

import ast
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
from dltool.config.text.tree import MappingEntry, Node, children, entries_of, find, format_path, to_plain
from dltool.errors import ConfigError, ConfigPath, Problem
from dltool.keras_names import arguments, find_all
from dltool.text import did_you_mean, near, quoted

SPACE = ("search", "space")
Value = float | int | str
Values = Mapping[str, Value]
"""Values by parameter; of a choice the name of the option."""
FIGURES = 4
"""Of numbers that are tried: more would change no result that matters, and make configs hard to read."""
ON_A_STEP = 1e-8
"""How far from an integer number of steps a value may be; the tolerance of Optuna."""
OTHER_EXAMPLES = ("source", "validation", "test", "split", "target", "weights")
UNLIKE = {
    **dict.fromkeys(("seed", "training.seeds"), "search.seeds trains the best trials with other seeds"),
    **{f"data.{key}": "trials on other examples cannot be compared" for key in OTHER_EXAMPLES},
    "training.checkpoint.monitor": "values of other metrics cannot be compared",
    "training.epochs": "trials are compared after the same epochs, and the best epoch of each counts",
    "training.threads": "it changes the time of a trial, not what the trial finds",
}
"""Keys that no trial may change, with the reason."""
NO_RESULT = ("name", "extends", "search", "track", "explain", "expect", "cost")
NOT_SEARCHED = {**dict.fromkeys(NO_RESULT, "it changes no result"), **UNLIKE}
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
            return {self.name: chosen} | suggested_by(trial, self.inside[chosen])
        low, high = self.dimension.bounds
        if kind == "integer":
            whole = 1 if step is None else int(step)
            return {self.name: trial.suggest_int(self.name, int(low), int(high), step=whole, log=self.is_log)}
        value = trial.suggest_float(self.name, low, high, step=step, log=self.is_log)
        # A step says which numbers there are: only what floating point adds to them is rounded.
        return {self.name: min(high, max(low, float(f"{value:.{FIGURES if step is None else 15}g}")))}

    def ends(self) -> Iterator[dict[str, Value]]:
        """Yield the values to check: both bounds, or each option with both bounds of each dimension inside it."""
        for value in self.dimension.bounds:
            yield {self.name: int(value) if self.dimension.kind == "integer" else value}
        for name in self.dimension.options:
            lows = {self.name: name} | lowest(self.inside[name])
            yield lows
            for inner in self.inside[name]:
                yield from (lows | end for end in list(inner.ends())[1:])

    def node_of(self, values: Values) -> Node:
        """Return the text of its value, with the values of the dimensions inside it."""
        value = values[self.name]
        if self.dimension.kind != "choice":
            return Node(value, self.node.position, str(value))
        node = self.option_nodes()[str(value)]
        for inner in self.inside[str(value)]:
            node = replaced(node, inner.path, inner.node_of(values))
        return node

    def option_nodes(self) -> dict[str, Node]:
        nodes = (node for _, node in children(self.node.value["choice"].node))
        return dict(zip(self.dimension.options, nodes, strict=True))

    def holds(self, value: Any) -> bool:
        """Return whether the dimension has this value."""
        if self.dimension.kind == "choice":
            return value in self.dimension.options
        low, high = self.dimension.bounds
        kinds = int if self.dimension.kind == "integer" else int | float
        if not isinstance(value, kinds) or isinstance(value, bool) or not low <= value <= high:
            return False
        steps = (value - low) / (self.dimension.step or 1)
        return self.dimension.step is None or abs(steps - round(steps)) < ON_A_STEP


def suggested_by(trial: Suggest, parameters: Sequence[Parameter]) -> dict[str, Value]:
    """Return a value for each of the parameters, and for those inside their options, as `trial` suggests them."""
    return {name: value for each in parameters for name, value in each.suggested(trial).items()}


def lowest(parameters: Sequence[Parameter]) -> dict[str, Value]:
    return {name: value for each in parameters for name, value in next(each.ends()).items()}


@dataclass(frozen=True)
class Space:
    """The parameters of a search."""

    parameters: tuple[Parameter, ...]

    def applied(self, document: Document, values: Values) -> Document:
        """Return the config with these values. Raises ConfigError: a list has no such item."""
        root = document.root
        for parameter in self.parameters:
            if parameter.name in values:
                root = set_at(root, parameter.steps, parameter.node_of(values), ())
        return replace(document, root=root, layers=[])

    def every(self) -> list[Parameter]:
        """Return all parameters, each followed by those inside its options."""
        found, pending = list[Parameter](), list(self.parameters)
        while pending:
            found.append(pending.pop(0))
            pending = [inner for each in found[-1].inside.values() for inner in each] + pending
        return found


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
                refuse_unlike(document.root, steps)
                found.append(parameter_of(key, steps, dimensions[key], entry.node))
    ConfigError.refuse(problems)
    return Space(tuple(found))


def steps_of(key: str, entry: MappingEntry) -> Steps:
    """Return the steps of a path in the text of its key. Raises ConfigError: it is no path, or not to be searched."""
    try:
        steps = parse_steps(key, entry.key.file, True)
    except ConfigError:
        hint = "write KEY.KEY[INDEX], such as model.layers[0].Dense.units"
        raise ConfigError(Problem(entry.key, f"{quoted(key)} is not a config path", hint)) from None
    plain = format_path(tuple(step for step, _ in steps))
    for name, why in NOT_SEARCHED.items():
        if plain == name or plain.startswith((f"{name}.", f"{name}[")):
            raise ConfigError(Problem((*SPACE, key), f"{name} cannot be searched: {why}", "remove it", at_key=True))
    # After the quote of a key in quotes.
    begin = entry.key.column + (entry.key.width > len(key)) - 1
    return tuple((step, replace(at, line=entry.key.line, column=begin + at.column)) for step, at in steps)


def refuse_unlike(root: Node, steps: Steps) -> None:
    """Raise ConfigError for a path that would create a variable, or replace one Keras object by another."""
    path: ConfigPath = ()
    for step, position in steps:
        node, name = find(root, path), str(step)
        entries = entries_of(node)
        if path == ("vars",) and step not in entries:
            hint = did_you_mean(near(name, entries)) or "define it under vars"
            raise ConfigError(Problem(position, f"there is no variable {quoted(name)}", hint))
        text = node.value if node is not None and isinstance(node.value, str) and "$" not in node.value else ""
        is_other = names_another(entries, {name: MappingEntry(position, Node(None, position))}, path)
        # The name of a layer or of a block, whose arguments are below it.
        is_below = len(entries) == 1 and name not in entries and path[-2:-1] == ("layers",)
        if is_below or (name[:1].isupper() and (is_other or (text and text.lower() != name.lower()))):
            there = text or next(iter(entries))
            usual = f"search {format_path(path)} with a choice to try several"
            if is_below and not name[:1].isupper():
                usual = f"write {format_path((*path, there, step))}"
            hint = did_you_mean(near(name, [there], cutoff=0.8)) or usual
            raise ConfigError(Problem(position, f"{format_path(path)} is {there}, not {name}", hint))
        path = (*path, step)


def parameter_of(name: str, steps: Steps, dimension: Dimension, node: Node) -> Parameter:
    """Return a parameter with the parameters inside its options."""
    outer = Parameter(name, steps, dimension, node)
    if dimension.kind != "choice":
        return outer
    inside: dict[str, tuple[Parameter, ...]] = {}
    for option, there in outer.option_nodes().items():
        found = []
        for path, plain in inner_dimensions(to_plain(there)):
            inner = find(there, path) or there
            label = ".".join(filter(None, (f"{name}={option}", format_path(path))))
            below = tuple((step, inner.position) for step in path)
            found.append(parameter_of(label, below, Dimension.model_validate(plain), inner))
        inside[option] = tuple(found)
    return replace(outer, inside=inside)


def check_space(document: Document, space: Space, check: Callable[[Document], Config]) -> None:
    """Check the config at both ends of each dimension and with each option, the others as written.

    `check` raises ConfigError for an invalid config. Raises ConfigError: every problem, with its position; a parameter
    that changes nothing; two parameters for one value."""
    problems: dict[tuple[Any, str], Problem] = {}
    written = compared_config(check(document))
    for parameter in space.parameters:
        configs, where = set(), parameter.steps[-1][1]
        for end in parameter.ends():
            try:
                candidate = space.applied(document, end)
                with located(candidate):
                    plain = compared_config(check(candidate))
                for key, why in UNLIKE.items():
                    if plain_value(plain, key.split(".")) != plain_value(written, key.split(".")):
                        raise ConfigError(Problem(where, f"{key} cannot be searched: {why}"))
                configs.add(repr(plain))
            except ConfigError as error:
                configs |= {repr(end), ""}
                name, value = list(end.items())[-1]
                with_value = f"with {name} = {value if isinstance(value, str) else f'{value:g}'}: "
                for each in error.problems:
                    problems.setdefault((each.place, each.message), replace(each, message=with_value + each.message))
        if len(configs) == 1:
            hint = "use it in the model or the training, or remove it here"
            problems[where, ""] = Problem(where, f"{parameter.name} changes nothing", hint)
    ConfigError.refuse(problems.values())
    lows = lowest(space.parameters)
    root = space.applied(document, lows).root
    # Options may use a variable that others do not: choices stay as written.
    others = lowest([each for each in space.parameters if each.dimension.kind != "choice"])
    for parameter in space.parameters:
        configs = {plain_with(document, space, others | end, check) for end in parameter.ends()}
        if len(configs) == 1 or find(root, parameter.path) != parameter.node_of(lows):
            message = f"{parameter.name}: another key of the space replaces its value"
            raise ConfigError(Problem(parameter.steps[-1][1], message, "remove one of the two"))


def plain_with(document: Document, space: Space, values: Values, check: Callable[[Document], Config]) -> str:
    """Return the text of the config with these values, or that of the values if they are invalid together."""
    try:
        return repr(plain_config(check(space.applied(document, values))))
    except ConfigError:
        return repr(values)


def compared_config(config: Config) -> dict[str, Any]:
    """Return the config as plain values, with the epochs of all phases as `training.epochs`."""
    plain = plain_config(config)
    return {**plain, "training": {**plain["training"], "epochs": config.training.total_epochs}}


@contextmanager
def located(document: Document) -> Iterator[None]:
    """Give the problems of the block their positions in this document."""
    try:
        yield
    except ConfigError as error:
        found = []
        for each in error.problems:
            related = tuple((document.position(place), words) for place, words in each.related)
            found.append(replace(each, place=document.position(each.place or (), each.at_key), related=related))
        raise ConfigError(found) from None


def values_as_written(document: Document, space: Space) -> dict[str, Value]:
    """Return the values that the config has already, where the space has them; none of choices with more inside."""
    plain, found = plain_config(build_config(document)), dict[str, Value]()
    for parameter in space.parameters:
        node = find(document.root, parameter.path)
        value = to_plain(node) if node is not None else plain_value(plain, parameter.path)
        if parameter.dimension.kind == "choice":
            value = next((name for name, option in parameter.dimension.options.items() if option == value), None)
        elif value is None:
            value = default_of(parameter.path)
        if value is not None and parameter.holds(value) and not parameter.inside.get(str(value)):
            found[parameter.name] = value
    return found


def plain_value(plain: Any, path: Sequence[str | int]) -> Any:
    for step in path:
        try:
            plain = plain[step]
        except (KeyError, IndexError, TypeError):
            return None
    return plain


def default_of(path: ConfigPath) -> Any:
    """Return Keras's default of an argument, None if it has none."""
    *_, name, argument = ("", *map(str, path))
    known = (arguments(found.kind, name).get(argument) for found in find_all(name))
    default = next((each.default for each in known if each is not None and each.default is not None), "None")
    try:
        return ast.literal_eval(str(default))
    except (ValueError, SyntaxError):
        return None


def with_metric(document: Document, metric: str) -> Document:
    """Return the config with the metric of the search as its monitor."""
    given = find(document.root, ("search", "metric"))
    return document if given is None else with_values_at(document, {"training.checkpoint.monitor": metric}, given)


def with_values_at(document: Document, values: Mapping[str, Any], origin: Node | None = None) -> Document:
    """Return the config with values that the search itself sets, by path; they stand at `origin`."""
    root, position = document.root, (origin or document.root).position
    for path, value in values.items():
        steps = tuple((step, position) for step, _ in parse_steps(path, "", True))
        root = set_at(root, steps, Node(value, position, str(value)), ())
    return replace(document, root=root, layers=[])
