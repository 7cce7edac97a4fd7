"""Advice that knows the config and the data: what the config lacks, what it has already, and at which line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np

from dltool.config.keras.objects import KerasObject
from dltool.config.outputs import heads_of, layer_index
from dltool.config.schema import Config
from dltool.config.text.tree import format_path
from dltool.data.dataset import Dataset
from dltool.data.facts import Facts
from dltool.errors import ConfigPath
from dltool.keras_names import find
from dltool.text import joined, number

LINE = re.compile(r"(.+:\d+):\d+")
"""The origin of a config value that stands in a file."""
MOST_STEPS = 3
"""Cures named at once."""
HIGH_DROPOUT = 0.4
FEW_IMAGES = 5_000
"""Training images, below which weights of another model help most."""
LARGE_MODEL = 10
"""Parameters for each training example."""
FEW_STEPS = 500
LOW_RATE = 1e-4
LARGE_VALUE = 20
"""Inputs with larger values learn slowly; so do outputs whose targets are further from 0, or spread wider."""
SMALL_VALUE = 0.5
"""Inputs that are all smaller have little effect."""
MOST_ROWS = 1000
SCALING = ("Rescaling", "Normalization", "BatchNormalization", "LayerNormalization", "TextVectorization", "Embedding")


@dataclass(frozen=True)
class Advisor:
    """What to write in the config. `parameters` are those of the model; `origins` locate the config values."""

    config: Config
    facts: Facts
    parameters: int
    origins: Mapping[str, str] = field(default_factory=dict)
    dataset: Dataset | None = None

    @property
    def layers(self) -> tuple[KerasObject, ...]:
        return self.config.model.layers

    @property
    def is_of_images(self) -> bool:
        """Return whether each input is an image, and no target is."""
        only, targets = self.facts.only_input, self.facts.targets.values()
        return only is not None and len(only.shape) == 3 and not any(each.shape for each in targets)

    def located(self, words: str, *path: str | int) -> str:
        """Return the words with the line of the first config value at or below `path`, if there is one."""
        place = format_path(path)
        lines = (LINE.match(origin) for key, origin in self.origins.items() if key.startswith(place))
        line = next(filter(None, lines), None)
        return f"{words} ({line[1]})" if line else words

    @property
    def optimizer_place(self) -> ConfigPath:
        training = self.config.training
        return (*training.place_of(len(training.parts) - 1), "optimizer")

    def optimizer_argument(self, name: str, value: float) -> str:
        """Return how to give the optimizer of the last phase an argument."""
        optimizer, place = self.config.training.parts[-1].optimizer, self.optimizer_place
        known = find("optimizer", optimizer.name)
        path = format_path((*place, optimizer.name, name))
        is_bare = not optimizer.arguments
        words = f"{format_path(place)}: {{{known.means if known else optimizer.name}: {{{name}: {value:g}}}}}"
        return self.located(words if is_bare else f"{path}: {value:g}", *place)

    def rate(self, factor: float, lines: Sequence[Mapping[str, Any]]) -> str:
        """Return how to write a learning rate that is `factor` times that of the last epoch."""
        rate = next((line["learning_rate"] for line in reversed(lines) if line.get("learning_rate")), 0.001)
        given = self.config.training.parts[-1].optimizer.arguments.get("learning_rate")
        if isinstance(given, KerasObject):
            schedule = format_path((*self.optimizer_place, "learning_rate"))
            return self.located(f"{'lower' if factor < 1 else 'raise'} the rates of {schedule}", *self.optimizer_place)
        return self.optimizer_argument("learning_rate", float(f"{rate * factor:.2g}"))

    def against_overfitting(self) -> str:
        """Return what makes a model generalize better and is not in the config yet."""
        steps, more = [*self.regularization()][:MOST_STEPS], "use more training examples"
        is_new = self.config.model.start is None and not any(layer.kind == "backbone" for layer in self.layers)
        if self.is_of_images and is_new and self.facts.examples < FEW_IMAGES:
            more = "start with weights that were trained on more images (a backbone, or model.start), or " + more
        if not steps:
            return f"{more[:1].upper()}{more[1:]}: the config already does what it can against overfitting."
        return f"Write {joined(steps, 'or')}, or {more}."

    def regularization(self) -> Iterator[str]:
        layers = self.layers
        if self.is_of_images and not self.config.data.augmentation:
            yield "data.augmentation: [{RandomTranslation: {height_factor: 0.1, width_factor: 0.1}}]"
        if self.parameters > self.facts.examples:
            # A small model cannot learn its examples by heart.
            yield from self.dropout()
        optimizer = self.config.training.parts[-1].optimizer
        decays = optimizer.name.lower() == "adamw" or optimizer.arguments.get("weight_decay")
        if not decays and not any(layer.arguments.get("kernel_regularizer") for layer in layers):
            yield self.optimizer_argument("weight_decay", 0.01)
        if self.parameters > LARGE_MODEL * self.facts.examples:
            sizes = [
                (size, index, layer, key)
                for index, layer in enumerate(layers[:-1])
                for key in ("units", "filters")
                if isinstance(size := layer.arguments.get(key), int)
            ]
            if sizes:
                size, index, layer, key = max(sizes, key=lambda each: each[0])
                path = ("model", "layers", index, *layer.steps, key)
                yield self.located(f"{format_path(path)}: {max(1, size // 2)}", *path)

    def dropout(self) -> Iterator[str]:
        layers = self.layers
        rates = {
            index: layer.arguments["rate"]
            for index, layer in enumerate(layers)
            if "Dropout" in layer.name and isinstance(layer.arguments.get("rate"), int | float)
        }
        names = (name for layer in layers for name in (layer.name, *layer.arguments))
        if not rates and not any("dropout" in name.lower() for name in names):
            last = len(layers) - 1
            yield self.located(f"- Dropout: 0.3 before model.layers[{last}]", "model", "layers", last)
        for index, rate in rates.items():
            if rate < HIGH_DROPOUT:
                path = ("model", "layers", index, *layers[index].steps, "rate")
                yield self.located(f"{format_path(path)}: {min(0.5, rate + 0.2):g}", *path)
                return

    def scaling(self) -> str:
        """Return how to bring inputs or targets to a range that a network learns in; empty if they are in one."""
        causes = [] if self.dataset is None else [self.target_scaling(self.dataset), self.input_scaling(self.dataset)]
        return " ".join(filter(None, causes))

    def target_scaling(self, dataset: Dataset) -> str:
        heads = heads_of(self.config)
        for head in heads:
            index, target = layer_index(self.config, head), self.facts.targets.get(str(head.target))
            is_scaled = target is not None and (target.task.has_classes or target.scale is not None)
            if index is None or target is None or is_scaled or self.layers[index].name in SCALING:
                continue
            values = np.asarray(dataset.targets[str(head.target)][dataset.split.train], float)
            mean, spread = float(values.mean()), float(values.std())
            if max(abs(mean), spread) > LARGE_VALUE:
                whose = f"targets of {head.name}" if len(heads) > 1 else "targets"
                layer = f"- Rescaling: {{scale: {spread or 1:.3g}, offset: {mean:.3g}}} after model.layers[{index}]"
                step = self.located(layer, "model", "layers", index)
                return f"The {whose} are {number(mean)} on average, and a new network predicts about 0: write {step}."
        return ""

    def input_scaling(self, dataset: Dataset) -> str:
        preprocessing = self.config.data.preprocessing
        if self.facts.has_columns or any(layer.name in SCALING for layer in (*preprocessing, *self.layers)):
            return ""
        if any(layer.kind == "backbone" for layer in self.layers):
            return ""
        rows = dataset.split.train[:: max(1, len(dataset.split.train) // MOST_ROWS)]
        for name, values in dataset.inputs.items():
            some = values[rows]
            largest = float(np.nanmax(np.abs(some), initial=0)) if some.dtype.kind in "fu" else 0
            if largest > LARGE_VALUE or 0 < largest < SMALL_VALUE:
                step = f"{{Rescaling: {1 / largest:.3g}}}" if some.dtype.kind == "u" else "Normalization"
                reach = f"reach {number(largest)}" if largest > LARGE_VALUE else f"are below {number(largest)}"
                return f"The values of {name} {reach}: write data.preprocessing: [{step}]."
        return ""

    def more_steps(self, epochs: int) -> str:
        """Return how to make more steps if there were few; empty otherwise."""
        training = self.config.training
        steps = epochs * ceil(self.facts.examples / training.batch_size)
        if steps >= FEW_STEPS:
            return ""
        added = epochs * (ceil(FEW_STEPS / max(steps, 1)) - 1)
        place = (*training.place_of(len(training.parts) - 1), "epochs")
        words = f"{format_path(place)}: {training.parts[-1].epochs + added}"
        if training.batch_size > 32:
            words += f" or training.batch_size: {max(8, training.batch_size // 8)}"
        return f"There were only {steps:,} training steps: write {self.located(words, *place)}."
