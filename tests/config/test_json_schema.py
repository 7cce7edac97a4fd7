import re
from pathlib import Path

import pytest
import yaml

from dltool import keras_names
from dltool.config.json_schema import json_schema, type_schema
from dltool.config.keras.objects import parse_keras_object
from dltool.config.load import read_document
from dltool.config.schema import Data
from dltool.config.sources import SOURCES
from dltool.config.text.tree import to_plain
from dltool.keras_names import KINDS

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="module")
def schema():
    return json_schema()


def every_schema(schema):
    """Each schema inside a schema, itself included."""
    if isinstance(schema, dict):
        yield schema
        for key, value in schema.items():
            if key not in ("enum", "default", "required", "type"):
                yield from every_schema(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from every_schema(item)


def follow(schema, reference):
    for step in reference.removeprefix("#/").split("/"):
        schema = schema[step]
    return schema


def test_every_reference_leads_somewhere(schema):
    references = {inner["$ref"] for inner in every_schema(schema) if isinstance(inner.get("$ref"), str)}
    assert len(references) > 15
    for reference in references:
        assert isinstance(follow(schema, reference), dict)


def test_it_is_draft_07_and_says_what_editors_complete(schema):
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    keys = {key for inner in every_schema(schema) for key in inner}
    assert not keys & {"const", "oneOf", "$defs", "prefixItems", "x-ref"}


def test_every_name_of_every_kind_and_every_source_is_in_it(schema):
    for kind in KINDS:
        definition = schema["definitions"][kind]
        bare = set(definition["then"]["else"]["enum"])
        inside = set(definition["else"].get("properties", ()))
        names = set(keras_names.names(kind))
        assert names <= bare | inside
        if kind != "activation":
            assert bare | inside == names
    assert set(schema["definitions"]["source"]["then"]["else"]["enum"]) == set(SOURCES)


def test_refused_names_are_not_in_it(schema):
    layers = schema["definitions"]["layer"]
    assert "Lambda" not in layers["else"]["properties"]
    assert "Lambda" not in layers["then"]["else"]["enum"]


def test_a_layer_has_its_three_forms(schema):
    dense = schema["definitions"]["layer"]["else"]["properties"]["Dense"]
    assert dense["then"]["required"] == ["units"]
    assert dense["then"]["additionalProperties"] is False
    assert dense["then"]["properties"]["kernel_regularizer"]["else"] == {"$ref": "#/definitions/regularizer"}
    assert dense["else"]["type"] == ["integer", "string"]
    assert "Flatten" in schema["definitions"]["layer"]["then"]["else"]["enum"]
    assert "Dense" not in schema["definitions"]["layer"]["then"]["else"]["enum"]


def test_the_users_own_keys_and_what_is_not_experiment_are_allowed(schema):
    assert "^x-" in schema["patternProperties"]
    assert {"extends", "vars"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False


def test_the_users_own_keys_are_allowed_in_every_section(schema):
    for name in ("Data", "SplitOptions", "Model", "Training", "CheckpointOptions", "ImageSource"):
        assert schema["definitions"][name]["patternProperties"] == {"^x-": {}}


def test_a_config_that_extends_another_need_not_be_complete(schema):
    assert schema["if"] == {"required": ["extends"]}
    assert set(schema["else"]["required"]) == {"data", "model", "training"}
    assert "required" not in schema["definitions"]["Training"]


def test_numbers_may_be_expressions():
    number = type_schema(["int"])
    assert number["type"] == ["integer", "string"]
    assert number["pattern"] == r"\$"


KEYWORDS = {"integer": int, "number": int | float, "string": str, "boolean": bool, "array": list, "object": dict}


def is_valid(schema, value, root):
    """Whether `value` meets `schema`: as much of draft 07 as the schema of configs uses."""
    if schema is True:
        return True
    if "$ref" in schema:
        return is_valid(follow(root, schema["$ref"]), value, root)
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    branch = "then" if "if" in schema and is_valid(schema["if"], value, root) else "else"
    return all(
        (
            not types or any(is_type(name, value) for name in types),
            value in schema.get("enum", [value]),
            any(is_valid(member, value, root) for member in schema.get("anyOf", [True])),
            "if" not in schema or is_valid(schema.get(branch, True), value, root),
            not isinstance(value, str) or re.search(schema.get("pattern", ""), value),
            not is_type("number", value) or is_in_range(schema, value),
            not isinstance(value, list) or is_valid_list(schema, value, root),
            not isinstance(value, dict) or is_valid_mapping(schema, value, root),
        )
    )


def is_in_range(schema, value):
    return schema.get("minimum", value) <= value <= schema.get("maximum", value) and schema.get(
        "exclusiveMinimum", value - 1
    ) < value < schema.get("exclusiveMaximum", value + 1)


def is_valid_list(schema, value, root):
    is_long_enough = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
    return is_long_enough and all(is_valid(schema.get("items", True), item, root) for item in value)


def is_type(name, value):
    if name == "null" or value is None:
        return name == "null" and value is None
    return isinstance(value, KEYWORDS[name]) and (name == "boolean" or not isinstance(value, bool))


def is_valid_mapping(schema, value, root):
    if not set(schema.get("required", ())) <= set(value):
        return False
    if not schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", len(value)):
        return False
    for key, item in value.items():
        known = [schema["properties"][key]] if key in schema.get("properties", {}) else []
        known += [inner for pattern, inner in schema.get("patternProperties", {}).items() if re.search(pattern, key)]
        others = schema.get("additionalProperties", True)
        if not known and others is False:
            return False
        if not all(is_valid(inner, item, root) for inner in known or [others]):
            return False
    return True


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_ready_config_meets_the_schema(schema, path):
    assert is_valid(schema, to_plain(read_document(path).root), schema)


GOOD = """
extends: [base.yaml]
x-mine: [1]
vars: {width: 64}
data: {source: {mnist: mnist.npz}, split: {validation: $fraction, seed: null}, target: category}
model:
  layers:
    - Flatten:
    - Dense: $width
    - Dense: {units: $(width * 2), activation: {LeakyReLU: 0.1}, kernel_regularizer: {L2: 0.1}, name: $name}
    - Conv2D: {filters: 3, kernel_size: [3, $k], padding: same}
    - Bidirectional: {layer: {LSTM: 64}}
    - Pipeline: [{RandomFlip: horizontal}]
    - repeat: {times: $n, layers: [{residual: {filters: $(8 * index), from: input}}, residual, {residual: 3}]}
  blocks: {residual: {parameters: {filters: }, layers: [{Add: {from: [input, x]}}]}}
training:
  optimizer: {Adam: {learning_rate: {CosineDecay: {initial_learning_rate: 0.1, decay_steps: $steps_per_epoch}}}}
  batch_size: $b
  callbacks: [{EarlyStopping: {patience: 3, verbose: true}}, TerminateOnNaN]
  class_weights: balanced
"""
DATA_FORMS = [
    "{source: {csv: a.csv}, target: income}",
    "{source: {csv: {path: $file, missing: ['?'], header: false, quote: null}}, target: [a, b]}",
    "{source: {tsv: a.tsv}, target: {income: category}, test: {csv: b.csv}}",
    "{source: {json_lines: a.jsonl}, target: {income: {category: {strip: ., replace: {a: b}}}}}",
    "{source: {parquet: a}, target: {tags: {multi_label: '|'}}, split: {group: house, test: 0.1}}",
    "{source: {csv: a}, target: b, inputs: {a: number, c: {category: 5}, d: ignore, e: {number: mean}, f: text}}",
    "{source: {csv: a}, target: b, inputs: {a: {number: {missing: 3.5, scale: robust}}, c: {date: {parts: [year]}}}}",
    "{source: {csv: a}, target: b, inputs: {a: {image: {size: [4, 5], channels: 1}}, c: {audio: 1.5}}}",
    "{source: {csv: a}, target: b, inputs: {a: {text: {length: $words}}, c: boolean}, split: {column: part}}",
    "{source: {csv: a}, windows: {length: 24, target: level, key: place}, split: {test: 0.1, order: time}}",
    "{source: {images: folder}, cache: 4 GB}",
    "{source: {images: {path: a.zip, size: [4, 5], channels: 3, pattern: '{class}/{n}.png'}}, cache: 'off'}",
    "{source: {audio: {path: a.zip, rate: 8000, seconds: 1}}, split: {group: speaker, validation: 0.1}}",
    "{source: {text: folder}, target: category}",
    "{source: digits, target: {category: {}}}",
    "{source: digits, target: input}",
    "{source: {csv: a}, target: {digit: category, size: number, tags: {multi_label: '|'}}}",
    "{source: {arrays: {path: a.npz, x: {left: a, right: b}, y: {digit: c, even: d}}}, target: {even: number}}",
]
OUTPUTS = "{layers: [Dense: 3], outputs: {a: {loss: mse, from: b, target: input, metrics: [mae], weight: 0.5}}}"
LAYER_FORMS = ["{Dense: {units: 4, from: age}}", "{Add: {from: [a, b], name: sum}}"]


@pytest.mark.parametrize("form", DATA_FORMS)
def test_every_form_of_data_meets_the_schema_and_is_read(schema, form):
    data = yaml.safe_load(form)
    assert is_valid(schema, {"extends": "a", "data": data}, schema)
    text = form.replace("$file", "a").replace("$words", "3")
    Data.model_validate(yaml.safe_load(text))


@pytest.mark.parametrize("form", LAYER_FORMS)
def test_a_layer_may_take_others_by_name(schema, form):
    layer = yaml.safe_load(form)
    assert is_valid(schema, {"extends": "a", "model": {"layers": [layer]}}, schema)
    assert not parse_keras_object("layer", layer)[1]


BAD = [
    "{extends: a, data: {source: {csv: 3}}}",
    "{extends: a, data: {source: {csv: {delimeter: x}}}}",
    "{extends: a, data: {source: {csv: a}, target: 3}}",
    "{extends: a, data: {source: {csv: a}, target: {a: categry}}}",
    "{extends: a, data: {source: {csv: a}, target: {a: categry, b: number}}}",
    "{extends: a, data: {source: {csv: a}, inputs: {a: nubmer}}}",
    "{extends: a, data: {source: {csv: a}, inputs: {a: {number: {scale: big}}}}}",
    "{extends: a, data: {source: {csv: a}, inputs: [a]}}",
    "{extends: a, data: {source: {csv: a}, windows: {length: 0, target: a}}}",
    "{extends: a, data: {source: {images: {path: a, channels: 2}}}}",
    "{extends: a, data: {source: {images: {path: a, size: [1, 2, 3]}}}}",
    "{extends: a, model: {layers: [{Add: {from: 3}}]}}",
    "{extends: a, model: {layers: [{repeat: {layers: [Flatten]}}]}}",
    "{extends: a, model: {blocks: {a: {layers: [{Add: {from: 3}}]}}}}",
    "{extends: a, optimzer: adam}",
    "{name: a}",
    "{extends: a, training: {batch_size: 0}}",
    "{extends: a, training: {epochs: ten}}",
    "{extends: a, training: {optimizer: adm}}",
    "{extends: a, training: {optimizer: {Adam: {lr: 0.1}}}}",
    "{extends: a, model: {layers: [{Dense: {unitz: 3, units: 3}}]}}",
    "{extends: a, model: {layers: [{Dense: {activation: relu}}]}}",
    "{extends: a, model: {layers: [{Dense: 10, activation: relu}]}}",
    "{extends: a, model: {layers: [Dense]}}",
    "{extends: a, model: {layers: [{Conv2D: {filters: 1, kernel_size: 3, padding: sme}}]}}",
    "{extends: a, model: {layers: [{Lambda: x}]}}",
    "{extends: a, model: {layers: []}}",
    "{extends: a, model: {outputs: {a: {loss: mes}}}}",
    "{extends: a, model: {outputs: {a: {loss: mse, form: b}}}}",
    "{extends: a, data: {source: {digits: 3}}}",
    "{extends: a, data: {source: minst}}",
]


def test_outputs_meet_the_schema_and_have_losses_of_their_own(schema):
    config = {"data": {"source": "digits"}, "training": {"optimizer": "adam", "epochs": 1}}
    assert is_valid(schema, {**config, "model": yaml.safe_load(OUTPUTS)}, schema)
    assert not is_valid(schema, {**config, "model": {"layers": ["Flatten"]}}, schema)


def test_every_form_that_a_config_may_take_meets_the_schema(schema):
    assert is_valid(schema, yaml.safe_load(GOOD), schema)


@pytest.mark.parametrize("text", BAD)
def test_a_mistake_does_not_meet_the_schema(schema, text):
    assert not is_valid(schema, yaml.safe_load(text), schema)
