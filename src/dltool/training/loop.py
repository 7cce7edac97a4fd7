"""Run many steps in one compiled call."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dltool.data.arrays.shard_order import Order
from dltool.model.augmentation import augmented
from dltool.training.batches import BatchTables
from dltool.training.joined import taking
from dltool.training.numerics import Strategy, grappler_off, takes_any_size
from dltool.training.weighting import Weighting

TARGET_SECONDS = 0.05


@dataclass
class Pace:
    """The number of steps in a call of some tens of milliseconds; never changes a result. Tests use fixed `steps`."""

    steps: int = 1
    is_fixed: bool = False
    calls: int = 0

    def measured(self, steps: int, seconds: float) -> None:
        self.calls += 1
        # The first call compiles.
        if self.is_fixed or self.calls == 1:
            return
        wanted = int(TARGET_SECONDS * steps / max(seconds, 1e-6))
        self.steps = max(1, min(wanted, 4 * self.steps))


class CannotCompileError(Exception):
    """XLA cannot compile the steps."""


@dataclass
class Loop:
    """Steps first…last-1 of the rows `order`, in batches of `batch_size`; the last batch may be smaller.

    `step` is traced with the inputs, targets, weights and teacher's outputs of one batch, and returns a number that
    must be finite for the loop to continue. It is traced once for any batch size with `one_trace`, else for whole
    batches and for the last one. `results` returns the output of a call after its last step. With `jit_compile`, XLA
    compiles the loop over whole batches for one length of the order. A smaller last batch is part of the loop if it can
    be, as tracing and optimizing its step again takes a tenth of a second."""

    tables: BatchTables
    step: Callable[..., Any]
    results: Callable[[], Any]
    batch_size: int
    one_trace: bool
    jit_compile: bool = False
    grappler: bool = True
    pace: Pace = field(default_factory=Pace)

    def __post_init__(self) -> None:
        number, rows = tf.TensorSpec((), tf.int32), tf.TensorSpec((None,), tf.int32)
        any_size = (self.tables.specs, rows) if self.one_trace else None
        self.one = tf.function(self.run_one, autograph=False, input_signature=any_size)
        self.full = tf.function(
            self.run_full,
            autograph=False,
            input_signature=(self.tables.specs, rows, number, number),
            # None, because False would keep XLA from nested functions.
            jit_compile=self.jit_compile or None,
        )
        self.rest = tf.function(self.run_rest, autograph=False)
        self.rests: dict[int, Any] = {}

    def steps(self, examples: int) -> int:
        return -(-examples // self.batch_size)

    def looped(self, examples: int) -> int:
        """Return how many of the steps the loop runs; there may be a last one beside it."""
        whole = examples // self.batch_size
        return self.steps(examples) if whole and self.one_trace and not self.jit_compile else whole

    def run_one(self, tables: Any, rows: Any) -> Any:
        """Run a step of these rows; return whether its number is finite."""
        layout = self.tables.layout
        with taking(layout.built.core, layout.vector):
            return tf.math.is_finite(self.step(*self.tables.batch(tables, rows)))

    def run_full(self, tables: Any, rows: Any, first: Any, steps: Any) -> Any:
        """Run `steps` steps of the `rows` from `first` on."""

        def goes_on(step: Any, finite: Any) -> Any:
            return tf.logical_and(step < steps, finite)

        def body(step: Any, finite: Any) -> Any:
            begin = first + step * self.batch_size
            if self.one_trace and not self.jit_compile:
                return step + 1, self.run_one(tables, rows[begin : begin + self.batch_size])
            # XLA would compile a slice again for every start.
            return step + 1, self.one(tables, tf.gather(rows, begin + tf.range(self.batch_size)))

        step, finite = tf.while_loop(goes_on, body, (tf.constant(0), tf.constant(True)))
        return step, finite, self.results()

    def run_rest(self, tables: Any, rows: Any) -> Any:
        return self.one(tables, rows), self.results()

    def rest_of(self, rows: int) -> Any:
        """Return the last step, compiled once for this many rows, for tables of any length."""
        if rows not in self.rests:
            self.rests[rows] = self.rest.get_concrete_function(self.tables.specs, tf.TensorSpec((rows,), tf.int32))
        return self.rests[rows]

    def trace(self, examples: int) -> None:
        """Compile for an order of this many rows. Raises CannotCompileError: XLA lacks an operation of the steps."""
        looped = self.looped(examples)
        with grappler_off(self.grappler):
            if looped:
                self.full.get_concrete_function()
                if self.jit_compile:
                    self.compile_now(np.arange(examples, dtype=np.int32))
            if looped < self.steps(examples):
                self.rest_of(examples - looped * self.batch_size)

    def compile_now(self, order: Order) -> None:
        """Call the loop for zero steps: XLA compiles at the first call, for the sizes of its arguments."""
        tables, rows, first = self.tables.place(order, 0, self.batch_size, self.batch_size)
        try:
            self.full(tables, rows, tf.constant(first), tf.constant(0))
        except tf.errors.ResourceExhaustedError:
            raise
        except tf.errors.OpError as error:
            raise CannotCompileError(error.message.strip().split("\n")[0]) from error

    def __call__(self, order: Order, first: int, last: int) -> tuple[int, bool, Any]:
        """Run the steps of the rows `order` (int32), at most up to `last`. Return the step after the last one run,
        whether all numbers were finite, and the results."""
        looped, size = self.looped(len(order)), self.batch_size
        if first >= looped:
            tables, rows = self.tables.feed(order, looped * size, len(order), size)
            with grappler_off(self.grappler):
                is_finite, results = self.rest_of(len(order) - looped * size)(tables, rows)
            return first + 1, bool(is_finite), results
        stop = min(last, looped, first + self.tables.most_steps(order, first * size, size))
        tables, rows, start = self.tables.place(order, first * size, min(stop * size, len(order)), size)
        began = time.perf_counter()
        with grappler_off(self.grappler):
            steps, is_finite, results = self.full(tables, rows, tf.constant(start), tf.constant(stop - first))
        after = first + int(steps)
        self.pace.measured(after - first, time.perf_counter() - began)
        return after, bool(is_finite), results


def train_loop(
    core: keras.Model,
    augmentation: keras.Model | None,
    tables: BatchTables,
    weighting: Weighting | None,
    size: int,
    strategy: Strategy,
    lesson: Callable[[Any, Any], contextlib.AbstractContextManager[None]] | None = None,
) -> Loop:
    """Return the training loop. Without `weighting` all examples count the same; `lesson` is that of a teacher."""

    def step(inputs: Any, targets: Any, weights: Any, taught: Any) -> Any:
        inputs, targets = augmented(augmentation, inputs, targets)
        data: tuple[Any, ...] = (inputs, targets)
        if weighting is not None:
            data = (inputs, targets, weighting.of_batch(targets, weights))
        with contextlib.nullcontext() if lesson is None else lesson(inputs, taught):
            # The mean of the epoch's losses so far: not finite from the first non-finite loss on.
            return core.train_step(data)["loss"]

    any_size = takes_any_size(core, augmentation)
    return Loop(tables, step, core.get_metrics_result, size, any_size, strategy.jit_compile, strategy.grappler)


def test_loop(core: keras.Model, tables: BatchTables, weighting: Weighting | None, size: int, grappler: bool) -> Loop:
    """Return the evaluation loop. It never stops early: a loss that is not finite is a valid result."""

    def step(inputs: Any, targets: Any, weights: Any, _: Any) -> Any:
        data = (inputs, targets) if weighting is None else (inputs, targets, weighting.of_batch(targets, weights))
        core.test_step(data)
        return tf.constant(0.0)

    return Loop(tables, step, core.get_metrics_result, size, takes_any_size(core), grappler=grappler)


def logs_of(results: Any) -> dict[str, float]:
    """Return results as floats, the loss first; a metric of several numbers as `f1_score_0`, `f1_score_1`, …"""
    logs: dict[str, float] = {}
    for name, value in results.items():
        array = np.asarray(value)
        numbers = enumerate(array.ravel())
        logs |= {name: array.item()} if array.size == 1 else {f"{name}_{index}": float(x) for index, x in numbers}
    return logs
