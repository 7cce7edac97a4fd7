"""What a finished model takes and gives, whatever computes it. Imports no TensorFlow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dltool.config.columns import CategoryColumn, ColumnType, TextColumn
from dltool.config.outputs import heads_of
from dltool.config.schema import Config
from dltool.data.arrays.rows import Rows, stack
from dltool.data.facts import Facts
from dltool.data.new_data import NewExamples, load_new, load_rows, unseen_problems
from dltool.errors import DataError
from dltool.evaluation.predictions import predictions
from dltool.model.column_states import ColumnState
from dltool.model.unusual_values import unusual_values


@dataclass(frozen=True)
class InputSchema:
    """What a model takes as one input: the type of a column, else `dtype` is the type of an array.

    `categories` are the values of the training rows, of which the model takes no others if `are_all`; `low` and `high`
    are the range of the training rows. Each is None if it is unknown."""

    name: str
    type: str
    dtype: str
    shape: tuple[int, ...]
    may_be_missing: bool
    categories: tuple[str, ...] | None = None
    are_all: bool = False
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class OutputSchema:
    """One output: the kind of its target, `shape` without the batch axis, and its classes or labels with the decision
    thresholds of :meth:`dltool.config.outputs.OutputSpec.thresholds`. An autoencoder has the kind "input"."""

    name: str
    kind: str
    shape: tuple[int | None, ...]
    classes: tuple[str, ...] = ()
    thresholds: tuple[float, ...] | None = None


class ModelInterface:
    """What the model of a run takes and gives; those that derive from it compute it.

    `config` has its decision thresholds. `states` are fitted, by column; `shapes` are those of the outputs by name,
    without the batch axis."""

    engine = "tensorflow"

    def __init__(
        self,
        config: Config,
        facts: Facts,
        states: Mapping[str, ColumnState],
        shapes: Mapping[str, tuple[int | None, ...]],
    ) -> None:
        self.config, self.facts, self.states, self.shapes = config, facts, states, shapes
        self.types = column_types(facts)

    def __call__(self, inputs: Mapping[str, Rows]) -> dict[str, np.ndarray]:
        """Return the outputs by name, (examples, …), for raw inputs by name, (examples, …)."""
        raise NotImplementedError

    def rows(self, rows: Any) -> NewExamples:
        """Return the examples in `rows`: mappings, a DataFrame, texts or arrays. Raises as :func:`load_rows`."""
        return load_rows(self.config.data, self.facts, rows)

    def files(self, files: Sequence[str]) -> NewExamples:
        """Return the examples in files. Raises as :func:`load_new`."""
        return load_new(self.config.data, self.facts, files)

    def warnings(self, new: NewExamples) -> list[str]:
        """Return how the values of new examples are unlike those of the training rows.

        Raises DataError: a value that the model does not take."""
        known: dict[str, Any] = {name: state.get("vocabulary") for name, state in self.states.items()}
        DataError.refuse(unseen_problems(new.tables, self.types, known))
        tables = new.tables
        read = {name: stack([table.columns[name].values for table in tables]) for name in self.types if tables}
        return [*unusual_values(read, self.types, self.states)] if read else []

    def columns(self, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the columns of `dltool predict` for outputs of the model."""
        return predictions(self.config, self.facts, outputs)

    @property
    def inputs(self) -> tuple[InputSchema, ...]:
        found = []
        for name, facts in self.facts.inputs.items():
            column, state = facts.column, self.states.get(name, {})
            options = None if column is None else column.options
            categories = tuple(filter(None, state["vocabulary"])) if isinstance(options, CategoryColumn) else None
            found.append(
                InputSchema(
                    name,
                    facts.dtype if column is None else column.name,
                    facts.dtype,
                    facts.shape,
                    column is not None and may_be_missing(column),
                    categories,
                    isinstance(options, CategoryColumn) and options.unknown == "error",
                    state.get("low"),
                    state.get("high"),
                )
            )
        return tuple(found)

    @property
    def outputs(self) -> tuple[OutputSchema, ...]:
        found = []
        for head in heads_of(self.config):
            target = self.facts.targets.get(str(head.target))
            names = () if target is None else target.class_names
            thresholds = head.thresholds(names) if names else None
            decided = None if thresholds is None else tuple(thresholds)
            kind = "input" if target is None else target.kind
            found.append(OutputSchema(head.name, kind, self.shapes[head.name], names, decided))
        return tuple(found)


def may_be_missing(column: ColumnType) -> bool:
    """Return whether something stands for missing values of a column."""
    return isinstance(column.options, TextColumn) or getattr(column.options, "missing", "error") != "error"


def column_types(facts: Facts) -> dict[str, ColumnType]:
    return {name: found.column for name, found in facts.inputs.items() if found.column is not None}
