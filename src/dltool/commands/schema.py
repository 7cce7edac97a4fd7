"""`dltool schema`: the JSON Schema of configs, for editors.

Draft 07, which is what editors understand. `enum` stands for single values too, and `if`/`then` where another schema
would say `oneOf`: editors complete the first and word their messages by the second. A text with a `$` is allowed
wherever a value is, because it may stand for one.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from dltool import keras_names
from dltool.config.schema import SOURCES, Config
from dltool.keras_names import Argument

Schema = dict[str, Any]

EXPRESSION: Schema = {"type": "string", "pattern": r"\$"}
JSON_TYPES = {
    "int": "integer",
    "float": "number",
    "number": "number",
    "bool": "boolean",
    "text": "string",
    "null": "null",
    "list": "array",
    "mapping": "object",
}
ITEMS = {"ints": "integer", "floats": "number", "texts": "string"}
ACTIVATION_OR_LAYER = "activation"


def json_schema() -> Schema:
    """A schema that accepts every config that is valid, and most of the mistakes that need no data to be seen are not."""
    raw = own_schema()
    sections = {name: own_section(section) for name, section in raw.pop("definitions").items()}
    top = own_section(raw)
    top["properties"] |= {
        "extends": {"type": ["string", "array"], "items": {"type": "string"}, "description": "Configs to build on."},
        "vars": {"type": "object", "description": "Values of your own, used as $name."},
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "dltool config",
        **top,
        "patternProperties": {"^x-": {}},
        # A config that extends another may leave anything to it.
        "if": {"required": ["extends"]},
        "else": required_keys(own_schema()),
        "definitions": {**sections, "source": source_schema(raw), **{kind: kind_schema(kind) for kind in keras_names.KINDS}},
    }


class OwnSchema(GenerateJsonSchema):
    """References to Keras kinds and sources are filled in later."""

    def handle_ref_overrides(self, json_schema: Schema) -> Schema:
        return json_schema

    def function_plain_schema(self, schema: core_schema.PlainValidatorFunctionSchema) -> Schema:
        return {"$ref": "#/definitions/source"}


def own_schema() -> Schema:
    """dltool's own keys, as pydantic describes them, in draft 07."""
    generated = Config.model_json_schema(schema_generator=OwnSchema, ref_template="#/definitions/{model}")
    # Options of sources are reached by the name of the source, which no field of Config mentions.
    for section in dict.fromkeys(SOURCES.values()):
        options = section.model_json_schema(schema_generator=OwnSchema, ref_template="#/definitions/{model}")
        generated.setdefault("$defs", {})[section.__name__] = options
    generated["definitions"] = generated.pop("$defs")
    draft: Schema = as_draft_07(generated)
    return draft


