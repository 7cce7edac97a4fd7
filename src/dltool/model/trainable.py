"""Which layers and weights a phase of the training changes, by the names of layers; some by LoRA."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from dltool.config.schema import Config, Phase
from dltool.errors import ConfigError, Problem
from dltool.model.keras_objects import KERAS_ERRORS, plain_message
from dltool.text import is_meant, quoted

ADAPTABLE = "Dense, EinsumDense, Embedding, Conv1D, Conv2D, Conv3D and attention can be trained by it"
ADDED = "lora_"


@dataclass(frozen=True)
class TrainableLayer:
    """A layer that can be frozen, with its own name and the names of the networks that contain it.

    `flags` are the `trainable` flags of the layer and the layers inside it, outer ones first."""

    names: tuple[str, ...]
    layer: Any
    flags: tuple[tuple[Any, bool], ...]

    def is_meant_by(self, pattern: str) -> bool:
        return is_meant(self.names, pattern)


def trainable_layers(network: Any, names: tuple[str, ...] = ()) -> Iterator[TrainableLayer]:
    """Return the layers of a model, with those of nested networks one by one."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from trainable_layers(layer, (*names, layer.name))
        elif not isinstance(layer, keras.layers.InputLayer):
            inside = layer._flatten_layers()
            yield TrainableLayer((layer.name, *names), layer, tuple((each, each.trainable) for each in inside))


def set_trainable(core: keras.Model, layers: Iterable[TrainableLayer], phase: Phase) -> None:
    """Unfreeze the layers that the phase names; if it names none, apply each layer's own `trainable` flag. Of layers
    that it trains by LoRA, only the added matrices are trained; those of other layers stay."""
    # A layer in a frozen network is frozen whatever its own flag.
    core.trainable = True
    for entry in layers:
        if phase.trainable is None:
            for layer, flag in entry.flags:
                layer.trainable = flag
        else:
            entry.layer.trainable = any(map(entry.is_meant_by, phase.trainable))
        patterns = phase.lora.layers if phase.lora is not None else ()
        adapted = [layer for pattern in patterns for layer in adaptable(entry, pattern)]
        for layer in adaptable(entry):
            is_adapted = any(layer is each for each in adapted)
            layer.trainable = layer.trainable or is_adapted
            for weight in layer._trainable_variables if layer.lora_enabled else ():
                weight.trainable = layer.trainable and weight.name.startswith(ADDED) == is_adapted


def adaptable(entry: TrainableLayer, pattern: str = "*") -> list[Any]:
    """Return the layer, or the layers inside it, that LoRA can train: all of them if `pattern` names the layer, else
    those that have the name themselves, such as `query` inside a layer of attention."""
    inside = [layer for layer, _ in entry.flags if hasattr(layer, "enable_lora") and layer._trainable_variables]
    return [layer for layer in inside if is_meant((layer.name, *entry.names), pattern)]


def add_lora(config: Config, core: keras.Model) -> None:
    """Add the matrices of LoRA to the layers that phases train by it. The second one is 0, so outputs stay.

    Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021: W + A·B, with A (inputs, rank) and B (rank,
    outputs). Raises ConfigError: a pattern names no such layer, or one that has another rank already."""
    layers, problems = list(trainable_layers(core)), []
    for number, phase in enumerate(config.training.phases or ()):
        lora, place = phase.lora, (*config.training.place_of(number), "lora")
        if lora is None:
            continue
        for index, pattern in enumerate(lora.layers):
            found = [layer for entry in layers for layer in adaptable(entry, pattern)]
            if not found:
                message = f"no layer that LoRA can train is called {quoted(pattern)}"
                problems.append(Problem((*place, "layers", index), message, ADAPTABLE))
            for layer in found:
                try:
                    if not layer.lora_enabled:
                        layer.enable_lora(lora.rank)
                    elif layer.lora_rank != lora.rank:
                        message = f"{layer.name} has the rank {layer.lora_rank} already"
                        problems.append(Problem((*place, "rank"), message, "a layer has one rank in all phases"))
                except KERAS_ERRORS as error:
                    problems.append(Problem((*place, "layers", index), f"{layer.name}: {plain_message(error)}"))
    ConfigError.refuse(problems)


def merge_lora(core: keras.Model) -> None:
    """Make layers plain again: their weights become W + A·B, as in files."""
    for layer in core._flatten_layers():
        if getattr(layer, "lora_enabled", False):
            store: dict[str, Any] = {}
            layer.save_own_variables(store)
            layer.load_own_variables({name: np.array(value) for name, value in store.items()})
            layer.lora_enabled, layer.lora_rank = False, None
