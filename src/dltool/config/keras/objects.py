"""Keras objects as a config names them: `Flatten`, `Dense: 10`, `Dense: {units: 10, activation: relu}`.

Names, arguments and types come from the tables of :mod:`dltool.keras_names`. Nothing is imported or built here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dltool.config.keras.mistakes import EXAMPLES, near_argument, several_names, unknown_argument, unknown_name
from dltool.config.keras.ranges import out_of_range
from dltool.config.keras.values import UNKNOWN, Unknown, check_plain
from dltool.config.wording import named
from dltool.errors import ConfigPath, Problem
from dltool.keras_names import KINDS, Argument, KerasName, arguments, find, nearest

__all__ = ["UNKNOWN", "KerasObject", "Unknown", "parse_entry", "parse_keras_object", "to_plain"]

FROM = "from"
"""The key of a layer that names what it takes, instead of the output of the layer before it."""
BACKBONE = "backbone"
"""The key of a whole network of keras.applications in place of a layer."""
PUBLISHED = "imagenet"
"""The weights that Keras publishes for each backbone; any other text is the path of a file."""
CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")


@dataclass(frozen=True)
class KerasObject:
    """A Keras class or function by its Keras name, with its Keras arguments.

    `is_string` marks a Keras string identifier (`adam`, `relu`, `accuracy`), which Keras itself resolves. Arguments may
    hold further Keras objects. `sources` are what a layer's `from` names, in a list where `lists_sources`. `is_shared`:
    not a new layer but the one before it that is called `name`, used again.
    """

    kind: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    is_string: bool = False
    sources: tuple[str, ...] = ()
    lists_sources: bool = False
    is_shared: bool = False

    @property
    def steps(self) -> ConfigPath:
        """From the place of an entry of `model.layers` to its arguments."""
        return (BACKBONE, self.name) if self.kind == "backbone" else (self.name,)


Parsed = tuple[KerasObject | None, list[Problem]]


def parse_keras_object(kind: str, value: Any, path: ConfigPath = ()) -> Parsed:
    """The object of `kind` that `value` (plain YAML data) names, and every mistake in it.

    Places are `path` and then as the YAML is nested: `(*path, "Dense", "units")`. The object is None where there are
    problems, and for UNKNOWN.
    """
    if value is UNKNOWN:
        return None, []
    if isinstance(value, KerasObject):
        return value, []
    if isinstance(value, str):
        return parse_name(kind, value, path)
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, given),) = value.items()
        if isinstance(name, str):
            return parse_with_arguments(kind, name, given, (*path, name))
    if isinstance(value, Mapping) and len(value) > 1:
        return None, [several_names(kind, value, path)]
    what = "an empty mapping" if value == {} else named(value)
    return None, [Problem(path, f"expected the name of {KINDS[kind]}, not {what}", f"for example {EXAMPLES[kind]}")]


def parse_entry(value: Any, path: ConfigPath = ()) -> Parsed:
    """An entry of `model.layers`: a layer, or `backbone: {ResNet50: {…}}`, which can stand nowhere else."""
    if isinstance(value, Mapping) and list(value) == [BACKBONE]:
        return parse_keras_object("backbone", value[BACKBONE], (*path, BACKBONE))
    if value == BACKBONE:
        return None, [
            Problem(path, "expected the name of a backbone", f"for example backbone: {{{EXAMPLES[BACKBONE]}}}")
        ]
    return parse_keras_object("layer", value, path)


def parse_name(kind: str, name: str, path: ConfigPath) -> Parsed:
    found, problems = usable_name(kind, name, path, at_key=False)
    if found is None:
        return None, problems
    problems = missing_arguments(found, (), path)
    keras_object = KerasObject(kind, name if found.is_string else found.means, is_string=found.is_string)
    return (None, problems) if problems else (keras_object, [])


def parse_with_arguments(kind: str, name: str, given: Any, place: ConfigPath) -> Parsed:
    found, problems = usable_name(kind, name, place, at_key=True)
    if found is None:
        return None, problems
    if found.is_string and not arguments(kind, name):
        return parse_function(found, given, place)
    sources: Any = None
    if kind in ("layer", "backbone") and isinstance(given, Mapping) and FROM in given:
        sources = given[FROM]
        given = {name: value for name, value in given.items() if name != FROM}
    values, problems = parse_arguments(found, given, place)
    names, wrong = parse_sources(sources, (*place, FROM))
    if problems or wrong:
        return None, problems + wrong
    return KerasObject(kind, found.means, values, sources=names, lists_sources=isinstance(sources, list | tuple)), []


def shared_layers(values: Sequence[Any]) -> tuple[list[Any], list[Problem]]:
    """A list of layers in which those that name a layer before them, instead of one of Keras's, are parsed."""
    named_before: set[str] = set()
    layers: list[Any] = []
    problems: list[Problem] = []
    for index, value in enumerate(values):
        name, given = name_and_arguments(value)
        if isinstance(name, str) and name in named_before and find("layer", name) is None:
            layer, wrong = parse_shared(name, given, (index, name))
            layers.append(layer)
            problems += wrong
            given = layer.arguments
        else:
            layers.append(value)
        if isinstance(value, KerasObject):
            given = value.arguments
        own_name = given.get("name") if isinstance(given, Mapping) else None
        if isinstance(own_name, str):
            named_before.add(own_name)
    return layers, problems


