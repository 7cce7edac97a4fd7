"""Explanations of any model: the kind of its input decides how."""

from collections.abc import Callable, Mapping

from dltool.config.explain_options import Asked
from dltool.config.schema import Config
from dltool.data.dataset import Dataset
from dltool.data.examples import Examples
from dltool.data.facts import Facts
from dltool.explain.asking import kind_of_input, question
from dltool.explain.explained import Explained, Question
from dltool.explain.maps import explain_maps
from dltool.explain.several_inputs import explain_arrays
from dltool.explain.tabular import explain_columns
from dltool.explain.tokens import explain_tokens
from dltool.model.build import BuiltModel

EXPLAINERS: Mapping[str, Callable[[Question], tuple[Explained, ...]]] = {
    "arrays": explain_arrays,
    "maps": explain_maps,
    "tokens": explain_tokens,
    "tabular": explain_columns,
}
"""What explains each kind of input."""


def explained(
    config: Config, facts: Facts, built: BuiltModel, asked: Asked, source: Dataset | Examples
) -> tuple[str, tuple[Explained, ...]]:
    """Explain predictions for the `source`: new examples, one or several, or a dataset, of which test examples are
    explained. Return the split ("" of new examples), and one result for each method.

    Raises ConfigError: a method or class does not fit the model, or there is nothing to explain."""
    found = question(config, facts, built, asked, source)
    return found.split, EXPLAINERS[kind_of_input(config, facts, built)](found)
