"""Training: epochs of compiled steps, validation, callbacks, and a state that can be saved after any call."""

import contextlib
import gc
import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from dltool.config.schema import Config
from dltool.data.dataset import Dataset
from dltool.errors import ConfigError, Interrupted, Problem, RunError, TrainingDiverged
from dltool.keras_names import ALLOWED
from dltool.model.build import BuiltModel
from dltool.model.keras_objects import KERAS_ERRORS, OUT_OF_MEMORY
from dltool.training.averages import averaged
from dltool.training.batches import make_tables, model_targets
from dltool.training.best import Best, make_best
from dltool.training.cadence import make_cadence
from dltool.training.callbacks import make_callbacks
from dltool.training.compile import (
    class_weights,
    compile_core,
    culprit,
    learning_rate,
    refuse_monitors_of_several_numbers,
    refuse_optimizers,
)
from dltool.training.failures import callback_failures, plain_failures
from dltool.training.loop import CannotCompileError, Loop, Pace, logs_of, test_loop, train_loop
from dltool.training.order import epoch_order
from dltool.training.phases import learners, refuse_idle_phases, set_learning
from dltool.training.profile import Profile
from dltool.training.rewrites import rewritten
from dltool.training.state import (
    Arrays,
    TrainingState,
    best_weights,
    capture,
    holding,
    restore,
    restore_best,
    set_value,
    value_of,
)
from dltool.training.strategy import Strategy, choose_strategy, evaluation_batch

EMPTY_STATE = TrainingState([], {})
SECONDS_BETWEEN_BEST = 1.0
"""Between writes of the best weights within a training: short epochs improve more often than a disk likes."""


@dataclass(frozen=True)
class EpochRecord:
    """One finished epoch, counted from 1. `logs` have Keras's names; the learning rate is that of the last step."""

    epoch: int
    logs: dict[str, float]
    learning_rate: float
    seconds: float


class Observer(Protocol):
    """What a training tells as it goes. Epochs and steps count from 1."""

    def epoch_begins(self, epoch: int, epochs: int, steps: int) -> None: ...

    def steps_done(self, step: int, logs: dict[str, float]) -> None: ...

    def validation_begins(self) -> None: ...

    def epoch_ends(self, record: EpochRecord, is_best: bool) -> None: ...


@dataclass(frozen=True)
class FitResult:
    """`best_epoch` counts from 1; it is None where the monitored value was never a number."""

    history: tuple[EpochRecord, ...]
    monitor: str
    best_epoch: int | None
    best_value: float | None
    steps: int
    stopped_early: bool


@dataclass
class TrainingPosition:
    """Where training is: `epoch` epochs are finished, and `step` steps of the next one. `phase` is the one whose
    optimizer is in use; the next one is entered with its first epoch."""

    epoch: int = 0
    phase: int = 0
    step: int = 0
    steps: int = 0
    stop: bool = False
    history: list[EpochRecord] = field(default_factory=list)


def prepare_fit(
    built: BuiltModel,
    config: Config,
    dataset: Dataset,
    *,
    pace: Pace | None = None,
    strategy: Strategy | None = None,
    steps: int | None = None,
) -> "Fitting":
    """Compile the model and trace its steps, so that what does not fit is known before anything is written.

    `pace` says how many steps a compiled call runs, which changes no bit of the result. `strategy` is that of a run to
    be gone on with or repeated; unless given, it is chosen. `steps` is how many the whole training has, where `dataset`
    is only a part of its data.

    Raises:
        ConfigError: loss, metrics, class weights or a layer cannot take the data.
        MachineError: memory ran out.
    """
    with plain_failures(config):
        fitting = Fitting(built, config, dataset, pace or Pace(), strategy, steps)
        fitting.trace()
        refuse_monitors_of_several_numbers(config, built.core, fitting.best.monitor)
        return fitting


