"""The forms of config values, as JSON Schema for editors and as descriptions.

Editors read draft 07. They complete what `enum`, `anyOf` and `defaultSnippets` list, but not `then` and `else`.
`errorMessage` words their errors. For a value of two forms they locate an error if `if` chooses between the forms, but
not with `anyOf`. They ignore everything beside a `$ref` except its description. The first of several types decides the
text inserted after a key: a new line for an object."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dltool.config.section import FORM
from dltool.config.wording import BOUNDS, WORDS
from dltool.keras_names import KINDS
from dltool.text import joined

Schema = dict[str, Any]

DOLLAR = r"\$"
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
"""By the words of :mod:`dltool.keras_names.argument_types`."""
TYPE_WORDS = {name: WORDS.get(word, word) for word, name in JSON_TYPES.items()}
LIMITS = {"minimum": "ge", "exclusiveMinimum": "gt", "maximum": "le", "exclusiveMaximum": "lt"}
REFERENCES = {"source": "a data source", "column_type": "a column type", "target": "a column or a target type"}
INSERTED_FIRST = ("array", "object", "string", "boolean")
EXPRESSION = {"type": "string", "pattern": DOLLAR, "description": "Its value is not checked here."}


def type_words(schema: Schema) -> str:
    """Describe the type of a JSON Schema: "an integer, at least 1"."""
    if "anyOf" in schema:
        return joined([type_words(member) for member in schema["anyOf"]], "or")
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return KINDS.get(name, REFERENCES.get(name, TYPE_WORDS["object"]))
    if "enum" in schema:
        return joined([str(each).lower() if isinstance(each, bool) else str(each) for each in schema["enum"]], "or")
    if FORM in schema:
        return str(schema[FORM])
    if "items" in schema:
        if "enum" in schema["items"]:
            return f"a list of {type_words(schema['items'])}"
        noun, comma, rest = type_words(schema["items"]).removeprefix("a ").removeprefix("an ").partition(",")
        return f"a list of {noun.removesuffix('s')}s{comma}{rest}"
    bounds = [f"{BOUNDS[bound]} {schema[key]}" for key, bound in LIMITS.items() if key in schema]
    return ", ".join([joined([TYPE_WORDS[name] for name in types_of(schema)], "or"), *bounds])


def types_of(schema: Schema) -> list[str]:
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def plain(text: str) -> str:
    """Return a docstring on one line, without markup."""
    return " ".join(text.replace("`", "").split())


def description(text: str) -> Schema:
    """Return the keys that describe a schema; the second one is for editors that show Markdown."""
    marked = {"markdownDescription": " ".join(text.split())} if "`" in text else {}
    return {"description": plain(text), **marked} if text else {}


def value_schema(members: Sequence[Schema], words: str) -> Schema:
    """Return the schema of a value that is one of `members`, or a string with a `$`, which may stand for one. `words`
    describe the expected value. The definitions behind references allow for the `$` themselves."""
    if {} in members:
        return {}
    error = f"expected {words}, or $(…)"
    references = [member for member in members if "$ref" in member]
    enums = [{"enum": member["enum"], "errorMessage": error} for member in members if "enum" in member]
    others = [member for member in members if not {"$ref", "enum"} & member.keys()]
    rest: Schema = {key: value for member in others for key, value in member.items() if key != FORM}
    types = {name for member in others for name in types_of(member)}
    if not types - {"null"}:
        # The message about a name is the better one.
        empty = [{"type": "null"}] if types else []
        alternatives = [*enums, *references, *empty, *([] if references else [EXPRESSION])]
    else:
        alternatives = [*enums, {**with_dollar(rest, types), "errorMessage": error}, *references]
    return alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives}


def with_dollar(schema: Schema, types: set[str]) -> Schema:
    """Return a schema of several types that also allows a string with a `$`."""
    schema = dict(schema)
    if "string" not in types:
        schema["pattern"] = DOLLAR
    elif "pattern" in schema:
        schema["pattern"] += f"|{DOLLAR}"
    elif "maxLength" in schema:
        schema["pattern"] = f"^.{{0,{schema.pop('maxLength')}}}$|{DOLLAR}"
    first = ["string"] if "string" in types else [name for name in INSERTED_FIRST if name in {*types, "string"}]
    order = list(dict.fromkeys([*first, *(name for name in INSERTED_FIRST if name in types), *sorted(types)]))
    return {**schema, "type": order[0] if len(order) == 1 else order}


def named_schema(noun: str, example: str, bare: Mapping[str, str], properties: Schema, others: str = "") -> Schema:
    """Return the schema of one thing by its name, alone or with a value or arguments. `bare` are the names that stand
    alone, with their descriptions; `properties` are those with arguments. Names that match the pattern `others` are
    user-defined."""
    kind = noun.partition(" ")[2]
    name = {
        "type": "string",
        "pattern": f"{DOLLAR}|{others}" if others else DOLLAR,
        "errorMessage": f"expected {noun} with its required arguments, for example {example}",
    }
    # Editors show the description of the only one that matches, and the error of the first.
    names = [name, *({"title": key, "enum": [key], **description(text)} for key, text in bare.items())]
    arguments = {
        "minProperties": 1,
        "properties": properties,
        **({"patternProperties": {others: {}}} if others else {}),
        "additionalProperties": False,
        "errorMessage": f"unknown {kind}, for example {example}",
    }
    several = f"expected one {kind}, got several keys: indent the arguments below the name"
    return {
        "type": ["string", "object"],
        "errorMessage": f"expected {noun}, for example {example}",
        "defaultSnippets": [
            {"label": key, "body": key, **({"description": plain(text)} if text else {})} for key, text in bare.items()
        ],
        "if": {"type": "string"},
        "then": {"anyOf": names},
        "else": {"if": {"maxProperties": 1}, "then": arguments, "else": no_value(several, ["string"])},
    }


def with_arguments(name: str, text: str, arguments: Schema, short: Schema, is_short: bool = False) -> Schema:
    """Return the schema of the value after a name: arguments, or the `short` form. `is_short` says which of the two an
    editor inserts."""
    # Neither `properties` nor `anyOf` forbids anything: the first begins a new line, the second has values to offer.
    begin: Schema = {} if is_short else {"properties": {}}
    shown = {"title": name, **description(text), **begin, "anyOf": [short, {}]}
    return {**shown, "if": {"type": "object"}, "then": arguments, "else": short}


def no_value(error: str, types: Iterable[str] = ("null",)) -> Schema:
    return {"type": list(types), "errorMessage": error}
