import pytest

from dltool.errors import ConfigError
from dltool.model.build import build_model
from dltool.model.output_checks import check_fit

SOFTMAX = {"Dense": {"units": 3, "activation": "softmax"}}


def problems_of(config, facts):
    with pytest.raises(ConfigError) as refused:
        check_fit(config, facts, build_model(config, facts))
    return refused.value.problems


def test_dense_on_an_unflattened_image_is_placed_at_the_last_layer_and_the_loss(make_config, make_facts):
    (problem,) = problems_of(make_config([SOFTMAX]), make_facts((5, 5, 1)))
    assert problem.place == ("model", "layers", 0)
    assert problem.message == "the model gives (5, 5, 3) for each example, and the loss takes (3,)"
    assert problem.hint == "add Flatten or a global pooling layer before it"
    assert problem.related == ((("training", "loss"), "the loss"),)


def test_a_width_that_only_the_built_model_tells_is_checked(make_config, make_facts):
    (problem,) = problems_of(make_config([{"LSTM": 5}, "UnitNormalization", "Softmax"]), make_facts((6, 2)))
    assert (problem.message, problem.hint) == ("5 outputs for 3 classes", "units: 3")


def test_several_numbers_for_one_are_refused(make_config, make_facts):
    (problem,) = problems_of(make_config([{"LSTM": 5}], loss="mse"), make_facts((6, 2), classes=0))
    assert problem.message == "5 outputs for 1 number"


@pytest.mark.parametrize(
    ("layers", "training", "facts"),
    [
        ([SOFTMAX], {}, {}),
        ([{"Dense": {"units": 1, "activation": "sigmoid"}}], {"loss": "binary_crossentropy"}, {"classes": 2}),
        ([{"Dense": 1}], {"loss": "mse"}, {"classes": 0}),
        (
            [{"Dense": {"units": 3, "activation": "sigmoid"}}],
            {"loss": "binary_crossentropy"},
            {"kind": "multi_label", "target_shape": (3,)},
        ),
        ([{"Dense": 2}], {"loss": "mae"}, {"classes": 0, "target_shape": (2,)}),
    ],
)
def test_what_fits_passes(make_config, make_facts, layers, training, facts):
    config, known = make_config(layers, **training), make_facts(**facts)
    check_fit(config, known, build_model(config, known))


@pytest.mark.parametrize(
    ("entry", "output"),
    [
        ({"Dense": {"units": 6, "activation": "glu"}}, "(6,) and gives (3,)"),
        ({"Activation": "glu"}, "(4,) and gives (2,)"),
    ],
)
def test_a_layer_that_gives_another_shape_than_keras_declares_is_refused(make_config, make_facts, entry, output):
    with pytest.raises(ConfigError) as refused:
        build_model(make_config(["Flatten", entry, {"Dense": 1}], loss="mse"), make_facts(classes=0))
    (problem,) = refused.value.problems
    assert problem.place == ("model", "layers", 1)
    assert problem.message.endswith(f"declares an output of {output}")
    assert problem.hint.startswith("glu halves its input: Multiply two layers")
