"""`dltool describe`: the meanings of a name in a config, and its arguments."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from dltool import keras_names
from dltool.config.json_forms import Schema, plain, type_words
from dltool.config.json_schema import CHOICES, own_schema
from dltool.config.keras.suggestions import EXAMPLES
from dltool.config.keras.values import expected
from dltool.config.section import Section
from dltool.config.sources import ArraysSource
from dltool.config.text.expressions import DATA_FACTS
from dltool.errors import ConfigError
from dltool.keras_names import Argument, KerasName
from dltool.text import did_you_mean, near, quoted

PAGES = {
    **{kind: f"https://keras.io/api/{kind}s/" for kind in ("layer", "optimizer", "metric", "callback")},
    **{kind: f"https://keras.io/api/layers/{kind}s/" for kind in ("initializer", "regularizer", "constraint")},
    "activation": "https://keras.io/api/layers/activations/",
    "schedule": "https://keras.io/api/optimizers/learning_rate_schedules/",
    "loss": "https://keras.io/api/losses/",
    "backbone": "https://keras.io/api/applications/",
}
CHOSEN = {
    "metric": "Binary, categorical or sparse categorical accuracy, inferred from the targets and predictions.",
    "loss": "Binary, categorical or sparse categorical cross-entropy, inferred from the targets and predictions.",
}
FACTS = {
    "classes": "The number of classes; with several targets, $classes_NAME.",
    "examples": "The number of training examples.",
    "validation_examples": "The number of validation examples.",
    "test_examples": "The number of test examples.",
    "input_shape": "The shape of one example, if the data has no columns.",
    "target_shape": "The shape of one target: [] for one class or number; with several targets, $target_shape_NAME.",
    "epochs": "training.epochs.",
    "steps_per_epoch": "The number of batches in an epoch.",
}
PLACES = {
    "layer": "model:\n  layers:\n    - ITEM",
    "backbone": "model:\n  layers:\n    - backbone: THING",
    "activation": "model:\n  layers:\n    - Dense: {units: 10, activation: THING}",
    "optimizer": "training:\n  optimizer: THING",
    "schedule": "training:\n  optimizer: {Adam: {learning_rate: THING}}",
    "loss": "training:\n  loss: THING",
    "metric": "training:\n  metrics:\n    - ITEM",
    "callback": "training:\n  callbacks:\n    - ITEM",
}
"""Sections that take an object of a kind, without its outer braces at ITEM."""
SAMPLES = {
    "layer": {"LSTM": 32},
    "layers": [{"Dense": 10}],
    "optimizer": "adam",
    "schedule": {"CosineDecay": {"initial_learning_rate": 0.001, "decay_steps": 1000}},
    "activation": "relu",
    "int": 10,
    "float": 0.1,
    "number": 1000,
    "bool": True,
    "text": "text",
    "ints": [1, 2],
    "floats": [0.1],
    "list": [1, 2],
}
EXAMPLES_OF_CHOICES = {"data source": "source: ", "column type": "inputs:\n    COLUMN: ", "target type": "target: "}
SAMPLES_OF_OPTIONS = {
    "path": "PATH",
    "url": "sqlite:///FILE",
    "query": "SELECT * FROM rows ORDER BY id",
    "size": [64, 64],
    "seconds": 1.0,
    "classes": 20000,
}
"""For required options."""


@dataclass(frozen=True)
class ArgumentDescription:
    """One argument or key: a description of its type, and its default as YAML (None if there is none or it is null)."""

    name: str
    type: str
    default: str | None
    doc: str


@dataclass(frozen=True)
class Description:
    """One meaning of a name. `example` is YAML; `url` is empty if the page is uncertain."""

    name: str
    kind: str
    summary: str
    arguments: tuple[ArgumentDescription, ...] = ()
    example: str = ""
    url: str = ""


def describe(name: str) -> list[Description]:
    """Return every meaning of `name`: Keras names and their kinds, config keys, data sources, `$names`. Raises
    ConfigError: there is none; the hint suggests similar names."""
    found = [described_keras(keras_name) for keras_name in keras_names.find_all(name)]
    for noun, _, choices in CHOICES.values():
        found += [described_choice(name, noun.removeprefix("a "), choices[name])] if name in choices else []
    found += [description for path, description in keys() if name in (path, path.rpartition(".")[2])]
    found += [described_kind(name)] if name in keras_names.KINDS else []
    found += [described_fact(name.removeprefix("$"))] if name.removeprefix("$") in FACTS else []
    if not found:
        known = [
            *(choice for _, _, choices in CHOICES.values() for choice in choices),
            *(path for path, _ in keys()),
            *FACTS,
            *(n for kind in keras_names.KINDS for n in keras_names.names(kind)),
        ]
        usual = "expected a Keras name, a config key or a data source"
        hint = did_you_mean(near(name, dict.fromkeys(known), 3)) or usual
        raise ConfigError(f"unknown name {quoted(name)}", hint)
    return found


def described_keras(found: KerasName) -> Description:
    noun = keras_names.KINDS[found.kind].split(" ", 1)[1]
    if found.refusal:
        return Description(found.name, noun, f"Not for configs: {found.name} {found.refusal}.", url=PAGES[found.kind])
    text = keras_names.summary(found.kind, found.name) or (CHOSEN.get(found.kind, "") if found.is_string else "")
    if found.means != found.name:
        text = f"Another name for {found.means}. {text}"
    arguments = keras_names.arguments(found.kind, found.name)
    described = tuple(described_argument(found, argument) for argument in arguments.values())
    page = "" if found.name in keras_names.OWN.get(found.kind, {}) else PAGES[found.kind]
    return Description(found.name, noun, text, described, example(found), page)


def described_argument(found: KerasName, argument: Argument) -> ArgumentDescription:
    words = "anything" if "any" in argument.types else expected(argument.types)
    if "null" in argument.types:
        words += ", or null" if " or " in words else " or null"
    words += ", required" if argument.required else ""
    default = None if argument.default is None else flow(argument.default)
    doc = keras_names.argument_summary(found.kind, found.name, argument.name)
    return ArgumentDescription(argument.name, words, default, doc)


def example(found: KerasName) -> str:
    """Return an example of the name in its section, with its required arguments."""
    required = [argument for argument in keras_names.arguments(found.kind, found.name).values() if argument.required]
    thing: Any = found.name
    if required:
        thing = {found.means: {argument.name: sample(argument) for argument in required}}
    return placed(found.kind, thing)


def placed(kind: str, thing: Any) -> str:
    """Return YAML of `thing` in a section that takes its kind."""
    place = PLACES.get(kind) or PLACES["activation"].replace("activation", f"kernel_{kind}")
    text = flow(thing)
    return place.replace("THING", text).replace("ITEM", text if isinstance(thing, str) else text[1:-1])


def sample(argument: Argument) -> Any:
    """Return a valid value of the argument."""
    if argument.name in ("cell", "cells"):
        return [{"LSTMCell": 32}] if argument.name == "cells" else {"LSTMCell": 32}
    if argument.name in ("sensitivity", "specificity", "precision", "recall", "rate"):
        return 0.5
    known = [SAMPLES[word.split(":")[0]] for word in argument.types if word.split(":")[0] in SAMPLES]
    return known[0] if known else 1


def flow(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000)
    return text.removesuffix("\n").removesuffix("\n...")


def described_kind(kind: str) -> Description:
    classes = [name for name in keras_names.names(kind) if keras_names.find_known(kind, name).means == name]
    text = f"Every {keras_names.KINDS[kind].split(' ', 1)[1]}: {', '.join(classes)}."
    return Description(kind, "kind of Keras object", text, example=EXAMPLES[kind], url=PAGES[kind])


def described_fact(name: str) -> Description:
    origin = "the data" if name in DATA_FACTS else "the config"
    example = "Dense: {units: $classes}" if name == "classes" else ""
    return Description(f"${name}", f"value from {origin}", FACTS[name], example=example)


def described_choice(name: str, noun: str, options: type[Section]) -> Description:
    section = own_schema()["definitions"][options.__name__]
    arguments = key_arguments(section)
    text = plain(str(section.get("description", "A dataset of keras.datasets.")))
    # Of `arrays`, one of several must be given.
    required = ("path",) if options is ArraysSource else section.get("required", ())
    needed = {key: SAMPLES_OF_OPTIONS[key] for key in required}
    thing = flow({name: needed}) if needed else name
    return Description(name, noun, text, arguments, f"data:\n  {EXAMPLES_OF_CHOICES[noun]}{thing}")


def keys() -> Iterator[tuple[str, Description]]:
    """Yield dltool's own keys by their path: `training`, `training.batch_size`, …"""
    own = own_schema()
    sections = own["definitions"]

    def below(section: Schema, path: str) -> Iterator[tuple[str, Description]]:
        for key in key_arguments(section):
            schema, place = section["properties"][key.name], f"{path}{key.name}"
            inner = section_of(schema, sections)
            summary = key.doc or plain(str(inner.get("description", "")))
            if not inner:
                default = f"; default: {key.default}" if key.default is not None else ""
                parts = (summary.rstrip("."), key.type[:1].upper() + key.type[1:] + default)
                summary = ". ".join(part for part in parts if part) + "."
            yield place, Description(place, "config key", summary, key_arguments(inner))
            # Under names of the user's own, all look alike.
            yield from below(inner, f"{place}.NAME." if "additionalProperties" in schema else f"{place}.")

    yield from below(own, "")


def section_of(schema: Schema, sections: Mapping[str, Schema]) -> Schema:
    """Return the section of a key, of the items of its list or of the values of its mapping; empty if none."""
    each = schema.get("additionalProperties")
    members = [schema, *schema.get("anyOf", ()), *([each] if isinstance(each, dict) else [])]
    members += [member["items"] for member in members if isinstance(member.get("items"), Mapping)]
    names = [str(member.get("$ref", "")).rpartition("/")[2] for member in members]
    return next((sections[name] for name in names if name in sections), {})


def key_arguments(section: Schema) -> tuple[ArgumentDescription, ...]:
    required = section.get("required", ())
    return tuple(
        ArgumentDescription(
            name,
            type_words(schema) + (", required" if name in required and name != "name" else ""),
            None if schema.get("default") in (None, [], {}) or "$ref" in schema else flow(schema["default"]),
            plain(str(schema.get("description", ""))),
        )
        for name, schema in section.get("properties", {}).items()
    )
