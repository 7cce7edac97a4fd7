"""Preprocessing in compiled functions, which tables of the same model can share."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf


class Preprocessing:
    """The preprocessors of a model, from raw to preprocessed rows by name. Those of the same inputs are one function,
    compiled at its first call for any number of rows."""

    def __init__(self, preprocessors: Mapping[str, keras.Model]) -> None:
        self.preprocessors = preprocessors
        self.functions: dict[tuple[str, ...], Any] = {}

    def __call__(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        names = tuple(raw)
        if names and names not in self.functions:
            self.functions[names] = self.compiled(names)
        return self.functions[names](raw) if names else {}

    def compiled(self, names: tuple[str, ...]) -> Any:
        def prepare(raw: Mapping[str, Any]) -> dict[str, Any]:
            return {name: model(raw[name], training=False) for name, model in models.items()}

        models = {name: self.preprocessors[name] for name in names}
        specs = {
            name: tf.TensorSpec((None, *each.input_shape[1:]), each.inputs[0].dtype) for name, each in models.items()
        }
        return tf.function(prepare, autograph=False, input_signature=[specs])
