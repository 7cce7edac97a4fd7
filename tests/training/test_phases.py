"""Phases: what learns in each, with its own optimizer, in one training."""

import json

import keras
import numpy as np
import pytest
from tests.training.test_fit import EVERYTHING, assert_same, numbers, without_times

from dltool.config.schema import Phase
from dltool.errors import ConfigError, Interrupted, RunError, TrainingDiverged
from dltool.model.build import build_model
from dltool.model.trainable import adaptable, set_trainable, trainable_layers
from dltool.training.fit import prepare_fit
from dltool.training.state import TrainingState
from dltool.training.steps import epoch_order

PHASES = [
    {"epochs": 1, "trainable": ["head"], "optimizer": {"Adam": 0.01}},
    {"epochs": 2, "optimizer": {"SGD": {"learning_rate": 0.05, "momentum": 0.9}}},
]
LAYERS = [
    {"Dense": {"units": 8, "activation": "relu", "name": "body"}},
    {"Dense": {"units": 3, "activation": "softmax", "name": "head"}},
]


@pytest.fixture(scope="module")
def phased(make_config):
    """A config with phases instead of an optimizer and epochs; `more` are further keys of the training."""

    def make(phases=PHASES, layers=LAYERS, data=None, **more):
        training = {"phases": phases, "optimizer": None, "epochs": None, **more}
        return make_config(model={"layers": layers}, training=training, data=data or {})

    return make


def problems_of(config, dataset):
    with pytest.raises(ConfigError) as refused:
        prepare_fit(build_model(config, dataset.facts), config, dataset)
    return [(problem.place, problem.message, problem.hint) for problem in refused.value.problems]


@pytest.fixture(scope="module")
def ours(phased, dataset, train):
    return train(phased(), dataset)


def test_phases_are_keras_trainings_one_after_the_other(phased, dataset, ours):
    config = phased()
    model = build_model(config, dataset.facts).core
    found = dataset.examples("train")
    (inputs,), (targets,) = found.inputs.values(), found.targets.values()
    epoch = 0
    for optimizer, trained, epochs in (
        (keras.optimizers.Adam(0.01), ["head"], 1),
        (keras.optimizers.SGD(0.05, momentum=0.9), ["body", "head"], 2),
    ):
        for layer in model.layers:
            layer.trainable = layer.name in trained
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        for _ in range(epochs):
            order = epoch_order(config.seed, epoch, len(inputs))
            theirs = model.fit(inputs[order], targets[order], batch_size=16, shuffle=False, verbose=0)
            epoch += 1

    assert_same(ours.weights, model.get_weights())
    assert ours.result.history[-1].logs["loss"] == theirs.history["loss"][0]
    assert [record.epoch for record in ours.result.history] == [1, 2, 3]
    assert [round(record.learning_rate, 6) for record in ours.result.history] == [0.01, 0.05, 0.05]
    assert ours.recorder.events[0] == "epoch 1/3 of 6 steps"


ADAPTED = [
    {"epochs": 1, "optimizer": {"SGD": {"learning_rate": 0.05}}},
    {"epochs": 2, "trainable": ["head"], "lora": {"layers": ["body"], "rank": 2}, "optimizer": {"Adam": 0.01}},
    {"epochs": 1, "optimizer": {"SGD": {"learning_rate": 0.05}}},
]


@pytest.fixture(scope="module")
def adapted(phased, dataset, train):
    return train(phased(ADAPTED), dataset)


def test_a_phase_with_lora_is_keras_training_of_two_matrices_beside_frozen_weights(phased, dataset, adapted):
    config = phased(ADAPTED)
    model = build_model(config, dataset.facts).core
    body, head = model.get_layer("body"), model.get_layer("head")
    found = dataset.examples("train")
    (inputs,), (targets,) = found.inputs.values(), found.targets.values()
    epoch = 0
    for optimizer, is_adapted, epochs in (
        (keras.optimizers.SGD(0.05), False, 1),
        (keras.optimizers.Adam(0.01), True, 2),
        (keras.optimizers.SGD(0.05), False, 1),
    ):
        body._kernel.trainable = body.bias.trainable = not is_adapted
        body.lora_kernel_a.trainable = body.lora_kernel_b.trainable = is_adapted
        before = np.array(body._kernel)
        model.compile(optimizer, "sparse_categorical_crossentropy")
        for _ in range(epochs):
            order = epoch_order(config.seed, epoch, len(inputs))
            model.fit(inputs[order], targets[order], batch_size=16, shuffle=False, verbose=0)
            epoch += 1
        assert np.array_equal(before, body._kernel) == is_adapted
    assert np.any(body.lora_kernel_b)
    assert_same(adapted.weights, model.get_weights())
    assert head.lora_enabled is False


@pytest.mark.slow
def test_in_a_phase_with_lora_a_training_goes_on_with_the_same_bits(phased, dataset, train, adapted):
    for saved in adapted.recorder.states[1:-1]:
        start = TrainingState(saved.arrays, json.loads(json.dumps(saved.state)))
        assert_same_end(train(phased(ADAPTED), dataset, start=start), adapted)


