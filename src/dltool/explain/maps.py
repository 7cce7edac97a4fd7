"""Explanations of images, audio clips and other arrays with places: which places matter."""

from dltool.errors import ConfigError
from dltool.explain.explained import Explained, Question


def explain_maps(question: Question) -> tuple[Explained, ...]:
    """Explain the examples by each method. Raises ConfigError: a method does not fit the model."""
    raise ConfigError(f"there is no explanation of {question.about} yet")
