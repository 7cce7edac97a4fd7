"""What every source gives: examples as arrays, before labels are numbered and rows are split."""

from dataclasses import dataclass

import numpy as np

from dltool.errors import ConfigPath


@dataclass(frozen=True)
class Part:
    """Some examples. `place` is the config's key that named them, `name` what messages call them ("x_test").

    `inputs` is (rows, …) of uint8, int32, float32 or text. `labels` is (rows,) or (rows, …) of any kind but objects.
    """

    inputs: np.ndarray
    labels: np.ndarray
    place: ConfigPath
    name: str


@dataclass(frozen=True)
class Examples:
    """One source. `class_names`, where the source knows them, are what the labels 0, 1, … stand for."""

    training: Part
    validation: Part | None = None
    test: Part | None = None
    class_names: tuple[str, ...] = ()
