from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from dltool.training import rewrites
from dltool.training.rewrites import FUSED_ADAM, POOL_FIRST, possible_rewrites, rewritten

layers = keras.layers
SHAPE = (12, 12, 3)


def network(convolution=None, pooling=None, units=64, optimizer="adam", shape=SHAPE):
    keras.utils.set_random_seed(0)
    inputs = layers.Input(shape)
    convolution = convolution or layers.Conv2D(8, 3, activation="relu", bias_initializer="random_normal")
    outputs = (pooling or layers.MaxPooling2D(2))(convolution(inputs))
    outputs = layers.Dense(5, activation="softmax")(layers.Dense(units)(layers.Flatten()(outputs)))
    model = keras.Model(inputs, outputs)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
    return model


def batch(shape=SHAPE):
    generator = np.random.default_rng(0)
    return generator.normal(size=(16, *shape)).astype("float32"), generator.integers(0, 5, 16)


def weights_after(model, steps, is_rewritten):
    data = batch(model.input_shape[1:])
    model._symbolic_build(data_batch=data)
    step = tf.function(lambda: model.train_step(data)["loss"], autograph=False)
    if is_rewritten:
        with rewritten(model):
            step()
    for _ in range(steps - is_rewritten):
        step()
    return [weight.numpy() for weight in model.variables]


def assert_rewritten_alike(make):
    plain, found = (weights_after(make(), 5, is_rewritten) for is_rewritten in (False, True))
    for one, other in zip(plain, found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def slow(name: str, *values: Any) -> Any:
    return pytest.param(*values, id=name, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "make",
    [
        slow("sgd", lambda: "sgd"),
        slow(
            "accumulating",
            lambda: keras.optimizers.Adam(beta_1=0.8, beta_2=0.9, epsilon=1e-3, gradient_accumulation_steps=2),
        ),
        pytest.param(
            lambda: keras.optimizers.Adam(
                keras.optimizers.schedules.ExponentialDecay(0.01, 2, 0.5), clipnorm=0.1, weight_decay=0.01
            ),
            id="clipping, decay",
        ),
        slow(
            "average",
            lambda: keras.optimizers.AdamW(use_ema=True, ema_overwrite_frequency=2, global_clipnorm=0.5),
        ),
        pytest.param(lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()), id="loss scale"),
    ],
)
def test_rewritten_steps_learn_what_keras_would(monkeypatch, make):
    monkeypatch.setattr(rewrites, "LEAST_FUSED", 100)
    assert_rewritten_alike(lambda: network(optimizer=make()))


@pytest.mark.parametrize(
    ("shape", "convolution", "options", "pooling", "how"),
    [
        pytest.param(
            *(SHAPE, layers.Conv2D, {"dilation_rate": 2, "groups": 3, "padding": "same"}),
            *(layers.MaxPooling2D, (3, 2)),
            id="2D",
        ),
        slow(
            *("2D without bias", SHAPE, layers.Conv2D, {"strides": 2, "use_bias": False}),
            *(layers.MaxPooling2D, (2, None)),
        ),
        slow("1D", (12, 3), layers.Conv1D, {"kernel_constraint": "max_norm"}, layers.MaxPooling1D, (3, 1)),
        slow("3D", (6, 6, 6, 3), layers.Conv3D, {"kernel_regularizer": "l2"}, layers.MaxPooling3D, (2, None)),
    ],
)
def test_convolutions_of_all_kinds_learn_what_keras_would(shape, convolution, options, pooling, how):
    def make():
        layer = convolution(9, 3, activation="relu", **options)
        return network(layer, pooling(*how, padding="same"), optimizer="sgd", shape=shape)

    assert POOL_FIRST in possible_rewrites(make())
    assert_rewritten_alike(make)


def test_both_are_found_and_nothing_stays_changed():
    model = network(units=500)
    assert possible_rewrites(model) == (POOL_FIRST, FUSED_ADAM)
    before = model(batch()[0]).numpy()
    with rewritten(model):
        assert any("call" in vars(layer) for layer in model.layers)
        assert "update_step" in vars(model.optimizer)
    assert not any("call" in vars(layer) for layer in model.layers)
    assert "update_step" not in vars(model.optimizer)
    np.testing.assert_array_equal(model(batch()[0]).numpy(), before)


@pytest.mark.parametrize(
    ("convolution", "pooling"),
    [
        (layers.Conv2D(8, 3, activation="gelu"), layers.MaxPooling2D(2)),
        (layers.Conv2D(8, 3, activation="relu", activity_regularizer="l2"), layers.MaxPooling2D(2)),
        (layers.Conv2D(8, 3, activation="relu"), layers.AveragePooling2D(2)),
        (layers.Conv2D(8, 3, activation="relu", dtype="mixed_bfloat16"), layers.MaxPooling2D(2)),
        (layers.SeparableConv2D(8, 3, activation="relu"), layers.MaxPooling2D(2)),
    ],
    ids=["gelu falls", "regularized", "averages", "precisions", "separable"],
)
def test_only_what_gives_the_same_is_rewritten(convolution, pooling):
    assert rewrites.pooled_convolutions(network(convolution, pooling)) == []


def test_a_causal_convolution_is_left_to_keras():
    convolution = layers.Conv1D(8, 3, padding="causal", activation="relu")
    assert rewrites.pooled_convolutions(network(convolution, layers.MaxPooling1D(2), shape=(12, 3))) == []


def test_an_output_that_others_take_too_is_not_rewritten():
    inputs = layers.Input((12, 12, 3))
    convolved = layers.Conv2D(8, 3, activation="relu")(inputs)
    pooled = layers.MaxPooling2D(2)(convolved)
    assert rewrites.pooled_convolutions(keras.Model(inputs, [pooled, convolved])) == []
    assert rewrites.pooled_convolutions(keras.Model(inputs, [pooled, layers.Flatten()(convolved)])) == []
    assert len(rewrites.pooled_convolutions(keras.Model(inputs, pooled))) == 1


def test_small_variables_and_amsgrad_are_left_to_keras():
    assert possible_rewrites(network(units=8)) == (POOL_FIRST,)
    assert possible_rewrites(network(units=500, optimizer=keras.optimizers.Adam(amsgrad=True))) == (POOL_FIRST,)
    assert possible_rewrites(network(units=500, optimizer="sgd")) == (POOL_FIRST,)
