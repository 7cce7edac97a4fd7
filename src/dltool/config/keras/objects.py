"""Keras objects in a config: `Flatten`, `Dense: 10`, `Dense: {units: 10, activation: relu}`.

Names, arguments and types come from the tables of :mod:`dltool.keras_names`. Nothing is imported or built here."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dltool.config.keras.ranges import out_of_range
from dltool.config.keras.suggestions import EXAMPLES, near_argument, several_names, unknown_argument, unknown_name
from dltool.config.keras.values import UNKNOWN, check_plain
from dltool.config.wording import named
from dltool.errors import ConfigPath, Problem
from dltool.keras_names import KINDS, Argument, KerasName, arguments, find, nearest
from dltool.text import plural

__all__ = ["UNKNOWN", "KerasObject", "parse_entry", "parse_keras_object", "to_plain"]

FROM = "from"
"""The key of a layer that names its inputs, which replace the output of the previous layer."""
BACKBONE = "backbone"
"""The key of a whole keras.applications network used as a layer."""
HUB = "KerasHub"
"""The backbone that is a network of KerasHub, by preset."""
TOKENIZER = "KerasHubTokenizer"
"""The layer of preprocessing that makes the tokens of such a network, by preset."""
PUBLISHED = "imagenet"
"""The weights that Keras publishes for each backbone; any other string is the path of a file."""
CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")


@dataclass(frozen=True)
class KerasObject:
    """A Keras class or function by its Keras name, with its Keras arguments.

    `is_string` marks a Keras string identifier (`adam`, `relu`, `accuracy`), which Keras itself resolves. Arguments may
    hold further Keras objects. `sources` are the names in a layer's `from`, a list if `lists_sources`. `is_shared`
    marks the repeated use of the earlier layer called `name`."""

    kind: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    is_string: bool = False
    sources: tuple[str, ...] = ()
    lists_sources: bool = False
    is_shared: bool = False

    @property
    def call_arguments(self) -> dict[str, Any]:
        """Return the arguments of the layer's call, which its constructor does not take."""
        known = find(self.kind, self.name)
        return {name: self.arguments[name] for name in (known.call if known else ()) if name in self.arguments}

    @property
    def steps(self) -> ConfigPath:
        """Return the path from an entry of `model.layers` to its arguments."""
        return (BACKBONE, self.name) if self.kind == "backbone" else (self.name,)


Parsed = tuple[KerasObject | None, list[Problem]]


def parse_keras_object(kind: str, value: Any, path: ConfigPath = ()) -> Parsed:
    """Return the object of `kind` that `value` (plain YAML data) names, and every problem; no object if there are any,
    and for UNKNOWN. Locations are `path`, then as the YAML is nested: `(*path, "Dense", "units")`."""
    parser = Parser()
    return parser.keras_object(kind, value, path), parser.problems


def parse_entry(value: Any, path: ConfigPath = ()) -> Parsed:
    """Parse an entry of `model.layers`: a layer, or `backbone: {ResNet50: {…}}`, which is allowed only there."""
    if isinstance(value, Mapping) and list(value) == [BACKBONE]:
        return parse_keras_object("backbone", value[BACKBONE], (*path, BACKBONE))
    if value == BACKBONE:
        hint = f"for example backbone: {{{EXAMPLES[BACKBONE]}}}"
        return None, [Problem(path, f"expected the name of a backbone, got {named(value)}", hint)]
    return parse_keras_object("layer", value, path)


def shared_layers(values: Sequence[Any]) -> tuple[list[Any], list[Problem]]:
    """Return a list of layers in which entries that name an earlier layer are parsed."""
    named_before: set[str] = set()
    layers: list[Any] = []
    parser = Parser()
    for index, value in enumerate(values):
        name, given = name_and_arguments(value)
        is_shared = isinstance(name, str) and name in named_before and find("layer", name) is None
        layers.append(parser.shared_layer(name, given, (index, name)) if is_shared else value)
        if isinstance(layers[-1], KerasObject):
            given = layers[-1].arguments
        own_name = given.get("name") if isinstance(given, Mapping) else None
        if isinstance(own_name, str):
            named_before.add(own_name)
    return layers, parser.problems


def name_and_arguments(value: Any) -> tuple[Any, Any]:
    name, given = next(iter(value.items())) if isinstance(value, Mapping) and len(value) == 1 else (value, None)
    return name_and_arguments(given) if name == BACKBONE and given is not None else (name, given)