def fit(
    fitting: "Fitting",
    *,
    observer: Observer,
    save_state: Callable[[int, Arrays, dict[str, Any]], None],
    save_best: Callable[[keras.Model], None],
    start: TrainingState | None = None,
    should_stop: Callable[[], int | None] = lambda: None,
) -> FitResult:
    """Train on the training part of the data, validating after each epoch.

    `save_state(step, arrays, state)` gets the complete state before the first step, as often as the config says, when
    training is stopped, and at the end; `start` is such a state to go on from. `save_best(core)` is called while the
    model has the weights that were validated best: after an epoch that improved, but not more often than once a second;
    at the end and when training is stopped, where that was not done; and when training goes on from a state that has
    best weights. `should_stop` gives the number of a signal, or None.
    At the end the model has its final weights: the averaged ones where the optimizer averages, or those that a callback
    has restored.

    Raises:
        TrainingDiverged: a loss or a weight is not finite. The last finite state has been saved.
        Interrupted: `should_stop` said so. The state has been saved.
        ConfigError, DataError, MachineError: as in :mod:`dltool.training.failures`.
    """
    with plain_failures(fitting.config):
        fitting.hooks = Hooks(observer, save_state, save_best, should_stop)
        return fitting.run(start)


@dataclass(frozen=True)
class Hooks:
    """What :func:`fit` was given to call."""

    observer: Observer
    save_state: Callable[[int, Arrays, dict[str, Any]], None]
    save_best: Callable[[keras.Model], None]
    should_stop: Callable[[], int | None]


def class_weights_of(built: BuiltModel, config: Config, dataset: Dataset, rows: np.ndarray) -> Any:
    """A tensor of the weight of each class, or None. Only a model with one output has some."""
    name = built.heads[0].target
    if len(built.heads) > 1 or name is None:
        return None
    weights = class_weights(config, dataset.facts.targets[name], dataset.targets[name][rows])
    return None if weights is None else tf.constant(weights)


