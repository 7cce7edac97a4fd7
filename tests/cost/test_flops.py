"""The formulas against TensorFlow's own count of a compiled graph."""

import math
from typing import Any

import keras
import pytest
import tensorflow as tf
from keras import layers

from dltool.cost.flops import FORMULAS, forward_flops
from dltool.keras_names import OWN, find, names


def counted_by_tensorflow(model: keras.Model) -> int:
    """Floating-point operations of the forward graph for one example."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    specs = [tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype) for tensor in model.inputs]
    forward = tf.function(lambda *inputs: model(list(inputs) if len(inputs) > 1 else inputs[0], training=False))
    frozen = convert_variables_to_constants_v2(forward.get_concrete_function(*specs))
    options = tf.compat.v1.profiler.ProfileOptionBuilder(tf.compat.v1.profiler.ProfileOptionBuilder.float_operation())
    found = tf.compat.v1.profiler.profile(frozen.graph, options=options.with_empty_output().build())
    return int(found.total_float_ops) + sum(einsum_flops(op) for op in frozen.graph.get_operations())


def einsum_flops(op: Any) -> int:
    """TensorFlow's profiler has no rule for its own Einsum."""
    if op.type != "Einsum":
        return 0
    terms = op.get_attr("equation").decode().split("->")[0].split(",")
    sizes = {
        axis: size for term, x in zip(terms, op.inputs, strict=True) for axis, size in zip(term, x.shape, strict=True)
    }
    return 2 * math.prod(sizes.values())


def chain(shape: tuple[int, ...], *steps: Any, dtype: str = "float32") -> keras.Model:
    return keras.Sequential([keras.Input(shape, dtype=dtype), *steps])


def residual() -> keras.Model:
    start = keras.Input((16, 16, 3))
    wide = layers.Conv2D(16, 3, padding="same", use_bias=False)(start)
    branch = layers.ReLU()(layers.BatchNormalization()(wide))
    branch = layers.Conv2D(16, 3, padding="same")(branch)
    merged = layers.Add()([wide, branch])
    return keras.Model(start, layers.Dense(10, "softmax")(layers.GlobalAveragePooling2D()(merged)))


def u_shape() -> keras.Model:
    start = keras.Input((16, 16, 1))
    down = layers.Conv2D(8, 3, padding="same", activation="relu")(start)
    low = layers.Conv2D(16, 3, padding="same", activation="relu")(layers.MaxPooling2D()(down))
    up = layers.Conv2DTranspose(8, 2, strides=2)(low)
    return keras.Model(start, layers.Conv2D(1, 1, activation="sigmoid")(layers.Concatenate()([up, down])))


def encoder() -> keras.Model:
    start = keras.Input((12,), dtype="int32")
    words = layers.Embedding(50, 32)(start)
    heads = layers.MultiHeadAttention(4, 8)(words, words)
    words = layers.LayerNormalization()(layers.Add()([words, heads]))
    wide = layers.Dense(32)(layers.Dense(64, "gelu")(words))
    pooled = layers.GlobalAveragePooling1D()(layers.Add()([words, wide]))
    return keras.Model(start, layers.Dense(2, "softmax")(pooled))


def attending() -> keras.Model:
    query, value = keras.Input((9, 16)), keras.Input((7, 16))
    return keras.Model([query, value], layers.Attention()([query, value]))


def grouped_attention() -> keras.Model:
    start = keras.Input((12, 32))
    return keras.Model(start, layers.GroupQueryAttention(8, 4, 2)(start, start))


def nested() -> keras.Model:
    start = keras.Input((16, 16, 3))
    return keras.Model(start, layers.Dense(4)(layers.Flatten()(u_shape()(layers.Conv2D(1, 1)(start)))))


def shared() -> keras.Model:
    left, right, tower = keras.Input((20,)), keras.Input((20,)), layers.Dense(30)
    return keras.Model([left, right], layers.Dot(1)([tower(left), tower(right)]))


