"""Every public layer of Keras is built from a config, or refused with a reason."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as kl

from dltool import keras_names
from dltool.config.checks import MIXING
from dltool.errors import ConfigError
from dltool.model.build import build_model

NEEDED: dict[str, Any] = {
    "activation": "relu",
    "axes": 1,
    "cell": {"LSTMCell": 3},
    "cells": [{"GRUCell": 3}],
    "dims": [2, 1],
    "equation": "ab,bc->ac",
    "factor": 0.2,
    "filters": 3,
    "head_dim": 2,
    "height": 4,
    "height_factor": 0.1,
    "input_dim": 50,
    "kernel_size": 2,
    "key_dim": 2,
    "layer": {"LSTM": 3},
    "layers": ["Identity"],
    "max_number": 3,
    "n": 3,
    "num_bins": 5,
    "num_heads": 2,
    "num_key_value_heads": 1,
    "num_query_heads": 2,
    "output_dim": 3,
    "output_shape": [3],
    "output_size": 2,
    "pool_size": 2,
    "rate": 0.3,
    "scale": 0.5,
    "stddev": 0.1,
    "target_shape": [-1],
    "units": 3,
    "width": 4,
    "width_factor": 0.1,
}
"""Values of arguments without a default."""
OTHERS: dict[str, dict[str, Any]] = {
    "CategoryEncoding": {"num_tokens": 5},
    "Discretization": {"num_bins": 3},
    "GroupNormalization": {"groups": 2},
    "RandomPosterization": {"factor": 4},
    "STFTSpectrogram": {"frame_length": 16, "frame_step": 8, "fft_length": 16},
    "SpectralNormalization": {"layer": {"Dense": 3}},
    "TimeDistributed": {"layer": {"Dense": 3}},
}
LEARN = {"Discretization", "IntegerLookup", "Normalization", "StringLookup", "TextVectorization"}
CELLS = {"GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells"}
IMAGE, SEQUENCE, VECTOR, TEXT = (8, 8, 4), (6, 4), (4,), ()
SHAPES: list[tuple[tuple[int, ...], str]] = [
    *((shape, "float32") for shape in (IMAGE, SEQUENCE, VECTOR, (4, 4, 4, 2), (4, 4, 4, 4, 2), (100,), (100, 1))),
    *(((6,), "int32"), (TEXT, "string"), ((8, 8, 3), "uint8")),
]


def entry_of(name: str, sources: int) -> Any:
    known = keras_names.arguments("layer", name)
    arguments = {key: NEEDED[key] for key, argument in known.items() if argument.required} | OTHERS.get(name, {})
    if sources > 1:
        arguments["from"] = ["input"] * sources
    return {name: arguments} if arguments else name


def rows(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    if dtype == "string":
        return np.array(["a", "b", "a c", "b"], object)
    return np.random.default_rng(0).integers(0, 5, (4, *shape)).astype(dtype)


def is_built(name: str, make_config: Any, make_facts: Any) -> bool:
    """From the first kind of input that it takes."""
    known = keras_names.find("layer", name)
    assert known is not None
    for shape, dtype in SHAPES:
        for sources in (1,) if name in CELLS else (1, 2):
            entry = entry_of(name, sources)
            layers = [
                {"RNN": {"cell": entry}} if name in CELLS else {"Pipeline": [name]} if name == "Equalization" else entry
            ]
            config = make_config(layers)
            if name in LEARN:
                config = make_config(["Identity"], [entry])
            elif name in MIXING:
                config = make_config(["Flatten", {"Dense": 3}], (), [entry], loss="categorical_crossentropy")
            try:
                built = build_model(config, make_facts(shape, dtype), {"input": rows(shape, dtype)})
            except ConfigError:
                continue
            models = [
                *built.preprocessors.values(),
                built.core,
                *([built.augmentation] if built.augmentation else []),
            ]
            found = {type(layer).__name__ for model in models for layer in model.layers}
            return bool(found & {getattr(kl, known.means).__name__, "RNN", "Pipeline"})
    return False


COSTLY = ("AugMix", "RandAugment")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.slow) if n in COSTLY else n
        for n in keras_names.names("layer")
        if n not in keras_names.OWN["layer"]
    ],
)
def test_a_layer_is_built_from_a_config(name, make_config, make_facts) -> None:
    assert is_built(name, make_config, make_facts)


def public_layers() -> list[str]:
    found = [name for name in dir(kl) if isinstance(getattr(kl, name), type)]
    return [name for name in found if issubclass(getattr(kl, name), keras.Layer)]


def test_every_public_layer_has_a_name_here_or_a_reason() -> None:
    refused = set()
    for name in public_layers():
        known = keras_names.find("layer", name)
        assert known is not None, name
        assert known.refusal or name in keras_names.names("layer"), name
        if known.refusal:
            refused.add(name)
    assert {"Lambda", "TFSMLayer", "TorchModuleWrapper", "InputLayer"} <= refused
    assert len(refused) < 12
