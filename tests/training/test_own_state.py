"""State of one's own code that no checkpoint holds is found before training, at its line."""

from pathlib import Path

import pytest

CODE = """\
import itertools
import random
import keras
import numpy as np
import tensorflow as tf
from keras import ops

STEPS = keras.Variable(0.0, trainable=False, name="steps")
SEEDS = keras.random.SeedGenerator(3)
NUMBERS = np.random.default_rng(0)
COUNT = itertools.count()


class Box:
    def __init__(self):
        self.rate = keras.Variable(0.1, trainable=False, name="rate")


class Own(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls, self.box, self.generator = 0, Box(), tf.random.Generator.from_seed(1)
        self.kept = [keras.Variable(0.0, trainable=False, name="kept")]
        self.seeds = {"noise": keras.random.SeedGenerator(1)}

    def build(self, shape):
        self.held = tf.Variable(0.0, trainable=False, name="held")

    def count(self):
        self.calls += 1
        return self.calls

    def call(self, inputs, training=False):
        return BODY


class Annealed(keras.losses.Loss):
    def __init__(self, name="annealed", **kwargs):
        super().__init__(name=name, **kwargs)
        self.computed = keras.Variable(0.0, trainable=False, name="computed")

    def call(self, y_true, y_pred):
        self.computed.assign_add(1.0)
        return keras.losses.sparse_categorical_crossentropy(y_true, y_pred) * (1.0 + 0.05 * self.computed)


class Noisy(keras.metrics.Mean):
    def __init__(self, name="noisy", **kwargs):
        super().__init__(name=name, **kwargs)

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(ops.mean(y_pred))

    def result(self):
        return super().result() + tf.random.uniform(())
"""
CONFIG = """\
data: {source: iris, split: {test: 0.2}}
model: {layers: [Own, Dense: {units: 3, activation: softmax}]}
training: {optimizer: adam, loss: LOSS, metrics: [METRIC], epochs: 1}
"""
COUNTING = """\


class Counting(keras.metrics.Mean):
    def __init__(self, name="counting", **kwargs):
        super().__init__(name=name, **kwargs)
        self.epochs = 0

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(ops.mean(y_pred))

    def reset_state(self):
        super().reset_state()
        self.epochs += 1

    def result(self):
        return super().result() * self.epochs
"""
LOSS, METRIC = "sparse_categorical_crossentropy", "accuracy"
NORMAL = "inputs + keras.random.normal(ops.shape(inputs), seed="
REFUSED = {
    "a variable of the module": ("inputs * STEPS.assign_add(1.0)", 'the variable "steps" is part of no layer'),
    "a variable of a plain object": ("inputs * self.box.rate", 'the variable "rate" is part of no layer'),
    "a tf.Variable": ("inputs * self.held.assign_add(1.0)", 'the variable "held" is part of no layer'),
    "a seed generator of the module": (f"{NORMAL}SEEDS)", 'the variable "seed_generator_state" is part of no'),
    "a generator of TensorFlow": ("inputs + self.generator.normal((4,))", 'the variable "StateVar" is part of no'),
    "tf.random": ("inputs + tf.random.normal((4,))", "RandomStandardNormal may have state"),
    "tf.random in evaluation": (
        "inputs if training else inputs + tf.random.uniform((4,))",
        "RandomUniform may have state",
    ),
    "tf.random in a loop": ("tf.map_fn(tf.random.shuffle, inputs)", "RandomShuffle may have state"),
    "the clock": ("inputs + tf.cast(tf.timestamp(), tf.float32)", "Timestamp may have state"),
    "Python at run time": (
        "tf.ensure_shape(tf.numpy_function(lambda x: x, [inputs], tf.float32), inputs.shape)",
        "Python code that TensorFlow calls may have state",
    ),
    "a counter": ("inputs * self.count()", "a Python value that changes became a constant"),
    "a counter of the module": ("inputs * next(COUNT)", "a Python value that changes became a constant"),
    "NumPy's generator": ("inputs + np.random.normal(size=4)", "a Python value that changes became a constant"),
    "a generator of NumPy": ("inputs + NUMBERS.normal(size=4)", "a Python value that changes became a constant"),
    "Python's generator": (
        "inputs if random.random() < 2 else -inputs",
        "a number is drawn from the random generator of Python or NumPy once",
    ),
}
"""The body of the layer's `call`, and the beginning of the message."""
SAVED = {
    "a variable in a list": "inputs * (1 + 0.01 * self.kept[0].assign_add(1.0)) if training else inputs",
    "a seed generator in a mapping": f"{NORMAL}self.seeds['noise']) if training else inputs",
    "keras.random without a seed": f"{NORMAL}None) if training else inputs",
    "Python without state": "inputs * tf.reshape(tf.numpy_function(np.cos, [0.0], tf.float32, stateful=False), ())",
}


@pytest.fixture
def train(dltool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def train(body, loss=LOSS, metric=METRIC):
        Path("own.py").write_text(CODE.replace("BODY", body))
        Path("own.yaml").write_text(CONFIG.replace("LOSS", loss).replace("METRIC", metric))
        return dltool("train", "own.yaml", "--allow-code", "own.py", "--quiet")

    return train


def test_state_that_no_checkpoint_holds_is_refused_at_its_line(train, golden):
    body = f"(\n            {NORMAL}SEEDS)\n            + tf.random.normal((4,))\n            + self.count()\n        )"
    outcome = train(body, loss="Annealed", metric="Noisy")
    assert outcome.code == 2
    golden("bad-inputs/allowed-code/unsaved-state", outcome.stderr)
    assert not Path("runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", REFUSED)
def test_no_kind_of_state_is_lost_in_silence(train, kind):
    body, message = REFUSED[kind]
    outcome = train(body)
    assert outcome.code == 2
    assert f": {message}" in outcome.stderr.replace("TensorFlow's operation ", "")
    line = next(number for number, text in enumerate(CODE.splitlines(), 1) if "BODY" in text)
    assert f"own.py:{1 if 'is drawn' in message else line}:1: " in outcome.stderr
    assert not Path("runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", SAVED)
def test_state_that_a_checkpoint_holds_is_accepted(train, kind):
    assert train(SAVED[kind]).code == 0


@pytest.mark.slow
def test_a_metric_that_counts_epochs_in_python_is_refused(train, monkeypatch):
    monkeypatch.setitem(globals(), "CODE", CODE + COUNTING)
    outcome = train("inputs", metric="Counting")
    assert outcome.code == 2
    assert "return super().result() * self.epochs" in outcome.stderr


@pytest.mark.slow
def test_preprocessing_that_is_random_is_refused(train, dltool):
    assert train(f"{NORMAL}self.seeds['noise'])").code == 0
    outcome = dltool("train", "own.yaml", "--allow-code", "own.py", "--set", "data.preprocessing=[Own]")
    assert outcome.code == 2
    assert "data.preprocessing: preprocessing gives other values each time" in outcome.stderr
