# ruff: noqa: T201 (a program that prints)
"""The script one would write after Keras's tutorials: arrays, compile, fit, evaluate."""

import sys

import keras
import numpy as np
from networks import loss, network

case, seed, epochs, batch_size, scale = sys.argv[1], *map(int, sys.argv[2:])
keras.utils.set_random_seed(seed)
with np.load("data.npz") as data:
    x_train, y_train, x_test, y_test = (data[name] for name in ("x_train", "y_train", "x_test", "y_test"))
if scale > 1:
    x_train, x_test = x_train.astype("float32") / scale, x_test.astype("float32") / scale

model = network(case, x_train.shape[1:])
model.compile(optimizer="adam", loss=loss(case), metrics=["accuracy"])
model.fit(x_train, y_train, batch_size=batch_size, epochs=epochs, validation_split=0.1, verbose=0)
print(model.evaluate(x_test, y_test, verbose=0)[1])
