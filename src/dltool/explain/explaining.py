"""Explanations of any model: the kind of its input decides how."""

from collections.abc import Callable, Mapping

from dltool.config.explain_options import Asked
from dltool.config.schema import Config
from dltool.data.dataset import Dataset
from dltool.data.examples import Examples
from dltool.data.facts import Facts
from dltool.errors import ConfigError
from dltool.explain import maps, tabular, tokens
from dltool.explain.asking import explained_head, held_out, label_of
from dltool.explain.explained import Explained, Question
from dltool.model.build import BuiltModel
from dltool.text import joined

Explain = Callable[[Question], tuple[Explained, ...]]


def explain_dataset(
    config: Config, dataset: Dataset, built: BuiltModel, asked: Asked
) -> tuple[str, tuple[Explained, ...]]:
    """Explain the predictions for examples of the test split, or of the validation split if there is none. Return the
    split, and one result for each method.

    Raises ConfigError: a method or class does not fit the model, or there is nothing to explain."""
    split, examples = held_out(dataset, asked.examples, config.seed)
    head, target = explained_head(config, dataset.facts, built)
    label = None if asked.class_name is None else label_of(target, asked.class_name)
    given = (config, dataset.facts, built, examples, split, dataset)
    return split, explained(Question(*given, head, target, label, asked.methods))


def explain_examples(
    config: Config, facts: Facts, built: BuiltModel, examples: Examples, asked: Asked
) -> tuple[Explained, ...]:
    """Explain the predictions for new examples, one or several. Raises as :func:`explain_dataset`."""
    head, target = explained_head(config, facts, built)
    label = None if asked.class_name is None else label_of(target, asked.class_name)
    return explained(Question(config, facts, built, examples, "", None, head, target, label, asked.methods))


def explained(question: Question) -> tuple[Explained, ...]:
    """Explain by each method. Raises ConfigError: a method does not fit the data, or there is nothing to explain."""
    explain, methods = EXPLAINERS[kind_of_input(question.config, question.facts, question.built)]
    others = [name for name in question.methods if name not in methods]
    if others:
        raise ConfigError(f"{others[0]} does not fit this data", f"use {joined(methods, 'or')}")
    return explain(question)


def kind_of_input(config: Config, facts: Facts, built: BuiltModel) -> str:
    """Return "tabular" for columns, windows and vectors of numbers, "tokens" for indices of words, "maps" for all with
    places: images, audio, sequences of numbers. Raises ConfigError: none of these."""
    if facts.has_columns or config.data.windows is not None:
        return "tabular"
    if facts.only_input is None:
        names = joined(list(facts.inputs), "and")
        raise ConfigError(f"the model takes several arrays, {names}", "explain a model of one array, or of a table")
    (symbol,) = built.core.inputs
    if len(symbol.shape) == 2:
        return "tokens" if symbol.dtype.startswith("int") else "tabular"
    return "maps"


EXPLAINERS: Mapping[str, tuple[Explain, tuple[str, ...]]] = {
    "maps": (maps.explain_maps, ("IntegratedGradients", "Occlusion", "GradCAM")),
    "tokens": (tokens.explain_tokens, ("IntegratedGradients", "Occlusion")),
    "tabular": (tabular.explain_columns, ("Permutation", "PartialDependence", "IntegratedGradients")),
}
"""What explains each kind of input, and its methods."""
