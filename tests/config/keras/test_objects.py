import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltool import keras_names
from dltool.config.keras.objects import UNKNOWN, KerasObject, parse_entry, parse_keras_object, to_plain
from dltool.keras_names import KINDS


def problems_of(kind, value):
    keras_object, problems = parse_keras_object(kind, value, ("here",))
    assert (keras_object is None) == bool(problems)
    return [(place_of(problem)[1:], problem.message, problem.hint) for problem in problems]


def place_of(problem):
    assert isinstance(problem.place, tuple)
    return problem.place


def accepted(kind, value):
    keras_object, problems = parse_keras_object(kind, value)
    assert not problems
    assert keras_object is not None
    return keras_object


# --- the three forms ---


def test_a_name_alone_is_an_object_without_arguments():
    assert accepted("layer", "Flatten") == KerasObject("layer", "Flatten")


def test_a_single_value_is_the_first_constructor_argument():
    assert accepted("layer", {"Dense": 10}) == KerasObject("layer", "Dense", {"units": 10})


def test_a_list_is_the_value_of_a_first_argument_that_takes_one():
    assert accepted("layer", {"Reshape": [2, 3]}).arguments == {"target_shape": [2, 3]}
    assert accepted("layer", {"MaxPooling2D": [2, 1]}).arguments == {"pool_size": [2, 1]}


def test_a_mapping_is_always_arguments():
    value = {"Dense": {"units": 10, "activation": "relu"}}
    expected = {"units": 10, "activation": KerasObject("activation", "relu", is_string=True)}
    assert accepted("layer", value) == KerasObject("layer", "Dense", expected)


def test_nothing_after_the_name_is_no_arguments():
    assert accepted("layer", {"Flatten": None}) == accepted("layer", {"Flatten": {}}) == accepted("layer", "Flatten")


def test_another_public_name_of_a_class_becomes_the_class_name():
    assert accepted("layer", {"MaxPool2D": 2}).name == "MaxPooling2D"
    assert accepted("regularizer", {"l2": 0.1}) == KerasObject("regularizer", "L2", {"l2": 0.1})


def test_strings_that_keras_resolves_stay_as_written():
    for kind, name in [("optimizer", "adam"), ("loss", "mse"), ("metric", "acc"), ("initializer", "he_normal")]:
        assert accepted(kind, name) == KerasObject(kind, name, is_string=True)


def test_accuracy_alone_is_the_string_that_keras_chooses_a_class_for():
    assert accepted("metric", "Accuracy").is_string
    assert not accepted("metric", {"Accuracy": {"name": "exact"}}).is_string
    assert accepted("metric", {"Accuracy": None}) == KerasObject("metric", "Accuracy")


def test_keras_objects_inside_arguments_are_objects():
    schedule = {"CosineDecay": {"initial_learning_rate": 0.1, "decay_steps": UNKNOWN}}
    optimizer = accepted("optimizer", {"Adam": {"learning_rate": schedule}})
    assert optimizer.arguments["learning_rate"].kind == "schedule"
    assert optimizer.arguments["learning_rate"].arguments["decay_steps"] is UNKNOWN
    layer = accepted("layer", {"Bidirectional": {"layer": {"LSTM": 64}}})
    assert layer.arguments["layer"] == KerasObject("layer", "LSTM", {"units": 64})
    cells = accepted("layer", {"RNN": {"cell": [{"LSTMCell": 3}, {"GRUCell": 4}]}}).arguments["cell"]
    assert [cell.name for cell in cells] == ["LSTMCell", "GRUCell"]


def test_an_activation_may_be_a_layer():
    layer = accepted("layer", {"Dense": {"units": 3, "activation": {"LeakyReLU": 0.1}}})
    assert layer.arguments["activation"] == KerasObject("layer", "LeakyReLU", {"negative_slope": 0.1})


