"""What is asked about a model: which output, which class, which examples, by which methods."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from dltool.config.checks import target_of
from dltool.config.explain_options import Asked, asked_of
from dltool.config.outputs import OutputSpec, heads_of
from dltool.config.schema import Config
from dltool.config.tasks import TargetFacts
from dltool.data.dataset import Dataset, SplitName
from dltool.data.examples import Examples
from dltool.data.facts import Facts
from dltool.errors import ConfigError
from dltool.explain.explained import Question
from dltool.explain.scores import indexing
from dltool.model.build import BuiltModel
from dltool.text import did_you_mean, joined, near, shape_text

MOST_AXES = 2
METHODS: Mapping[str, tuple[str, ...]] = {
    "arrays": ("IntegratedGradients", "Occlusion"),
    "maps": ("IntegratedGradients", "Occlusion", "GradCAM"),
    "tokens": ("IntegratedGradients", "Occlusion"),
    "tabular": ("Permutation", "PartialDependence", "IntegratedGradients"),
}
"""The methods for each kind of input."""


def question(config: Config, facts: Facts, built: BuiltModel, asked: Asked, source: Dataset | Examples) -> Question:
    """Return the question about the first output with one score for each example. Its examples are the `source`, or of
    a dataset some of the test split; of the validation split if there is none: a model may know training rows.

    Raises ConfigError: a method or class does not fit the model, or there is nothing to explain."""
    head, target = explained_head(config, facts, built)
    label = None if asked.class_name is None else label_of(target, asked.class_name)
    methods = methods_of(config, facts, built, asked)
    if isinstance(source, Examples):
        return Question(config, facts, built, source, "", None, head, target, label, methods)
    split, rows = held_out(facts)
    chosen = np.sort(np.random.default_rng(config.seed).permutation(rows)[: asked.examples])
    examples = source.examples(split).take(chosen)
    return Question(config, facts, built, examples, split, source, head, target, label, methods)


def held_out(facts: Facts) -> tuple[SplitName, int]:
    """Return the split to explain, and how many examples it has. Raises ConfigError: none but the training split."""
    if facts.test_examples:
        return "test", facts.test_examples
    if facts.validation_examples:
        return "validation", facts.validation_examples
    hint = "explain new data: dltool explain RUN FILE"
    raise ConfigError("there are neither test nor validation examples to explain", hint)


def explained_head(config: Config, facts: Facts, built: BuiltModel) -> tuple[OutputSpec, TargetFacts]:
    """Return the first output with one score for each example, or of arrays a class for each place, and its target.
    Raises ConfigError: there is none."""
    if not config.data.is_refit:
        raise ConfigError("only the models of the folds can be explained", "explain a fold: dltool explain RUN/folds/1")
    reasons = []
    for head in heads_of(config):
        target, shape = target_of(head, facts.targets), built.outputs[head.name].output_shape
        if target is None or not target.task.has_labels:
            reasons.append(f"the output {head.name} reconstructs its input")
        elif len(shape) > 1 and (not target.task.is_index or kind_of_input(config, facts, built) == "tabular"):
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


def methods_of(config: Config, facts: Facts, built: BuiltModel, asked: Asked) -> tuple[str, ...]:
    """Return the methods asked for. Raises ConfigError: one does not fit the data."""
    known = METHODS[kind_of_input(config, facts, built)]
    others = [name for name in asked.methods if name not in known]
    if others:
        raise ConfigError(f"{others[0]} does not fit this data", f"use {joined(known, 'or')}")
    return tuple(asked.methods)


def kind_of_input(config: Config, facts: Facts, built: BuiltModel) -> str:
    """Return "tabular" for columns, windows and vectors of numbers, "tokens" for indices of words, "maps" for all with
    places: images, audio, sequences of numbers; "arrays" for several of them. Raises ConfigError: none of these."""
    if facts.has_columns or config.data.windows is not None:
        return "tabular"
    kinds = {symbol.name: kind_of_array(config, built, symbol) for symbol in built.core.inputs}
    return next(iter(kinds.values())) if len(kinds) == 1 else "arrays"


def kind_of_array(config: Config, built: BuiltModel, symbol: Any) -> str:
    """Return "tabular", "tokens" or "maps" for one input. Raises ConfigError: it has too many axes."""
    if indexing(built.core, symbol) and len(symbol.shape) == 2 and symbol.shape[1] != 1:
        return "tokens"
    if len(symbol.shape) <= 2:
        are_moments = all(each.input_shape == each.output_shape for each in built.preprocessors.values())
        return "maps" if config.data.source.name == "audio" and are_moments else "tabular"
    if len(places_shape(symbol.shape[1:])) > MOST_AXES:
        words = f"examples of shape {shape_text(symbol.shape[1:])} have too many axes"
        raise ConfigError(f"nothing to explain: {words}", "explain a model of images or sequences")
    return "maps"


def places_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes of an array that are places: all but that of channels."""
    return shape[: len(shape) - (len(shape) > 2 or shape[-1] == 1)]


def refuse_unexplainable(config: Config, facts: Facts, built: BuiltModel) -> None:
    """Raise ConfigError at the key `explain` if it asks for what cannot be explained."""
    asked = asked_of(config)
    if asked is None:
        return
    try:
        held_out(facts)
        explained_head(config, facts, built)
        methods_of(config, facts, built, asked)
    except ConfigError as error:
        raise ConfigError(replace(each, place=("explain",)) for each in error.problems) from None