class Parser:
    """Parses Keras objects from plain YAML data and collects the problems."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def problem(self, place: ConfigPath, message: str, hint: str = "", at_key: bool = False) -> None:
        self.problems.append(Problem(place, message, hint, at_key))

    def keras_object(self, kind: str, value: Any, path: ConfigPath) -> KerasObject | None:
        if value is UNKNOWN:
            return None
        if isinstance(value, KerasObject):
            return value
        if isinstance(value, str):
            return self.bare_name(kind, value, path)
        if isinstance(value, Mapping) and len(value) == 1 and isinstance(name := next(iter(value)), str):
            return self.with_arguments(kind, name, value[name], (*path, name))
        if isinstance(value, Mapping) and len(value) > 1:
            self.problems.append(several_names(kind, value, path))
        else:
            what = "an empty mapping" if value == {} else named(value)
            self.problem(path, f"expected the name of {KINDS[kind]}, got {what}", f"for example {EXAMPLES[kind]}")
        return None

    def bare_name(self, kind: str, name: str, path: ConfigPath) -> KerasObject | None:
        known = self.usable_name(kind, name, path, at_key=False)
        if known is None or self.misses_arguments(known, (), path):
            return None
        return KerasObject(kind, name if known.is_string else known.means, is_string=known.is_string)

    def with_arguments(self, kind: str, name: str, given: Any, place: ConfigPath) -> KerasObject | None:
        known = self.usable_name(kind, name, place, at_key=True)
        if known is None:
            return None
        # Keras finds RMSProp for RMSprop.
        name = known.name
        if known.is_string and not arguments(kind, name):
            return self.function(known, given, place)
        before, sources = len(self.problems), None
        if kind in ("layer", "backbone") and isinstance(given, Mapping) and FROM in given:
            sources = given[FROM]
            given = {name: value for name, value in given.items() if name != FROM}
        values = self.class_arguments(known, given, place)
        names = self.sources(sources, (*place, FROM))
        if len(self.problems) > before:
            return None
        return KerasObject(kind, known.means, values, sources=names, lists_sources=isinstance(sources, list | tuple))

    def shared_layer(self, name: str, given: Any, place: ConfigPath) -> KerasObject:
        options = {} if given is None else given if isinstance(given, Mapping) else {"": given}
        for key in options:
            if key not in (FROM, "name"):
                message, hint = f"{name} is an existing layer", "a reused layer takes from and name only"
                self.problem((*place, key) if key else place, message, hint, at_key=bool(key))
        names = self.sources(options.get(FROM), (*place, FROM))
        own = {"name": options["name"]} if isinstance(options.get("name"), str) else {}
        lists = isinstance(options.get(FROM), list | tuple)
        return KerasObject("layer", name, own, sources=names, lists_sources=lists, is_shared=True)

    def sources(self, value: Any, place: ConfigPath) -> tuple[str, ...]:
        """Return the names in `from`, one or a list of them; none if it is absent."""
        if value is None:
            return ()
        names = list(value) if isinstance(value, list | tuple) else [value]
        wrong = [name for name in names if not isinstance(name, str)]
        if wrong or not names:
            what = named(wrong[0] if wrong else value)
            self.problem(place, f"expected the name of an input or a layer, got {what}", "from: [a, b]")
        return tuple(names)

    def function(self, known: KerasName, given: Any, place: ConfigPath) -> KerasObject | None:
        """Return an object without arguments: a function, or a string that Keras resolves by the shapes."""
        if given is None or given == {}:
            return KerasObject(known.kind, known.name, is_string=True)
        word = known.means.replace("_", "")
        alike = [name for name in nearest("loss" if known.kind == "loss" else "layer", word, 1) if name.lower() == word]
        hint = f"{alike[0]} takes arguments" if alike else f"write {known.name} alone"
        self.problem(place, f"{known.name} takes no arguments here", hint)
        return None

    def usable_name(self, kind: str, name: str, place: ConfigPath, at_key: bool) -> KerasName | None:
        # Keras reads the names of optimizers, and these words, in upper and lower case.
        is_caseless = kind == "optimizer" or name.lower() in {"accuracy", "acc", "crossentropy", "ce"}
        known = find(kind, name) or (find(kind, name.lower()) if is_caseless else None)
        if known is None:
            self.problems.append(unknown_name(kind, name, place, at_key))
        elif known.refusal:
            self.problem(place, f"{name} {known.refusal}", at_key=at_key)
            return None
        return known

    def class_arguments(self, owner: KerasName, given: Any, place: ConfigPath) -> dict[str, Any]:
        """Return the canonical arguments of a class. A single value is the first one; null means no arguments."""
        known = arguments(owner.kind, owner.name)
        given = {} if given is None else given
        if not isinstance(given, Mapping):
            first = next((argument for argument in known.values() if argument.is_positional), None)
            if first is None:
                self.problem(place, f"{owner.name} takes no value", f"write {owner.name} alone")
                return {}
            values = {first.name: self.value(owner, first, given, place)}
            self.misses_arguments(owner, values, place, at_key=True)
            return values
        values = {name: self.value(owner, known[name], given[name], (*place, name)) for name in given if name in known}
        unknown = [name for name in given if name not in known]
        self.problems += [unknown_argument(owner, name, (*place, name)) for name in unknown]
        # `unitz` is probably `units`, which is then not reported as missing.
        meant = {near_argument(owner, name) for name in unknown}
        self.misses_arguments(owner, {*given, *meant}, place, at_key=True)
        clipping = [name for name in CLIPPING if values.get(name) is not None] if owner.kind == "optimizer" else []
        if len(clipping) > 1:
            first_name, second = clipping[:2]
            related = (((*place, first_name), f"{first_name} is given here"),)
            message = f"{first_name} and {second} are mutually exclusive"
            self.problems.append(Problem((*place, second), message, at_key=True, related=related))
        return values

    def misses_arguments(
        self, owner: KerasName, given: Iterable[str | None], place: ConfigPath, at_key: bool = False
    ) -> bool:
        """Report missing required arguments."""
        known = arguments(owner.kind, owner.name)
        missing = [name for name, argument in known.items() if argument.required and name not in given]
        if not missing or (owner.is_string and owner.kind == "metric" and owner.name == "Accuracy"):
            return False
        example = ", ".join(f"{name}: …" for name in missing)
        message = f"{owner.means} needs the {plural(len(missing), 'argument')} {' and '.join(missing)}"
        self.problem(place, message, f"for example {owner.means}: {{{example}}}", at_key)
        return True

    def value(self, owner: KerasName, argument: Argument, value: Any, place: ConfigPath) -> Any:
        """Return one argument's value in canonical form: nested Keras objects parsed, numbers and strings checked."""
        types = set(argument.types)
        if value is UNKNOWN or (value is None and "null" in types):
            return value
        if "layers" in types and isinstance(value, list | tuple):
            items = enumerate(value)
            return [each if each is UNKNOWN else self.inner_layer(each, (*place, i)) for i, each in items]
        if types == {"layers"}:
            self.problem(place, f"expected a list of layers, got {named(value)}", "write [Dense: 10, …]")
            return value
        kind = next((kind for kind in argument.types if kind in KINDS), None)
        kind = "layer" if kind == "activation" and is_layer(value) else kind
        may_be_plain = kind == "schedule" and not isinstance(value, Mapping)
        if kind and not (may_be_plain and not (isinstance(value, str) and find(kind, value))):
            return self.inner_layer(value, place) if kind == "layer" else self.keras_object(kind, value, place)
        value, problems = check_plain(argument.types, argument.name, value, place)
        self.problems += problems or wrong_values(owner, argument.name, value, place)
        return value

    def inner_layer(self, value: Any, place: ConfigPath) -> KerasObject | None:
        """Return a layer inside another layer, which calls it with its own input and nothing else."""
        layer = self.keras_object("layer", value, place)
        if layer is None:
            return None
        if layer.sources:
            message = "an inner layer takes its input from the outer one"
            self.problem((*place, layer.name, FROM), message, "move from to the outer layer", True)
        for name in layer.call_arguments:
            message = f"the outer layer calls {layer.name} without {name}"
            self.problem((*place, layer.name, name), message, "use the layer by itself", True)
        return layer


