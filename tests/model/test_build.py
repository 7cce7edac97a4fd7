import keras
import numpy as np
import pytest

from dltool.config.columns import parse_column_type
from dltool.config.load import build_config, read_document
from dltool.config.schema import Data
from dltool.data.facts import InputFacts
from dltool.errors import ConfigError
from dltool.model.build import build_model

TUTORIAL = [
    {"Conv2D": {"filters": 4, "kernel_size": 3, "activation": "relu"}},
    {"MaxPooling2D": 2},
    "Flatten",
    {"Dense": {"units": 8, "activation": "relu"}},
    {"Dense": {"units": 3, "activation": "softmax"}},
]


def problem_of(config, facts):
    with pytest.raises(ConfigError) as refused:
        build_model(config, facts)
    (problem,) = refused.value.problems
    return problem


def test_the_plan_has_a_row_for_each_layer(make_config, make_facts):
    built = build_model(make_config(TUTORIAL, [{"Rescaling": 1 / 255}]), make_facts((8, 8, 1), "uint8"))
    assert [(row.path, row.name, row.output_shape, row.parameters) for row in built.layers] == [
        (("data", "preprocessing", 0), "Rescaling", (8, 8, 1), 0),
        (("model", "layers", 0), "Conv2D", (6, 6, 4), 40),
        (("model", "layers", 1), "MaxPooling2D", (3, 3, 4), 0),
        (("model", "layers", 2), "Flatten", (36,), 0),
        (("model", "layers", 3), "Dense", (8,), 296),
        (("model", "layers", 4), "Dense", (3,), 27),
    ]


def test_the_full_model_is_preprocessing_and_core_in_one_plain_keras_file(make_config, make_facts, tmp_path):
    config = make_config(TUTORIAL, [{"Rescaling": 1 / 255}], [{"RandomFlip": "horizontal"}])
    built = build_model(config, make_facts((8, 8, 1), "uint8"))
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)).astype(np.uint8)
    preparation = built.preprocessors["input"]
    expected = built.core(preparation(images))
    np.testing.assert_array_equal(built.full(images), expected)
    built.full.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(images), expected)
    assert not any(isinstance(layer, keras.layers.RandomFlip) for layer in built.full.layers)


def test_bytes_become_floats_where_nothing_prepares_them(make_config, make_facts):
    built = build_model(make_config(TUTORIAL), make_facts((8, 8, 1), "uint8"))
    assert built.core.inputs[0].dtype == "float32"
    assert len(built.layers) == len(TUTORIAL)


@pytest.mark.parametrize(
    ("inputs", "what"),
    [
        ({"input": InputFacts((), "string")}, "is text"),
        ({"a": InputFacts((2,), "float32"), "b": InputFacts((2,), "float32")}, "has several inputs"),
        ({"a": InputFacts((), "float32", parse_column_type("number"))}, "has columns"),
    ],
)
def test_only_one_array_of_numbers_can_be_restored(make_config, make_facts, inputs, what):
    config = make_config([{"Dense": 2}], loss="mse")
    config = config.model_copy(update={"data": Data.model_validate({"source": "digits", "target": "input"})})
    with pytest.raises(ConfigError, match=f"the data {what}, which cannot be reconstructed"):
        build_model(config, make_facts(inputs=inputs, targets={}))


def test_the_same_config_gives_the_same_weights_and_names(make_config, make_facts):
    config = make_config([*TUTORIAL[:3], {"Dropout": 0.5}, *TUTORIAL[3:]])
    one, other = (build_model(config, make_facts((8, 8, 1))) for _ in range(2))
    for left, right in zip(one.core.variables, other.core.variables, strict=True):
        np.testing.assert_array_equal(left, right)
    assert [layer.name for layer in one.core.layers] == [layer.name for layer in other.core.layers]
    assert [layer.name for layer in one.core.layers][-2:] == ["dense", "dense_1"]


