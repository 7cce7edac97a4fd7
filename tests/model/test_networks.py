"""Well-known networks in YAML, and the same ones written by hand in Keras: layers, parameters and outputs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as kl

from dltool.config.load import build_config, read_document
from dltool.data.facts import Facts
from dltool.model.build import build_model

Network = tuple[str, tuple[int, ...], Callable[[Any], Any]]


def lenet(x: Any) -> Any:
    x = kl.Conv2D(6, 5, padding="same", activation="tanh")(x)
    x = kl.AveragePooling2D(2)(x)
    x = kl.Conv2D(16, 5, activation="tanh")(x)
    x = kl.AveragePooling2D(2)(x)
    x = kl.Flatten()(x)
    x = kl.Dense(120, activation="tanh")(x)
    x = kl.Dense(84, activation="tanh")(x)
    return kl.Dense(10, activation="softmax")(x)


LENET = """
layers:
  - Conv2D: {filters: 6, kernel_size: 5, padding: same, activation: tanh}
  - AveragePooling2D: 2
  - Conv2D: {filters: 16, kernel_size: 5, activation: tanh}
  - AveragePooling2D: 2
  - Flatten
  - Dense: {units: 120, activation: tanh}
  - Dense: {units: 84, activation: tanh}
  - Dense: {units: 10, activation: softmax}
"""


def vgg(x: Any) -> Any:
    for filters, count in ((8, 1), (16, 2), (32, 2)):
        for _ in range(count):
            x = kl.Conv2D(filters, 3, padding="same", activation="relu", kernel_initializer="he_normal")(x)
        x = kl.MaxPooling2D(2)(x)
    x = kl.Flatten()(x)
    for _ in range(2):
        x = kl.Dense(64, activation="relu", kernel_regularizer=keras.regularizers.L2(5e-4))(x)
        x = kl.Dropout(0.5)(x)
    return kl.Dense(10, activation="softmax")(x)


VGG = """
blocks:
  stage:
    parameters: {filters: , count: 2}
    layers:
      - repeat:
          times: $count
          layers:
            - Conv2D:
                {filters: $filters, kernel_size: 3, padding: same, activation: relu, kernel_initializer: he_normal}
      - MaxPooling2D: 2
layers:
  - stage: {filters: 8, count: 1}
  - stage: 16
  - stage: 32
  - Flatten
  - repeat:
      times: 2
      layers:
        - Dense: {units: 64, activation: relu, kernel_regularizer: {L2: 5e-4}}
        - Dropout: 0.5
  - Dense: {units: 10, activation: softmax}
"""


def resnet(x: Any) -> Any:
    def convolution(x: Any, filters: int, strides: int = 1) -> Any:
        x = kl.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
        return kl.BatchNormalization()(x)

    x = kl.Activation("relu")(convolution(x, 4))
    for stage in range(3):
        for block in range(2):
            filters, strides = 4 * 2**stage, 2 if stage and not block else 1
            main = kl.Activation("relu")(convolution(x, filters, strides))
            main = convolution(main, filters)
            if strides == 2:
                x = kl.BatchNormalization()(kl.Conv2D(filters, 1, strides=2, use_bias=False)(x))
            x = kl.Activation("relu")(kl.Add()([x, main]))
    x = kl.GlobalAveragePooling2D()(x)
    return kl.Dense(10, activation="softmax")(x)


RESNET = """
blocks:
  convolution:
    parameters: {filters: , strides: 1}
    layers:
      - Conv2D: {filters: $filters, kernel_size: 3, strides: $strides, padding: same, use_bias: false}
      - BatchNormalization
  identity:
    parameters: {filters: }
    layers:
      - convolution: $filters
      - Activation: relu
      - convolution: {filters: $filters, name: main}
      - Add: {from: [input, main]}
      - Activation: relu
  down:
    parameters: {filters: }
    layers:
      - convolution: {filters: $filters, strides: 2}
      - Activation: relu
      - convolution: {filters: $filters, name: main}
      - Conv2D: {filters: $filters, kernel_size: 1, strides: 2, use_bias: false, from: input}
      - BatchNormalization: {name: short}
      - Add: {from: [short, main]}
      - Activation: relu
layers:
  - convolution: 4
  - Activation: relu
  - repeat: {times: 2, layers: [identity: 4]}
  - repeat: {times: 2, layers: [down: $(8 * 2 ** index), identity: $(8 * 2 ** index)]}
  - GlobalAveragePooling2D
  - Dense: {units: 10, activation: softmax}
