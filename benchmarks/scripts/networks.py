"""The networks of the Keras scripts. The configs in benchmarks/cases.py have the same layers."""

import keras
from keras import layers


def network(case: str, shape: tuple[int, ...]) -> keras.Model:
    """Compiled later. `shape` is that of an input."""
    if case in ("mnist", "cifar10", "digits"):
        stack = [
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    elif case == "lstm":
        stack = [layers.Embedding(20_000, 32), layers.LSTM(32), layers.Dense(1, activation="sigmoid")]
    else:
        stack = [
            layers.Dense(64, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    return keras.Sequential([layers.Input(shape), *stack])


def loss(case: str) -> str:
    return "sparse_categorical_crossentropy" if case in ("mnist", "cifar10", "digits") else "binary_crossentropy"