def test_augmentation_leaves_the_initial_weights_alone(make_config, make_facts):
    plain = build_model(make_config(TUTORIAL), make_facts((8, 8, 1)))
    augmented = build_model(make_config(TUTORIAL, (), ["RandomFlip"]), make_facts((8, 8, 1)))
    for left, right in zip(plain.core.get_weights(), augmented.core.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_augmentation_that_changes_the_shape_is_refused(make_config, make_facts):
    crop = {"RandomCrop": {"height": 5, "width": 5}}
    problem = problem_of(make_config(TUTORIAL, (), [crop]), make_facts((8, 8, 1)))
    assert problem.place == ("data", "augmentation", 0)
    assert problem.message == "augmentation must keep the shape (8, 8, 1), and RandomCrop makes (5, 5, 1)"


@pytest.mark.parametrize(
    ("shape", "layers", "index", "message", "hint"),
    [
        (
            (28, 28),
            [{"Conv2D": {"filters": 2, "kernel_size": 3}}],
            0,
            "Conv2D takes an input with three axes (height, width, channels), and (28, 28) arrives",
            "add `Reshape: {target_shape: [28, 28, 1]}` before it",
        ),
        (
            (8, 8, 1),
            ["Flatten", {"Conv2D": {"filters": 2, "kernel_size": 3}}],
            1,
            "Conv2D takes an input with three axes (height, width, channels), and (64,) arrives",
            "move it before Flatten, or Reshape before it",
        ),
        (
            (8, 8, 1),
            [{"LSTM": 4}],
            0,
            "LSTM takes an input with two axes (steps, features), and (8, 8, 1) arrives",
            "Reshape to 2 axes before it",
        ),
        (
            (4, 4, 1),
            [{"MaxPooling2D": 2}, {"MaxPooling2D": 2}, {"MaxPooling2D": 2}],
            2,
            "MaxPooling2D does not fit an input of shape (1, 1, 1): nothing would be left",
            "remove a pooling layer or a stride before it, or use padding: same",
        ),
        (
            (4, 4, 1),
            [{"Conv2D": {"filters": 2, "kernel_size": 5}}],
            0,
            "Conv2D does not fit an input of shape (4, 4, 1): nothing would be left",
            "remove a pooling layer or a stride before it, or use padding: same",
        ),
    ],
)
def test_a_shape_error_names_the_layer_what_arrived_and_what_would_fix_it(
    make_config, make_facts, shape, layers, index, message, hint
):
    problem = problem_of(make_config(layers), make_facts(shape))
    assert (problem.place, problem.message, problem.hint) == (("model", "layers", index), message, hint)
    ((made, words),) = problem.related
    assert made == (("model", "layers", index - 1) if index else ("data", "source"))
    assert words.startswith("made here: (")


def test_a_reshape_that_does_not_fit_says_so_in_one_line(make_config, make_facts):
    problem = problem_of(make_config([{"Reshape": [5]}]), make_facts((4,)))
    assert problem.place == ("model", "layers", 0)
    assert problem.message.startswith("Reshape cannot take an input of shape (4,): ")
    assert "\n" not in problem.message


def test_a_billion_parameters_are_refused_before_they_are_made(make_config, make_facts):
    problem = problem_of(make_config([{"Dense": 100_000}, {"Dense": 100_000}]), make_facts((4,)))
    assert problem.place == ("model", "layers", 1)
    assert "10,000,500,000 parameters by here, 1,000,000,000 are allowed" in problem.message
    assert keras.layers.Layer.add_weight.__name__ == "add_weight"
    assert keras.layers.Layer.add_weight.__module__.startswith("keras")


@pytest.mark.parametrize("taken", [["x", "x"], ["x", "y"], ["x", "y", "x"]])
def test_attention_takes_a_query_and_a_value_and_maybe_a_key(make_config, make_facts, taken):
    layers = [
        {"Dense": {"units": 8, "name": "x"}},
        {"Dense": {"units": 8, "name": "y"}},
        {"MultiHeadAttention": {"num_heads": 2, "key_dim": 4, "from": taken, "name": "seen"}},
        {"Add": {"from": ["seen", "x", "y"]}},
        "Flatten",
        {"Dense": 3},
    ]
    built = build_model(make_config(layers), make_facts((5, 6)))
    row = built.layers[2]
    assert (row.output_shape, row.parameters) == ((5, 8), 288)
    tensors = {name: built.core.get_layer(name).output for name in ("x", "y")}
    inside = keras.Model(built.core.input, [row.output, *tensors.values()])
    seen, *values = inside(np.random.default_rng(0).normal(size=(2, 5, 6)))
    given = dict(zip(tensors, values, strict=True))
    np.testing.assert_array_equal(seen, row.layer(*(given[name] for name in taken)))


def test_what_a_constructor_refuses_is_placed_at_the_layer(make_config, make_facts):
    problem = problem_of(
        make_config([{"Dense": 4}, {"MultiHeadAttention": {"num_heads": 1, "key_dim": 4}}]), make_facts()
    )
    assert problem.place == ("model", "layers", 1)


def test_precision_is_of_the_core_alone(make_config, make_facts):
    config = make_config([{"Dense": 3}, {"Dense": 3}], ["Normalization"], precision="mixed_float16")
    built = build_model(config, make_facts(), {"input": np.ones((4, 4), np.float32)})
    assert built.core.dtype_policy.name == "mixed_float16"
    assert built.core.layers[-2].compute_dtype == "float16"
    preparation = built.preprocessors["input"]
    assert preparation.layers[-1].compute_dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"


def test_with_mixed_precision_the_outputs_are_exact(make_config, make_facts):
    entries = [{"Dense": 4}, {"Dense": {"units": 3, "activation": "softmax"}}]
    first, last = build_model(make_config(entries, precision="mixed_bfloat16"), make_facts()).core.layers[-2:]
    assert (first.compute_dtype, last.compute_dtype) == ("bfloat16", "float32")
    own = [entries[0], {"Dense": {"units": 3, "activation": "softmax", "dtype": "bfloat16"}}]
    built = build_model(make_config(own, precision="mixed_bfloat16"), make_facts())
    assert built.core.layers[-1].compute_dtype == "bfloat16"


@pytest.mark.parametrize(
    ("entries", "message", "hint"),
    [
        ([{"Conv1D": {"filters": 2, "kernel_size": 3}}], "Conv1D takes an input with two axes", "Reshape to 2"),
        (
            ["Flatten", {"TimeDistributed": {"layer": {"Dense": 2}}}],
            "TimeDistributed takes an input with two",
            "add `R",
        ),
        ([{"BatchNormalization": {"axis": 7}}], "BatchNormalization cannot take an input of shape (8, 8, 1): its", ""),
        (
            [{"Reshape": {"target_shape": [8, 8]}}, "Attention"],
            "Attention takes several inputs, and one",
            "from: [a, b]",
        ),
        (["Flatten", "Concatenate"], "Concatenate takes several inputs, and one arrives", "from: [a, b]"),
        (
            [{"Flatten": {"name": "a"}}, {"Dense": {"units": 3, "from": ["a", "a"]}}],
            "Dense takes one input, and (64,) and (64,) arrive",
            "join them before it",
        ),
        ([{"Bidirectional": {"layer": {"Dense": 3}}}], "Bidirectional: it cannot take Dense", ""),
    ],
)
def test_what_a_layer_cannot_take_is_said_without_keras_words(make_config, make_facts, entries, message, hint):
    problem = problem_of(make_config(entries), make_facts((8, 8, 1)))
    assert problem.place == ("model", "layers", len(entries) - 1)
    assert problem.message.startswith(message)
    assert problem.hint.startswith(hint)
    assert "Tensor" not in problem.message


def test_an_array_that_no_layer_takes_is_refused(make_config, make_facts):
    facts = make_facts(inputs={"left": InputFacts((4,), "float32"), "right": InputFacts((4,), "float32")})
    problem = problem_of(make_config([{"Dense": {"units": 3, "from": "left"}}]), facts)
    assert problem.place == ("data", "source", "arrays", "x", "right")
    assert problem.message == 'no layer takes the input "right"'


TOWER = """
data: {source: digits}
model:
  blocks:
    tower:
      layers:
        - Dense: {units: 4, bias_initializer: ones}
        - Dense: {units: 4, activation: tanh, name: second}
        - Add: {from: [second, input]}
  layers:
    - Dense: {units: 4, name: start}
    - tower: {name: left}
    - left: {name: right}
    - right
    - Dense: 1
training: {optimizer: adam, loss: mse, epochs: 1}
"""


def test_a_block_used_again_computes_with_the_same_weights(tmp_path, make_facts) -> None:
    path = tmp_path / "tower.yaml"
    path.write_text(TOWER)
    core = build_model(build_config(read_document(path)), make_facts(classes=0)).core
    weights = [layer.get_weights() for layer in core.layers if layer.get_weights()]
    (start, _), (first, bias), (second, _), (last, _) = weights
    values = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    hidden = values @ start
    for _ in range(3):
        hidden = np.tanh((hidden @ first + bias) @ second) + hidden
    np.testing.assert_allclose(core(values), hidden @ last, rtol=1e-5)
