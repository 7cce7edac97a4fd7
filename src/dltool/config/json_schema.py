"""`dltool schema`: the JSON Schema of configs, for editors.

Draft 07, which is what editors understand. `enum` stands for single values too, and `if`/`then` where another schema
would say `oneOf`: editors complete the first and word their messages by the second. A text with a `$` is allowed
wherever a value is, because it may stand for one.
"""

import ast
import inspect
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from dltool import keras_names
from dltool.config.columns import COLUMN_TYPES, TARGET_TYPES
from dltool.config.keras.objects import BACKBONE, FROM
from dltool.config.schema import Config
from dltool.config.section import Section
from dltool.config.sources import SOURCES
from dltool.config.text.blocks import REPEAT
from dltool.keras_names import Argument

Schema = dict[str, Any]

DEFINED_HERE = ("entry", "source", "column_type", "target", *keras_names.KINDS)
PHASES = "phases"
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
    """A schema that every valid config meets."""
    own = dict(own_schema())
    sections = own.pop("definitions")
    top = own_section(own)
    top["properties"] |= {
        "extends": {"type": ["string", "array"], "items": {"type": "string"}, "description": "Configs to build on."},
        "vars": {"type": "object", "description": "Values of your own, used as $name."},
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "dltool config",
        **top,
        # A config that extends another may leave anything to it.
        "if": {"required": ["extends"]},
        "else": required_keys(own, sections),
        "definitions": {
            **{name: own_section(section) for name, section in sections.items()},
            "entry": entry_schema(),
            "source": choice_schema(SOURCES, sections),
            "column_type": choice_schema(COLUMN_TYPES, sections),
            "target": target_schema(sections),
            **{kind: kind_schema(kind) for kind in keras_names.KINDS},
        },
    }


