import numpy as np
import pytest

from dltool.config.outputs import heads_of
from dltool.errors import ConfigError
from dltool.model.build import build_model
from dltool.model.output_checks import check_fit, mask_problems

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


def embedded(input_dim: int, **more):
    return [{"Embedding": {"input_dim": input_dim, "output_dim": 2, **more}}, "GlobalAveragePooling1D", SOFTMAX]


@pytest.mark.parametrize(
    ("largest", "least", "message", "hint"),
    [
        (9, 0, "input holds 9, and this Embedding takes 0 to 8", "input_dim: 10"),
        (3, -1, "input holds -1, and this Embedding takes 0 to 8", "indices count from 0"),
    ],
)
def test_an_embedding_with_fewer_rows_than_the_indices_of_any_split_is_refused(
    make_config, make_facts, largest, least, message, hint
):
    dtype = "int32" if least < 0 else "uint8"
    inputs = np.ones((100_000, 4), dtype)
    inputs[-1] = [least, largest, 1, 1]
    config, facts = make_config(embedded(9)), make_facts((4,), dtype)
    with pytest.raises(ConfigError) as refused:
        check_fit(config, facts, build_model(config, facts), {"input": inputs})
    (problem,) = refused.value.problems
    assert (problem.place, problem.message, problem.hint) == (("model", "layers", 0), message, hint)
    check_fit(config, facts, build_model(config, facts), {"input": np.clip(inputs, 0, 8)})


@pytest.mark.parametrize("size", [5, 6])
def test_an_embedding_has_a_row_for_each_entry_of_the_fitted_vocabulary(make_config, make_facts, size):
    texts = np.array(["a b", "c d", "a"], object)
    config = make_config(embedded(size), [{"TextVectorization": {"output_sequence_length": 3}}])
    facts = make_facts((), "string")
    built = build_model(config, facts, {"input": texts})
    if size == 6:
        check_fit(config, facts, built, {"input": texts})
        return
    with pytest.raises(ConfigError, match="the vocabulary of its input has 6 entries, and this Embedding takes 0 to 4"):
        check_fit(config, facts, built, {"input": texts})


def test_a_mask_does_not_reach_a_loss_of_whole_sequences(make_config, make_facts):
    head = heads_of(make_config([SOFTMAX], loss="ctc"))[0]
    for mask_zero in (False, True):
        layers = [{"Embedding": {"input_dim": 5, "output_dim": 2, "mask_zero": mask_zero}}, SOFTMAX]
        built = build_model(make_config(layers), make_facts((4,), "int32", target_shape=(4,)))
        assert len(mask_problems(head, built.layers[-1])) == mask_zero
