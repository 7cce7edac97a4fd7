# ruff: noqa: T201 (a program that prints)
"""The same script, tuned by hand: a cached and prefetched tf.data pipeline, and many steps in one execution."""

import sys

import keras
import numpy as np
import tensorflow as tf
from networks import loss, network

case, seed, epochs, batch_size, scale = sys.argv[1], *map(int, sys.argv[2:])
keras.utils.set_random_seed(seed)
with np.load("data.npz") as data:
    x_train, y_train, x_test, y_test = (data[name] for name in ("x_train", "y_train", "x_test", "y_test"))
held_out = len(x_train) // 10


def batches(inputs: np.ndarray, targets: np.ndarray, *, is_shuffled: bool) -> tf.data.Dataset:
    found = tf.data.Dataset.from_tensor_slices((inputs, targets)).cache()
    if is_shuffled:
        found = found.shuffle(len(inputs))
    found = found.batch(batch_size)
    if scale > 1:
        found = found.map(lambda x, y: (tf.cast(x, tf.float32) / scale, y), num_parallel_calls=tf.data.AUTOTUNE)
    return found.prefetch(tf.data.AUTOTUNE)


model = network(case, x_train.shape[1:])
steps = -(-(len(x_train) - held_out) // batch_size)
model.compile(
    optimizer=keras.optimizers.Adam(), loss=loss(case), metrics=["accuracy"], steps_per_execution=min(32, steps)
)
model.fit(
    batches(x_train[:-held_out], y_train[:-held_out], is_shuffled=True),
    epochs=epochs,
    validation_data=batches(x_train[-held_out:], y_train[-held_out:], is_shuffled=False),
    verbose=0,
)
print(model.evaluate(batches(x_test, y_test, is_shuffled=False), verbose=0)[1])
