from pathlib import Path

import pytest
import yaml
from tests.bad_configs import KEYS_AND_TYPES, RANGE
from tests.draft_07 import NAMED, ONE, every_schema, follow, is_valid
from tests.schema_configs import PARTS, UNKNOWABLE, VALID

from dltool import keras_names
from dltool.config.json_schema import json_schema
from dltool.config.keras.allowed_code import read_allowed_code
from dltool.config.keras.definitions import type_schema
from dltool.config.keras.objects import parse_keras_object
from dltool.config.load import build_config, read_document
from dltool.config.schema import Data
from dltool.config.sources import SOURCES
from dltool.config.text.tree import to_plain
from dltool.config.text.yaml_reader import parse_yaml
from dltool.errors import ConfigError
from dltool.keras_names import KINDS

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="module")
def schema():
    return json_schema()


DRAFT_07 = {
    *("$schema", "$ref", "title", "description", "default", "type", "enum", "anyOf", "required", "pattern"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "minItems", "maxItems"),
    *("minProperties", "maxProperties", *ONE, *NAMED),
}
EDITORS = {"errorMessage", "markdownDescription", "defaultSnippets", "doNotSuggest"}
"""What editors understand besides; validators ignore it."""


def test_every_reference_leads_somewhere(schema):
    references = {inner["$ref"] for inner in every_schema(schema) if "$ref" in inner}
    assert len(references) > 15
    for reference in references:
        assert isinstance(follow(schema, reference), dict)


def test_it_is_draft_07_and_what_editors_understand(schema):
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert {key for inner in every_schema(schema) for key in inner} <= DRAFT_07 | EDITORS


def test_what_stands_beside_a_reference_only_describes(schema):
    beside = {key for inner in every_schema(schema) if "$ref" in inner for key in inner}
    assert beside <= {"$ref", "description", "markdownDescription", "default"}


def test_every_enum_has_values_and_none_twice(schema):
    enums = [inner["enum"] for inner in every_schema(schema) if "enum" in inner]
    assert len(enums) > 100
    for enum in enums:
        assert enum
        assert len(enum) == len({(type(value), value) for value in enum})


def test_every_default_meets_its_own_schema(schema):
    for inner in every_schema(schema):
        if "default" in inner:
            assert is_valid(inner, inner["default"], schema), inner


def bare_names(definition):
    return {name for choice in definition["then"].get("anyOf", []) for name in choice.get("enum", [])}


def names_with_arguments(definition):
    return definition["else"]["then"]["properties"]


def test_every_name_of_every_kind_and_every_source_is_in_it(schema):
    for kind in KINDS:
        definition = schema["definitions"][kind]
        known = bare_names(definition) | set(names_with_arguments(definition))
        names = set(keras_names.names(kind))
        assert names <= known
        if kind != "activation":
            assert known == names
    source = schema["definitions"]["source"]
    assert bare_names(source) | set(names_with_arguments(source)) == set(SOURCES)


def test_refused_names_are_not_in_it(schema):
    layers = schema["definitions"]["layer"]
    assert "Lambda" not in bare_names(layers) | set(names_with_arguments(layers))


def test_a_layer_has_its_three_forms(schema):
    layers = schema["definitions"]["layer"]
    dense = names_with_arguments(layers)["Dense"]
    assert dense["then"]["required"] == ["units"]
    assert dense["then"]["additionalProperties"] is False
    regularizer = follow(schema, dense["then"]["properties"]["kernel_regularizer"]["$ref"])
    assert regularizer["anyOf"][0] == {"$ref": "#/definitions/regularizer"}
    assert dense["else"]["type"] == ["string", "integer"]
    assert "Flatten" in bare_names(layers)
    assert "Dense" not in bare_names(layers)


def test_few_layers_are_offered_as_activations(schema):
    offered = {snippet["label"] for snippet in schema["definitions"]["activation"]["defaultSnippets"]}
    assert {"relu", "softmax", "LeakyReLU"} <= offered
    assert "CutMix" not in offered


def test_a_shared_argument_is_described_once(schema):
    conv2d, conv3d = (schema["definitions"]["layer"]["else"]["then"]["properties"][f"Conv{n}D"] for n in (2, 3))
    assert conv2d["then"]["properties"]["padding"] == conv3d["then"]["properties"]["padding"]


OWN = """
import keras

class Scale(keras.layers.Layer):
    def __init__(self, rate: float = 1.0, **kwargs):
        super().__init__(**kwargs)
"""


def test_classes_of_ones_own_are_in_it_where_they_are_allowed(schema, tmp_path):
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    with keras_names.allowing(read_allowed_code([tmp_path / "own.py"])):
        own = json_schema()
    config = {"extends": [], "model": {"layers": ["Scale", {"Scale": {"rate": 3.5, "name": "a"}}]}}
    wrong = {"extends": [], "model": {"layers": [{"Scale": {"rate": "fast"}}]}}
    required = {"data": {"source": "digits"}, "training": {"optimizer": "adam"}}
    assert is_valid(own, config | required, own)
    assert not is_valid(own, wrong | required, own)
    assert not is_valid(schema, config | required, schema)


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
    assert number["type"] == ["string", "integer"]
    assert number["pattern"] == r"\$"


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_ready_config_meets_the_schema(schema, path):
    assert is_valid(schema, to_plain(read_document(path).root), schema)


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
    "{source: {csv: a}, windows: {length: 24, target: [a, b], horizon: 1..24, known: [c], static: [d]}}",
    "{source: {csv: a}, windows: {length: 24, target: a, horizon: [1, 2]}}",
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
    "{extends: a, data: {source: {csv: a}, windows: {length: 1, target: a, horizon: 1-4}}}",
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


@pytest.mark.parametrize("name", VALID)
def test_a_valid_config_meets_the_schema(schema, name, tmp_path):
    path = tmp_path / "valid.yaml"
    path.write_text(VALID[name], encoding="utf-8")
    document = read_document(path)
    build_config(document)
    assert is_valid(schema, to_plain(document.root), schema)


@pytest.mark.parametrize("name", PARTS)
def test_a_part_of_a_config_meets_the_schema(schema, name):
    assert is_valid(schema, to_plain(parse_yaml(PARTS[name], "part.yaml")), schema)


def test_an_error_meets_the_schema_only_where_a_schema_cannot_know(schema):
    unknown = set()
    for name, text in {**KEYS_AND_TYPES, **RANGE}.items():
        try:
            root = parse_yaml(text, f"{name}.yaml")
        except ConfigError:
            continue
        if is_valid(schema, to_plain(root), schema):
            unknown.add(name)
    assert unknown == UNKNOWABLE


@pytest.mark.parametrize("text", BAD)
def test_an_error_does_not_meet_the_schema(schema, text):
    assert not is_valid(schema, yaml.safe_load(text), schema)
