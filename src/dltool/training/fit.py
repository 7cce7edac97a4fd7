"""Training: epochs of compiled steps, validation, callbacks, and a state that can be saved after any call."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import tensorflow as tf

from dltool.config.schema import Config
from dltool.data.arrays.shard_order import Order
from dltool.data.dataset import Dataset
from dltool.keras_names import ALLOWED
from dltool.model.build import BuiltModel
from dltool.training.callbacks import make_callbacks
from dltool.training.checkpointing import make_best, make_cadence
from dltool.training.compile import inner_optimizer, learning_rate, refuse_monitors_of_several_numbers
from dltool.training.distillation import Teacher
from dltool.training.failures import callback_failures, plain_failures
from dltool.training.loop import Pace, logs_of
from dltool.training.numerics import Strategy
from dltool.training.recovery import Recovery, StopRequestedError
from dltool.training.reloading import refuse_unlike_when_loaded
from dltool.training.state import Arrays, EpochRecord, TrainingState, evaluating, set_value, value_of
from dltool.training.steps import Steps

FEW_ROWS = 8
"""Examples that a loaded model is compared with."""


class Observer(Protocol):
    """Receives the progress of a run. Epochs and steps count from 1."""

    def epoch_begins(self, epoch: int, epochs: int, steps: int) -> None: ...
    def steps_done(self, step: int, logs: dict[str, float]) -> None: ...
    def validation_begins(self) -> None: ...
    def epoch_ends(self, record: EpochRecord, is_best: bool) -> None: ...


@dataclass(frozen=True)
class FitResult:
    """`best_epoch` counts from 1; it is None if the monitored value was always NaN."""

    history: tuple[EpochRecord, ...]
    monitor: str
    best_epoch: int | None
    best_value: float | None
    steps: int


def prepare_fit(
    built: BuiltModel,
    config: Config,
    dataset: Dataset,
    *,
    pace: Pace | None = None,
    strategy: Strategy | None = None,
    steps: int | None = None,
    teacher: Teacher | None = None,
) -> "Fitting":
    """Compile the model and trace its steps, so that errors appear before anything is written.

    `pace` chooses the steps of a compiled call, which changes no bit of the result. `strategy` is that of a run to
    resume or reproduce; by default it is chosen. `steps` is the length of the whole run, if `dataset` is a part.

    Raises ConfigError: loss, metrics, class weights or a layer cannot take the data; MachineError: memory ran out."""
    with plain_failures(config):
        return traced(Fitting(Steps(built, config, dataset, strategy, steps, teacher)), dataset, pace)


def traced(fitting: "Fitting", dataset: Dataset, pace: Pace | None) -> "Fitting":
    fitting.steps.train.pace = pace or Pace()
    fitting.steps.trace()
    if ALLOWED:
        rows = dataset.split.train[:FEW_ROWS]
        refuse_unlike_when_loaded(fitting.steps.built, {name: values[rows] for name, values in dataset.inputs.items()})
    refuse_monitors_of_several_numbers(fitting.config, fitting.core, fitting.recovery.best.monitor)
    return fitting


def fit(
    fitting: "Fitting",
    *,
    observer: Observer,
    save_state: Callable[[int, Arrays, dict[str, Any]], None],
    save_best: Callable[[keras.Model], None],
    wait_for_state: Callable[[], None] = lambda: None,
    start: TrainingState | None = None,
    should_stop: Callable[[], int | None] = lambda: None,
) -> FitResult:
    """Train on the training split, validating after each epoch.

    `save_state(step, arrays, state)` receives the complete state before the first step, at the config's interval, when
    interrupted, and at the end. `start` is such a state to resume from. `wait_for_state()` returns once one is on disk:
    no epoch is reported before, so a run with an epoch can be resumed. `save_best(core)` is called while the model
    holds the best weights: after an improved epoch, at most once a second and not in the first; at the end, when
    interrupted (unless they are on disk), and when resuming from a state with them. `should_stop` returns the number of
    a signal, or None. The final weights are averaged by the optimizer, or restored by a callback.

    Raises TrainingDiverged: a loss or a weight is not finite; the last finite state has been saved.
    Raises Interrupted: `should_stop` returned a signal; the state has been saved.
    Raises ConfigError, DataError, MachineError: as in :mod:`dltool.training.failures`."""
    with plain_failures(fitting.config):
        fitting.observer, fitting.should_stop, fitting.wait_for_state = observer, should_stop, wait_for_state
        fitting.recovery.save_state, fitting.recovery.save_best = save_state, save_best
        return fitting.run(start)


class Fitting:
    """One run, ready to train or in progress."""

    observer: Observer
    should_stop: Callable[[], int | None]
    wait_for_state: Callable[[], None]

    def __init__(self, steps: Steps) -> None:
        self.steps, self.core, self.config, self.profile = steps, steps.core, steps.config, steps.profile
        best = make_best(self.config, steps.built, steps.is_validated)
        callbacks = make_callbacks(self.config, steps.built)
        self.callback_list = keras.callbacks.CallbackList(
            list(callbacks), model=self.core, epochs=steps.epochs, steps=steps.count, verbose=0
        )
        self.cadence = make_cadence(self.config.training.checkpoint.every)
        self.recovery = Recovery(steps, callbacks, best, self.cadence)
        self.position = self.recovery.position

    @contextlib.contextmanager
    def calling_back(self) -> Iterator[None]:
        with callback_failures(), self.profile.activity("callbacks"):
            yield

    def run(self, start: TrainingState | None) -> FitResult:
        self.core.stop_training = False
        with self.calling_back():
            self.callback_list.on_train_begin()
        if start is not None:
            self.recovery.resume(start)
        else:
            self.recovery.remember()
            self.recovery.save()
        try:
            while self.position.epoch < self.steps.epochs and not self.position.stop:
                self.run_epoch()
        finally:
            self.profile.end()
        self.core.optimizer.finalize_variable_values(self.core.trainable_variables)
        history, best = self.position.history, self.recovery.best
        with self.calling_back():
            self.callback_list.on_train_end(history[-1].logs if history else {})
        return FitResult(tuple(history), best.monitor, best.epoch, best.value, self.position.steps)

    def run_epoch(self) -> None:
        began, epoch = time.perf_counter(), self.position.epoch
        self.begin_epoch(epoch)
        self.run_steps(self.steps.order(epoch))
        logs, rate = self.steps.measured(self.core.get_metrics_result()), learning_rate(self.core)
        try:
            with averaged(self.core):
                logs |= {f"val_{name}": value for name, value in self.validate().items()}
                is_best = self.recovery.keep_if_best(epoch + 1, logs)
                with self.calling_back():
                    self.callback_list.on_epoch_end(epoch, logs)
        except StopRequestedError as stop:
            # The model has its own weights again; validation will be repeated.
            raise self.recovery.interrupted(stop.args[0]) from None
        record = EpochRecord(epoch + 1, logs, rate, time.perf_counter() - began)
        self.position.history.append(record)
        self.position.epoch, self.position.step = epoch + 1, 0
        self.position.stop = bool(self.core.stop_training)
        self.recovery.remember()
        is_last = self.position.stop or epoch + 1 == self.steps.epochs
        self.recovery.write_best(at_once=is_last)
        if is_last or self.cadence.is_due_after(epoch + 1, self.position.steps):
            self.recovery.save()
        self.wait_for_state()
        self.observer.epoch_ends(record, is_best)

    def begin_epoch(self, epoch: int) -> None:
        """Enter the phase of the epoch, and announce it if it is new."""
        phase = self.steps.phase_of(epoch)
        if phase != self.position.phase:
            # As Keras's fit does at its end.
            self.core.optimizer.finalize_variable_values(self.core.trainable_variables)
            self.recovery.enter(phase)
            self.recovery.remember()
        self.observer.epoch_begins(epoch + 1, self.steps.epochs, self.steps.count)
        if self.position.step == 0:
            self.steps.reset_metrics()
            with self.calling_back():
                self.callback_list.on_epoch_begin(epoch)

    def run_steps(self, order: Order) -> None:
        """Run the remaining steps of an epoch over the rows of the table in this order."""
        steps, position, recovery = self.steps, self.position, self.recovery
        while position.step < steps.count and not self.core.stop_training:
            number = self.should_stop()
            if number is not None:
                recovery.refuse_weights_that_are_not_finite(order)
                raise recovery.interrupted(number)
            with self.calling_back():
                self.callback_list.on_train_batch_begin(position.step)
            count = self.cadence.end_of_call(position.steps, steps.train.pace.steps)
            last = min(steps.count, position.step + count)
            with self.profile.call():
                after, is_finite, results = steps.train(order, position.step, last)
            logs = logs_of(results)
            if not is_finite:
                raise recovery.diverged(order, after - 1, logs["loss"])
            position.steps += after - position.step
            position.step = after
            with self.calling_back():
                self.callback_list.on_train_batch_end(after - 1, logs)
            self.observer.steps_done(after, logs)
            if position.step < steps.count and self.cadence.is_due_within(position.steps):
                recovery.refuse_weights_that_are_not_finite(order)
                recovery.remember()
                recovery.save()
        recovery.refuse_weights_that_are_not_finite(order)

    def validate(self) -> dict[str, float]:
        """Return loss and metrics of the validation split, under their own names; empty without one."""
        steps, rows = self.steps, self.steps.validation_rows
        if not steps.is_validated:
            return {}
        count = steps.test.steps(len(rows))
        self.observer.validation_begins()
        of_training = [(variable, value_of(variable)) for variable in self.core.metrics_variables]
        try:
            with self.calling_back():
                self.callback_list.on_test_begin()
                self.callback_list.on_test_batch_begin(0)
            with self.profile.activity("validation"), evaluating(self.core, self.config.seed):
                steps.reset_metrics()
                done, results = 0, None
                while done < count:
                    self.leave_if_asked()
                    done, _, results = steps.test(rows, done, min(count, done + steps.test.pace.steps))
                logs = steps.measured(results)
            with self.calling_back():
                self.callback_list.on_test_batch_end(count - 1, logs)
                self.callback_list.on_test_end(logs)
        finally:
            for variable, value in of_training:
                set_value(variable, value)
        return logs

    def leave_if_asked(self) -> None:
        number = self.should_stop()
        if number is not None:
            raise StopRequestedError(number)


@contextlib.contextmanager
def averaged(core: keras.Model) -> Iterator[None]:
    """Use the averaged weights within the block, if the optimizer averages (`use_ema: true`), then restore exactly."""
    swap(core)
    try:
        yield
    finally:
        swap(core)


def swap(core: keras.Model) -> None:
    optimizer = inner_optimizer(core.optimizer)
    if not getattr(optimizer, "use_ema", False):
        return
    # Keras's SwapEMAWeights reads the same private lists, but swaps by adding and subtracting, which rounds.
    pairs = zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True)
    for variable, average in pairs:
        if average is not None:
            own = tf.identity(variable.value)
            variable.assign(average.value)
            average.assign(own)