def name_and_arguments(value: Any) -> tuple[Any, Any]:
    name, given = next(iter(value.items())) if isinstance(value, Mapping) and len(value) == 1 else (value, None)
    return name_and_arguments(given) if name == BACKBONE and given is not None else (name, given)


def parse_shared(name: str, given: Any, place: ConfigPath) -> tuple[KerasObject, list[Problem]]:
    options = {} if given is None else given
    if not isinstance(options, Mapping):
        options = {"": given}
    unknown = [key for key in options if key not in (FROM, "name")]
    problems = [
        Problem(
            (*place, key) if key else place,
            f"{name} is a layer that is there already",
            "it takes from, and name for its output here",
            at_key=bool(key),
        )
        for key in unknown
    ]
    names, wrong = parse_sources(options.get(FROM), (*place, FROM))
    own = {"name": options["name"]} if isinstance(options.get("name"), str) else {}
    lists = isinstance(options.get(FROM), list | tuple)
    return KerasObject("layer", name, own, sources=names, lists_sources=lists, is_shared=True), problems + wrong


def parse_sources(value: Any, place: ConfigPath) -> tuple[tuple[str, ...], list[Problem]]:
    """The names that `from` gives, one or a list of them; none where it is not there."""
    if value is None:
        return (), []
    names = list(value) if isinstance(value, list | tuple) else [value]
    if not names or not all(isinstance(name, str) for name in names):
        wrong = next((name for name in names if not isinstance(name, str)), value)
        return (), [Problem(place, f"expected the name of an input or a layer, not {named(wrong)}", "from: [a, b]")]
    return tuple(names), []


def parse_function(found: KerasName, given: Any, place: ConfigPath) -> Parsed:
    """What has a name only: a function, or a string that Keras resolves by the shapes."""
    if given is None or given == {}:
        return KerasObject(found.kind, found.name, is_string=True), []
    classes = found.kind if found.kind == "loss" else "layer"
    same = [other for other in nearest(classes, found.means.replace("_", ""), 1) if is_class_of(found.means, other)]
    hint = f"{same[0]} takes arguments" if same else f"write {found.name} alone"
    return None, [Problem(place, f"{found.name} takes no arguments here", hint)]


def is_class_of(function: str, name: str) -> bool:
    return function.replace("_", "") == name.lower()


def usable_name(kind: str, name: str, place: ConfigPath, at_key: bool) -> tuple[KerasName | None, list[Problem]]:
    # Keras reads the names of optimizers, and these words, in upper and lower case.
    is_caseless = kind == "optimizer" or name.lower() in {"accuracy", "acc", "crossentropy", "ce"}
    found = find(kind, name) or (find(kind, name.lower()) if is_caseless else None)
    if found is None:
        return None, [unknown_name(kind, name, place, at_key)]
    if found.refusal:
        return None, [Problem(place, f"{name} {found.refusal}", at_key=at_key)]
    return found, []


def parse_arguments(found: KerasName, given: Any, place: ConfigPath) -> tuple[dict[str, Any], list[Problem]]:
    """The canonical arguments of a class. A single value is the first argument; nothing means no arguments."""
    known = arguments(found.kind, found.name)
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        first = next((argument for argument in known.values() if argument.is_positional), None)
        if first is None:
            return {}, [Problem(place, f"{found.name} takes no value", f"write {found.name} alone")]
        value, wrong = parse_value(found, first, given, place)
        return {first.name: value}, wrong + missing_arguments(found, {first.name: value}, place, at_key=True)
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in given.items():
        if name in known:
            values[name], wrong = parse_value(found, known[name], value, (*place, name))
            problems += wrong
        else:
            problems.append(unknown_argument(found, name, (*place, name)))
    # `unitz` is meant to be `units`, which then is not missing as well.
    meant = {near_argument(found, name) for name in given if name not in known}
    problems += missing_arguments(found, {*given, *meant}, place, at_key=True)
    return values, problems + excluded_arguments(found, values, place)


