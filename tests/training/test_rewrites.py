import keras
import numpy as np
import pytest
import tensorflow as tf

from dltool.training import rewrites
from dltool.training.rewrites import FUSED_ADAM, POOL_FIRST, possible_rewrites, rewritten

layers = keras.layers


def network(convolution=None, pooling=None, units=64, optimizer="adam", after=()):
    keras.utils.set_random_seed(0)
    inputs = layers.Input((12, 12, 3))
    convolution = convolution or layers.Conv2D(8, 3, activation="relu", bias_initializer="random_normal")
    outputs = (pooling or layers.MaxPooling2D(2))(convolution(inputs))
    for layer in after:
        outputs = layer(outputs)
    outputs = layers.Dense(5, activation="softmax")(layers.Dense(units)(layers.Flatten()(outputs)))
    model = keras.Model(inputs, outputs)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
    return model


def batch():
    generator = np.random.default_rng(0)
    return generator.normal(size=(16, 12, 12, 3)).astype("float32"), generator.integers(0, 5, 16)


def weights_after(model, steps, is_rewritten):
    data = batch()
    model._symbolic_build(data_batch=data)
    step = tf.function(lambda: model.train_step(data)["loss"], autograph=False)
    if is_rewritten:
        with rewritten(model):
            step()
    for _ in range(steps - is_rewritten):
        step()
    return [weight.numpy() for weight in model.variables]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_rewritten_steps_learn_what_keras_would(monkeypatch, optimizer):
    monkeypatch.setattr(rewrites, "LEAST_FUSED", 100)
    plain = weights_after(network(optimizer=optimizer), 5, is_rewritten=False)
    found = weights_after(network(optimizer=optimizer), 5, is_rewritten=True)
    for one, other in zip(plain, found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


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
