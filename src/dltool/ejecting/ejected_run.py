"""A run to eject: what the parts of its script have to know."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from keyword import iskeyword

import numpy as np

from dltool.config.columns import CategoryColumn
from dltool.config.schema import Config
from dltool.config.text.blocks import INPUT
from dltool.data.arrays.rows import Coded
from dltool.data.arrays.window_rows import Windowed
from dltool.data.examples import Examples
from dltool.data.facts import Facts
from dltool.data.files.class_folders import PartName
from dltool.model.build import BuiltModel
from dltool.model.columns import is_vector
from dltool.model.preprocessing import learns
from dltool.runs.files import Run
from dltool.runs.records import RunRecord

Block = list[str]
"""Lines of a script that stand together."""


@dataclass(frozen=True)
class EjectedRun:
    """A run with its built model. A script has its inputs as one array, or as several by name (`are_several`).

    `parts` are the splits of the source in the order of their rows, of data whose files or windows a script lists."""

    run: Run
    record: RunRecord
    config: Config
    facts: Facts
    built: BuiltModel
    parts: Mapping[PartName, Examples] = field(default_factory=dict)

    @cached_property
    def start(self) -> list[np.ndarray] | None:
        """Return the weights that the training started with, if some came from another run or file."""
        return None if self.config.model.start is None else self.built.core.get_weights()

    @cached_property
    def windowed(self) -> Windowed | None:
        """Return the windows of the data: the rows of the table in their order, and where windows begin."""
        inputs = [rows for part in self.parts.values() for rows in part.inputs.values()]
        found = (rows.codes if isinstance(rows, Coded) else rows for rows in inputs)
        return next((rows for rows in found if isinstance(rows, Windowed)), None)

    @cached_property
    def taken_by_name(self) -> set[str]:
        return {name for entry in self.config.model.layers for name in entry.sources} & self.facts.inputs.keys()

    @cached_property
    def joined(self) -> list[str]:
        """Return the inputs that no layer takes by name, which are concatenated."""
        layers = self.config.model.layers
        is_joined = not layers[0].sources or any(INPUT in entry.sources for entry in layers)
        return [name for name in self.facts.inputs if name not in self.taken_by_name] if is_joined else []

    @cached_property
    def embedded(self) -> Mapping[str, int]:
        """Return the columns with an embedding, which is part of the model, and its size."""
        kinds = {name: found.column.options for name, found in self.facts.inputs.items() if found.column is not None}
        return {k: o.embedding for k, o in kinds.items() if isinstance(o, CategoryColumn) and o.embedding is not None}

    @cached_property
    def are_several(self) -> bool:
        if self.facts.only_input is not None:
            return False
        alone = self.taken_by_name or self.embedded or not self.facts.has_columns
        return bool(alone) or not all(map(is_vector, self.facts.inputs.values()))

    @cached_property
    def is_preprocessed_first(self) -> bool:
        """Return whether the script preprocesses all examples at once, and not in the model: texts, inputs that are
        targets too, and layers that are fitted to what others give."""
        layers = self.config.data.preprocessing
        only = self.facts.only_input
        if only is None or not layers:
            return False
        is_target = any(head.target is None for head in self.built.heads)
        return only.dtype == "string" or is_target or any(map(learns, layers[1:]))


def is_reordered(windowed: Windowed) -> bool:
    """Return whether the rows of the table are in another order than that of the file."""
    return bool((np.diff(windowed.rows) != 1).any())


def identifier(name: str, taken: Iterable[str] = ()) -> str:
    """Return a name as Python allows it for a variable, and that is not `taken`."""
    word = re.sub(r"\W", "_", name.lower(), flags=re.ASCII).strip("_") or "value"
    word = f"_{word}" if word[0].isdigit() else word
    return f"{word}_" if iskeyword(word) or word in taken else word
