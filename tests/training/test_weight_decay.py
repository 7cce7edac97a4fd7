"""Weights that weight decay leaves out: the same as plain Keras, in phases, and after a resumption."""

import json

import keras
import numpy as np
import pytest
from tests.training.test_fit import assert_same

from dltool.config.checks import static_checks
from dltool.errors import ConfigError
from dltool.model.build import build_model
from dltool.training.compile import compile_core
from dltool.training.state import TrainingState
from dltool.training.steps import epoch_order

LAYERS = [
    "BatchNormalization",
    {"Dense": {"units": 8, "activation": "relu", "name": "body"}},
    {"Dense": {"units": 3, "activation": "softmax", "name": "head"}},
]
DECAY = {"learning_rate": 0.02, "weight_decay": 0.5}
TRAINING = {
    "phases": [{"epochs": 1, "optimizer": {"AdamW": DECAY}}, {"epochs": 1, "optimizer": {"SGD": DECAY}}],
    "optimizer": None,
    "epochs": None,
}


@pytest.fixture(scope="module")
def decaying(make_config):
    def make(*names: str, **training):
        changes = {**(training or TRAINING), "no_weight_decay": list(names)}
        return make_config(model={"layers": LAYERS}, training=changes)

    return make


def keras_weights(config, dataset, excluded) -> list[np.ndarray]:
    """Return the weights after plain Keras training without weight decay of the `excluded` weights."""
    model = build_model(config, dataset.facts).core
    found = dataset.examples("train")
    (inputs,), (targets,) = found.inputs.values(), found.targets.values()
    for epoch, optimizer in enumerate(
        (keras.optimizers.AdamW(0.02, 0.5), keras.optimizers.SGD(0.02, weight_decay=0.5))
    ):
        optimizer.exclude_from_weight_decay([each for each in model.trainable_variables if excluded(each)])
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        order = epoch_order(config.seed, epoch, len(inputs))
        model.fit(inputs[order], targets[order], batch_size=16, shuffle=False, verbose=0)
    return model.get_weights()


@pytest.mark.slow
def test_excluded_weights_are_those_of_plain_keras_in_every_phase_and_after_a_resumption(decaying, dataset, train):
    config = decaying("bias", "Batch*", "head")
    ours = train(config, dataset)
    expected = keras_weights(config, dataset, lambda each: each.path != "body/kernel")
    assert_same(ours.weights, expected)
    first = ours.recorder.states[0]
    start = TrainingState(first.arrays, json.loads(json.dumps(first.state)))
    assert_same(train(config, dataset, start=start).weights, ours.weights)


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_names_mean_weights_layers_and_classes(decaying, dataset, precision):
    config = decaying("gamma", "head", optimizer={"AdamW": DECAY}, epochs=1, precision=precision)
    built = build_model(config, dataset.facts)
    compile_core(built, config, {"output": dataset.targets["target"]})
    optimizer = getattr(built.core.optimizer, "inner_optimizer", built.core.optimizer)
    decays = [each.path for each in built.core.trainable_variables if optimizer._use_weight_decay(each)]
    assert decays == ["batch_normalization/beta", "body/kernel", "body/bias"]


def test_a_name_that_means_nothing_is_refused_at_its_line(decaying, dataset, train):
    config = decaying("bias", "BatchNormalisation")
    with pytest.raises(ConfigError) as refused:
        train(config, dataset)
    (problem,) = refused.value.problems
    assert problem.place == ("training", "no_weight_decay", 1)
    assert problem.message == 'no layer, class of layers or weight is called "BatchNormalisation"'
    assert problem.hint.startswith('did you mean "BatchNormalization"')


def test_an_optimizer_without_weight_decay_is_refused(decaying, dataset):
    for optimizer in ("adam", {"SGD": 0.1}, {"AdamW": {"weight_decay": 0.0}}):
        (problem,) = static_checks(decaying("bias", optimizer=optimizer, epochs=1), dataset.facts)
        assert problem.place == ("training", "no_weight_decay")
        assert "has no weight decay" in problem.message
    assert static_checks(decaying("bias", optimizer={"Adam": {"weight_decay": 0.1}}, epochs=1), dataset.facts) == []
    assert static_checks(decaying("bias", optimizer="muon", epochs=1), dataset.facts) == []