def missing_arguments(
    found: KerasName, given: Iterable[str | None], place: ConfigPath, at_key: bool = False
) -> list[Problem]:
    missing = [
        name for name, argument in arguments(found.kind, found.name).items() if argument.required and name not in given
    ]
    if not missing or (found.is_string and found.kind == "metric" and found.name == "Accuracy"):
        return []
    example = ", ".join(f"{name}: …" for name in missing)
    what = "argument" if len(missing) == 1 else "arguments"
    message = f"{found.means} needs the {what} {' and '.join(missing)}"
    return [Problem(place, message, f"for example {found.means}: {{{example}}}", at_key)]


def excluded_arguments(found: KerasName, values: Mapping[str, Any], place: ConfigPath) -> list[Problem]:
    """Keras's optimizers clip in one way at most."""
    given = [name for name in CLIPPING if values.get(name) is not None] if found.kind == "optimizer" else []
    if len(given) < 2:
        return []
    first, second = given[:2]
    related = (((*place, first), f"{first} is given here"),)
    return [Problem((*place, second), f"{first} and {second} exclude each other", at_key=True, related=related)]


def parse_value(found: KerasName, argument: Argument, value: Any, place: ConfigPath) -> tuple[Any, list[Problem]]:
    """One argument's value in canonical form: Keras objects inside it parsed, numbers and texts checked."""
    types = set(argument.types)
    if value is UNKNOWN or (value is None and "null" in types):
        return value, []
    if "layers" in types and (isinstance(value, list | tuple) or types == {"layers"}):
        return parse_layers(value, place)
    kinds = [kind for kind in argument.types if kind in KINDS]
    if kinds:
        kind = "layer" if kinds[0] == "activation" and is_layer(value) else kinds[0]
        is_plain = (
            kind == "schedule" and not isinstance(value, Mapping) and not (isinstance(value, str) and find(kind, value))
        )
        if not is_plain:
            keras_object, problems = parse_keras_object(kind, value, place)
            if keras_object is not None and keras_object.sources:
                message = "a layer inside another takes what that one gives it"
                problems = [Problem((*place, keras_object.name, FROM), message, "give the outer layer the from", True)]
            return keras_object, problems
    value, problems = check_plain(argument.types, argument.name, value, place)
    return value, problems or wrong_values(found, argument.name, value, place)


def is_layer(value: Any) -> bool:
    """Whether an activation is given as a layer: `LeakyReLU: {negative_slope: 0.1}`."""
    name = next(iter(value)) if isinstance(value, Mapping) and len(value) == 1 else value
    return isinstance(name, str) and find("activation", name) is None and find("layer", name) is not None


def parse_layers(value: Any, place: ConfigPath) -> tuple[Any, list[Problem]]:
    if not isinstance(value, list | tuple):
        return value, [Problem(place, f"expected a list of layers, not {named(value)}", "write [Dense: 10, …]")]
    parsed = [(item, *parse_keras_object("layer", item, (*place, index))) for index, item in enumerate(value)]
    layers = [item if item is UNKNOWN else layer for item, layer, _ in parsed]
    return layers, [problem for *_, problems in parsed for problem in problems]


def wrong_values(found: KerasName, argument: str, value: Any, place: ConfigPath) -> list[Problem]:
    is_layer_name = found.kind in ("layer", "backbone") and argument == "name"
    if is_layer_name and isinstance(value, str) and ("/" in value or not value):
        return [Problem(place, 'the name of a layer cannot be empty or contain "/"')]
    if found.code is not None:
        # What a `rate` of the user's own may be, nobody else knows.
        return []
    if isinstance(value, int | float) and not isinstance(value, bool):
        message = out_of_range(found.means, argument, value)
        return [Problem(place, message)] if message else []
    if isinstance(value, list | tuple):
        items = enumerate(value)
        return [problem for index, item in items for problem in wrong_values(found, argument, item, (*place, index))]
    return []


def keras_objects_in(value: Any, place: ConfigPath) -> Iterator[tuple[ConfigPath, KerasObject]]:
    """Every Keras object in `value`, those inside others too, with its place, which ends with its name."""
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
    """YAML data that :func:`parse_keras_object` reads as this very object."""
    arguments_given = {name: plain_value(value) for name, value in keras_object.arguments.items()}
    if keras_object.sources:
        names = list(keras_object.sources) if keras_object.lists_sources else keras_object.sources[0]
        arguments_given[FROM] = names
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
