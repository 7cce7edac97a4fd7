"""A budget of parameters, enforced before memory is allocated."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import keras

BUDGET = 10**9


class TooManyParametersError(RuntimeError):
    """Raised inside Keras instead of creating a variable."""


@contextlib.contextmanager
def parameter_budget(budget: int = BUDGET) -> Iterator[None]:
    """Limit the variables that layers create within the block to `budget` elements in total."""
    make_weight, used = keras.layers.Layer.add_weight, 0

    def add_weight(layer: Any, shape: Any = None, *args: Any, **kwargs: Any) -> Any:
        nonlocal used
        axes = () if shape is None else (shape,) if isinstance(shape, int) else shape
        used += math.prod(int(axis) for axis in axes if axis is not None)
        if used > budget:
            raise TooManyParametersError(f"{used:,} parameters by here, {budget:,} are allowed")
        return make_weight(layer, shape, *args, **kwargs)

    keras.layers.Layer.add_weight = add_weight
    try:
        yield
    finally:
        keras.layers.Layer.add_weight = make_weight
