"""Which epoch is the best."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import keras

from dltool.config.schema import Config
from dltool.errors import ConfigError, ConfigPath, Problem
from dltool.model.build import BuiltModel


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


def make_best(config: Config, built: BuiltModel, has_validation: bool) -> Best:
    """The monitor of the config: `val_loss` unless given, or `loss` where nothing is validated."""
    monitor = config.training.checkpoint.monitor or ("val_loss" if has_validation else "loss")
    return Best(monitor, direction(built, monitor, ("training", "checkpoint", "monitor"), "monitor the loss instead"))


def direction(built: BuiltModel, monitor: str, place: ConfigPath, hint: str) -> Literal["min", "max"]:
    """Whether less or more of a metric is better, as Keras's callbacks decide it with `mode: auto`."""
    name = monitor.removeprefix("val_")
    metrics = named_metrics(built.core)
    if name in ("loss", *(f"{head.name}_loss" for head in built.heads)):
        return "min"
    way = getattr(metrics.get(name), "_direction", None)
    if way is None:
        what = "cannot tell whether more or less is better" if name in metrics else "no such metric"
        raise ConfigError(Problem(place, f"{monitor}: {what}", hint))
    return "max" if way == "up" else "min"


def named_metrics(core: keras.Model) -> dict[str, Any]:
    """The metrics by the names under which they are logged: those of several outputs begin with the output's."""
    metrics = [inner for metric in core.metrics for inner in getattr(metric, "metrics", [metric])]
    return dict(zip(core.get_metrics_result(), metrics, strict=True))
