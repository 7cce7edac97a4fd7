"""What Keras itself gives and takes, against what a config may say."""

import pytest

from dltool import keras_names
from dltool.config.keras.objects import parse_keras_object
from dltool.keras_names import KINDS

REQUIRED = {
    "activation": "relu",
    "axes": 1,
    "boundaries": [1],
    "cell": {"LSTMCell": 4},
    "cells": [{"LSTMCell": 4}],
    "decay_rate": 0.9,
    "decay_steps": 10,
    "dims": [2, 1],
    "equation": "ab,bc->ac",
    "factor": 0.2,
    "filename": "log.csv",
    "filters": 4,
    "first_decay_steps": 10,
    "head_dim": 4,
    "height": 8,
    "height_factor": 0.1,
    "initial_learning_rate": 0.1,
    "inner_optimizer": "Adam",
    "input_dim": 10,
    "kernel_size": 3,
    "key_dim": 4,
    "layer": {"LSTM": 4},
    "layers": [{"Dense": 4}],
    "max_number": 3,
    "n": 2,
    "num_bins": 3,
    "num_classes": 3,
    "num_heads": 2,
    "num_key_value_heads": 2,
    "num_query_heads": 4,
    "output_dim": 4,
    "output_shape": 4,
    "output_size": 2,
    "pool_size": 2,
    "precision": 0.5,
    "rate": 0.5,
    "recall": 0.5,
    "scale": 2.0,
    "sensitivity": 0.5,
    "specificity": 0.5,
    "stddev": 0.1,
    "target_class_ids": [0],
    "target_shape": [2, 2],
    "units": 4,
    "values": [1.0, 2.0],
    "width": 8,
    "width_factor": 0.1,
}
OPTIONAL = {
    "CategoryEncoding": {"num_tokens": 4},
    "Discretization": {"num_bins": 4},
    "RandomPosterization": {"factor": 4},
}
CLASSES = [
    (kind, name)
    for kind in KINDS
    for name in keras_names.names(kind)
    if keras_names.find_known(kind, name).means == name and "arguments" in keras_names.table(kind)[name]
]


@pytest.fixture(scope="module", autouse=True)
def pinned():
    """TensorFlow started as every other test expects it."""
    from dltool.training.numerics import pin

    pin(0)


def keras_value(value):
    """YAML data with Keras objects in it, built by Keras."""
    import keras

    if isinstance(value, list):
        return [keras_value(item) for item in value]
    if isinstance(value, dict):
        ((name, first),) = value.items()
        return getattr(keras.layers, name)(first)
    return getattr(keras.optimizers, value)() if value == "Adam" else value


def plain(value):
    """Keras's serialised form as a config writes it."""
    if isinstance(value, dict) and "class_name" in value:
        name, config = value["class_name"], value["config"]
        if name == "DTypePolicy":
            return config["name"]
        if name == "function" or isinstance(config, str):
            return config
        known = {key for found in keras_names.find_all(name) for key in keras_names.arguments(found.kind, name)}
        return {name: {key: plain(item) for key, item in config.items() if key in known}}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), CLASSES, ids=[f"{kind}-{name}" for kind, name in CLASSES])
def test_what_keras_says_of_an_object_is_accepted(kind, name):
    from scripts.keras_names.generate import public

    arguments = keras_names.arguments(kind, name)
    given = {key: REQUIRED[key] for key, argument in arguments.items() if argument.required} | OPTIONAL.get(name, {})
    keras_object = dict(public(kind))[name](**{key: keras_value(value) for key, value in given.items()})
    config = keras_object.get_config() if hasattr(keras_object, "get_config") else {}
    defaults = {key: argument.default for key, argument in arguments.items() if not argument.required}
    taken = defaults | {key: plain(value) for key, value in config.items() if key in arguments} | given
    _, problems = parse_keras_object(kind, {name: taken})
    assert not problems


def resolved(kind, name):
    """What Keras makes of a string identifier."""
    import keras

    modules = {"initializer": "initializers", "activation": "activations", "regularizer": "regularizers"}
    modules |= {"constraint": "constraints", "optimizer": "optimizers", "loss": "losses", "metric": "metrics"}
    return getattr(keras, modules[kind]).get(name)


STRINGS = [
    (kind, name)
    for kind in ("activation", "initializer", "regularizer", "constraint", "optimizer", "loss", "metric")
    for name in keras_names.names(kind)
    if keras_names.find_known(kind, name).is_string
    and "chosen" not in keras_names.table(kind)[name]
    and not any(argument.required for argument in keras_names.arguments(kind, name).values())
]


@pytest.mark.slow
def test_keras_resolves_every_string_identifier_to_what_the_table_says():
    for kind, name in STRINGS:
        found = resolved(kind, name)
        means = keras_names.find_known(kind, name).means
        assert means in {getattr(found, "__name__", None), type(found).__name__}, (kind, name)
