"""Checks that a model with the user's own layers is the same after it is saved and loaded."""

import tempfile
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dltool.errors import ConfigError, Problem
from dltool.model.build import BuiltModel
from dltool.model.saving import save_model
from dltool.model.user_code import one_line, own_objects, where_in_own_code
from dltool.training.batches import tensor
from dltool.training.state import evaluating


def refuse_unlike_when_loaded(built: BuiltModel, raw: Mapping[str, np.ndarray]) -> None:
    """Raise ConfigError unless the model with allowed code, saved and loaded, gives the same outputs for raw inputs."""
    known = own_objects()
    owners = {
        name: row
        for row in built.layers
        for each in row.layer._flatten_layers()
        if (name := type(each).__name__) in known
    }
    if not owners:
        return
    refuse_random_preprocessing(built, raw)
    names, place = " and ".join(owners), next(iter(owners.values())).path
    inputs = built.structured({name: tensor(values) for name, values in raw.items()})
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_model(built.full, path := Path(folder) / "model.keras")
        try:
            loaded = keras.saving.load_model(path, custom_objects=known, compile=False)
        # The user's code may fail in any way.
        except (Exception, SystemExit) as error:
            message = f"model.keras could not be loaded again: {one_line(error)}{where_in_own_code(error)}"
            hint = f"create the variables and layers of {names} in __init__ or build, from what get_config returns"
            raise ConfigError(Problem(place, message, hint)) from error
    if not np.allclose(outputs_of(built.full, inputs), outputs_of(loaded, inputs), rtol=1e-4, equal_nan=True):
        message = f"model.keras would give other outputs than the model: {names} holds something that it does not save"
        hint = "what __init__ takes belongs in get_config, and what changes in self.add_weight, called in build"
        raise ConfigError(Problem(place, message, hint))


def refuse_random_preprocessing(built: BuiltModel, raw: Mapping[str, np.ndarray]) -> None:
    """Raise ConfigError if preprocessing gives something else each time, as splits are preprocessed at any time."""
    for name, model in built.preprocessors.items():
        first, second = (np.asarray(model(tensor(raw[name]), training=False)) for _ in range(2))
        if not np.array_equal(first, second, equal_nan=first.dtype.kind == "f"):
            hint = "move the layer that is random or has a state to data.augmentation or model.layers"
            raise ConfigError(Problem(("data", "preprocessing"), "preprocessing gives other values each time", hint))


def outputs_of(model: keras.Model, inputs: Any) -> np.ndarray:
    """Return all outputs as one array, random layers drawing the same for every model."""
    # Compiled, as in training: the user's code may not run eagerly.
    compute = tf.function(partial(model, training=False), autograph=False)
    with evaluating(model, 0):
        return np.concatenate([np.ravel(tf.cast(output, tf.float64)) for output in tf.nest.flatten(compute(inputs))])
