"""The states that a run can return to: save them, resume from them, and find the last finite one."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import keras
import numpy as np

from dltool.errors import Interrupted, Problem, RunError, TrainingDiverged
from dltool.training.checkpointing import Best, Cadence
from dltool.training.divergence import cause_of
from dltool.training.loop import logs_of
from dltool.training.state import (
    Arrays,
    EpochRecord,
    TrainingPosition,
    TrainingState,
    best_variables,
    capture,
    copied,
    holding,
    restore,
    restore_best,
    value_of,
)
from dltool.training.steps import Steps

SECONDS_BETWEEN_BEST = 1.0
"""Before each write of the best weights within a run: short epochs improve too often to write each time."""


class StopRequestedError(Exception):
    """Leaves a validation; its argument is the number of the signal."""


class Recovery:
    """The position of a run, its best weights, and its last remembered state.

    `save_state` and `save_best` are those of :func:`dltool.training.fit.fit`."""

    save_state: Callable[[int, Arrays, dict[str, Any]], None]
    save_best: Callable[[keras.Model], None]

    def __init__(
        self, steps: Steps, callbacks: Sequence[keras.callbacks.Callback], best: Best, cadence: Cadence
    ) -> None:
        self.steps, self.built, self.core = steps, steps.built, steps.core
        self.callbacks, self.best, self.cadence = callbacks, best, cadence
        self.position = TrainingPosition()
        self.best_weights: Arrays = []
        self.best_is_written, self.best_written = True, time.monotonic()
        self.saved = TrainingState([], {})

    def enter(self, phase: int) -> None:
        self.steps.enter(phase)
        self.position.phase = phase

    def keep_if_best(self, epoch: int, logs: dict[str, float]) -> bool:
        """Return whether `epoch` (1-based) is the best so far, and keep the model's current weights if it is."""
        is_best = self.best.improves(epoch, logs)
        if is_best:
            self.best_weights, self.best_is_written = copied(best_variables(self.core)), False
        return is_best

    def write_best(self, at_once: bool = True) -> None:
        """Write the best weights unless on disk; not `at_once`, at most once a second. Every state holds them too."""
        is_due = at_once or time.monotonic() - self.best_written >= SECONDS_BETWEEN_BEST
        if self.best_is_written or not is_due:
            return
        with self.steps.profile.activity("checkpoints"), holding(self.core, self.best_weights):
            self.save_best(self.core)
        self.best_is_written, self.best_written = True, time.monotonic()

    def interrupted(self, number: int) -> Interrupted:
        self.write_best()
        self.remember()
        self.save()
        epoch, step = self.position.epoch + 1, self.position.step
        message = f"stopped in epoch {epoch} of {self.steps.epochs}, after step {step} of {self.steps.count}"
        return Interrupted(message, number)

    def remember(self) -> None:
        """Copy the current state."""
        # Not asdict, which copies: finished epochs never change, and there may be many.
        history = [vars(record) for record in self.position.history]
        progress = {"position": {**vars(self.position), "history": history}, "best": asdict(self.best)}
        with self.steps.profile.activity("checkpoints"):
            state = capture(self.built, self.callbacks)
            self.saved = TrainingState([*state.arrays, *self.best_weights], {**state.state, **progress})

    def save(self) -> None:
        """Write the remembered state."""
        with self.steps.profile.activity("checkpoints"):
            self.save_state(self.position.steps, self.saved.arrays, self.saved.state)
        self.cadence.saved()

    def resume(self, start: TrainingState) -> None:
        self.best_weights = restore_best(self.core, start)
        if self.best_weights:
            # The last save may hold an epoch after this state, which now runs again.
            self.save_best(self.core)
            self.best_written = time.monotonic()
        position = start.state["position"]
        if position["phase"] >= len(self.steps.config.training.parts):
            raise RunError(f"the saved state is of phase {position['phase'] + 1}, which the config does not have")
        self.enter(position["phase"])
        restore(self.built, self.callbacks, start)
        history = [EpochRecord(**record) for record in position["history"]]
        vars(self.position).update({**position, "history": history})
        self.best = Best(**start.state["best"])
        self.saved = start

    def refuse_weights_that_are_not_finite(self, order: Any) -> None:
        """Raise TrainingDiverged if a weight is not finite. The loss may still be finite: it is computed before the
        step's update, and relu of NaN may be 0."""
        if not self.weights_are_finite():
            raise self.diverged(order, self.position.step - 1, None)

    def weights_are_finite(self) -> bool:
        floating = (variable for variable in self.core.variables if variable.value.dtype.is_floating)
        return all(np.isfinite(value_of(variable).numpy()).all() for variable in floating)

    def diverged(self, order: Any, step: int, loss: float | None) -> TrainingDiverged:
        """Return to the last finite state before `step` (0-based in its epoch), save it, and describe what happened.
        `loss` is the loss of that step; None if only weights are not finite."""
        position = self.position
        reached, losses = self.run_while_finite(order, step if loss is not None else step + 1)
        position.step, position.steps = reached, position.steps - position.step + reached
        self.write_best()
        self.remember()
        self.save()
        if loss is None:
            step, what = reached, "the weights are NaN or infinite"
        else:
            what = f"the loss is {'NaN' if math.isnan(loss) else 'infinite'}"
        message = f"{what} in epoch {position.epoch + 1}, step {step + 1} of {self.steps.count}"
        rows = self.steps.batch_rows(order, reached)
        cause = cause_of(self.steps, rows, [record.logs["loss"] for record in position.history] + losses)
        place = cause.place or (*self.steps.config.training.place_of(position.phase), "optimizer")
        return TrainingDiverged(Problem(place, f"{message}: {cause.text}", cause.hint, related=cause.related))

    def run_while_finite(self, order: Any, until: int) -> tuple[int, list[float]]:
        """Repeat this epoch from the saved state while weights are finite, at most to `until`; return the step reached,
        and the mean losses of the epoch on the way. Steps are a function of state and order alone, so the states are
        the same again."""
        good, stride, losses = self.saved, max(1, self.steps.train.pace.steps), list[float]()
        reached: int = good.state["position"]["step"]
        restore(self.built, self.callbacks, good)
        if reached == 0:
            # A state at the end of an epoch still holds its metrics.
            self.steps.reset_metrics()
            good = capture(self.built, self.callbacks)
        while reached < until:
            # The first step alone, for its loss.
            step, target = reached, min(until, reached + (stride if losses else 1))
            while step < target:
                step, _, results = self.steps.train(order, step, target)
            if self.weights_are_finite():
                good, reached = capture(self.built, self.callbacks), target
                losses.append(logs_of(results)["loss"])
            elif stride == 1:
                break
            else:
                stride = 1
                restore(self.built, self.callbacks, good)
        restore(self.built, self.callbacks, good)
        return reached, losses
