import keras
import pytest

from dltool.config.keras.objects import KerasObject
from dltool.errors import ConfigError
from dltool.model.keras_objects import make, plain_message


def test_nested_objects_are_made_first():
    schedule = KerasObject("schedule", "CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 10})
    optimizer = make(KerasObject("optimizer", "Adam", {"learning_rate": schedule}))
    assert isinstance(optimizer._learning_rate, keras.optimizers.schedules.CosineDecay)


def test_a_string_identifier_is_left_to_keras():
    layer = make(KerasObject("layer", "Dense", {"units": 3, "activation": KerasObject("activation", "relu", {}, True)}))
    assert layer.activation is keras.activations.relu


def test_a_layer_inside_a_layer_is_made():
    layer = make(KerasObject("layer", "Bidirectional", {"layer": KerasObject("layer", "LSTM", {"units": 2})}))
    assert layer.forward_layer.units == 2


@pytest.mark.parametrize(
    ("kind", "name"), [("layer", "Lambda"), ("layer", "__class__"), ("layer", "os"), ("layer", "Adam"), ("x", "Dense")]
)
def test_nothing_outside_the_table_is_reached(kind, name):
    with pytest.raises((ConfigError, KeyError)):
        make(KerasObject(kind, name))


def test_what_keras_refuses_is_one_plain_line_at_its_place():
    inner = KerasObject("initializer", "Orthogonal", {"gain": "much", "seed": "x"})
    bad = KerasObject("layer", "Dense", {"units": 3, "kernel_initializer": inner})
    with pytest.raises(ConfigError) as refused:
        make(bad, ("model", "layers", 4))
    (problem,) = refused.value.problems
    assert problem.place == ("model", "layers", 4, "Dense", "kernel_initializer")
    assert "\n" not in problem.message


def test_colours_stack_and_batch_axis_are_cut_from_a_message():
    text = "Exception encountered when calling A.call().\n\n\x1b[1mNo (None, 3).\x1b[0m\n\nArguments received by A:\n x"
    assert plain_message(ValueError(text)) == "No (3)"