def test_lora_is_refused_where_layers_lack_it_or_have_another_rank(phased, dataset):
    layers = [{"Dense": {"units": 8, "name": "body"}}, {"Dropout": {"rate": 0.1, "name": "drop"}}, LAYERS[1]]
    wrong = {"epochs": 1, "optimizer": "sgd", "lora": {"layers": ["drop", "body"], "rank": 3}}
    config = phased([{**wrong, "lora": {"layers": ["body"]}}, wrong], layers)
    with pytest.raises(ConfigError) as refused:
        build_model(config, dataset.facts)
    assert [(problem.place, problem.message) for problem in refused.value.problems] == [
        (("training", "phases", 1, "lora", "layers", 0), 'no layer that LoRA can train is called "drop"'),
        (("training", "phases", 1, "lora", "rank"), "body has the rank 4 already"),
    ]


def test_lora_names_a_layer_for_all_inside_it_or_some_of_those():
    inputs = keras.Input((3, 4))
    outputs = keras.layers.MultiHeadAttention(1, 2, name="attention")(inputs, inputs)
    (entry,) = trainable_layers(keras.Model(inputs, outputs))
    assert [layer.name for layer in adaptable(entry, "attention")] == ["query", "key", "value", "attention_output"]
    assert [layer.name for layer in adaptable(entry, "que*")] == ["query"]
    assert adaptable(entry, "dense") == []


def test_what_no_pattern_means_does_not_change(phased, dataset, train):
    config = phased([{**PHASES[0], "epochs": 2}])
    before = [np.asarray(weight) for weight in build_model(config, dataset.facts).core.get_weights()]
    after = train(config, dataset).weights
    assert [np.array_equal(*pair) for pair in zip(before, after, strict=True)] == [True, True, False, False]


COMPLETE = [
    {
        "epochs": 2,
        "trainable": ["d*", "batch_*"],
        "optimizer": {"Adam": {"learning_rate": 0.01, "use_ema": True, "ema_momentum": 0.9}},
    },
    {"epochs": 1, "trainable": ["*"], "optimizer": {"SGD": {"learning_rate": 0.1, "momentum": 0.9}}},
    {"epochs": 2, "trainable": ["conv2d", "dense"], "optimizer": "rmsprop"},
]


@pytest.fixture(scope="module")
def everything(phased):
    """Phases with averages, batch normalization that is frozen and not, augmentation, dropout and callbacks."""
    training = {key: EVERYTHING["training"][key] for key in ("metrics", "class_weights")}
    callbacks = [
        {"ReduceLROnPlateau": {"patience": 1, "factor": 0.5, "min_delta": 0.5}},
        {"EarlyStopping": {"patience": 4, "restore_best_weights": True}},
    ]
    return phased(COMPLETE, EVERYTHING["model"]["layers"], EVERYTHING["data"], callbacks=callbacks, **training)


@pytest.fixture(scope="module")
def whole(everything, images, train):
    return train(everything, images, pace=100)


def assert_same_end(resumed, whole):
    assert_same(resumed.weights, whole.weights)
    assert numbers(resumed.result) == numbers(whole.result)
    last, expected = resumed.recorder.states[-1], whole.recorder.states[-1]
    assert without_times(last.state) == without_times(expected.state)
    assert_same([array for _, array in last.arrays], [array for _, array in expected.arrays])


@pytest.mark.slow
def test_going_on_from_any_epoch_of_any_phase_ends_with_the_same_bits(everything, images, train, whole):
    assert [state.state["position"]["phase"] for state in whole.recorder.states] == [0, 0, 0, 1, 2, 2]
    for saved in whole.recorder.states[:-1]:
        # As it comes back from a file.
        start = TrainingState(saved.arrays, json.loads(json.dumps(saved.state)))
        assert_same_end(train(everything, images, start=start), whole)


@pytest.mark.slow
@pytest.mark.parametrize("step", [0, 1, 5])
def test_stopped_in_the_first_epoch_of_a_phase_it_goes_on_with_the_same_bits(everything, images, train, whole, step):
    recorder = type(whole.recorder)()

    def should_stop():
        return 15 if len(recorder.records) == 2 and recorder.steps[-1] % 6 == step else None

    with pytest.raises(Interrupted):
        train(everything, images, pace=1, recorder=recorder, should_stop=should_stop)
    saved = recorder.states[-1]
    position = saved.state["position"]
    assert (position["epoch"], position["step"], position["phase"]) == (2, step, 1)
    assert_same_end(train(everything, images, start=saved), whole)


@pytest.mark.slow
def test_an_average_is_final_where_its_phase_ends(phased, dataset, train):
    average = {"SGD": {"learning_rate": 0.5, "use_ema": True, "ema_momentum": 0.8}}
    first = {"epochs": 1, "optimizer": average}
    alone = train(phased([first]), dataset)
    both = train(phased([first, {"epochs": 1, "trainable": ["body"], "optimizer": "sgd"}]), dataset)
    # The head does not learn in the second phase.
    assert_same(both.weights[2:], alone.weights[2:])