def test_whole_numbers_become_floats_where_keras_wants_floats():
    momentum = accepted("optimizer", {"SGD": {"momentum": 0}}).arguments["momentum"]
    assert isinstance(momentum, float)


# --- mistakes ---

MISTAKES = [
    ("layer", "Dence", [((), 'unknown layer "Dence"', 'did you mean "Dense"?')]),
    (
        "layer",
        {"Dense": {"unitz": 128}},
        [(("Dense", "unitz"), "unknown argument of Dense", 'did you mean "units"?')],
    ),
    (
        "layer",
        {"Dense": {"units": "yes", "use_bias": "yes"}},
        [
            (("Dense", "units"), 'expected an integer, got the string "yes"', ""),
            (
                ("Dense", "use_bias"),
                'expected true or false, got the string "yes"',
                '"yes" is a string in YAML 1.2; write true or false',
            ),
        ],
    ),
    ("layer", {"Dense": True}, [(("Dense",), "expected an integer, got true", "")]),
    ("layer", {"Dense": "10"}, [(("Dense",), 'expected an integer, got the string "10"', "write 10 without quotes")]),
    ("layer", {"Dense": 10.0}, [(("Dense",), "expected an integer, got the number 10.0", "write 10")]),
    ("layer", {"Dense": None}, [(("Dense",), "Dense needs the argument units", "for example Dense: {units: …}")]),
    ("layer", "Dense", [((), "Dense needs the argument units", "for example Dense: {units: …}")]),
    (
        "layer",
        {"Dense": {"units": 1, "activation": "relux"}},
        [(("Dense", "activation"), 'unknown activation "relux"', 'did you mean "relu", "relu6" or "elu"?')],
    ),
    (
        "layer",
        {"Dense": 10, "activation": "relu"},
        [
            (
                (),
                "expected one name of a layer, got 2 keys",
                "nest the arguments: Dense: {units: 10, activation: relu}",
            )
        ],
    ),
    ("layer", {}, [((), "expected the name of a layer, got an empty mapping", "for example Dense: 10")]),
    ("layer", None, [((), "expected the name of a layer, got null", "for example Dense: 10")]),
    ("layer", ["Flatten"], [((), "expected the name of a layer, got a list", "for example Dense: 10")]),
    (
        "layer",
        "os.system",
        [
            (
                (),
                'expected a Keras name, got the import path "os.system"',
                "for example Dense: 10",
            )
        ],
    ),
    (
        "layer",
        "keras.layers.Dense",
        [
            (
                (),
                'expected a Keras name, got the import path "keras.layers.Dense"',
                'write "Dense"',
            )
        ],
    ),
    (
        "layer",
        "Dense(10)",
        [((), "a config cannot call functions", "write Dense: {…} with its arguments inside")],
    ),
    ("layer", "Adam", [((), "Adam is an optimizer, not a layer", "it belongs at training.optimizer")]),
    ("layer", "relu", [((), "relu is an activation, not a layer", 'did you mean "ReLU"?')]),
    (
        "layer",
        {"Conv2D": {"filters": 3, "kernel_size": [3, "x"], "padding": "sme"}},
        [
            (("Conv2D", "kernel_size", 1), 'expected an integer, got the string "x"', ""),
            (("Conv2D", "padding"), 'expected valid or same, got the string "sme"', 'did you mean "same"?'),
        ],
    ),
    (
        "layer",
        {"Conv2D": {"filters": 3, "kernel_size": [3, 3, 3]}},
        [(("Conv2D", "kernel_size"), "expected 2 integers, got 3", "")],
    ),
    (
        "layer",
        {"Bidirectional": {"LSTM": 64}},
        [(("Bidirectional", "LSTM"), "unknown argument of Bidirectional", "write layer: {LSTM: …}")],
    ),
    ("layer", {"Add": 3}, [(("Add",), "Add takes no value", "write Add alone")]),
    (
        "layer",
        {"Dense": {"units": 3, "input_shape": [4]}},
        [
            (
                ("Dense", "input_shape"),
                "unknown argument of Dense",
                "leave it out: the data gives the input's shape",
            )
        ],
    ),
    (
        "layer",
        {"Dense": {"units": 3, "name": "a/b"}},
        [(("Dense", "name"), 'the name of a layer cannot be empty or contain "/"', "")],
    ),
    (
        "layer",
        {"Lambda": {"function": "x"}},
        [(("Lambda",), "Lambda runs Python code, which a config cannot hold", "")],
    ),
    (
        "optimizer",
        {"Adam": {"lr": 0.1}},
        [(("Adam", "lr"), "unknown argument of Adam", 'did you mean "learning_rate"?')],
    ),
    (
        "optimizer",
        {"Adam": {"clipnorm": 1, "clipvalue": 1}},
        [(("Adam", "clipvalue"), "clipnorm and clipvalue are mutually exclusive", "")],
    ),
    (
        "loss",
        {"binary_crossentropy": {"from_logits": True}},
        [
            (
                ("binary_crossentropy",),
                "binary_crossentropy takes no arguments here",
                "BinaryCrossentropy takes arguments",
            )
        ],
    ),
]


