"""The mean of several models of the same outputs as one model: raw inputs in, the means of their outputs out."""

from collections.abc import Mapping
from dataclasses import replace

import keras

from dltool.model.build import BuiltModel


def mean_of(models: Mapping[str, keras.Model], whole: BuiltModel, name: str) -> BuiltModel:
    """Return the mean of full `models`, by the names that they get inside it, as a model called `name`.

    Each model prepares raw inputs in its own way, so that the core takes them raw. `whole`, a model of the same config,
    has the preprocessing that features for other models are made with. Penalties of the models are left out of its
    loss, which could not be compared with that of one model otherwise."""
    raw = keras.tree.map_structure(alike, whole.full.input)
    outputs = []
    for inside, model in models.items():
        branch = keras.Model(model.input, model.output, name=inside)
        # Only variables that are trained are penalized.
        branch.trainable = False
        for layer in branch._flatten_layers():
            layer.activity_regularizer = None
        outputs.append(branch(raw))
    if isinstance(whole.full.output, dict):
        means = {key: mean([each[key] for each in outputs], f"mean_{n}") for n, key in enumerate(outputs[0], 1)}
    else:
        means = mean(outputs, "mean")
    # Compiling the core must not change what is saved.
    core, full = (keras.Model(raw, means, name=each) for each in ("core", name))
    return replace(whole, core=core, full=full, preprocessors={}, augmentation=None, beside=whole.preprocessors)


def alike(tensor: keras.KerasTensor) -> keras.KerasTensor:
    """Return a new input with the shape, dtype and name of another."""
    return keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=tensor.name)


def mean(outputs: list[keras.KerasTensor], name: str) -> keras.KerasTensor:
    # At any precision, outputs keep theirs.
    return keras.layers.Average(dtype=outputs[0].dtype, name=name)(outputs)