@pytest.mark.slow
def test_diverging_in_the_first_step_of_a_phase_keeps_its_beginning(phased, dataset, train):
    second = {"epochs": 1, "optimizer": {"SGD": 1e38}}
    with pytest.raises(TrainingDiverged) as diverged:
        train(phased([PHASES[0], second]), dataset, pace=1, recorder=(recorder := Recorder()))
    (problem,) = diverged.value.problems
    assert problem.place == ("training", "phases", 1, "optimizer")
    assert "in epoch 2, step" in problem.message
    position = recorder.states[-1].state["position"]
    assert (position["epoch"], position["phase"]) == (1, 1)


class Recorder:
    """Keeps the states."""

    def __init__(self):
        self.states, self.best = [], []

    def epoch_begins(self, *_): ...

    def steps_done(self, *_): ...

    def validation_begins(self): ...

    def epoch_ends(self, *_): ...


def test_a_state_of_a_phase_that_the_config_does_not_have_is_refused(phased, dataset, train, ours):
    saved = ours.recorder.states[-1]
    with pytest.raises(RunError, match="is of phase 2, which the config does not have"):
        train(phased(PHASES[:1]), dataset, start=saved)


def test_patterns_that_mean_nothing_are_all_reported_with_near_names(phased, dataset):
    phases = [
        {**PHASES[0], "trainable": ["haed", "body"]},
        {**PHASES[1], "trainable": ["block_*"]},
    ]
    assert problems_of(phased(phases), dataset) == [
        (("training", "phases", 0, "trainable", 0), 'no layer is called "haed"', 'did you mean "head"?'),
        (("training", "phases", 1, "trainable", 0), 'no layer is called "block_*"', "the layers are body, head"),
    ]


def test_a_phase_in_which_nothing_learns_is_refused(phased, dataset):
    phases = [{**PHASES[0], "trainable": ["drop"]}, PHASES[1]]
    layers = [LAYERS[0], {"Dropout": {"rate": 0.1, "name": "drop"}}, LAYERS[1]]
    frozen = [{"Dense": {**layer["Dense"], "trainable": False}} for layer in LAYERS]
    message = "this phase trains no weights"
    assert [found[:2] for found in problems_of(phased(phases, layers), dataset)] == [
        (("training", "phases", 0, "trainable"), message)
    ]
    assert [found[0] for found in problems_of(phased(layers=frozen), dataset)] == [
        ("training", "phases", 1, "trainable")
    ]


def test_an_optimizer_of_a_later_phase_that_keras_refuses_is_found_at_once(phased, dataset):
    rate = {"PiecewiseConstantDecay": {"boundaries": [1, 2], "values": [0.1]}}
    phases = [PHASES[0], {"epochs": 1, "optimizer": {"SGD": {"learning_rate": rate}}}]
    ((place, message, _),) = problems_of(phased(phases), dataset)
    assert place[:4] == ("training", "phases", 1, "optimizer")
    assert "PiecewiseConstantDecay" in message


def network():
    """A frozen network in a model, as a backbone is."""
    inputs = keras.Input((4,))
    inner = keras.layers.Dense(4, name="block_1_dense")(inputs)
    inner = keras.layers.BatchNormalization(name="block_1_norm")(inner)
    body = keras.Model(inputs, keras.layers.Dense(4, name="block_2_dense")(inner), name="features")
    body.trainable = False
    inputs = keras.Input((4,))
    wrapped = keras.layers.TimeDistributed(keras.layers.Dense(2, name="inside"), name="wrapper")
    outputs = wrapped(keras.layers.Reshape((2, 2))(body(inputs)))
    return keras.Model(inputs, keras.layers.Dense(3, name="head")(keras.layers.Flatten()(outputs)))


@pytest.mark.parametrize(
    ("patterns", "learn"),
    [
        (None, ["inside", "head"]),
        (["*"], ["block_1_dense", "block_1_norm", "block_2_dense", "inside", "head"]),
        (["features"], ["block_1_dense", "block_1_norm", "block_2_dense"]),
        (["block_2_*", "head"], ["block_2_dense", "head"]),
        (["*_norm", "wrapper"], ["block_1_norm", "inside"]),
    ],
)
def test_patterns_reach_into_networks_and_undo_what_was_frozen(patterns, learn):
    core = network()
    found = list(trainable_layers(core))
    for first in (["head"], patterns):
        set_trainable(core, found, Phase.model_validate({**PHASES[1], "trainable": first}))
    assert list(dict.fromkeys(variable.path.split("/")[-2] for variable in core.trainable_variables)) == learn
    # Frozen statistics are used as they are.
    norm = core.get_layer("features").get_layer("block_1_norm")
    before = np.asarray(norm.moving_mean)
    core(np.random.default_rng(0).normal(5, 1, (8, 4)), training=True)
    assert np.array_equal(before, norm.moving_mean) == ("block_1_norm" not in learn)