"""


def densenet(x: Any) -> Any:
    x = kl.Conv2D(8, 3, padding="same")(x)
    for _ in range(3):
        new = kl.BatchNormalization()(x)
        new = kl.ReLU()(new)
        new = kl.Conv2D(4, 3, padding="same")(new)
        x = kl.Concatenate()([x, new])
    x = kl.GlobalAveragePooling2D()(x)
    return kl.Dense(10, activation="softmax")(x)


DENSENET = """
blocks:
  dense:
    parameters: {growth: 4}
    layers:
      - BatchNormalization
      - ReLU
      - Conv2D: {filters: $growth, kernel_size: 3, padding: same, name: new}
      - Concatenate: {from: [input, new]}
layers:
  - Conv2D: {filters: 8, kernel_size: 3, padding: same}
  - repeat: {times: 3, layers: [dense]}
  - GlobalAveragePooling2D
  - Dense: {units: 10, activation: softmax}
"""


def inception(x: Any) -> Any:
    x = kl.Conv2D(8, 3, padding="same", activation="relu")(x)
    for width in (4, 8):
        one = kl.Conv2D(width, 1, activation="relu")(x)
        three = kl.Conv2D(width, 1, activation="relu")(x)
        three = kl.Conv2D(width, 3, padding="same", activation="relu")(three)
        pool = kl.MaxPooling2D(3, strides=1, padding="same")(x)
        pool = kl.Conv2D(width, 1, activation="relu")(pool)
        x = kl.Concatenate()([one, three, pool])
    x = kl.GlobalAveragePooling2D()(x)
    return kl.Dense(10, activation="softmax")(x)


INCEPTION = """
blocks:
  inception:
    parameters: {width: }
    layers:
      - Conv2D: {filters: $width, kernel_size: 1, activation: relu, name: one}
      - Conv2D: {filters: $width, kernel_size: 1, activation: relu, from: input}
      - Conv2D: {filters: $width, kernel_size: 3, padding: same, activation: relu, name: three}
      - MaxPooling2D: {pool_size: 3, strides: 1, padding: same, from: input}
      - Conv2D: {filters: $width, kernel_size: 1, activation: relu, name: pool}
      - Concatenate: {from: [one, three, pool]}
layers:
  - Conv2D: {filters: 8, kernel_size: 3, padding: same, activation: relu}
  - inception: 4
  - inception: 8
  - GlobalAveragePooling2D
  - Dense: {units: 10, activation: softmax}
"""


def mobilenet(x: Any) -> Any:
    x = kl.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    for filters, strides in ((16, 1), (32, 2), (32, 1)):
        x = kl.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(x)
        x = kl.BatchNormalization()(x)
        x = kl.ReLU(max_value=6)(x)
        x = kl.Conv2D(filters, 1, use_bias=False)(x)
        x = kl.BatchNormalization()(x)
        x = kl.ReLU(max_value=6)(x)
    x = kl.GlobalAveragePooling2D()(x)
    return kl.Dense(10, activation="softmax")(x)


MOBILENET = """
blocks:
  normal:
    layers:
      - BatchNormalization
      - ReLU: 6
  separable:
    parameters: {filters: 32, strides: 1}
    layers:
      - DepthwiseConv2D: {kernel_size: 3, strides: $strides, padding: same, use_bias: false}
      - normal
      - Conv2D: {filters: $filters, kernel_size: 1, use_bias: false}
      - normal
layers:
  - Conv2D: {filters: 8, kernel_size: 3, strides: 2, padding: same, use_bias: false}
  - separable: 16
  - separable: {strides: 2}
  - separable
  - GlobalAveragePooling2D
  - Dense: {units: 10, activation: softmax}
