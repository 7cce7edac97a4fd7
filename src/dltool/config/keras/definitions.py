"""The Keras objects that a config may name, as definitions of its JSON Schema."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from dltool import keras_names
from dltool.config.json_forms import (
    DOLLAR,
    EXPRESSION,
    JSON_TYPES,
    Schema,
    description,
    named_schema,
    no_value,
    value_schema,
    with_arguments,
)
from dltool.config.keras.objects import FROM
from dltool.config.keras.ranges import RANGES
from dltool.config.keras.suggestions import EXAMPLES, OWN_KINDS
from dltool.config.keras.values import ANY_CASE, ITEMS, choices_of, expected
from dltool.config.wording import WORDS
from dltool.keras_names import KINDS, Argument

ACTIVATION_LAYERS = ("ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax")
"""Layers suggested as activations. All other layers are allowed, too."""
SHORT = 60
"""Schemas of at most so many characters are not shared."""
SOURCES = {
    "type": ["string", "array"],
    "items": {"type": "string"},
    **description("The inputs of the layer by name, instead of the output of the previous layer."),
}


def definitions() -> Schema:
    """Return the definitions of all kinds, by kind, and of the arguments that several objects share."""
    kinds: Schema = {}
    for kind in KINDS:
        properties = {name: object_schema(kind, name) for name in names_with_arguments(kind)}
        kinds[kind] = named_schema(KINDS[kind], example_of(kind), bare_names(kind), properties)
    kinds["activation"] = activations()
    return {**kinds, **shared_arguments(kinds)}


def shared_arguments(kinds: Schema) -> Schema:
    """Replace every shared argument by a reference; return the definitions of these arguments."""
    names_of = (kind["else"]["then"]["properties"].values() for kind in kinds.values())
    # Aliases are references.
    objects = [each["then"]["properties"] for named_ones in names_of for each in named_ones if "then" in each]
    texts = [(properties, key, json.dumps(schema)) for properties in objects for key, schema in properties.items()]
    counts = Counter((key, text) for _, key, text in texts)
    names: dict[tuple[str, str], str] = {}
    shared: Schema = {}
    for properties, key, text in texts:
        if counts[key, text] > 1 and len(text) > SHORT:
            name = names.setdefault((key, text), f"{key}.{len(names)}")
            shared[name] = properties[key]
            properties[key] = {"$ref": f"#/definitions/{name}"}
    return shared


def example_of(kind: str) -> str:
    own = "; for classes of your own: dltool schema --allow-code FILE.py" if kind in OWN_KINDS else ""
    return EXAMPLES[kind] + own


def bare_names(kind: str) -> dict[str, str]:
    """Return the names without required arguments, with their descriptions."""
    return {
        name: keras_names.summary(kind, name)
        for name in keras_names.names(kind)
        if keras_names.find_known(kind, name).is_string or not required_names(kind, name)
    }


def names_with_arguments(kind: str) -> list[str]:
    return [name for name in keras_names.names(kind) if keras_names.arguments(kind, name)]


def activations() -> Schema:
    """Return the schema of activations. Any layer is allowed, a few are suggested."""
    offered = {name: keras_names.summary("layer", name) for name in ACTIVATION_LAYERS}
    layers = {name: reference("layer", name) for name in offered}
    schema = named_schema(KINDS["activation"], EXAMPLES["activation"], bare_names("activation") | offered, layers)
    schema["then"]["anyOf"].append({"enum": list(bare_names("layer"))})
    arguments = schema["else"]["then"]
    del arguments["additionalProperties"]
    arguments["propertyNames"] = {"enum": keras_names.names("layer"), "errorMessage": arguments["errorMessage"]}
    return schema


def reference(kind: str, name: str) -> Schema:
    """Return a reference to the :func:`named_schema` of a name with arguments."""
    return {"$ref": f"#/definitions/{kind}/else/then/properties/{name}"}


def required_names(kind: str, name: str) -> list[str]:
    return [key for key, argument in keras_names.arguments(kind, name).items() if argument.required]


def object_schema(kind: str, name: str) -> Schema:
    """Return the schema of the value of a name."""
    means = keras_names.find_known(kind, name).means
    if means != name:
        # An alias refers to the one description.
        return reference(kind, means)
    arguments = keras_names.arguments(kind, name)
    properties = {key: argument_schema(kind, name, argument) for key, argument in arguments.items()}
    if kind in ("layer", "backbone"):
        properties[FROM] = SOURCES
    required = required_names(kind, name)
    inside = {"properties": properties, "additionalProperties": False, **({"required": required} if required else {})}
    first = next((argument for argument in arguments.values() if argument.is_positional), None)
    is_short = first is not None and required == [first.name]
    if required and not is_short:
        short = no_value(f"{name} needs {' and '.join(required)}", ["object"])
    elif first is None:
        short = no_value(f"{name} takes no value")
    else:
        types = first.types if required else dict.fromkeys([*first.types, "null"])
        short = type_schema(types, f"{name}.{first.name}")
    return with_arguments(name, keras_names.summary(kind, name), inside, short, is_short)


def argument_schema(kind: str, name: str, argument: Argument) -> Schema:
    is_own = keras_names.find_known(kind, name).code is not None
    schema = type_schema(argument.types, argument.name if is_own else f"{name}.{argument.name}")
    schema |= description(keras_names.argument_summary(kind, name, argument.name))
    return schema if argument.default is None else {**schema, "default": argument.default}


def type_schema(types: Iterable[str], name: str = "") -> Schema:
    """Return the schema of an argument's types (see :mod:`dltool.keras_names.argument_types`). `name` is that of the
    object and its argument, by which numbers may have bounds."""
    types = [word for word in types if word != "code"]
    members: list[Schema] = [member_schema(word, name) for word in types if not word.startswith('"')]
    choices = choices_of(types)
    schema = value_schema([*([{"enum": choices}] if choices else []), *members], expected(types))
    if name.rpartition(".")[2] in ANY_CASE and choices:
        upper = "|".join(choice.upper() for choice in choices)
        schema["anyOf"][-1] = {**EXPRESSION, "pattern": f"^({upper})$|{DOLLAR}"}
    return schema


def member_schema(word: str, name: str) -> Schema:
    word, _, length = word.partition(":")
    if word == "any":
        return {}
    if word in KINDS:
        return {"$ref": f"#/definitions/{word}"}
    if word == "layers":
        return {"type": "array", "items": {"$ref": "#/definitions/layer"}}
    if word in ITEMS:
        (item,) = ITEMS[word]
        lengths = {"minItems": int(length), "maxItems": int(length)} if length else {}
        return {"type": "array", "items": value_schema([member_schema(item, name)], WORDS[item]), **lengths}
    return {"type": JSON_TYPES[word], **(bounds_of(name) if word in ("int", "float", "number") else {})}


def bounds_of(name: str) -> dict[str, Any]:
    allowed = RANGES.get(name) or RANGES.get(name.rpartition(".")[2])
    if allowed is None or "." not in name:
        # The range of a user class's `rate` is unknown.
        return {}
    ends = {
        "exclusiveMinimum" if allowed.above else "minimum": allowed.least,
        "exclusiveMaximum" if allowed.below else "maximum": allowed.most,
    }
    return {key: value for key, value in ends.items() if abs(value) != float("inf")}
