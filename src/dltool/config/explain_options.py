"""The section `explain` of a config: what the end of a run explains."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import Field

from dltool.config.pydantic_errors import refusal
from dltool.config.section import Section
from dltool.config.wording import named
from dltool.errors import ConfigError, Problem
from dltool.text import did_you_mean, joined, near

if TYPE_CHECKING:
    from dltool.config.schema import Config

Method = Literal["IntegratedGradients", "Occlusion", "GradCAM", "Permutation", "PartialDependence"]
METHODS: tuple[str, ...] = get_args(Method)
USUAL_EXAMPLES = 200
MOST_EXAMPLES = 10_000


class ExplainOptions(Section):
    """How the predictions for test examples are explained at the end of a run."""

    methods: Annotated[tuple[Method, ...], Field(strict=False, min_length=1)] | None = None
    """The methods. Default: those that suit the data. `IntegratedGradients` and `Occlusion` for images, audio, text and
    several arrays, also `GradCAM` for images; `Permutation`, `PartialDependence`, `IntegratedGradients` for tables."""
    examples: Annotated[int, Field(ge=1, le=MOST_EXAMPLES)] = USUAL_EXAMPLES
    """The most examples to explain."""


def no_number(value: Any) -> Any:
    """Return the value, unless it is 1 or 0, which are equal to true and false."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise refusal(Problem((), f"expected true, false or a mapping, got {named(value)}"))
    return value


@dataclass(frozen=True)
class Asked:
    """The options of an explanation: `methods` (empty for the usual ones), the most `examples`, and the class whose
    score is explained instead of the predicted one's."""

    methods: Sequence[str] = ()
    examples: int = USUAL_EXAMPLES
    class_name: str | None = None

    def refuse(self) -> None:
        """Raise ConfigError: a method is unknown, or there are no or too many examples."""
        for method in self.methods:
            if method not in METHODS:
                hint = did_you_mean(near(method, METHODS)) or f"use {joined(METHODS, 'or')}"
                raise ConfigError(f'--method: unknown method "{method}"', hint)
        if not 1 <= self.examples <= MOST_EXAMPLES:
            raise ConfigError(f"--examples: expected 1 to {MOST_EXAMPLES:,}, got {self.examples}")


def asked_of(config: "Config") -> Asked | None:
    """Return what a config asks the end of its run to explain; None if nothing."""
    if isinstance(config.explain, ExplainOptions):
        return Asked(config.explain.methods or (), config.explain.examples)
    return Asked() if config.explain else None
