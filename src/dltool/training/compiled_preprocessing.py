"""Preprocessing in compiled functions."""

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dltool.data.arrays.rows import Rows, is_text


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
        # Inside another function, its values are rounded as they are where they are stored first.
        apart = {"_noinline": True}
        return tf.function(prepare, autograph=False, input_signature=[specs], experimental_attributes=apart)


def grows(preparation: keras.Model, rows: Rows) -> bool:
    """Return whether preprocessing increases the bytes of an input. Text is preprocessed first: GPUs cannot hold it."""
    shape = preparation.output_shape[1:]
    if is_text(rows) or None in shape:
        return False
    prepared = math.prod(shape) * np.dtype(str(preparation.outputs[0].dtype)).itemsize
    return bool(prepared > math.prod(rows.shape[1:]) * np.dtype(rows.dtype).itemsize)