def as_draft_07(schema: Any) -> Any:
    if isinstance(schema, list):
        return [as_draft_07(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    converted = {key: as_draft_07(value) for key, value in schema.items() if key != "title" or isinstance(value, Mapping)}
    if isinstance(converted.get("$ref"), str):
        converted["$ref"] = converted["$ref"].replace("#/$defs/", "#/definitions/")
    if "const" in converted:
        converted["enum"] = [converted.pop("const")]
    return converted


def own_section(section: Schema) -> Schema:
    """A section whose values may be expressions. What it requires is said at the top, see :func:`required_keys`."""
    properties = {name: with_expression(value) for name, value in section["properties"].items()} if "properties" in section else {}
    rest = {key: value for key, value in section.items() if key not in ("required", "properties")}
    return {**rest, "properties": properties}


def with_expression(schema: Schema) -> Schema:
    """The schema, or a text with a `$`."""
    notes = {key: schema[key] for key in ("description", "default") if key in schema}
    inner = {key: value for key, value in schema.items() if key not in notes}
    if inner.get("type") == "string" and not {"enum", "pattern"} & set(inner):
        return schema
    if "items" in inner:
        inner["items"] = with_expression(inner["items"])
    if isinstance(inner.get("type"), str) and inner["type"] != "string" and "enum" not in inner:
        return {**notes, **inner, "type": [inner["type"], "string"], "pattern": EXPRESSION["pattern"]}
    return {**notes, "if": EXPRESSION, "else": inner}


def required_keys(raw: Schema) -> Schema:
    """What must be there in a config that extends none. `name` is the file's own unless given."""
    required = [name for name in raw["required"] if name != "name"]
    inside = {}
    for name in required:
        section = raw["definitions"].get(raw["properties"][name].get("$ref", "").rpartition("/")[2], {})
        if section.get("required"):
            inside[name] = {"required": section["required"]}
    return {"required": required, "properties": inside}


def source_schema(raw: Schema) -> Schema:
    del raw
    sections = own_schema()["definitions"]
    properties = {}
    for name, section in SOURCES.items():
        fields = sections[section.__name__].get("properties", {})
        first = with_expression(next(iter(fields.values()))) if fields else {"type": "null"}
        options = {"$ref": f"#/definitions/{section.__name__}"}
        properties[name] = {"if": {"type": "object"}, "then": options, "else": first}
        if section.__doc__ and section.__module__ == Config.__module__:
            properties[name]["description"] = section.__doc__.split("\n")[0]
    return named_thing(list(SOURCES), properties)


def named_thing(bare: Iterable[str], properties: Schema) -> Schema:
    """One of the three forms: a name, or a name with one value or with arguments."""
    return {
        "type": ["string", "object"],
        "if": {"type": "string"},
        "then": {"if": EXPRESSION, "else": {"enum": list(bare)}},
        "else": {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
            "properties": properties,
        },
    }


def kind_schema(kind: str) -> Schema:
    """Every usable Keras name of a kind. An activation may be a layer too."""
    kinds = (kind, "layer") if kind == ACTIVATION_OR_LAYER else (kind,)
    bare = [name for each in kinds for name in keras_names.names(each) if stands_alone(each, name)]
    if kind == ACTIVATION_OR_LAYER:
        schema = named_thing(bare, {})
        return {**schema, "else": {"$ref": "#/definitions/layer"}}
    with_arguments = [name for name in keras_names.names(kind) if keras_names.arguments(kind, name)]
    return named_thing(bare, {name: object_schema(kind, name) for name in with_arguments})


def stands_alone(kind: str, name: str) -> bool:
    is_chosen = keras_names.find_known(kind, name).is_string
    return is_chosen or not any(argument.required for argument in keras_names.arguments(kind, name).values())


def object_schema(kind: str, name: str) -> Schema:
    means = keras_names.find_known(kind, name).means
    if means != name:
        # An alias: what it means is described once.
        return {"$ref": f"#/definitions/{kind}/else/properties/{means}"}
    arguments = keras_names.arguments(kind, name)
    inside: Schema = {
        "properties": {key: described(kind, name, argument) for key, argument in arguments.items()},
        "additionalProperties": False,
    }
    required = [key for key, argument in arguments.items() if argument.required]
    first = next((argument for argument in arguments.values() if argument.is_positional), None)
    short = type_schema(first.types) if first else {"type": "null"}
    if not required or [first.name] if first else []:
        short = or_null(short) if not required else short
    if required:
        inside["required"] = required
    return {
        "description": keras_names.summary(kind, name),
        "if": {"type": "object"},
        "then": inside,
        "else": short if required in ([], [first.name] if first else []) else {"type": "object"},
    }


def described(kind: str, name: str, argument: Argument) -> Schema:
    schema = dict(type_schema(argument.types))
    text = keras_names.argument_summary(kind, name, argument.name)
    if text:
        schema["description"] = text
    if argument.default is not None:
        schema["default"] = argument.default
    return schema


def or_null(schema: Schema) -> Schema:
    return {"if": {"type": "null"}, "else": schema} if schema else {}


def type_schema(types: Iterable[str]) -> Schema:
    """The schema of an argument's types (words of :mod:`dltool.keras_names.argument_types`)."""
    types = list(types)
    if "any" in types:
        return {}
    kinds = [word for word in types if word in keras_names.KINDS or word == "layers"]
    if kinds:
        return keras_schema(types, kinds)
    choices: list[str | None] = [word[1:-1] for word in types if word.startswith('"')]
    if choices:
        others = [word for word in types if word in JSON_TYPES and word != "null"]
        listed = choices + [None] * ("null" in types) + [True, False] * ("bool" in others)
        is_open = "int" in others
        enum: Schema = {"if": {"type": "integer"}, "else": {"enum": listed}} if is_open else {"enum": listed}
        return {"if": EXPRESSION, "else": enum}
    return plain_schema(types)


def plain_schema(types: list[str]) -> Schema:
    lists = [word for word in types if word.split(":")[0] in ITEMS]
    names = {JSON_TYPES[word] for word in types if word in JSON_TYPES} | ({"array"} if lists else set())
    # `code` takes nothing that a config can hold.
    schema: Schema = {"type": sorted(names | {"string"})}
    if "text" not in types:
        schema["pattern"] = EXPRESSION["pattern"]
    for word in lists:
        name, _, length = word.partition(":")
        schema["items"] = {"type": [ITEMS[name], "string"]} | ({} if name == "texts" else {"pattern": EXPRESSION["pattern"]})
        if length:
            schema |= {"minItems": int(length), "maxItems": int(length)}
    return schema


def keras_schema(types: list[str], kinds: list[str]) -> Schema:
    """An argument that holds a Keras object, a list of layers, or for schedules a number."""
    first = kinds[0]
    if first == "schedule":
        number = {"type": ["number", "string"], "pattern": EXPRESSION["pattern"]}
        return {"if": {"type": "object"}, "then": {"$ref": "#/definitions/schedule"}, "else": number}
    one = {"$ref": f"#/definitions/{'layer' if first == 'layers' else first}"}
    layers: Schema = {"type": ["array", "string"], "pattern": EXPRESSION["pattern"], "items": one}
    schema = layers if first == "layers" else one
    if "layers" in kinds and first != "layers":
        schema = {"if": {"type": "array"}, "then": layers, "else": one}
    return or_null(schema) if "null" in types else schema
