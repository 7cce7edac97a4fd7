import subprocess
import sys

import pytest

from dltool import keras_names
from dltool.keras_names import KINDS


@pytest.mark.parametrize(
    ("kind", "name", "means"),
    [
        ("layer", "Dense", "Dense"),
        ("layer", "MaxPool2D", "MaxPooling2D"),
        ("optimizer", "adam", "Adam"),
        ("initializer", "he_normal", "HeNormal"),
        ("regularizer", "l2", "L2"),
        ("loss", "mse", "mean_squared_error"),
        ("metric", "mse", "MeanSquaredError"),
        ("activation", "swish", "silu"),
    ],
)
def test_a_name_says_which_class_or_function_it_means(kind, name, means):
    found = keras_names.find(kind, name)
    assert found is not None
    assert found.means == means


def test_every_kind_has_names_and_every_alias_leads_to_an_entry():
    for kind in KINDS:
        assert keras_names.names(kind)
        for name in keras_names.table(kind):
            found = keras_names.find_known(kind, name)
            assert found.means in keras_names.table(kind)
            keras_names.arguments(kind, name)


def test_a_layer_takes_its_own_arguments_and_those_of_every_layer():
    arguments = keras_names.arguments("layer", "Dense")
    assert next(iter(arguments)) == "units"
    assert arguments["units"].required
    assert arguments["units"].types == ("int",)
    assert arguments["activation"].default is None
    assert not arguments["name"].is_positional


def test_arguments_that_reach_a_base_class_belong_to_the_layer():
    assert "data_format" in keras_names.arguments("layer", "RandomContrast")
    assert "rank" not in keras_names.arguments("layer", "Conv2D")


def test_the_first_argument_is_the_first_of_the_constructor():
    assert keras_names.first_argument("Dense") == "units"
    assert keras_names.first_argument("Dropout") == "rate"
    assert keras_names.first_argument("MeanSquaredError") == "reduction"
    assert keras_names.first_argument("Add") is None
    assert keras_names.first_argument("Nothing") is None


def test_names_that_a_config_cannot_use_carry_the_reason():
    for kind, name in [("layer", "Lambda"), ("callback", "ModelCheckpoint"), ("optimizer", "Optimizer")]:
        assert keras_names.find_known(kind, name).refusal
        assert name not in keras_names.names(kind)


def test_near_names_ignore_case_and_do_not_repeat_themselves():
    assert keras_names.nearest("layer", "dense")[0] == "Dense"
    assert keras_names.nearest("activation", "relux") == ["relu", "relu6", "elu"]
    assert keras_names.nearest("optimizer", "Adan", 1) == ["Adam"]
    assert keras_names.nearest("layer", "xyzzy") == []


def test_every_usable_class_has_a_sentence():
    for kind in KINDS:
        for name in keras_names.names(kind):
            found = keras_names.find_known(kind, name)
            chosen = "chosen" in keras_names.table(kind)[found.means]
            assert chosen or keras_names.summary(kind, name), name


def test_looking_up_names_does_not_read_the_docs():
    code = (
        "from dltool import keras_names; keras_names.arguments('layer', 'Dense'); "
        "print(keras_names.read.cache_info().currsize); keras_names.signatures(); "
        "print(keras_names.read.cache_info().currsize)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # Of the two files, the one with the signatures.
    assert done.stdout.split() == ["1", "1"]
