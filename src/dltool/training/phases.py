"""The phases of a run: which layers are trained in each."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from dltool.config.schema import Config, Phase
from dltool.errors import ConfigError, Problem
from dltool.text import did_you_mean, listed, near, quoted

MOST_NAMES = 10
"""Most layer names in a message."""


@dataclass(frozen=True)
class Learner:
    """A layer that can be frozen, with its own name and the names of the networks that contain it.

    `flags` are the `trainable` flags of the layer and the layers inside it, outer ones first."""

    names: tuple[str, ...]
    layer: Any
    flags: tuple[tuple[Any, bool], ...]

    def is_meant_by(self, pattern: str) -> bool:
        expression = ".*".join(map(re.escape, pattern.split("*")))
        return any(re.fullmatch(expression, name) for name in self.names)


def learners(network: Any, names: tuple[str, ...] = ()) -> Iterator[Learner]:
    """Return the layers of a model, with those of nested networks one by one."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from learners(layer, (*names, layer.name))
        elif not isinstance(layer, keras.layers.InputLayer):
            inside = layer._flatten_layers()
            yield Learner((layer.name, *names), layer, tuple((each, each.trainable) for each in inside))


def set_learning(core: keras.Model, found: Iterable[Learner], phase: Phase) -> None:
    """Unfreeze the layers that the phase names; if it names none, apply each layer's own `trainable` flag."""
    # A layer in a frozen network is frozen whatever its own flag.
    core.trainable = True
    for learner in found:
        if phase.trainable is None:
            for layer, flag in learner.flags:
                layer.trainable = flag
        else:
            learner.layer.trainable = any(map(learner.is_meant_by, phase.trainable))


def refuse_idle_phases(config: Config, found: list[Learner]) -> None:
    """Raise ConfigError if a pattern matches no layer, or a phase would train nothing."""
    problems = []
    known = list(dict.fromkeys(name for learner in found for name in reversed(learner.names)))
    for number, phase in enumerate(config.training.phases or ()):
        place = (*config.training.place_of(number), "trainable")
        patterns = phase.trainable or ()
        unknown = [i for i, pattern in enumerate(patterns) if not any(each.is_meant_by(pattern) for each in found)]
        for index in unknown:
            nearest = did_you_mean(near(patterns[index].replace("*", ""), known, 3))
            hint = nearest or f"the layers are {listed(known, MOST_NAMES)}"
            problems.append(Problem((*place, index), f"no layer is called {quoted(patterns[index])}", hint))
        if not unknown and not any(learns(learner, phase) for learner in found):
            problems.append(Problem(place, "this phase trains no weights", "name a layer that has weights"))
    if problems:
        raise ConfigError(problems)


def learns(learner: Learner, phase: Phase) -> bool:
    """Return whether the layer has weights that the phase trains."""
    if phase.trainable is None:
        return any(flag and layer._trainable_variables for layer, flag in learner.flags)
    has_weights = any(layer._trainable_variables for layer, _ in learner.flags)
    return has_weights and any(map(learner.is_meant_by, phase.trainable))
