"""What private training refuses, each at its line, and what its guarantee does not cover."""

from typing import Any

import pytest
from pydantic import ValidationError

from dltool.config.checks import static_checks
from dltool.config.privacy_checks import spending, uncovered
from dltool.config.schema import Config
from dltool.config.tasks import TargetFacts
from dltool.data.facts import Facts, InputFacts

SOFTMAX = {"Dense": {"units": 3, "activation": "softmax"}}
FACTS = Facts(
    inputs={"input": InputFacts((4,), "float32")},
    targets={"target": TargetFacts("category", (), ("a", "b", "c"))},
    examples=1000,
    validation_examples=0,
    test_examples=100,
)


def private(layers: Any = (), data: Any = (), privacy: Any = (), model: Any = (), **training: Any) -> Config:
    needed = {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", "epochs": 5, "batch_size": 50}
    options = {"epsilon": 2.0, "delta": 1e-5, **dict(privacy)}
    sections = {
        "data": {"source": "digits", **dict(data)},
        "model": {"layers": [*layers, SOFTMAX], **dict(model)},
        "training": {**needed, "privacy": options, **training},
    }
    return Config.model_validate({"name": "x", **sections})


def first_problem(config: Config) -> tuple[Any, str, str]:
    problem = static_checks(config, FACTS)[0]
    return problem.place, problem.message, problem.hint


MONITOR = ("training", "checkpoint", "monitor")
LAYER = ("model", "layers", 0)


@pytest.mark.parametrize(
    ("changes", "place", "words", "hint"),
    [
        ({"layers": ["BatchNormalization"]}, LAYER, "would depend on the other examples", "GroupNormalization"),
        ({"layers": [{"SpectralNormalization": {"layer": {"Dense": 3}}}]}, LAYER, "are unknown", "LayerNormalization"),
        (
            {"layers": [{"Dense": {"units": 3, "activity_regularizer": "l2"}}]},
            (*LAYER, "Dense", "activity_regularizer"),
            "no loss of single examples",
            "kernel_regularizer",
        ),
        (
            {"data": {"augmentation": ["MixUp"]}, "loss": "categorical_crossentropy"},
            ("data", "augmentation", 0),
            "mixes examples",
            "remove it",
        ),
        ({"loss": "dice"}, ("training", "loss"), "not known to be a sum over examples", "crossentropy"),
        ({"class_weights": "balanced"}, ("training", "class_weights"), "counts of the training examples", "each class"),
        ({"precision": "mixed_bfloat16"}, ("training", "precision"), "needs float32 or float64", "float32"),
        ({"jit_compile": True}, ("training", "jit_compile"), "XLA cannot compile", "remove it"),
        (
            {"optimizer": {"SGD": {"loss_scale_factor": 2.0}}},
            ("training", "optimizer", "SGD", "loss_scale_factor"),
            "do not scale the loss",
            "remove it",
        ),
        ({"checkpoint": {"monitor": "loss"}}, MONITOR, "without noise", "monitor: val_loss"),
        (
            {"callbacks": [{"EarlyStopping": {"monitor": "loss"}}]},
            ("training", "callbacks", 0, "EarlyStopping", "monitor"),
            "without noise",
            "monitor: val_loss",
        ),
        (
            {"callbacks": ["EarlyStopping"]},
            ("training", "callbacks", 0),
            "there is no validation split",
            "remove it, or data.split.validation: 0.1",
        ),
        (
            {"data": {"split": {"folds": 3}, "final": "ensemble"}},
            ("data", "final"),
            "publishes a model of each fold",
            "final: refit",
        ),
        ({"privacy": {"delta": 0.001}}, ("training", "privacy", "delta"), "less than 1 / 1,000", "delta: 1e-04"),
        ({"privacy": {"epsilon": 1e-4}}, ("training", "privacy", "epsilon"), "no noise is enough", "larger epsilon"),
    ],
)
def test_what_breaks_the_guarantee_is_refused_at_its_line(changes, place, words, hint):
    found = first_problem(private(**changes))
    assert found[0] == place
    assert words in found[1]
    assert hint in found[2]


def test_a_frozen_batch_normalization_is_allowed_as_it_keeps_its_statistics():
    assert not static_checks(private([{"BatchNormalization": {"trainable": False}}]), FACTS)


@pytest.mark.parametrize(
    ("privacy", "words"),
    [({"epsilon": None}, "epsilon or noise is missing"), ({"noise": 1.0}, "epsilon and noise are mutually exclusive")],
)
def test_either_epsilon_or_noise_is_given(privacy, words):
    with pytest.raises(ValidationError) as error:
        private(privacy=privacy)
    (problem,) = error.value.errors()[0]["ctx"]["problems"]
    assert problem.message == words


@pytest.mark.parametrize("key", ["noise", "clip"])
def test_numbers_so_small_that_float32_or_the_accountant_has_none_are_refused(key):
    with pytest.raises(ValidationError):
        private(privacy={"epsilon": None, "noise": 1.0, key: 1e-160})


def test_an_expectation_may_bound_epsilon_in_private_training_alone():
    config = private()
    bounded = config.model_copy(update={"expect": {"epsilon": "<= 3"}})
    plain = bounded.model_copy(update={"training": config.training.model_copy(update={"privacy": None})})
    assert not static_checks(bounded, FACTS)
    assert static_checks(plain, FACTS)[0].place == ("expect", "epsilon")


def test_the_noise_follows_from_rows_batch_size_and_epochs():
    planned = spending(private(), 1000)
    assert planned is not None
    assert (planned.rate, planned.steps, planned.delta) == (0.05, 100, 1e-5)
    assert 1.9 < planned.epsilon <= 2.0
    given = spending(private(privacy={"epsilon": None, "noise": 1.5}), 1000, done=40)
    assert given is not None
    assert (given.noise, given.steps) == (1.5, 40)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"privacy": {"seed": 1}}, "privacy.seed gives the noise away"),
        ({"data": {"preprocessing": ["Normalization"]}}, "without noise, and part of the model: Normalization"),
        ({"data": {"target": {"number": {"scale": "robust"}}}}, "part of the model: the scale of the target"),
        ({"data": {"split": {"validation": 0.1}}}, "chosen by the validation examples"),
        ({"data": {"split": {"group": "person"}}}, "the unit of epsilon is an example, and a group has several"),
        ({"seeds": 3}, "each of the seeds spends an epsilon of its own"),
        ({"model": {"start": {"run": "runs/x/0001"}}}, "may tell of the examples that they were trained on"),
        ({"layers": [{"backbone": {"ResNet50": {"weights": "a.weights.h5"}}}]}, "may tell of the examples"),
        ({"layers": [{"backbone": {"KerasHub": "./preset"}}]}, "may tell of the examples"),
    ],
)
def test_what_the_guarantee_does_not_cover_is_said(changes, words):
    (text, _), *others = uncovered(private(**changes))
    assert words in text
    assert not others


@pytest.mark.parametrize("backbone", [{"ResNet50": {}}, {"KerasHub": "a"}, {"ResNet50": {"weights": None}}])
def test_published_weights_and_random_ones_tell_of_nobody(backbone):
    assert not [*uncovered(private(layers=[{"backbone": backbone}]))]


def test_declared_statistics_are_not_fitted():
    declared = {"preprocessing": [{"Normalization": {"mean": 0.1, "variance": 1.0}}]}
    assert not [*uncovered(private(data=declared))]
