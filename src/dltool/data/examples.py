"""What every source gives: examples by name of the input, before labels are numbered and rows are split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dltool.config.columns import ColumnType
from dltool.data.arrays.rows import Rows
from dltool.data.split.at_random import Split
from dltool.data.split.by_column import Values
from dltool.data.tables.typed_table import Column
from dltool.errors import ConfigPath

ONE_INPUT = "input"
"""The name of the input of a source that has one and gives it no name."""


@dataclass(frozen=True)
class Part:
    """Some examples. `place` is the config's key that named them, `name` what messages call them ("x_test").

    `inputs` by name are (rows, …) of uint8, int32, int64, float32 or text. `labels` by the name of their target are
    (rows,) or (rows, …) of any kind; text may be str objects or coded. `columns` are further values by name, (rows,)
    each, by which rows may be grouped, ordered or divided. `digests` (rows, 32) of uint8 by input are those of the
    files that its rows are made of, where they are quicker to compare than the rows. `files` are the names of those
    where each row is one.
    """

    inputs: Mapping[str, Rows]
    labels: Mapping[str, Values]
    place: ConfigPath
    name: str
    columns: Mapping[str, Values] = field(default_factory=dict)
    digests: Mapping[str, np.ndarray] = field(default_factory=dict)
    files: Sequence[str] = ()

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))


@dataclass(frozen=True)
class Examples:
    """One source, with the parts that others give.

    `class_names`, where the source knows them, are what the labels 0, 1, … stand for. `types` are those of a table's
    columns that are inputs, and `dates` the names of its columns of dates. `divided` says who is in which part, of the
    parts one after the other, where no rule has to: of windows. `settled` are keys of the config's `data` that reading
    has decided, such as the types of all columns. `warnings` are sentences for the user. `places` by name are
    (examples,) of anything: where in its tables a window is found, the examples of all parts one after the other.
    """

    training: Part
    validation: Part | None = None
    test: Part | None = None
    class_names: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    dates: tuple[str, ...] = ()
    divided: Split | None = None
    settled: Mapping[str, Any] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    places: Mapping[str, np.ndarray] = field(default_factory=dict)