"""


def squeeze(x: Any) -> Any:
    x = kl.Conv2D(16, 3, padding="same", activation="relu")(x)
    for _ in range(2):
        scale = kl.GlobalAveragePooling2D(keepdims=True)(x)
        scale = kl.Dense(4, activation="relu")(scale)
        scale = kl.Dense(16, activation="sigmoid")(scale)
        x = kl.Multiply()([x, scale])
    x = kl.Flatten()(x)
    return kl.Dense(10, activation="softmax")(x)


SQUEEZE = """
blocks:
  squeeze_and_excite:
    parameters: {channels: 16, ratio: 4}
    layers:
      - GlobalAveragePooling2D: {keepdims: true}
      - Dense: {units: $(channels // ratio), activation: relu}
      - Dense: {units: $channels, activation: sigmoid, name: scale}
      - Multiply: {from: [input, scale]}
layers:
  - Conv2D: {filters: 16, kernel_size: 3, padding: same, activation: relu}
  - repeat: {times: 2, layers: [squeeze_and_excite]}
  - Flatten
  - Dense: {units: 10, activation: softmax}
"""


def unet(x: Any) -> Any:
    def double(x: Any, filters: int) -> Any:
        x = kl.Conv2D(filters, 3, padding="same", activation="relu")(x)
        return kl.Conv2D(filters, 3, padding="same", activation="relu")(x)

    first = double(x, 4)
    second = double(kl.MaxPooling2D(2)(first), 8)
    x = double(kl.MaxPooling2D(2)(second), 16)
    for filters, skip in ((8, second), (4, first)):
        x = kl.Conv2DTranspose(filters, 2, strides=2)(x)
        x = double(kl.Concatenate()([skip, x]), filters)
    return kl.Conv2D(2, 1, activation="softmax")(x)


UNET = """
blocks:
  double:
    parameters: {filters: }
    layers:
      - repeat:
          times: 2
          layers: [Conv2D: {filters: $filters, kernel_size: 3, padding: same, activation: relu}]
  up:
    parameters: {filters: , skip: }
    layers:
      - Conv2DTranspose: {filters: $filters, kernel_size: 2, strides: 2, name: larger}
      - Concatenate: {from: [$skip, larger]}
      - double: $filters
layers:
  - double: {filters: 4, name: first}
  - MaxPooling2D: 2
  - double: {filters: 8, name: second}
  - MaxPooling2D: 2
  - double: 16
  - up: {filters: 8, skip: second}
  - up: {filters: 4, skip: first}
  - Conv2D: {filters: 2, kernel_size: 1, activation: softmax}
"""


def twins(x: Any) -> Any:
    encoder, norm = kl.Dense(8, activation="relu"), kl.BatchNormalization()
    left, right = kl.Dense(6)(x), kl.Dense(6)(x)
    left, right = norm(encoder(left)), norm(encoder(right))
    return kl.Dense(10, activation="softmax")(kl.Subtract()([left, right]))


TWINS = """
layers:
  - Dense: {units: 6, name: left}
  - Dense: {units: 6, name: right, from: input}
  - Dense: {units: 8, activation: relu, name: encoder, from: left}
  - BatchNormalization: {name: norm}
  - encoder: {from: right}
  - norm: {name: other}
  - Subtract: {from: [norm, other]}
  - Dense: {units: 10, activation: softmax}
"""


def recurrent(x: Any) -> Any:
    x = kl.Embedding(50, 8)(x)
    x = kl.Bidirectional(kl.LSTM(6, return_sequences=True))(x)
    x = kl.RNN([kl.GRUCell(5), kl.LSTMCell(4)])(x)
    return kl.Dense(10, activation=kl.LeakyReLU(0.1))(x)


RECURRENT = """
layers:
  - Embedding: {input_dim: 50, output_dim: 8}
  - Bidirectional: {layer: {LSTM: {units: 6, return_sequences: true}}}
  - RNN: {cell: [GRUCell: 5, LSTMCell: 4]}
  - Dense: {units: 10, activation: {LeakyReLU: 0.1}}
"""


def transformer(x: Any) -> Any:
    x = kl.Embedding(50, 8)(x)
    for _ in range(2):
        attended = kl.MultiHeadAttention(2, 4)(x, x)
        x = kl.LayerNormalization(epsilon=1e-6)(kl.Add()([x, attended]))
        wide = kl.Dense(16, activation="gelu")(x)
        wide = kl.Dense(8)(wide)
        x = kl.LayerNormalization(epsilon=1e-6)(kl.Add()([x, wide]))
    x = kl.GlobalAveragePooling1D()(x)
    return kl.Dense(10, activation="softmax")(x)


TRANSFORMER = """
blocks:
  encoder:
    parameters: {width: 8, heads: 2}
    layers:
      - MultiHeadAttention: {num_heads: $heads, key_dim: $(width // heads), from: [input, input], name: attended}
      - Add: {from: [input, attended]}
      - LayerNormalization: {epsilon: 1e-6, name: middle}
      - Dense: {units: $(2 * width), activation: gelu}
      - Dense: {units: $width, name: wide}
      - Add: {from: [middle, wide]}
      - LayerNormalization: {epsilon: 1e-6}
layers:
  - Embedding: {input_dim: 50, output_dim: 8}
  - repeat: {times: 2, layers: [encoder]}
  - GlobalAveragePooling1D
  - Dense: {units: 10, activation: softmax}
"""


def wavenet(x: Any) -> Any:
    for level in range(3):
        gate = kl.Conv1D(4, 2, dilation_rate=2**level, padding="causal", activation="sigmoid")(x)
        wave = kl.Conv1D(4, 2, dilation_rate=2**level, padding="causal", activation="tanh")(x)
        x = kl.Multiply()([gate, wave])
        x = kl.TimeDistributed(kl.Dense(4))(x)
    return kl.Dense(10, activation="softmax")(kl.GlobalMaxPooling1D()(x))


WAVENET = """
blocks:
  gated:
    parameters: {rate: }
    layers:
      - Conv1D: {filters: 4, kernel_size: 2, dilation_rate: $rate, padding: causal, activation: sigmoid, name: gate}
      - Conv1D:
          {filters: 4, kernel_size: 2, dilation_rate: $rate, padding: causal, activation: tanh, from: input, name: wave}
      - Multiply: {from: [gate, wave]}
      - TimeDistributed: {layer: {Dense: 4}}
layers:
  - repeat: {times: 3, layers: [gated: $(2 ** index)]}
  - GlobalMaxPooling1D
  - Dense: {units: 10, activation: softmax}
"""


def autoencoder(x: Any) -> Any:
    for units in (32, 16, 4):
        x = kl.Dense(units, activation="elu", kernel_constraint=keras.constraints.MaxNorm(2))(x)
    for units in (16, 32):
        x = kl.Dense(units, activation="elu", kernel_constraint=keras.constraints.MaxNorm(2))(x)
    return kl.Dense(64, activation="sigmoid")(x)


AUTOENCODER = """
blocks:
  layer:
    parameters: {units: }
    layers: [Dense: {units: $units, activation: elu, kernel_constraint: {MaxNorm: 2}}]
layers:
  - layer: 32
  - layer: 16
  - layer: 4
  - layer: 16
  - layer: 32
  - Dense: {units: 64, activation: sigmoid}
"""

NETWORKS: dict[str, Network] = {
    "LeNet-5": (LENET, (28, 28, 1), lenet),
    "VGG": (VGG, (16, 16, 3), vgg),
    "ResNet": (RESNET, (16, 16, 3), resnet),
    "DenseNet": (DENSENET, (8, 8, 3), densenet),
    "Inception": (INCEPTION, (8, 8, 3), inception),
    "MobileNet": (MOBILENET, (16, 16, 3), mobilenet),
    "Squeeze-and-Excitation": (SQUEEZE, (8, 8, 3), squeeze),
    "U-Net": (UNET, (16, 16, 1), unet),
    "twins that share layers": (TWINS, (5,), twins),
    "recurrent": (RECURRENT, (7,), recurrent),
    "Transformer": (TRANSFORMER, (7,), transformer),
    "WaveNet": (WAVENET, (12, 2), wavenet),
    "autoencoder": (AUTOENCODER, (64,), autoencoder),
}
REST = """
data: {source: digits}
training: {optimizer: adam, loss: mean_squared_error, epochs: 1}
"""


def built(text: str, facts: Facts, folder: Path) -> keras.Model:
    path = folder / "network.yaml"
    path.write_text("model:\n" + "\n".join(f"  {line}" for line in text.splitlines()) + REST, encoding="utf-8")
    return build_model(build_config(read_document(path), facts.names()), facts).core


def kinds(model: keras.Model) -> list[tuple[str, tuple[int, ...]]]:
    layers = [layer for layer in model.layers if not isinstance(layer, kl.InputLayer)]
    return [(type(layer).__name__, tuple(weight.shape for weight in layer.weights)) for layer in layers]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.slow
def test_the_network_is_the_one_that_was_written_by_hand(name, make_facts, tmp_path) -> None:
    text, shape, function = NETWORKS[name]
    dtype = "int32" if "Embedding" in text else "float32"
    ours = built(text, make_facts(shape, dtype), tmp_path)
    start = keras.Input(shape, dtype=dtype)
    theirs = keras.Model(start, function(start))
    assert kinds(ours) == kinds(theirs)
    assert ours.count_params() == theirs.count_params()
    generator = np.random.default_rng(0)
    theirs.set_weights([generator.normal(0, 0.3, weight.shape) ** 2 for weight in theirs.get_weights()])
    ours.set_weights(theirs.get_weights())
    examples = generator.integers(0, 50, (3, *shape)) if dtype == "int32" else generator.normal(0, 1, (3, *shape))
    np.testing.assert_array_equal(ours(examples.astype(dtype)), theirs(examples.astype(dtype)))
