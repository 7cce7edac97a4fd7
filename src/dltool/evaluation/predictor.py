"""A finished model for any number of predictions: loaded once, compiled once, for raw inputs of any number of rows."""

import contextlib
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from dltool.config.outputs import OutputSpec
from dltool.config.schema import Config
from dltool.data.arrays.rows import Rows, is_text
from dltool.data.facts import Facts
from dltool.evaluation.measure import at_least_float32, before_sigmoid, each_head, joined, squared_error
from dltool.evaluation.model_interface import ModelInterface
from dltool.model.build import BuiltModel
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


class Predictor(Inference, ModelInterface):
    """The best model of a run with its decision thresholds, in `config`, and what it takes and gives."""

    def __init__(self, built: BuiltModel, config: Config, facts: Facts) -> None:
        Inference.__init__(self, built, config)
        shapes = {name: tuple(each.output_shape) for name, each in built.outputs.items()}
        ModelInterface.__init__(self, config, facts, built.fitted.columns, shapes)
