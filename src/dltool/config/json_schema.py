"""`dltool schema`: the JSON Schema of configs, for editors.

This module describes dltool's own keys, :mod:`dltool.config.keras.definitions` Keras names. Every value may also be a
string with a `$`."""

import ast
import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from dltool.config.columns import COLUMN_TYPES, TARGET_TYPES
from dltool.config.json_forms import (
    TYPE_WORDS,
    Schema,
    description,
    named_schema,
    no_value,
    type_words,
    value_schema,
    with_arguments,
)
from dltool.config.keras import definitions as keras_definitions
from dltool.config.keras.objects import BACKBONE
from dltool.config.schema import Config
from dltool.config.section import Section
from dltool.config.sources import SOURCES
from dltool.config.text.blocks import REPEAT
from dltool.keras_names import KINDS

DEFINED_HERE = ("entry", "source", "column_type", "target", *KINDS)
PHASES = "phases"
NOT_OFFERED = {"doNotSuggest": True}
FILLED = {"if": {"type": "null"}, "then": no_value("missing, as there are no phases", ["string"]), **NOT_OFFERED}
NOTES = ("description", "default")
CONTAINERS = ("items", "additionalProperties")
CHOICES: Mapping[str, tuple[str, str, Mapping[str, type[Section]]]] = {
    "source": ("a data source", "csv: FILE", SOURCES),
    "column_type": ("a column type", "number", COLUMN_TYPES),
    "target_type": ("a target type", "category", TARGET_TYPES),
}
"""Choices by name with options of their own, with their nouns and examples."""
BLOCK_NAMES = rf"^(?!({REPEAT}|{BACKBONE})$)[a-z_][^.]*$"
"""Names of blocks and reused layers, which only the config knows. No Keras layer begins with a lower-case letter."""


def json_schema() -> Schema:
    """Return a schema that every valid config meets."""
    own = dict(own_schema())
    sections = own.pop("definitions")
    top = own_section(own)
    top["properties"] |= {
        "extends": {
            "type": ["string", "array"],
            "items": {"type": "string"},
            **description("Configs to extend, such as `base.yaml`. `[]` in a config that is only extended."),
            "errorMessage": "expected a file or a list of files",
        },
        "vars": {"type": "object", **description("Values of your own, used as `$name`.")},
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
            **{name: choice_schema(name, sections) for name in CHOICES},
            "target": target_schema(sections),
            "entry": entry_schema(),
            **keras_definitions.definitions(),
        },
    }