@pytest.mark.parametrize(("kind", "value", "expected"), MISTAKES, ids=[str(value)[:50] for _, value, _ in MISTAKES])
def test_a_mistake_is_named_at_its_place_with_what_would_mend_it(kind, value, expected):
    assert problems_of(kind, value) == expected


RANGES = [
    ("optimizer", {"Adam": {"learning_rate": 0}}, "must be above 0, got 0"),
    ("optimizer", {"Adam": {"learning_rate": -1}}, "must be above 0, got -1"),
    ("optimizer", {"Adam": {"learning_rate": math.nan}}, "must be a number, not NaN"),
    ("optimizer", {"Adam": {"learning_rate": math.inf}}, "must be a finite number, got inf"),
    ("optimizer", {"SGD": {"momentum": 1.0}}, "must be below 1, got 1"),
    ("layer", {"Dropout": 1}, "must be below 1, got 1"),
    ("layer", {"Dropout": -0.1}, "must be at least 0, got -0.1"),
    ("layer", {"Dense": 0}, "must be at least 1, got 0"),
    ("layer", {"Conv2D": {"filters": 1, "kernel_size": [3, 0]}}, "must be at least 1, got 0"),
    ("layer", {"Dense": 10**10}, "expected at most 1,000,000,000 parameters, got 10,000,000,000 units"),
    ("callback", {"EarlyStopping": {"patience": -1}}, "must be at least 0, got -1"),
]


@pytest.mark.parametrize(("kind", "value", "message"), RANGES, ids=[str(value) for _, value, _ in RANGES])
def test_a_number_out_of_range_is_refused(kind, value, message):
    assert [found for _, found, _ in problems_of(kind, value)] == [message]


def test_ranges_do_not_reach_what_has_another_meaning():
    accepted("layer", {"GroupNormalization": {"groups": -1}})
    accepted("constraint", {"MinMaxNorm": {"rate": 1.0}})
    accepted("layer", {"BatchNormalization": {"momentum": 1.0}})
    accepted("schedule", {"CosineDecay": {"initial_learning_rate": 0.0, "decay_steps": 10, "warmup_target": 0.1}})


def test_all_mistakes_are_found_at_once():
    value = {"Dense": {"unitz": 1, "activation": "relux", "use_bias": 1, "kernel_initializer": {"Constant": {"v": 1}}}}
    assert len(problems_of("layer", value)) == 4


def test_an_unknown_argument_points_at_its_key_and_a_bad_value_at_the_value():
    _, problems = parse_keras_object("layer", {"Dense": {"units": "x", "unit": 1}})
    assert [problem.at_key for problem in problems] == [False, True]


