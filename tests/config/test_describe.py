import pytest
import yaml

from dltool import keras_names
from dltool.config.columns import COLUMN_TYPES, TARGET_TYPES, Target, parse_column_type, parse_target
from dltool.config.describe import describe, described_keras, placed, sample
from dltool.config.keras.objects import parse_entry, parse_keras_object
from dltool.config.sources import SOURCES, parse_source
from dltool.errors import ConfigError
from dltool.keras_names import KINDS


def test_a_layer_is_described_with_its_arguments():
    (dense,) = describe("Dense")
    assert dense.kind == "layer"
    assert dense.url == "https://keras.io/api/layers/"
    units, activation = dense.arguments[:2]
    assert (units.name, units.type, units.default) == ("units", "an integer, required", None)
    assert units.doc == "Dimensionality of the output space."
    assert activation.type == "an activation or null"
    assert {argument.name: argument.default for argument in dense.arguments}["use_bias"] == "true"


def test_a_name_of_several_kinds_is_described_as_each():
    assert [description.kind for description in describe("MeanSquaredError")] == ["loss", "metric"]
    assert [description.kind for description in describe("precision")] == ["metric", "config key"]


def test_an_identifier_names_what_it_stands_for():
    (adam,) = describe("adam")
    assert adam.summary.startswith("Another name for Adam.")
    assert adam.arguments[0].name == "learning_rate"


def test_a_refused_name_says_why():
    (checkpoint,) = describe("ModelCheckpoint")
    assert "training.checkpoint" in checkpoint.summary
    assert not checkpoint.arguments


def test_config_keys_are_found_by_path_and_by_their_last_word():
    assert describe("training.batch_size") == describe("batch_size")
    (batch_size,) = describe("batch_size")
    assert batch_size.name == "training.batch_size"
    assert "at least 1; default: 32" in batch_size.summary
    (training,) = describe("training")
    assert {"optimizer", "loss", "epochs"} <= {argument.name for argument in training.arguments}


def test_every_data_source_is_described():
    for name in SOURCES:
        description = next(found for found in describe(name) if found.kind == "data source")
        assert parse_source(yaml.safe_load(description.example)["data"]["source"]).name == name


def test_every_type_of_columns_and_targets_is_described():
    for name in COLUMN_TYPES:
        description = next(found for found in describe(name) if found.kind == "column type")
        assert parse_column_type(yaml.safe_load(description.example)["data"]["inputs"]["COLUMN"]).name == name
    for name in TARGET_TYPES:
        description = next(found for found in describe(name) if found.kind == "target type")
        target = parse_target(yaml.safe_load(description.example)["data"]["target"])
        assert isinstance(target, Target)
        assert target.type is not None
        assert target.type.name == name


def test_every_option_of_a_choice_has_a_text():
    for name in {*SOURCES, *COLUMN_TYPES, *TARGET_TYPES}:
        for description in describe(name):
            assert all(argument.doc for argument in description.arguments), (name, description.kind)


def test_a_section_that_may_be_left_out_has_its_keys():
    (windows,) = describe("windows")
    types = {argument.name: argument.type for argument in windows.arguments}
    assert types["length"] == "an integer, at least 1, required"
    assert types["key"] == "a string, a list of strings or null"


def test_a_list_is_described_by_what_it_holds():
    images = next(found for found in describe("images") if found.kind == "data source")
    types = {argument.name: argument.type for argument in images.arguments}
    assert types["size"] == "a list of integers, at least 1 or null"


def test_values_from_the_data_and_kinds_are_described():
    assert describe("$classes") == describe("classes")
    (layer,) = describe("layer")
    assert "Dense" in layer.summary
    assert "Lambda" not in layer.summary


def test_an_unknown_name_gives_near_ones():
    with pytest.raises(ConfigError) as error:
        describe("Denze")
    assert error.value.problems[0].hint == 'did you mean "Dense"?'


EVERY_NAME = [(kind, name) for kind in KINDS for name in keras_names.names(kind)]


def test_every_example_is_yaml_that_a_config_accepts():
    for kind, name in EVERY_NAME:
        description = described_keras(keras_names.find_known(kind, name))
        ((section, keys),) = yaml.safe_load(description.example).items()
        ((key, value),) = keys.items()
        assert section == ("model" if key == "layers" else "training")
        place = next(kind for kind in KINDS if key in (kind, f"{kind}s"))
        for item in value if isinstance(value, list) else [value]:
            _, problems = parse_entry(item) if place == "layer" else parse_keras_object(place, item)
            assert not problems, (kind, name, problems)


def test_examples_stand_where_the_object_belongs():
    assert placed("loss", "mse") == "training:\n  loss: mse"
    assert placed("regularizer", "l2").endswith("- Dense: {units: 10, kernel_regularizer: l2}")
    assert sample(keras_names.arguments("layer", "Dense")["units"]) == 10
