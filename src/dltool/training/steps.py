"""The compiled steps of a run and of its validation, and its phases: which layers are trained in each."""

import contextlib
import functools
import gc
import itertools
from dataclasses import replace
from typing import Any

import numpy as np

from dltool.config.schema import Config, Phase
from dltool.cost.flops import training_flops
from dltool.data.arrays.shard_order import Order, ShardOrder, equal_shards
from dltool.data.dataset import Dataset
from dltool.errors import ConfigError, Problem
from dltool.keras_names import ALLOWED
from dltool.model.build import BuiltModel
from dltool.model.keras_objects import KERAS_ERRORS, OUT_OF_MEMORY
from dltool.model.trainable import TrainableLayer, set_trainable, trainable_layers
from dltool.text import did_you_mean, listed, near, quoted
from dltool.training.batches import BatchTables, Layout, Streamed, model_targets
from dltool.training.compile import compile_core, culprit, made_optimizer
from dltool.training.distillation import Teacher
from dltool.training.joined import joined_tables
from dltool.training.loop import CannotCompileError, Loop, logs_of, test_loop, train_loop
from dltool.training.numerics import Strategy, choose_strategy, evaluation_batch
from dltool.training.own_state import refuse_unsaved_state
from dltool.training.private_steps import (
    PrivateLoop,
    made_noise,
    private_step,
    refuse_dependent_examples,
    refuse_unknown_layers,
)
from dltool.training.profile import Profile
from dltool.training.rewrites import rewritten
from dltool.training.state import set_value, value_of, variables
from dltool.training.weight_decay import MOST_NAMES
from dltool.training.weighting import Weighting, by_class, made_weighting