def test_unknown_is_accepted_wherever_a_value_is():
    accepted("layer", {"Dense": UNKNOWN})
    accepted("layer", {"Dense": {"units": UNKNOWN, "activation": UNKNOWN, "name": UNKNOWN}})
    accepted("layer", {"Conv2D": {"filters": 1, "kernel_size": [3, UNKNOWN]}})
    accepted("layer", {"Pipeline": [UNKNOWN, "Flatten"]})
    assert parse_keras_object("layer", UNKNOWN) == (None, [])


def test_no_class_that_runs_code_can_be_named():
    for name in ("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"):
        assert problems_of("layer", {name: {}})
        assert problems_of("layer", {"Bidirectional": {"layer": name}})
        assert problems_of("layer", {"Dense": {"units": 1, "activation": name}})
    for name in ("LambdaCallback", "LearningRateScheduler"):
        assert problems_of("callback", name)


# --- laws over the whole table ---

VALUES = {
    "int": st.integers(2, 7),
    "float": st.sampled_from([0.25, 0.5]),
    "number": st.sampled_from([1, 0.5]),
    "bool": st.booleans(),
    "text": st.sampled_from(["text", "no", "3"]),
    "null": st.none(),
    "list": st.just([0, 1]),
    "mapping": st.just({"key": [1]}),
    "any": st.sampled_from([1, 0.5, "x", None]),
    "ints": st.just([2, 3]),
    "ints:1": st.just([2]),
    "ints:2": st.just([2, 3]),
    "ints:3": st.just([2, 3, 4]),
    "floats": st.just([0.5, 0.25]),
    "texts": st.just(["a"]),
    "code": st.none(),
    "layers": st.just(["Flatten", {"Dense": 3}]),
    "layer": st.sampled_from(["Flatten", {"LSTM": 8}]),
    "optimizer": st.sampled_from(["adam", {"SGD": 0.1}]),
    "schedule": st.just({"ExponentialDecay": {"initial_learning_rate": 1, "decay_steps": 10, "decay_rate": 0.5}}),
    "initializer": st.sampled_from(["zeros", {"Constant": 0.5}]),
    "regularizer": st.sampled_from(["l2", {"L1": 0.5}]),
    "constraint": st.sampled_from(["NonNeg", {"MaxNorm": 3}]),
    "activation": st.sampled_from(["relu", "ReLU", {"LeakyReLU": 0.5}]),
}
EVERY_NAME = [(kind, name) for kind in KINDS for name in keras_names.names(kind)]


@st.composite
def objects(draw):
    """(kind, YAML data) with any of an object's arguments, each of a type that the table gives."""
    kind, name = draw(st.sampled_from(EVERY_NAME))
    taken = {
        argument.name: draw(value_of(draw(st.sampled_from(argument.types))))
        for argument in keras_names.arguments(kind, name).values()
        # One way of clipping excludes the others.
        if argument.required or (argument.name not in {"clipnorm", "clipvalue"} and draw(st.integers(0, 3)) == 0)
    }
    return kind, {name: taken} if taken or draw(st.booleans()) else name


def value_of(word):
    return st.just(word[1:-1]) if word.startswith('"') else VALUES[word]


@given(objects())
def test_every_object_of_the_table_is_accepted_and_written_back_as_itself(drawn):
    kind, value = drawn
    keras_object = accepted(kind, value)
    plain = to_plain(keras_object)
    again = parse_entry(plain) if kind == "backbone" else parse_keras_object(kind, plain)
    assert again == (keras_object, [])


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["Dense", "relu"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["Dense", "units", "x"]), inner),
    max_leaves=8,
)


@given(st.sampled_from(sorted(KINDS)), PLAIN)
def test_any_yaml_at_all_gives_an_object_or_problems(kind, value):
    keras_object, problems = parse_keras_object(kind, value, ("a", 0))
    assert (keras_object is None) == bool(problems)
    assert all(place_of(problem)[:2] == ("a", 0) and problem.message for problem in problems)
