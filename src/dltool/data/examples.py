"""What every source gives: examples by name of the input, before labels are numbered and rows are split."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from dltool.data.rows import Rows
from dltool.errors import ConfigPath

ONE_INPUT = "input"
"""The name of the input of a source that has one and gives it no name."""


@dataclass(frozen=True)
class Part:
    """Some examples. `place` is the config's key that named them, `name` what messages call them ("x_test").

    `inputs` by name are (rows, …) of uint8, int32, int64, float32 or text. `labels` is (rows,) or (rows, …) of any
    kind; text may be str objects. `columns` are further values by name, (rows,) each, by which rows may be grouped,
    ordered or divided.
    """

    inputs: Mapping[str, Rows]
    labels: np.ndarray
    place: ConfigPath
    name: str
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Examples:
    """One source. `class_names`, where the source knows them, are what the labels 0, 1, … stand for.

    `warnings` are sentences for the user.
    """

    training: Part
    validation: Part | None = None
    test: Part | None = None
    class_names: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
