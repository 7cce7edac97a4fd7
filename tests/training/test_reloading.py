"""A model with one's own layers is the same after Keras has saved and loaded it, or is refused before training."""

from pathlib import Path

import keras
import pytest

CODE = """\
import keras
import numpy as np
from keras import ops


class Constant(keras.initializers.Initializer):
    def __init__(self, value=2.0):
        self.value = value

    def __call__(self, shape, dtype=None):
        return ops.full(shape, self.value, dtype)

    def get_config(self):
        return {"value": self.value}


class Scale(keras.layers.Layer):
    def __init__(self, factor: float = 3.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        INIT

    def call(self, inputs):
        return inputs * self.factor

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {**super().get_config()CONFIG}


class Gain(keras.layers.Layer):
    def __init__(self, start=None, **kwargs):
        super().__init__(**kwargs)
        self.start = start or Constant(3.0)
        self.inner = keras.layers.Dense(4)

    def build(self, shape):
        self.gain = self.add_weight(shape=(shape[-1],), initializer=self.start, name="gain")

    def call(self, inputs):
        return self.inner(inputs * self.gain)

    def get_config(self):
        return {**super().get_config(), "start": keras.saving.serialize_keras_object(self.start)}
"""
CONFIG = """\
data: {source: iris, split: {test: 0.2}}
model: {layers: [LAYERS, Dense: {units: 3, activation: softmax}]}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, epochs: 1}
"""
KEPT, OTHER = ', "factor": self.factor', "model.keras would give other outputs than the model: Scale holds something"
UNSAVED = {
    "an argument that is left out": ("{Scale: 2.0}", "", "", "a saved model would lose factor of Scale"),
    "a changed argument": ("{Scale: 2.0}", "self.factor = 2 * factor", KEPT, "a saved model would change factor of"),
    "a changed default": ("Scale", "self.factor = 2 * factor", KEPT, OTHER),
    "a random attribute": ("Scale", "self.factor = np.random.normal()", "", OTHER),
    "inside another layer": (
        "{Reshape: {target_shape: [4, 1]}}, {TimeDistributed: {layer: Scale}}, Flatten",
        "self.factor = 2 * factor",
        KEPT,
        OTHER,
    ),
    "a get_config that fails": ("Scale", "", ", **self.missing", "Scale cannot be saved in a model and loaded again"),
    "a default that is left out": ("Scale", "", "", ""),
    "an own initializer and a layer": ("Gain", "", "", ""),
    "an argument that is an initializer": ("{Gain: zeros}", "", "", ""),
}
"""Layers of the model, a line of `__init__`, the end of `get_config`, and a message, empty if nothing is wrong."""
PARAMETERS = [kind if kind == "a random attribute" else pytest.param(kind, marks=pytest.mark.slow) for kind in UNSAVED]


@pytest.mark.parametrize("kind", PARAMETERS)
def test_a_model_that_keras_would_load_as_another_is_refused(dltool, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    layers, line, config, message = UNSAVED[kind]
    Path("own.py").write_text(CODE.replace("INIT", line).replace("CONFIG", config))
    Path("own.yaml").write_text(CONFIG.replace("LAYERS", layers))
    outcome = dltool("train", "own.yaml", "--allow-code", "own.py", "--quiet")
    assert outcome.code == (2 if message else 0), outcome.stderr
    assert message in outcome.stderr
    if not message:
        space: dict[str, object] = {}
        exec(CODE.replace("INIT", line).replace("CONFIG", config), space)
        keras.models.load_model("runs/own/0001/model.keras", custom_objects=space)
