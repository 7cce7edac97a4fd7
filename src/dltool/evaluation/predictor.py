"""A finished model for any number of predictions: loaded once, compiled once, for raw inputs of any number of rows."""

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from dltool.config.columns import CategoryColumn, ColumnType, TextColumn
from dltool.config.outputs import OutputSpec, heads_of
from dltool.config.schema import Config
from dltool.data.arrays.rows import Rows, is_text, stack
from dltool.data.facts import Facts
from dltool.data.new_data import NewExamples, load_new, load_rows, unseen_problems
from dltool.errors import DataError
from dltool.evaluation.measure import at_least_float32, before_sigmoid, each_head, joined, squared_error
from dltool.evaluation.predictions import predictions
from dltool.model.build import BuiltModel
from dltool.model.unusual_values import unusual_values
from dltool.training.batches import tensor
from dltool.training.compiled_preprocessing import Preprocessing, grows
from dltool.training.failures import plain_failures
from dltool.training.numerics import evaluation_batch, takes_any_size
from dltool.training.own_state import operations
from dltool.training.state import evaluating


class Inference:
    """The outputs of a model for raw inputs, as one function that is compiled once; one thread computes at a time."""

    def __init__(self, built: BuiltModel, config: Config) -> None:
        self.built, self.config = built, config
        self.preprocessing = Preprocessing(built.preprocessors)
        self.size = evaluation_batch(built, config.training.batch_size)
        self.any_size = takes_any_size(built.core, has_losses=False)
        self.functions: dict[Any, Any] = {}
        self.changing: set[Any] = set()
        self.lock = threading.Lock()

    def __call__(self, inputs: Mapping[str, Rows]) -> dict[str, np.ndarray]:
        """Return the outputs for raw inputs by name, (examples, …) of float32, or float64 at that precision.

        A reconstruction is given as the mean squared error of each example, (examples,). Predictions are bit-identical
        to those of :func:`dltool.evaluation.measure.measure` for the same examples in the same order.

        Raises ConfigError, DataError, MachineError: as in :mod:`dltool.training.failures`."""
        rows = len(next(iter(inputs.values())))
        with self.lock, plain_failures(self.config):
            found = []
            with self.evaluating(self.function(inputs, min(rows, self.size))):
                for first in range(0, rows, self.size):
                    batch = {name: tensor(each[first : first + self.size]) for name, each in inputs.items()}
                    outputs, _ = self.function(inputs, min(rows - first, self.size))(batch)
                    found.append({name: each.numpy() for name, each in outputs.items()})
            return joined(found)

    def evaluating(self, function: Any) -> contextlib.AbstractContextManager[None]:
        """Return :func:`evaluating`, which takes a while, if the function changes a variable, as random layers do."""
        return evaluating(self.built.core, self.config.seed) if function in self.changing else contextlib.nullcontext()

    def function(self, inputs: Mapping[str, Rows], rows: int) -> Any:
        """Return the compiled function of a batch of such inputs: of any number of rows, if that computes the same."""
        size = None if self.any_size else rows
        kinds = {name: (tf.string if is_text(each) else each.dtype, each.shape[1:]) for name, each in inputs.items()}
        key = (size, *kinds.items())
        if key not in self.functions:
            specs = {name: tf.TensorSpec((size, *shape), dtype) for name, (dtype, shape) in kinds.items()}
            models = self.built.preprocessors
            in_step = {name: model for name, model in models.items() if grows(model, inputs[name])}
            made = tf.function(lambda raw: self.traced(raw, in_step), autograph=False)
            function = self.functions[key] = made.get_concrete_function(specs)
            if any("Assign" in each.type for each in operations(function.graph)):
                self.changing.add(function)
        return self.functions[key]

    def traced(self, raw: Mapping[str, Any], in_step: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any]]:
        before = self.preprocessing({name: raw[name] for name in self.built.preprocessors if name not in in_step})
        inputs = {**raw, **before, **{name: model(raw[name], training=False) for name, model in in_step.items()}}
        target = self.built.structured_outputs(dict.fromkeys(self.built.outputs, next(iter(inputs.values()))))
        found = self.built.core(self.built.structured(inputs), training=False)
        values, logits = {}, []
        for head, first_input, output in each_head(self.built, target, found):
            values[head.name] = self.value(head, first_input, at_least_float32(output))
            logits += before_sigmoid(head, output)
        return values, logits

    def value(self, head: OutputSpec, target: Any, output: Any) -> Any:
        return output if head.target else squared_error(self.built, head, target, output)


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


class Predictor(Inference):
    """The best model of a run with its decision thresholds, in `config`, and what it takes and gives."""

    def __init__(self, built: BuiltModel, config: Config, facts: Facts) -> None:
        super().__init__(built, config)
        self.facts = facts
        self.types = column_types(facts)

    def rows(self, rows: Any) -> NewExamples:
        """Return the examples in `rows`: mappings, a DataFrame, texts or arrays. Raises as :func:`load_rows`."""
        return load_rows(self.config.data, self.facts, rows)

    def files(self, files: Sequence[str]) -> NewExamples:
        """Return the examples in files. Raises as :func:`load_new`."""
        return load_new(self.config.data, self.facts, files)

    def warnings(self, new: NewExamples) -> list[str]:
        """Return how the values of new examples are unlike those of the training rows.

        Raises DataError: a value that the model does not take."""
        known: dict[str, Any] = {name: state.get("vocabulary") for name, state in self.built.fitted.columns.items()}
        DataError.refuse(unseen_problems(new.tables, self.types, known))
        tables = new.tables
        read = {name: stack([table.columns[name].values for table in tables]) for name in self.types if tables}
        return [*unusual(self.built, self.facts, read)] if read else []

    def columns(self, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the columns of `dltool predict` for outputs of the model."""
        return predictions(self.config, self.facts, outputs)

    @property
    def inputs(self) -> tuple[InputSchema, ...]:
        found = []
        for name, facts in self.facts.inputs.items():
            column, state = facts.column, self.built.fitted.columns.get(name, {})
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
            shape = self.built.outputs[head.name].output_shape
            found.append(OutputSchema(head.name, "input" if target is None else target.kind, shape, names, decided))
        return tuple(found)


def may_be_missing(column: ColumnType) -> bool:
    """Return whether something stands for missing values of a column."""
    return isinstance(column.options, TextColumn) or getattr(column.options, "missing", "error") != "error"


def unusual(built: BuiltModel, facts: Facts, columns: Mapping[str, Rows]) -> Iterator[str]:
    """Yield a warning for each column with values unlike those of the training rows."""
    return unusual_values(columns, column_types(facts), built.fitted.columns)


def column_types(facts: Facts) -> dict[str, ColumnType]:
    return {name: found.column for name, found in facts.inputs.items() if found.column is not None}