class Steps:
    """The loops that train and validate the model of one phase, for the sizes of the data."""

    memory: int | None = None
    """The bytes of main memory by which the tables are in it or read ahead; None is that of this machine."""
    summary: tuple[str, ...] = ()
    """What is said of the steps before the training."""

    def __init__(
        self,
        built: BuiltModel,
        config: Config,
        dataset: Dataset,
        strategy: Strategy | None,
        steps: int | None,
        teacher: Teacher | None = None,
    ) -> None:
        self.built, self.core, self.config, self.teacher = built, built.core, config, teacher
        self.rows, self.stream = dataset.split.train.astype(np.int32), dataset.stream
        self.validation_rows = dataset.split.validation.astype(np.int32)
        self.is_validated = len(self.validation_rows) > 0
        self.targets = model_targets(built, dataset.targets)
        self.trainable_layers = list(trainable_layers(built.core))
        refuse_idle_phases(config, self.trainable_layers)
        for later in range(1, len(config.training.parts)):
            # Keras may refuse those of later phases.
            made_optimizer(config, later)
        self.phase = 0
        self.compile()
        taught = {} if teacher is None else teacher.outputs
        tested = table = joined_tables(built, dataset.all, self.targets, taught, self.memory)
        if (stream := dataset.stream) is not None:
            table = Streamed(Layout(built, stream.inputs, model_targets(built, stream.targets), None))
        size = config.training.batch_size
        weighting = made_weighting(built, self.targets, dataset.all.weights is not None, by_class(built, dataset))
        plain = made_weighting(built, self.targets, dataset.all.weights is not None)
        self.epochs, self.count = config.training.total_epochs, -(-self.examples // size)
        self.strategy = strategy or self.chosen_strategy(table, steps or self.epochs * self.count)
        self.noise = made_noise(config, built, dataset.facts.examples, len(self.rows))
        self.train = self.training_loop(table, weighting)
        self.test = test_loop(built.core, tested, plain, evaluation_batch(built, size), self.strategy.grappler)
        self.profile = Profile()

    @property
    def examples(self) -> int:
        """Return the number of training examples of an epoch."""
        return len(self.rows) if self.stream is None else len(self.stream)

    def chosen_strategy(self, table: BatchTables, steps: int) -> Strategy:
        return choose_strategy(self.config, self.built, table, steps)

    def training_loop(self, table: BatchTables, weighting: Weighting | None) -> Loop:
        built, size = self.built, self.config.training.batch_size
        if self.noise is None:
            lesson = None if self.teacher is None else functools.partial(self.teacher.lesson, built)
            return train_loop(built.core, built.augmentation, table, weighting, size, self.strategy, lesson)
        step = private_step(built, self.noise, weighting)
        return PrivateLoop(table, step, built.core.get_metrics_result, self.noise.most, one_trace=True)

    def compile(self) -> None:
        """Compile the model for this phase, with a new optimizer and new metrics."""
        if self.config.training.phases is not None:
            set_trainable(self.core, self.trainable_layers, self.config.training.parts[self.phase])
        if self.config.training.privacy is not None:
            refuse_unknown_layers(self.built)
        compile_core(self.built, self.config, self.targets, self.phase)

    def trace(self, activity: str = "trace") -> None:
        """Trace the loops for the sizes of this data, once a phase; the time counts under `activity`.

        Raises ConfigError: loss, metrics or a layer cannot take the data."""
        try:
            with self.profile.activity(activity):
                self.trace_training()
                if len(self.validation_rows):
                    self.test.trace(len(self.validation_rows))
                self.check_own_state(self.test)
        except OUT_OF_MEMORY:
            raise
        except KERAS_ERRORS as error:
            raise ConfigError(culprit(self.built, self.targets, error)) from error
        self.core.reset_metrics()
        self.empty_metrics = [(variable, value_of(variable)) for variable in self.core.metrics_variables]

    def trace_training(self) -> None:
        """Trace by the strategy; without XLA if it was dltool's choice and turns out impossible."""
        if self.noise is not None:
            table = self.train.tables
            refuse_dependent_examples(
                self.built, *table.batch(*table.feed(self.rows, 0, min(2, len(self.rows)), 2))[:2]
            )
        with rewritten(self.core) if self.strategy.rewrites else contextlib.nullcontext():
            try:
                self.train.trace(self.examples if self.noise is None else self.noise.most)
                self.check_own_state(self.train)
                return
            except CannotCompileError as error:
                if self.config.training.jit_compile:
                    problem = Problem(("training", "jit_compile"), f"XLA refuses: {error}", "remove it")
                    raise ConfigError(problem) from error
                why = {**self.strategy.why, "jit_compile": f"XLA refuses: {error}"}
                self.strategy = replace(self.strategy, jit_compile=False, why=why)
        self.train = replace(self.train, jit_compile=False)
        self.trace_training()

    def check_own_state(self, loop: Loop) -> None:
        """Raise UnreadableConfig if allowed code keeps state that no checkpoint holds; once, as phases share it."""
        if ALLOWED and self.phase == 0:
            refuse_unsaved_state(loop, self.core, [variable for _, variable in variables(self.built)])

    def order(self, epoch: int) -> Order:
        """Return the rows of the table that an epoch (from 0) trains on, in batches of the loop's size; -1 is none."""
        seed, shuffle, size = self.config.seed, self.config.data.shuffle, self.config.training.batch_size
        if self.stream is not None:
            return self.stream.order(seed, epoch, size)
        if self.noise is None and shuffle is not None:
            shards = ShardOrder(equal_shards(len(self.rows)), shuffle.window, size, seed, epoch)
            return np.asarray(self.rows[shards[:]])
        if self.noise is None:
            return np.asarray(self.rows[epoch_order(seed, epoch, len(self.rows))])
        drawn = self.noise.order(epoch, self.count)
        return np.where(drawn < 0, np.int32(-1), self.rows[drawn])

    def batch_rows(self, order: Order, step: int) -> np.ndarray:
        """Return the rows of the table that a step (from 0) of this order trains on, whoever computes it."""
        size = self.train.batch_size
        rows: np.ndarray = order[step * size : (step + 1) * size]
        return rows[rows >= 0]

    def measured(self, results: Any) -> dict[str, float]:
        """Return the results of a loop's last call, which are those of all examples since the metrics were reset."""
        return logs_of(results)

    @property
    def flops(self) -> tuple[int | None, int | None]:
        """Return the operations of training on an example, and those of what a teacher predicted before training."""
        each, teacher = training_flops(self.core), self.teacher
        if teacher is None or teacher.flops is None:
            return (each, 0) if teacher is None else (None, None)
        return (each, teacher.flops * len(self.rows)) if teacher.outputs else (each and each + teacher.flops, 0)

    def reset_metrics(self) -> None:
        """Reset the metrics as Keras's `reset_metrics`, which takes a tenth of a short epoch. A metric of the user's
        own may hold more than variables, and is reset by Keras."""
        if ALLOWED:
            self.core.reset_metrics()
            return
        for variable, value in self.empty_metrics:
            set_value(variable, value)

    def enter(self, phase: int) -> None:
        """Train by this phase from now on."""
        if phase == self.phase:
            return
        self.phase = phase
        self.compile()
        # Loops that are not compiled yet, because the steps have changed.
        self.train, self.test = replace(self.train), replace(self.test)
        # The last phase's compiled functions are cyclic garbage, and may be large.
        gc.collect()
        self.trace("trace in training")

    def phase_of(self, epoch: int) -> int:
        """Return the phase of an epoch, counted from 0."""
        ends = itertools.accumulate(part.epochs for part in self.config.training.parts)
        return next(number for number, end in enumerate(ends) if epoch < end)


def epoch_order(seed: int, epoch: int, examples: int) -> np.ndarray:
    """A permutation of 0…examples-1 as int32, a pure function of its arguments (0 ≤ seed, epoch < 2**63). Philox is
    counter-based: (seed, epoch) is its key, so epochs are independent and none needs the one before."""
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, epoch], dtype=np.uint64)))
    return generator.permutation(np.arange(examples, dtype=np.int32))


def refuse_idle_phases(config: Config, layers: list[TrainableLayer]) -> None:
    """Raise ConfigError if a pattern matches no layer, or a phase would train nothing."""
    problems = []
    known = list(dict.fromkeys(name for entry in layers for name in reversed(entry.names)))
    for number, phase in enumerate(config.training.phases or ()):
        place = (*config.training.place_of(number), "trainable")
        patterns = phase.trainable or ()
        unknown = [i for i, pattern in enumerate(patterns) if not any(each.is_meant_by(pattern) for each in layers)]
        for index in unknown:
            nearest = did_you_mean(near(patterns[index].replace("*", ""), known, 3))
            hint = nearest or f"the layers are {listed(known, MOST_NAMES)}"
            problems.append(Problem((*place, index), f"no layer is called {quoted(patterns[index])}", hint))
        if not unknown and phase.lora is None and not any(is_trained(entry, phase) for entry in layers):
            problems.append(Problem(place, "this phase trains no weights", "name a layer that has weights"))
    ConfigError.refuse(problems)


def is_trained(entry: TrainableLayer, phase: Phase) -> bool:
    """Return whether the layer has weights that the phase trains."""
    if phase.trainable is None:
        return any(flag and layer._trainable_variables for layer, flag in entry.flags)
    has_weights = any(layer._trainable_variables for layer, _ in entry.flags)
    return has_weights and any(map(entry.is_meant_by, phase.trainable))