def is_layer(value: Any) -> bool:
    """Return whether an activation is a layer: `LeakyReLU: {negative_slope: 0.1}`."""
    name = next(iter(value)) if isinstance(value, Mapping) and len(value) == 1 else value
    return isinstance(name, str) and find("activation", name) is None and find("layer", name) is not None


def wrong_values(owner: KerasName, argument: str, value: Any, place: ConfigPath) -> list[Problem]:
    is_layer_name = owner.kind in ("layer", "backbone") and argument == "name"
    if is_layer_name and isinstance(value, str) and ("/" in value or not value):
        return [Problem(place, 'the name of a layer cannot be empty or contain "/"')]
    if owner.code is not None:
        # The range of a user class's `rate` is unknown.
        return []
    if isinstance(value, int | float) and not isinstance(value, bool):
        message = out_of_range(owner.means, argument, value)
        return [Problem(place, message)] if message else []
    if isinstance(value, list | tuple):
        items = enumerate(value)
        return [problem for index, item in items for problem in wrong_values(owner, argument, item, (*place, index))]
    return []


def keras_objects_in(value: Any, place: ConfigPath) -> Iterator[tuple[ConfigPath, KerasObject]]:
    """Yield every Keras object in `value`, nested ones too, with its path, which ends with its name."""
    if isinstance(value, KerasObject):
        inside = (*place, value.name)
        yield inside, value
        yield from keras_objects_in(value.arguments, inside)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from keras_objects_in(item, (*place, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from keras_objects_in(item, (*place, index))


def to_plain(keras_object: KerasObject) -> Any:
    """Return YAML data that :func:`parse_keras_object` reads as this object."""
    arguments_given = {name: plain_value(value) for name, value in keras_object.arguments.items()}
    if keras_object.sources:
        names = list(keras_object.sources)
        arguments_given[FROM] = names if keras_object.lists_sources else names[0]
    if keras_object.kind == "backbone":
        return {BACKBONE: {keras_object.name: arguments_given} if arguments_given else keras_object.name}
    if arguments_given:
        return {keras_object.name: arguments_given}
    found = find(keras_object.kind, keras_object.name)
    if keras_object.is_shared:
        return keras_object.name
    # `Accuracy` alone is a string to Keras, `Accuracy: {}` the class.
    is_ambiguous = not keras_object.is_string and found is not None and found.is_string
    return {keras_object.name: {}} if is_ambiguous else keras_object.name


def plain_value(value: Any) -> Any:
    if isinstance(value, KerasObject):
        return to_plain(value)
    if isinstance(value, list | tuple):
        return [plain_value(item) for item in value]
    return value
