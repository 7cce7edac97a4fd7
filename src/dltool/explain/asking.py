"""What is asked about a model: which output, which class, which examples."""

import numpy as np

from dltool.config.checks import target_of
from dltool.config.outputs import OutputSpec, heads_of
from dltool.config.schema import Config
from dltool.config.tasks import TargetFacts
from dltool.data.dataset import Dataset, SplitName
from dltool.data.examples import Examples
from dltool.data.facts import Facts
from dltool.errors import ConfigError
from dltool.model.build import BuiltModel
from dltool.text import did_you_mean, joined, near, shape_text

SPLITS: tuple[SplitName, ...] = ("test", "validation")
"""Where examples are taken from: never from the training split, of which a model may know single rows."""


def explained_head(config: Config, facts: Facts, built: BuiltModel) -> tuple[OutputSpec, TargetFacts]:
    """Return the first output with one score for each example, and its target. Raises ConfigError: there is none."""
    reasons = []
    for head in heads_of(config):
        target, shape = target_of(head, facts.targets), built.outputs[head.name].output_shape
        if target is None or not target.task.has_labels:
            reasons.append(f"the output {head.name} reconstructs its input")
        elif len(shape) > 1:
            reasons.append(f"the output {head.name} of shape {shape_text(shape)} has no single score for each example")
        else:
            return head, target
    raise ConfigError(f"nothing to explain: {joined(reasons, 'and')}", "explain a model of classes or numbers")


def label_of(target: TargetFacts, name: str) -> int:
    """Return the index of a class. Raises ConfigError: there is no such class."""
    names = target.class_names
    if not names:
        raise ConfigError(f"--class {name}: the model predicts numbers", "leave out --class")
    if name not in names:
        hint = did_you_mean(near(name, names)) or f"use {joined(names[:20], 'or')}"
        raise ConfigError(f'--class: unknown class "{name}"', hint)
    return names.index(name)


def held_out(dataset: Dataset, most: int, seed: int) -> tuple[str, Examples]:
    """Return the name of a split that was not trained on, and at most so many of its examples, drawn by the seed.

    Raises ConfigError: there is neither a test nor a validation split."""
    for split in SPLITS:
        count = len(getattr(dataset.split, split))
        if count:
            chosen = np.sort(np.random.default_rng(seed).permutation(count)[:most])
            return split, dataset.examples(split).take(chosen)
    hint = "explain new data: dltool explain RUN FILE"
    raise ConfigError("the run has neither test nor validation examples to explain", hint)