def entry_schema() -> Schema:
    """Return the schema of one entry of a list of layers: a layer, a backbone, a repeat or the use of a block."""
    entries: Schema = {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/entry"}}
    times = value_schema([{"type": "integer", "minimum": 1}], TYPE_WORDS["integer"])
    options = {
        "times": {**times, **description("The number of repetitions.")},
        "layers": {**entries, **description("As in `model.layers`.")},
    }
    inside = {"properties": options, "required": list(options), "additionalProperties": False}
    text = "Repeat the layers; `$index` counts from 0."
    repeat = with_arguments(REPEAT, text, inside, no_value("repeat needs times and layers", ["object"]))
    layers = {
        name: keras_definitions.reference("layer", name) for name in keras_definitions.names_with_arguments("layer")
    }
    properties = {**layers, REPEAT: repeat, BACKBONE: {"$ref": f"#/definitions/{BACKBONE}"}}
    example = keras_definitions.example_of("layer")
    return named_schema(KINDS["layer"], example, keras_definitions.bare_names("layer"), properties, BLOCK_NAMES)


class OwnSchema(GenerateJsonSchema):
    """Mark references to definitions of this module with `x-ref`; pydantic refuses references that it cannot follow."""

    def generate_inner(self, schema: Any) -> Schema:
        generated = super().generate_inner(schema)
        kind = str(generated.get("$ref", "")).removeprefix("#/$defs/")
        return {"x-ref": kind} if kind in DEFINED_HERE else generated


@cache
def own_schema() -> Schema:
    """Return dltool's own keys, as pydantic describes them, in draft 07."""
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
    for section in base.__subclasses__():
        yield section
        yield from sections(section)


def descriptions(section: type[Section]) -> dict[str, str]:
    """Return the string below each field, including inherited fields."""
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
    converted = {
        key: as_draft_07(value) for key, value in schema.items() if key != "title" or not isinstance(value, str)
    }
    if "x-ref" in converted:
        converted["$ref"] = f"#/definitions/{converted.pop('x-ref')}"
    if "const" in converted:
        converted["enum"] = [converted.pop("const")]
    return converted


def own_section(section: Schema) -> Schema:
    """Return the schema of a section whose values may be expressions. :func:`required_keys` adds the required keys."""
    properties = {name: own_value(value) for name, value in section.get("properties", {}).items()}
    return {
        "type": "object",
        **description(section.get("description", "")),
        "properties": properties,
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
    }


def own_value(schema: Schema) -> Schema:
    """Return the schema of one of dltool's own values, or of a string with a `$`."""
    default = {"default": schema["default"]} if schema.get("default") not in (None, [], {}) else {}
    notes: Schema = {**description(schema.get("description", "")), **(default if "$ref" not in schema else {})}
    if reference_of(schema) in DEFINED_HERE:
        return {**schema, **notes}
    inner = {key: value for key, value in schema.items() if key not in NOTES}
    members = [own_member(member) for member in inner.get("anyOf", [inner])]
    return {**value_schema(members, type_words(inner)), **notes}


def own_member(schema: Schema) -> Schema:
    """Return one form of a value, as :func:`value_schema` takes it."""
    if reference_of(schema) not in ("", *DEFINED_HERE):
        return {"type": "object", "if": {"type": "object"}, "then": schema}
    return {**schema, **{key: own_value(schema[key]) for key in CONTAINERS if isinstance(schema.get(key), dict)}}


def required_keys(own: Schema, sections: Schema) -> Schema:
    """Return the required keys of a config without `extends`. `name` defaults to the file's name."""
    found = required_in({**own, "required": [name for name in own["required"] if name != "name"]}, sections)
    training = found["properties"]["training"]
    needed = training.pop("required")
    training |= {
        "if": {"required": [PHASES], "properties": {PHASES: {"type": "array"}}},
        "then": {"properties": dict.fromkeys(needed, False), "errorMessage": "each of the phases has its own"},
        "else": {"required": needed, "properties": dict.fromkeys(needed, FILLED)},
    }
    outputs = {"properties": {"outputs": {"minProperties": 1}}, "required": ["outputs"]}
    no_loss = {"properties": {"loss": {"type": "null"}}, "errorMessage": "each of model.outputs has its own loss"}
    return {
        **found,
        "if": {"properties": {"model": outputs}, "required": ["model"]},
        "then": {"properties": {"training": {**no_loss, **NOT_OFFERED}}},
        "else": {"properties": {"training": {"required": ["loss"], **NOT_OFFERED}}},
    }


def required_in(schema: Schema, sections: Schema) -> Schema:
    """Return the requirements of a schema alone."""
    found: Schema = {}
    for member in schema.get("anyOf", [schema]):
        name = reference_of(member)
        section = sections.get(name, {}) if name else member
        if name in CHOICES:
            section = {"properties": choices_of(name, sections)}
        below = {key: required_in(value, sections) for key, value in section.get("properties", {}).items()}
        below = {key: {**inside, **NOT_OFFERED} for key, inside in below.items() if inside}
        each = {key: required_in(section[key], sections) for key in CONTAINERS if isinstance(section.get(key), dict)}
        required = {"required": section.get("required"), "properties": below, **each}
        found |= {key: value for key, value in required.items() if value}
    return found


def reference_of(schema: Schema) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def choices_of(name: str, sections: Schema) -> Schema:
    """Return the names of a choice, each with the schema of its options."""
    return {key: sections[options.__name__] for key, options in CHOICES[name][2].items()}


def choice_schema(name: str, sections: Schema) -> Schema:
    """Return the schema of a choice by name with options of its own."""
    noun, example, options = CHOICES[name]
    choices = choices_of(name, sections)
    properties = {key: option_schema(key, options[key].__name__, section) for key, section in choices.items()}
    bare = {key: each.get("description", "") for key, each in choices.items() if not each.get("required")}
    return named_schema(noun, example, bare, properties)


def option_schema(name: str, options: str, section: Schema) -> Schema:
    """Return the schema of the value after a choice's name: options, or the value of the first one."""
    fields, required = section.get("properties", {}), section.get("required", [])
    inside = {"$ref": f"#/definitions/{options}"}
    if not fields:
        return {**with_arguments(name, "", inside, no_value(f"{name} takes no options")), **NOT_OFFERED}
    first, *_ = fields
    value = {key: each for key, each in fields[first].items() if key not in NOTES}
    members = value.get("anyOf", [value])
    optional = [{"type": "null"}] if not required and {"type": "null"} not in members else []
    short = own_value({"anyOf": [*members, *optional]})
    return with_arguments(name, section.get("description", ""), inside, short, required == [first])


def target_schema(sections: Schema) -> Schema:
    """Return the schema of the target: the names of one or several columns, or types, alone or by column."""
    types = {"$ref": "#/definitions/target_type"}
    alone = choice_schema("target_type", sections)
    choices = alone["else"]["then"]["properties"]
    return {
        "type": ["string", "array", "object"],
        "errorMessage": "expected the name of a column, several of them, or {COLUMN: TYPE}",
        "defaultSnippets": alone["defaultSnippets"],
        "items": {"type": "string"},
        "minProperties": 1,
        "properties": {name: {"anyOf": [types, schema]} for name, schema in choices.items()},
        "additionalProperties": types,
    }
