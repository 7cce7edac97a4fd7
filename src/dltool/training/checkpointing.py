"""Choose the states to keep: the best epoch's weights, and the whole state at the config's interval."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from dltool.config.schema import Config
from dltool.errors import ConfigError, ConfigPath, Problem
from dltool.model.build import BuiltModel

DEFAULT_MINUTES = 10
LAST = "epoch"
"""The monitor for which the last epoch is the best."""


@dataclass
class Best:
    """The best epoch so far by the monitored value. NaN is never the best; the first of equal values wins."""

    monitor: str
    direction: Literal["min", "max"]
    epoch: int | None = None
    value: float | None = None

    def improves(self, epoch: int, logs: Mapping[str, float]) -> bool:
        """Return whether `epoch` (1-based) is the best so far, and record it if it is."""
        value = float(epoch) if self.monitor == LAST else logs.get(self.monitor, math.nan)
        if math.isnan(value):
            return False
        if self.value is not None and not (value < self.value if self.direction == "min" else value > self.value):
            return False
        self.epoch, self.value = epoch, value
        return True


def make_best(config: Config, built: BuiltModel, has_validation: bool) -> Best:
    """Return the monitor of the config; the default is `val_loss`, or `loss` without validation, or the last epoch:
    see :attr:`dltool.config.schema.Config.keeps_last_epoch`.

    Raises ConfigError: it is not known whether less or more is better, or `mode` contradicts it."""
    options, place = config.training.checkpoint, ("training", "checkpoint")
    if not has_validation and config.keeps_last_epoch:
        return Best(LAST, "max")
    monitor = options.monitor or ("val_loss" if has_validation else "loss")
    known = known_direction(built, monitor)
    if options.mode is not None and known not in (None, options.mode):
        message = f"{'less' if known == 'min' else 'more'} of {monitor} is better"
        raise ConfigError(Problem((*place, "mode"), message, f"remove it, or write mode: {known}"))
    return Best(monitor, options.mode or direction(built, monitor, (*place, "monitor")))


def direction(built: BuiltModel, monitor: str, place: ConfigPath) -> Literal["min", "max"]:
    """Return whether less or more of a metric is better. Raises ConfigError: nothing says so."""
    known = known_direction(built, monitor)
    if known is None:
        message = f"{monitor}: cannot tell whether more or less is better"
        raise ConfigError(Problem(place, message, "mode: max or mode: min"))
    return known


def known_direction(built: BuiltModel, monitor: str) -> Literal["min", "max"] | None:
    """Return the direction of a metric, as Keras's callbacks find it with `mode: auto`."""
    name = monitor.removeprefix("val_")
    made = [inner for metric in built.core.metrics for inner in getattr(metric, "metrics", [metric])]
    # By their logged names; with several outputs, these begin with the output's name.
    metrics = dict(zip(built.core.get_metrics_result(), made, strict=True))
    if name in ("loss", *(f"{head.name}_loss" for head in built.heads)):
        return "min"
    way = getattr(metrics.get(name), "_direction", None)
    return None if way is None else "max" if way == "up" else "min"


@dataclass
class Cadence:
    """An interval in steps, epochs or seconds; None disables a unit.

    Steps count over the whole run. The clock decides only when a state is saved, never what is computed."""

    steps: int | None = None
    epochs: int | None = None
    seconds: float | None = None
    last: float = field(default_factory=time.monotonic)

    def end_of_call(self, done: int, steps: int) -> int:
        """Return how many of the next `steps` steps a call may run after `done` steps: it ends when a save is due."""
        return steps if self.steps is None else min(steps, self.steps - done % self.steps)

    def is_due_within(self, done: int) -> bool:
        """Return whether to save within an epoch, after `done` steps."""
        by_time = self.seconds is not None and time.monotonic() - self.last >= self.seconds
        return by_time or (self.steps is not None and done % self.steps == 0)

    def is_due_after(self, epoch: int, done: int) -> bool:
        """Return whether to save after `epoch`, counted from 1."""
        return self.is_due_within(done) or (self.epochs is not None and epoch % self.epochs == 0)

    def saved(self) -> None:
        self.last = time.monotonic()


def make_cadence(every: str | None) -> Cadence:
    """Parse `500 steps`, `2 epochs` or `10 minutes`; by default each epoch, and every ten minutes within one."""
    if every is None:
        return Cadence(epochs=1, seconds=DEFAULT_MINUTES * 60)
    count, unit = every.split()
    name, size = {"step": ("steps", 1), "epoch": ("epochs", 1), "minute": ("seconds", 60)}[unit.removesuffix("s")]
    return Cadence(**{name: int(count) * size})
