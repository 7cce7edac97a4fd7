"""The cost of a training run: parameters, operations, memory, and the measured time of a step."""

import math
import time
from dataclasses import asdict, dataclass

import numpy as np
import tensorflow as tf

from dltool.config.schema import Config
from dltool.cost.activations import activation_bytes
from dltool.cost.flops import forward_flops
from dltool.data.dataset import Dataset
from dltool.data.examples import Examples
from dltool.data.facts import Facts
from dltool.data.split.at_random import Split
from dltool.experiment.teaching import opened_teacher
from dltool.machine import usable_memory
from dltool.model.build import BuiltModel
from dltool.training.batches import bytes_of_row, bytes_of_tables
from dltool.training.failures import plain_failures
from dltool.training.fit import Fitting, prepare_fit
from dltool.training.loop import Loop, Pace

MEASURED_SECONDS = 0.5
MOST_STEPS = 64


@dataclass(frozen=True)
class Memory:
    """Bytes that training holds at once, besides the program itself, which takes some 500 MB.

    `weights` are all variables of the model; `gradients` are as large as the trainable ones. `optimizer` is its state
    (two slots a weight with Adam), None if it was not built. `activations` is
    :func:`dltool.cost.activations.activation_bytes` for a batch. `data` are the inputs in memory and the tables of the
    steps, or their read-ahead part."""

    weights: int
    gradients: int
    optimizer: int | None
    activations: int
    data: int

    @property
    def total(self) -> int:
        return sum(size or 0 for size in asdict(self).values())


@dataclass(frozen=True)
class Plan:
    """`flops` are of a forward pass of one example, None if a layer's are unknown.

    `seconds` is a measured training step, None if there is too little memory."""

    parameters: int
    flops: int | None
    memory: Memory
    seconds: float | None


def make_plan(built: BuiltModel, config: Config, facts: Facts, dataset: Dataset | None) -> Plan:
    """Compile the model and run a few steps on `dataset`, or on zeros without one. The weights of `built` change.

    Raises ConfigError, DataError, MachineError: as :func:`dltool.training.fit.prepare_fit`, and as a step of it."""
    few = one_batch(facts, dataset, config.training.batch_size)
    weights, gradients = size_of(built.core.variables), size_of(built.core.trainable_variables)
    beside = sum(size_of(variables) for variables in built.variables_beside().values())
    activations = config.training.batch_size * activation_bytes(built.core)
    optimizer = seconds = None
    data = loaded_bytes(facts, dataset)
    if weights + gradients + activations + data < usable_memory():
        steps = config.training.total_epochs * -(-facts.examples // config.training.batch_size)
        teacher = opened_teacher(built, config, few)
        fitting = prepare_fit(built, config, few, pace=Pace(1, is_fixed=True), steps=steps, teacher=teacher)
        optimizer = size_of(built.core.optimizer.variables)
        with plain_failures(config):
            seconds = seconds_of_step(fitting)
        stream = None if dataset is None else dataset.stream
        rows = sum(facts.sizes.values()) if dataset is None or stream is None else len(dataset.all) + 2 * stream.width
        data += bytes_of_tables(bytes_of_row(fitting.steps.train.tables.specs), rows)
    memory = Memory(weights + beside, gradients, optimizer, activations, data)
    return Plan(built.full.count_params(), forward_flops(built.full), memory, seconds)


def size_of(variables: list[object]) -> int:
    """Return the bytes of Keras variables."""
    return sum(math.prod(x.shape) * tf.as_dtype(x.dtype).size for x in variables)  # type: ignore[attr-defined]


def loaded_bytes(facts: Facts, dataset: Dataset | None) -> int:
    """Return the bytes of the inputs in memory; those that stay in files do not count."""
    if dataset is not None:
        return sum(rows.nbytes for rows in dataset.inputs.values() if type(rows) is np.ndarray)
    rows = sum(facts.sizes.values())
    return sum(rows * math.prod(found.shape) * tf.as_dtype(found.dtype).size for found in facts.inputs.values())


def one_batch(facts: Facts, dataset: Dataset | None, size: int) -> Dataset:
    """Return the first batch of the training split, or zeros of the same shapes; if validated, it is validated on."""
    rows = np.arange(min(size, facts.examples))
    if dataset is not None:
        examples = dataset.all.take(dataset.split.train[: len(rows)])
    else:
        inputs = {name: np.zeros((len(rows), *found.shape), found.dtype) for name, found in facts.inputs.items()}
        targets = {name: np.zeros((len(rows), *found.shape), found.task.dtype) for name, found in facts.targets.items()}
        examples = Examples(inputs, targets)
    return Dataset(examples, Split(rows, rows if facts.validation_examples else rows[:0], rows[:0]), facts)


def seconds_of_step(fitting: Fitting) -> float:
    """Return the mean seconds of a step. The first is excluded: it includes TensorFlow's graph optimization."""
    loop, rows = fitting.steps.train, fitting.steps.rows
    run_steps(loop, rows, 1)
    seconds = run_steps(loop, rows, 1)
    steps = max(1, min(MOST_STEPS, int(MEASURED_SECONDS / max(seconds, 1e-6))))
    return run_steps(loop, rows, steps)


def run_steps(loop: Loop, rows: np.ndarray, steps: int) -> float:
    """Return the seconds of a step over `steps` steps on the same rows, or over one if they are less than a batch."""
    # Always the same length: XLA compiles again for each length.
    order = np.resize(rows, MOST_STEPS * loop.batch_size) if len(rows) >= loop.batch_size else rows
    began = time.perf_counter()
    after, *_ = loop(order, 0, steps)
    return (time.perf_counter() - began) / max(1, after)