def entry_schema() -> Schema:
    """One entry of a list of layers. Blocks, and layers used again, have names that only the config knows."""
    pattern = "^[a-z_]"
    named: Schema = {"patternProperties": {pattern: {}}, "additionalProperties": False, "minProperties": 1}
    options = {
        "times": {"type": ["integer", "string"], "minimum": 1, "pattern": EXPRESSION["pattern"]},
        "layers": {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/entry"}},
    }
    repeat: Schema = {
        "description": "The layers, several times; $index counts the rounds from 0.",
        "type": "object",
        "properties": options,
        "required": list(options),
        "additionalProperties": False,
    }
    return {
        "if": {"anyOf": [{"type": "string", "pattern": pattern}, {"type": "object", **named}]},
        "then": {"properties": {REPEAT: repeat, BACKBONE: {"$ref": "#/definitions/backbone"}}, "maxProperties": 1},
        "else": {"$ref": "#/definitions/layer"},
    }


class OwnSchema(GenerateJsonSchema):
    """Marks with `x-ref` what is defined here and not by pydantic, which refuses references that it cannot follow."""

    def generate_inner(self, schema: Any) -> Schema:
        generated = super().generate_inner(schema)
        kind = str(generated.get("$ref", "")).removeprefix("#/$defs/")
        return {"x-ref": kind} if kind in DEFINED_HERE else generated


@cache
def own_schema() -> Schema:
    """dltool's own keys, as pydantic describes them, in draft 07."""
    generated = Config.model_json_schema(schema_generator=OwnSchema, ref_template="#/definitions/{model}")
    # The options of a choice are reached by its name, which no field of Config mentions.
    for section in dict.fromkeys([*SOURCES.values(), *COLUMN_TYPES.values(), *TARGET_TYPES.values()]):
        options = section.model_json_schema(schema_generator=OwnSchema, ref_template="#/definitions/{model}")
        generated.setdefault("$defs", {})[section.__name__] = options
    generated["definitions"] = generated.pop("$defs")
    for section in sections():
        described = generated if section is Config else generated["definitions"].get(section.__name__, {})
        for name, text in descriptions(section).items():
            described.get("properties", {}).get(name, {})["description"] = text
    draft: Schema = as_draft_07(generated)
    return draft


def sections(base: type[Section] = Section) -> Iterator[type[Section]]:
    """Every class of keys."""
    for section in base.__subclasses__():
        yield section
        yield from sections(section)


def descriptions(section: type[Section]) -> dict[str, str]:
    """The text below each field, those of the classes it is derived from included."""
    found: dict[str, str] = {}
    for part in reversed([part for part in section.__mro__ if issubclass(part, Section) and part is not Section]):
        body = ast.parse(inspect.getsource(part)).body[0].body  # type: ignore[attr-defined]
        for field, text in pairwise(body):
            is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
                key = part.model_fields[field.target.id].alias or field.target.id
                found[key] = inspect.cleandoc(str(text.value.value))
    return found


def as_draft_07(schema: Any) -> Any:
    if isinstance(schema, list):
        return [as_draft_07(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    titles = ("title",) if isinstance(schema.get("title"), str) else ()
    converted = {key: as_draft_07(value) for key, value in schema.items() if key not in titles}
    if "x-ref" in converted:
        converted["$ref"] = f"#/definitions/{converted.pop('x-ref')}"
    if "const" in converted:
        converted["enum"] = [converted.pop("const")]
    return converted


def own_section(section: Schema) -> Schema:
    """A section whose values may be expressions. What it requires is said at the top, see :func:`required_keys`."""
    properties = (
        {name: with_expression(value) for name, value in section["properties"].items()}
        if "properties" in section
        else {}
    )
    rest = {key: value for key, value in section.items() if key not in ("required", "properties")}
    return {**rest, "properties": properties, "patternProperties": {"^x-": {}}}


def with_expression(schema: Schema) -> Schema:
    """The schema, or a text with a `$`."""
    schema = without_union(schema)
    notes: Schema = {key: schema[key] for key in ("description", "default") if schema.get(key) is not None}
    inner = {key: value for key, value in schema.items() if key not in ("description", "default")}
    types = inner.get("type", ())
    types = [types] if isinstance(types, str) else list(types)
    if "if" in inner or str(inner.get("$ref", "")).rpartition("/")[2] in DEFINED_HERE:
        return schema
    for key in ("items", "additionalProperties"):
        if isinstance(inner.get(key), dict):
            inner[key] = with_expression(inner[key])
    if {"enum", "pattern", "anyOf", "$ref"} & set(inner):
        return {**notes, "if": EXPRESSION, "else": inner}
    if "string" in types:
        return {**notes, **inner}
    return {**notes, **inner, "type": [*types, "string"], "pattern": EXPRESSION["pattern"]}


def without_union(schema: Schema) -> Schema:
    """A value or null, which pydantic writes as `anyOf`, in one schema where JSON Schema can say it in one."""
    members = schema.get("anyOf", [])
    if len(members) != 2 or members[1] != {"type": "null"}:
        return schema
    first = members[0]
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    if "$ref" in first:
        return {**rest, "if": {"type": "null"}, "else": first}
    if not isinstance(first.get("type"), str):
        return schema
    merged = {**first, "type": [first["type"], "null"]}
    return {**rest, **merged, **({"enum": [*first["enum"], None]} if "enum" in first else {})}


def required_keys(own: Schema, sections: Schema) -> Schema:
    """What must be there in a config that extends none. `name` is the file's own unless given."""
    required = [name for name in own["required"] if name != "name"]
    inside = {}
    for name in required:
        section = sections.get(own["properties"][name].get("$ref", "").rpartition("/")[2], {})
        if section.get("required"):
            inside[name] = {"required": section["required"]}
        if PHASES in section.get("properties", {}):
            # Each phase has its own.
            left = [key for key in section["required"] if key not in sections["Phase"]["properties"]]
            inside[name] = {"if": {"required": [PHASES]}, "then": {"required": left}, "else": inside[name]}
    loss = {"properties": {"training": {"required": ["loss"]}}}
    has_outputs = {"properties": {"model": {"required": ["outputs"]}}, "required": ["model"]}
    return {"required": required, "properties": inside, "if": has_outputs, "else": loss}


def target_schema(sections: Schema) -> Schema:
    """The name of a column, several of them, or a type, under the name of its column or alone; several names with
    types."""
    kinds = choice_schema(TARGET_TYPES, sections)
    return {
        "type": ["string", "array", "object"],
        "items": {"type": "string"},
        "minProperties": 1,
        "additionalProperties": {"anyOf": [kinds, sections_of(TARGET_TYPES)]},
    }


def sections_of(choices: Mapping[str, type[Section]]) -> Schema:
    """The options of any of the choices."""
    return {"anyOf": [{"$ref": f"#/definitions/{section.__name__}"} for section in choices.values()]}


def choice_schema(choices: Mapping[str, type[Section]], sections: Schema) -> Schema:
    properties: Schema = {}
    for name, section in choices.items():
        fields = sections[section.__name__].get("properties", {})
        first = or_null(with_expression(next(iter(fields.values())))) if fields else {"type": "null"}
        options = {"$ref": f"#/definitions/{section.__name__}"}
        properties[name] = {"if": {"type": "object"}, "then": options, "else": first}
    return named_thing(list(choices), properties)


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
    if kind in ("layer", "backbone"):
        inside["properties"][FROM] = {
            "type": ["string", "array"],
            "items": {"type": "string"},
            "description": "What the layer takes, by name, instead of the output of the layer before it.",
        }
    required = [key for key, argument in arguments.items() if argument.required]
    first = next((argument for argument in arguments.values() if argument.is_positional), None)
    if required:
        inside["required"] = required
    return {
        "description": keras_names.summary(kind, name),
        "if": {"type": "object"},
        "then": inside,
        "else": short_form(first, required),
    }


def short_form(first: Argument | None, required: list[str]) -> Schema:
    """What may stand after the name instead of arguments: one value where the others are optional, or nothing."""
    if first is None:
        return {"type": "null"}
    if not required:
        return or_null(type_schema(first.types))
    return type_schema(first.types) if required == [first.name] else {"type": "object"}


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
        item: Schema = {"type": [ITEMS[name], "string"], "pattern": EXPRESSION["pattern"]}
        schema["items"] = {"type": "string"} if name == "texts" else item
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
