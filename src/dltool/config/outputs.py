"""The outputs of the model with their losses, metrics and targets, in one form for every kind of config."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dltool.config.keras.objects import UNKNOWN, KerasObject
from dltool.config.schema import Config, Data
from dltool.errors import ConfigPath, Problem
from dltool.text import did_you_mean, near

ONE_OUTPUT = "output"
"""The name of the output of a model whose config names none."""
INPUT = "input"
"""The target of an output that reconstructs the input."""


@dataclass(frozen=True)
class OutputSpec:
    """One output with its loss and metrics. `layer` is the name of the layer that gives the output; None is the last
    layer. `target` is the name of its target; None is the preprocessed input. Both are UNKNOWN as long as they depend
    on unread data. `place` is the config path of its loss, metrics and decision threshold. `class_weights` are as in
    the config."""

    name: str
    layer: Any
    target: Any
    loss: KerasObject
    metrics: Sequence[KerasObject]
    weight: float
    place: ConfigPath
    threshold: Any = None
    class_weights: Any = None
    class_weights_place: ConfigPath = ("training", "class_weights")

    @property
    def loss_place(self) -> ConfigPath:
        return (*self.place, "loss")

    @property
    def loss_related(self) -> tuple[tuple[ConfigPath, str]]:
        """Return the location of the loss, for problems elsewhere that involve it."""
        return ((self.loss_place, "the loss"),)

    @property
    def metrics_place(self) -> ConfigPath:
        return (*self.place, "metrics")

    @property
    def threshold_place(self) -> ConfigPath:
        return (*self.place, "threshold")

    def thresholds(self, names: Sequence[str]) -> list[float] | None:
        """Return the threshold of all outputs, or those of the labels `names`. None: there is none, or it is still to
        be chosen by a metric."""
        if isinstance(self.threshold, Mapping):
            return [self.threshold[name] for name in names]
        return None if self.threshold is None or isinstance(self.threshold, str) else [self.threshold]


def heads_of(config: Config) -> tuple[OutputSpec, ...]:
    """Return every output, in the order of the config."""
    training = config.training
    if not config.model.outputs:
        assert training.loss is not None, "without outputs, the config's schema wants a loss"
        target = target_named(config.data, None, ONE_OUTPUT)
        loss, metrics, weights = training.loss, training.metrics, training.class_weights
        return (
            OutputSpec(
                ONE_OUTPUT, None, target, loss, metrics, 1.0, ("training",), training.threshold, class_weights=weights
            ),
        )
    heads = []
    for name, each in config.model.outputs.items():
        target, place = target_named(config.data, each.target, name), ("model", "outputs", name)
        layer, threshold = each.layer or name, each.threshold
        head = OutputSpec(name, layer, target, each.loss, each.metrics, each.weight, place, threshold)
        if each.class_weights is not None or len(config.model.outputs) > 1:
            weights_place = (*place, "class_weights")
            head = replace(head, class_weights=each.class_weights, class_weights_place=weights_place)
        else:
            head = replace(head, class_weights=training.class_weights)
        heads.append(head)
    return tuple(heads)


def target_named(data: Data, given: Any, output: str) -> Any:
    """Return the name of an output's target, which need not exist."""
    targets = data.targets
    wanted = output if given is None else given
    if wanted in targets:
        return wanted
    if given == INPUT or (given is None and not targets):
        return None
    for only, target in targets.items() if len(targets) == 1 else ():
        if given is None or (given,) == target.columns:
            return only
    return wanted


def layer_index(config: Config, head: OutputSpec) -> int | None:
    """Return the index of the layer that gives the output; None if no layer has that name."""
    if head.layer is None:
        return len(config.model.layers) - 1
    found = [i for i, entry in enumerate(config.model.layers) if entry.arguments.get("name") == head.layer]
    return found[-1] if found else None


def unknown_layer(config: Config, head: OutputSpec) -> Problem:
    names = [name for entry in config.model.layers if isinstance(name := entry.arguments.get("name"), str)]
    hint = did_you_mean(near(head.layer or "", names, cutoff=0.5)) or "name the layer, and refer to it by from"
    is_given = config.model.outputs[head.name].layer is not None
    place = (*head.place, "from") if is_given else head.place
    return Problem(place, f'no layer is called "{head.layer}"', hint, at_key=not is_given)


def target_problems(config: Config, heads: Sequence[OutputSpec]) -> list[Problem]:
    """Find outputs without a target and targets without an output."""
    targets = config.data.targets
    if not config.model.outputs:
        example = ", ".join(f"{name}: {{loss: …}}" for name in targets)
        message = f"the data has {len(targets)} targets, and each needs an output"
        return [Problem(("model",), message, f"outputs: {{{example}}}", at_key=True)] if len(targets) > 1 else []
    problems = []
    for head in heads:
        if head.target is None or head.target is UNKNOWN or head.target in targets:
            continue
        known = [*targets, INPUT]
        alike = near(head.target, known, cutoff=0.5)
        hint = f"target: {alike[0]}?" if alike else f"target: one of {', '.join(known)}"
        is_given = config.model.outputs[head.name].target is not None
        place = (*head.place, "target") if is_given else head.place
        problems.append(Problem(place, f'unknown target "{head.target}"', hint, at_key=not is_given))
    used = {head.target for head in heads}
    if not problems and UNKNOWN not in used:
        for name in (name for name in targets if name not in used):
            message, hint = f'no output for the target "{name}"', f"{name}: {{loss: …}}"
            problems.append(Problem(("model", "outputs"), message, hint, at_key=True))
    return problems