NETWORKS = {
    "dense": lambda: chain((20,), layers.Dense(64, "relu"), layers.Dense(10, "softmax")),
    "dense over steps": lambda: chain((5, 20), layers.Dense(64, use_bias=False)),
    "convolutions": lambda: chain(
        (28, 28, 1), layers.Conv2D(8, 3, strides=2), layers.MaxPooling2D(), layers.Conv2D(16, 3)
    ),
    "convolution in one dimension": lambda: chain((40, 6), layers.Conv1D(12, 5, padding="same", dilation_rate=2)),
    "convolution in three dimensions": lambda: chain((8, 8, 8, 2), layers.Conv3D(6, 3), layers.AveragePooling3D(2)),
    "depthwise and separable": lambda: chain(
        (20, 20, 6), layers.DepthwiseConv2D(3, depth_multiplier=2), layers.SeparableConv2D(16, 3, strides=2)
    ),
    "transposed": lambda: chain((8, 8, 12), layers.Conv2DTranspose(6, 3, strides=2, padding="same")),
    "residual": residual,
    "u shape": u_shape,
    "LSTM": lambda: chain((6, 24), layers.LSTM(40, unroll=True), layers.Dense(3)),
    "GRU both ways": lambda: chain((6, 24), layers.Bidirectional(layers.GRU(40, unroll=True)), layers.Dense(3)),
    "simple recurrence": lambda: chain((6, 24), layers.SimpleRNN(40, unroll=True)),
    "transformer encoder": encoder,
    "attention": attending,
    "attention in groups": grouped_attention,
    "einsum": lambda: chain((5, 12), layers.EinsumDense("abc,cde->abde", (5, 4, 6), bias_axes="de")),
    "time distributed": lambda: chain((5, 8, 8, 3), layers.TimeDistributed(layers.Conv2D(4, 3))),
    "a model in a model": nested,
    "one layer used twice": shared,
    "MobileNet": lambda: keras.applications.MobileNet((32, 32, 3), alpha=0.25, weights=None, classes=10),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.slow
def test_the_count_is_that_of_tensorflow(name):
    keras.backend.clear_session()
    model = NETWORKS[name]()
    ours, theirs = forward_flops(model), counted_by_tensorflow(model)
    print(name, ours, theirs)
    # TensorFlow counts no relu, tanh and sigmoid, and other sums than ours in normalizations.
    assert ours == pytest.approx(theirs, rel=0.02)


@pytest.mark.parametrize("name", ["ConvNeXtTiny", "EfficientNetV2B0", "DenseNet121"])
@pytest.mark.slow
def test_backbones_of_every_kind_have_a_count(name):
    backbone = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(64, 64, 3))
    assert forward_flops(backbone) == pytest.approx(counted_by_tensorflow(backbone), rel=0.05)


def test_every_layer_that_a_model_may_have_has_a_formula():
    known = {find("layer", name).means for name in names("layer") if name not in OWN["layer"]}  # type: ignore[union-attr]
    changing = {name for name in known if name.startswith("Random") or find("layer", name).refusal}  # type: ignore[union-attr]
    augmenting = {"AugMix", "AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization", "CutMix", "Equalization"}
    augmenting |= {"MaxNumBoundingBoxes", "MixUp", "Pipeline", "RandAugment", "Solarization"}
    cells = {"GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells"}
    assert known - changing - augmenting - cells == FORMULAS.keys()


def test_a_recurrent_layer_counts_every_step_without_being_unrolled():
    few, many = (forward_flops(chain((steps, 24), layers.LSTM(40))) for steps in (6, 60))
    assert few is not None
    assert many == 10 * few


def test_layers_of_the_users_own_and_sizes_that_vary_have_no_count():
    class Own(layers.Dense):  # type: ignore[misc]
        pass

    assert forward_flops(Own(3), [(4,)], (3,)) is None
    assert forward_flops(layers.ReLU(), [(None, 4)], (None, 4)) is None
    assert forward_flops(chain((4,), Own(3))) is None


def test_a_dense_layer_counts_products_sums_bias_and_activation():
    assert forward_flops(layers.Dense(10, "relu"), [(20,)], (10,)) == 2 * 20 * 10 + 10 + 10
    assert forward_flops(layers.Embedding(5, 3), [(7,)], (7, 3)) == 0


def test_a_convolution_in_groups_counts_the_channels_of_its_group_and_pooling_its_window():
    # TensorFlow compiles it apart, and counts nothing.
    assert forward_flops(chain((6, 6, 8), layers.Conv2D(16, 3, groups=4))) == 4 * 4 * 16 * (2 * 9 * 2 + 1)
    assert forward_flops(layers.MaxPooling2D(2), [(8, 8, 3)], (4, 4, 3)) == 4 * 48
