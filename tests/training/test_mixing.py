"""Classes as one-hot vectors, and MixUp and CutMix, which mix them in training."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dltool.config.schema import Config
from dltool.model.build import build_model
from dltool.training.weighting import class_weights_of

MIXING = [{"MixUp": 0.4}, {"RandomFlip": "horizontal"}, {"CutMix": 0.5}]
ONE_HOT = {"loss": "categorical_crossentropy", "metrics": ["accuracy", {"F1Score": {"average": "macro"}}]}


@pytest.fixture(scope="module")
def mixed(make_config) -> Config:
    layers = ["Flatten", {"Dropout": 0.2}, {"Dense": {"units": 3, "activation": "softmax"}}]
    return make_config(data={"augmentation": MIXING}, model={"layers": layers}, training=ONE_HOT)


@pytest.fixture(scope="module")
def whole(mixed, images, train) -> Any:
    return train(mixed, images, pace=3)


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


def test_the_labels_are_mixed_with_the_pictures(mixed, images):
    built = build_model(mixed, images.facts)
    pictures = np.eye(3, dtype=np.float32).repeat(12, axis=1).reshape(3, 6, 6, 1)
    assert built.augmentation is not None
    inputs, labels = built.augmentation([pictures, np.eye(3, dtype=np.float32)], training=True)
    assert inputs.shape == pictures.shape
    np.testing.assert_allclose(np.sum(labels, axis=1), 1, rtol=1e-5)
    assert np.abs(np.asarray(labels) - np.eye(3)).max() > 0
    # Each of these images is white in its third, so that the white of each third is the share of its label.
    only_mix_up = make_only("MixUp", mixed, images)
    inputs, labels = only_mix_up([pictures, np.eye(3, dtype=np.float32)], training=True)
    thirds = np.asarray(inputs).reshape(3, 3, 12)
    np.testing.assert_allclose(thirds.mean(axis=2), labels, rtol=1e-5, atol=1e-6)


def make_only(name: str, config: Config, images: Any) -> Any:
    entries = tuple(entry for entry in config.data.augmentation if entry.name == name)
    data = config.data.model_copy(update={"augmentation": entries})
    return build_model(config.model_copy(update={"data": data}), images.facts).augmentation


def test_the_steps_of_a_call_change_no_bit(mixed, images, train, whole):
    assert same(train(mixed, images, pace=1).weights, whole.weights)


def test_going_on_from_a_saved_state_ends_with_the_same_bits(mixed, images, train, whole):
    resumed = train(mixed, images, pace=7, start=whole.recorder.states[1])
    assert same(resumed.weights, whole.weights)
    assert [record.logs for record in resumed.result.history] == [record.logs for record in whole.result.history]


def test_mixing_is_for_training_alone(mixed, images, whole):
    logs = whole.result.history[-1].logs
    built = whole.built
    rows = images.split.validation
    outputs = np.asarray(built.core(images.inputs["input"][rows], training=False))
    right = outputs.argmax(axis=1) == images.targets["target"][rows]
    assert logs["val_accuracy"] == pytest.approx(right.mean())


def test_one_hot_vectors_train_as_class_indices_do(make_config, dataset, train):
    sparse = train(make_config(), dataset)
    one_hot = train(make_config(training={"loss": "categorical_crossentropy"}), dataset)
    for a, b in zip(sparse.weights, one_hot.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert sparse.result.history[-1].logs == pytest.approx(one_hot.result.history[-1].logs, rel=1e-4)


def test_class_weights_weigh_one_hot_vectors_as_class_indices(make_config, dataset, train):
    weights = {"class_weights": {"a": 1.0, "b": 3.0, "c": 0.5}}
    sparse = train(make_config(training=weights), dataset)
    one_hot = train(make_config(training={**weights, "loss": "categorical_crossentropy"}), dataset)
    for a, b in zip(sparse.weights, one_hot.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_mixed_example_has_the_weight_of_its_shares():
    weights = tf.constant([1.0, 3.0])
    np.testing.assert_allclose(class_weights_of(weights, tf.constant([[0.25, 0.75], [1.0, 0.0]])), [2.5, 1.0])
    np.testing.assert_allclose(class_weights_of(weights, tf.constant([1, 0])), [3.0, 1.0])


@pytest.mark.parametrize(
    "loss",
    [
        pytest.param({"CategoricalCrossentropy": {"label_smoothing": 0.1}}, marks=pytest.mark.slow),
        "CategoricalFocalCrossentropy",
        pytest.param({"CategoricalCrossentropy": {"from_logits": True}}, marks=pytest.mark.slow),
    ],
)
def test_losses_for_one_hot_vectors_train(loss, make_config, dataset, train):
    ends = "linear" if "from_logits" in str(loss) else "softmax"
    config = make_config(model={"layers": [{"Dense": {"units": 3, "activation": ends}}]}, training={"loss": loss})
    first, *_, last = (record.logs["loss"] for record in train(config, dataset).result.history)
    assert last < first