class StopRequestedError(Exception):
    """Leaves a validation; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Fitting:
    """One training, prepared or in progress."""

    hooks: Hooks

    def __init__(
        self,
        built: BuiltModel,
        config: Config,
        dataset: Dataset,
        pace: Pace,
        strategy: Strategy | None,
        steps: int | None,
    ) -> None:
        self.built, self.core, self.config = built, built.core, config
        self.rows = dataset.split.train.astype(np.int32)
        self.validation_rows = dataset.split.validation.astype(np.int32)
        self.targets = model_targets(built, dataset.targets)
        self.learners = list(learners(built.core))
        refuse_idle_phases(config, self.learners)
        refuse_optimizers(config)
        self.compile(0)
        table = make_tables(built, dataset.inputs, self.targets)
        size = config.training.batch_size
        weights = class_weights_of(built, config, dataset, self.rows)
        self.epochs, self.steps = config.training.total_epochs, -(-len(self.rows) // size)
        self.strategy = strategy or choose_strategy(config, built, table, steps or self.epochs * self.steps)
        self.train = train_loop(built.core, built.augmentation, table, weights, size, self.strategy.jit_compile)
        self.train.pace = pace
        self.test = test_loop(built.core, table, evaluation_batch(built, size))
        self.best: Best = make_best(config, built, len(self.validation_rows) > 0)
        self.callbacks = make_callbacks(config, built)
        self.callback_list = keras.callbacks.CallbackList(
            list(self.callbacks), model=built.core, epochs=self.epochs, steps=self.steps, verbose=0
        )
        self.position = TrainingPosition()
        self.best_weights: Arrays = []
        self.best_is_written, self.best_written = True, -math.inf
        self.saved = EMPTY_STATE
        self.cadence = make_cadence(config.training.checkpoint.every)
        self.profile = Profile()

    @contextlib.contextmanager
    def calling_back(self) -> Iterator[None]:
        with callback_failures(), self.profile.activity("callbacks"):
            yield

    def compile(self, phase: int) -> None:
        """Give the model what it learns by in this phase: a new optimizer, and new metrics too."""
        if self.config.training.phases is not None:
            set_learning(self.core, self.learners, self.config.training.parts[phase])
        compile_core(self.built, self.config, self.targets, phase)

    def trace(self, activity: str = "trace") -> None:
        """Compile the loops for the sizes of this data; they are compiled once a phase and used in the training.

        The time counts as that of `activity`.

        Raises:
            ConfigError: loss, metrics or a layer cannot take the data.
        """
        try:
            with self.profile.activity(activity):
                self.trace_training()
                if len(self.validation_rows):
                    self.test.trace(len(self.validation_rows))
        except OUT_OF_MEMORY:
            raise
        except KERAS_ERRORS as error:
            raise ConfigError(culprit(self.built, self.config, self.targets, error)) from error
        self.core.reset_metrics()
        self.empty_metrics = [(variable, value_of(variable)) for variable in self.core.metrics_variables]

    def reset_metrics(self) -> None:
        """As Keras's `reset_metrics`, which takes a tenth of a short epoch.

        A metric of the user's own may keep more than variables, and is reset by Keras.
        """
        if ALLOWED:
            self.core.reset_metrics()
            return
        for variable, value in self.empty_metrics:
            set_value(variable, value)

    def trace_training(self) -> None:
        """As the strategy says; without XLA where that was our own choice and turns out not to be possible."""
        with rewritten(self.core) if self.strategy.rewrites else contextlib.nullcontext():
            try:
                self.train.trace(len(self.rows))
                return
            except CannotCompileError as error:
                if self.config.training.jit_compile:
                    problem = Problem(("training", "jit_compile"), f"XLA refuses: {error}", "remove it")
                    raise ConfigError(problem) from error
                self.strategy = self.strategy.without_jit(f"XLA refuses: {error}")
        self.train = replace(self.train, jit_compile=False)
        self.trace_training()

    def enter(self, phase: int) -> None:
        """From now on train as this phase says."""
        if phase == self.position.phase:
            return
        self.compile(phase)
        self.train, self.test = self.train.anew(), self.test.anew()
        # What the last phase was compiled to refers to itself, and may be large.
        gc.collect()
        self.trace("trace in training")
        self.position.phase = phase

    def phase_of(self, epoch: int) -> int:
        """The phase that an epoch, counted from 0, belongs to."""
        ends = itertools.accumulate(part.epochs for part in self.config.training.parts)
        return next(number for number, end in enumerate(ends) if epoch < end)

    def run(self, start: TrainingState | None) -> FitResult:
        self.core.stop_training = False
        with self.calling_back():
            self.callback_list.on_train_begin()
        if start is None:
            self.remember()
            self.save()
        else:
            self.resume(start)
        try:
            while self.position.epoch < self.epochs and not self.position.stop:
                self.run_epoch()
        finally:
            self.profile.end()
        self.core.optimizer.finalize_variable_values(self.core.trainable_variables)
        history = self.position.history
        with self.calling_back():
            self.callback_list.on_train_end(history[-1].logs if history else {})
        best = self.best
        stopped = self.position.epoch < self.epochs
        return FitResult(tuple(history), best.monitor, best.epoch, best.value, self.position.steps, stopped)

    def run_epoch(self) -> None:
        began, epoch = time.perf_counter(), self.position.epoch
        if self.phase_of(epoch) != self.position.phase:
            # As Keras's fit does at its end.
            self.core.optimizer.finalize_variable_values(self.core.trainable_variables)
            self.enter(self.phase_of(epoch))
            self.remember()
        self.hooks.observer.epoch_begins(epoch + 1, self.epochs, self.steps)
        if self.position.step == 0:
            self.reset_metrics()
            with self.calling_back():
                self.callback_list.on_epoch_begin(epoch)
        self.run_steps(epoch)
        logs, rate = logs_of(self.core.get_metrics_result()), learning_rate(self.core)
        try:
            with averaged(self.core):
                logs |= {f"val_{name}": value for name, value in self.validate().items()}
                is_best = self.best.improves(epoch + 1, logs)
                if is_best:
                    self.best_weights, self.best_is_written = best_weights(self.core), False
                with self.calling_back():
                    self.callback_list.on_epoch_end(epoch, logs)
        except StopRequestedError as stop:
            # The weights are the model's own again, and validation will be done anew.
            raise self.interrupted(stop.number) from None
        record = EpochRecord(epoch + 1, logs, rate, time.perf_counter() - began)
        self.position.history.append(record)
        self.position.epoch, self.position.step = epoch + 1, 0
        self.position.stop = bool(self.core.stop_training)
        self.remember()
        is_last = self.position.stop or epoch + 1 == self.epochs
        if is_last or time.monotonic() - self.best_written >= SECONDS_BETWEEN_BEST:
            self.write_best()
        if is_last or self.cadence.is_due_after(epoch + 1, self.position.steps):
            self.save()
        self.hooks.observer.epoch_ends(record, is_best)

    def order(self, epoch: int) -> np.ndarray:
        """The rows of the table in the order of this epoch."""
        order: np.ndarray = self.rows[epoch_order(self.config.seed, epoch, len(self.rows))]
        return order

    def run_steps(self, epoch: int) -> None:
        order, position = self.order(epoch), self.position
        while position.step < self.steps and not self.core.stop_training:
            number = self.hooks.should_stop()
            if number is not None:
                self.refuse_weights_that_are_not_finite(order)
                raise self.interrupted(number)
            with self.calling_back():
                self.callback_list.on_train_batch_begin(position.step)
            count = self.cadence.end_of_call(position.steps, self.train.pace.steps)
            last = min(self.steps, position.step + count)
            with self.profile.call():
                after, is_finite, results = self.train(order, position.step, last)
            logs = logs_of(results)
            if not is_finite:
                raise self.diverged(order, after - 1, logs["loss"])
            position.steps += after - position.step
            position.step = after
            with self.calling_back():
                self.callback_list.on_train_batch_end(after - 1, logs)
            self.hooks.observer.steps_done(after, logs)
            if position.step < self.steps and self.cadence.is_due_within(position.steps):
                self.refuse_weights_that_are_not_finite(order)
                self.remember()
                self.save()
        self.refuse_weights_that_are_not_finite(order)

    def validate(self) -> dict[str, float]:
        """The loss and metrics of the validation part, under their own names; nothing where there is none."""
        examples = len(self.validation_rows)
        if not examples:
            return {}
        self.hooks.observer.validation_begins()
        of_training = [(variable, value_of(variable)) for variable in self.core.metrics_variables]
        try:
            with self.calling_back():
                self.callback_list.on_test_begin()
                self.callback_list.on_test_batch_begin(0)
            with self.profile.activity("validation"):
                self.reset_metrics()
                logs = measure(self.test, self.validation_rows, self.leave_if_asked)
            with self.calling_back():
                self.callback_list.on_test_batch_end(self.test.steps(examples) - 1, logs)
                self.callback_list.on_test_end(logs)
        finally:
            for variable, value in of_training:
                set_value(variable, value)
        return logs

    def leave_if_asked(self) -> None:
        number = self.hooks.should_stop()
        if number is not None:
            raise StopRequestedError(number)

    def write_best(self) -> None:
        """Have the best weights written, where they are not. They are in every saved state too."""
        if self.best_is_written:
            return
        with self.profile.activity("checkpoints"), holding(self.core, self.best_weights):
            self.hooks.save_best(self.core)
        self.best_is_written, self.best_written = True, time.monotonic()

    def interrupted(self, number: int) -> Interrupted:
        self.write_best()
        self.remember()
        self.save()
        epoch, step = self.position.epoch + 1, self.position.step
        return Interrupted(f"stopped in epoch {epoch} of {self.epochs}, after step {step} of {self.steps}", number)

    def remember(self) -> None:
        """Copy the state as it is now."""
        with self.profile.activity("checkpoints"):
            state = capture(self.built, self.callbacks, self.progress())
            self.saved = TrainingState([*state.arrays, *self.best_weights], state.state)

    def save(self) -> None:
        """Have the remembered state written."""
        with self.profile.activity("checkpoints"):
            self.hooks.save_state(self.position.steps, self.saved.arrays, self.saved.state)
        self.cadence.saved()

    def progress(self) -> dict[str, Any]:
        # Not asdict, which copies: nothing of a finished epoch changes, and there may be many.
        history = [vars(record) for record in self.position.history]
        return {"position": {**vars(self.position), "history": history}, "best": asdict(self.best)}

    def resume(self, start: TrainingState) -> None:
        self.best_weights = restore_best(self.core, start)
        if self.best_weights:
            # What was saved last may be of an epoch after this state, which is now run again.
            self.hooks.save_best(self.core)
            self.best_written = time.monotonic()
        position = start.state["position"]
        if position["phase"] >= len(self.config.training.parts):
            raise RunError(f"the saved state is of phase {position['phase'] + 1}, which the config does not have")
        self.enter(position["phase"])
        restore(self.built, self.callbacks, start)
        history = [EpochRecord(**record) for record in position["history"]]
        self.position = TrainingPosition(**{**position, "history": history})
        self.best = Best(**start.state["best"])
        self.saved = start

    def refuse_weights_that_are_not_finite(self, order: Any) -> None:
        """The loss may have stayed finite: that of a step is computed before its weights, and relu of NaN may be 0."""
        if not self.weights_are_finite():
            raise self.diverged(order, self.position.step - 1, None)

    def weights_are_finite(self) -> bool:
        return all(
            np.isfinite(value_of(variable).numpy()).all()
            for variable in self.core.variables
            if variable.value.dtype.is_floating
        )

    def diverged(self, order: Any, step: int, loss: float | None) -> TrainingDiverged:
        """Go back to the last finite state before `step` (0-based in its epoch), save it, and say what happened.

        `loss` is what the loss became in that step; None where only weights are not finite afterwards.
        """
        position = self.position
        reached = self.run_while_finite(order, step if loss is not None else step + 1)
        position.step, position.steps = reached, position.steps - position.step + reached
        self.write_best()
        self.remember()
        self.save()
        if loss is None:
            step, what = reached, "the weights became NaN or infinite"
        else:
            what = "the loss became " + ("NaN" if math.isnan(loss) else "infinite")
        message = f"{what} in epoch {position.epoch + 1}, step {step + 1} of {self.steps}"
        hint = "lower the learning rate, or clip gradients with the optimizer's clipnorm: 1.0"
        place = (*self.config.training.place_of(position.phase), "optimizer")
        return TrainingDiverged(Problem(place, message, hint))

    def run_while_finite(self, order: Any, until: int) -> int:
        """Run this epoch again from the last saved state, for as long as all weights are finite, at most to `until`.

        Steps are a function of state and order alone, so this passes through the same states. Gives the step reached.
        """
        good, stride = self.saved, max(1, self.train.pace.steps)
        reached: int = good.state["position"]["step"]
        restore(self.built, self.callbacks, good)
        if reached == 0:
            # The state of an epoch's end still has its metrics.
            self.reset_metrics()
            good = capture(self.built, self.callbacks, {})
        while reached < until:
            step, target = reached, min(until, reached + stride)
            while step < target:
                step, *_ = self.train(order, step, target)
            if self.weights_are_finite():
                good, reached = capture(self.built, self.callbacks, {}), target
            elif stride == 1:
                break
            else:
                stride = 1
                restore(self.built, self.callbacks, good)
        restore(self.built, self.callbacks, good)
        return reached


def measure(loop: Loop, rows: np.ndarray, between: Callable[[], None]) -> dict[str, float]:
    """The loss and metrics over `rows`, the metrics having been reset. `between` is called between compiled calls."""
    step, steps = 0, loop.steps(len(rows))
    results: Any = {}
    while step < steps:
        between()
        step, _, results = loop(rows, step, min(steps, step + loop.pace.steps))
    return logs_of(results)
