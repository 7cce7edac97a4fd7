"""The outputs of the model, each with what it is trained for, however the config writes it."""

from collections.abc import Sequence
from dataclasses import dataclass

from dltool.config.keras_objects import KerasObject
from dltool.config.schema import Config, Data
from dltool.errors import ConfigPath

ONE_OUTPUT = "output"
"""The name of the output of a model whose config names none."""
INPUT = "input"
"""The target of an output that is to restore the input."""


@dataclass(frozen=True)
class Head:
    """One output, with its loss and metrics.

    `layer` is the name of the layer whose output it is; None is the last one of the model. `target` is the name of the
    target that it is compared with; None is the input itself, as preprocessing leaves it. `place` is where the config
    gives its loss and metrics.
    """

    name: str
    layer: str | None
    target: str | None
    loss: KerasObject
    metrics: Sequence[KerasObject]
    weight: float
    place: ConfigPath

    @property
    def loss_place(self) -> ConfigPath:
        return (*self.place, "loss")

    @property
    def metrics_place(self) -> ConfigPath:
        return (*self.place, "metrics")


def heads_of(config: Config) -> tuple[Head, ...]:
    """Every output, in the order of the config."""
    training = config.training
    if not config.model.outputs:
        assert training.loss is not None, "without outputs, the config's schema wants a loss"
        target = target_named(config.data, None, ONE_OUTPUT)
        return (Head(ONE_OUTPUT, None, target, training.loss, training.metrics, 1.0, ("training",)),)
    return tuple(
        Head(
            name,
            output.layer or name,
            target_named(config.data, output.target, name),
            output.loss,
            output.metrics,
            output.weight,
            ("model", "outputs", name),
        )
        for name, output in config.model.outputs.items()
    )


def target_named(data: Data, given: str | None, output: str) -> str | None:
    """The name of the target that an output means; what it means may not be there."""
    targets = data.targets
    wanted = output if given is None else given
    if wanted in targets:
        return wanted
    if given == INPUT or (given is None and not targets):
        return None
    only = next(iter(targets))
    is_only = len(targets) == 1 and (given is None or (given,) == targets[only].columns)
    return only if is_only else wanted
