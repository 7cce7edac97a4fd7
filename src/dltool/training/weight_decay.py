"""Weights that the weight decay of an optimizer leaves out."""

from collections.abc import Sequence
from typing import Any

import keras

from dltool.errors import ConfigError, Problem
from dltool.text import did_you_mean, is_meant, listed, near, quoted

MOST_NAMES = 10
"""Most names in a message."""


def exclude_from_weight_decay(optimizer: Any, core: keras.Model, patterns: Sequence[str]) -> None:
    """Exclude the weights that the patterns mean, by the name of the weight (bias, gamma, …), or the name or class of a
    layer that holds them. The optimizer must not be built yet.

    Raises ConfigError: a pattern means nothing."""
    names: dict[int, set[str]] = {}
    for layer in core._flatten_layers(include_self=False):
        for weight in layer.weights:
            names.setdefault(id(weight), {weight.name}).update((layer.name, type(layer).__name__))
    known = sorted(set().union(*names.values()))
    ConfigError.refuse(
        Problem(
            ("training", "no_weight_decay", index),
            f"no layer, class of layers or weight is called {quoted(pattern)}",
            did_you_mean(near(pattern.replace("*", ""), known, 3)) or f"known: {listed(known, MOST_NAMES)}",
        )
        for index, pattern in enumerate(patterns)
        if not is_meant(known, pattern)
    )
    excluded = {weight for weight, own in names.items() if any(is_meant(own, pattern) for pattern in patterns)}
    optimizer.exclude_from_weight_decay([weight for weight in core.weights if id(weight) in excluded])
