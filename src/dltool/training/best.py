"""Which epoch is the best."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import keras

from dltool.config.schema import Config
from dltool.errors import ConfigError, ConfigPath, Problem


@dataclass
class Best:
    """The best epoch so far by the monitored value. NaN is never the best; of equal values the first is."""

    monitor: str
    direction: Literal["min", "max"]
    epoch: int | None = None
    value: float | None = None

    def improves(self, epoch: int, logs: Mapping[str, float]) -> bool:
        """Whether `epoch` (1-based) is the best so far; if so it is remembered."""
        value = logs.get(self.monitor, math.nan)
        if math.isnan(value):
            return False
        if self.value is not None and not (value < self.value if self.direction == "min" else value > self.value):
            return False
        self.epoch, self.value = epoch, value
        return True


def make_best(config: Config, core: keras.Model, has_validation: bool) -> Best:
    """The monitor of the config: `val_loss` unless given, or `loss` where nothing is validated."""
    monitor = config.training.checkpoint.monitor or ("val_loss" if has_validation else "loss")
    return Best(monitor, direction(core, monitor, ("training", "checkpoint", "monitor"), "monitor the loss instead"))


def direction(core: keras.Model, monitor: str, place: ConfigPath, hint: str) -> Literal["min", "max"]:
    """Whether less or more of a metric is better, as Keras's callbacks decide it with `mode: auto`."""
    name = monitor.removeprefix("val_")
    if name == "loss":
        return "min"
    found = [metric for metric in flat_metrics(core) if metric.name == name]
    way = getattr(found[0], "_direction", None) if found else None
    if way is None:
        what = "cannot tell whether more or less is better" if found else "no such metric"
        raise ConfigError(Problem(place, f"{monitor}: {what}", hint))
    return "max" if way == "up" else "min"


def flat_metrics(core: keras.Model) -> list[Any]:
    return [inner for metric in core.metrics for inner in getattr(metric, "metrics", [metric])]
