"""The section `search` of a config: the values that `dltool search` tries, and how."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from dltool.config.keras.values import UNKNOWN
from dltool.config.pydantic_errors import annotation_of, is_repeated, refuse, relocated, value_problems
from dltool.config.section import Section
from dltool.config.wording import named
from dltool.errors import ConfigPath, Problem
from dltool.text import joined, value_text

MOST_TRIALS = 10_000
USUAL_TRIALS = 30
KINDS = ("range", "log", "integer", "choice")
EXAMPLE = "for example {log: [1e-4, 1e-1]}, {range: [0, 0.5]}, {integer: [16, 256]} or {choice: [relu, tanh]}"

Bounds = Annotated[tuple[float, ...], Field(strict=False, min_length=2, max_length=2)]
IntegerBounds = Annotated[tuple[int, ...], Field(strict=False, min_length=2, max_length=2)]
Options = Annotated[tuple[Any, ...], Field(strict=False, min_length=2)]


class Dimension(Section):
    """The values of one key: one of `range`, `log`, `integer` and `choice`."""

    range: Bounds | None = None
    """The least and the greatest number."""
    log: Bounds | bool | None = None
    """The least and the greatest number on a logarithmic scale. `true` beside `integer` gives integers this scale."""
    integer: IntegerBounds | None = None
    """The least and the greatest integer."""
    step: float | None = None
    """The distance of the values of `range` or `integer`, counted from the least."""
    choice: Options | dict[str, Any] | None = None
    """A list of values, or values by name. Each may be a part of a config, with further dimensions inside."""

    @property
    def kind(self) -> str:
        """Return the key that says what the values are."""
        kinds = [key for key in KINDS if getattr(self, key) not in (None, False)]
        return "integer" if kinds == ["log", "integer"] and self.log is True else joined(kinds, "and")

    @property
    def bounds(self) -> tuple[float, ...]:
        """Return the least and the greatest number; empty for a choice."""
        found: tuple[float, ...] | None = getattr(self, self.kind) if self.kind != "choice" else None
        return found or ()

    @property
    def options(self) -> dict[str, Any]:
        """Return the values of a choice by name; unnamed ones are named by themselves."""
        if isinstance(self.choice, dict):
            return self.choice
        return {named_option(value): value for value in self.choice or ()}

    @model_validator(mode="before")
    @classmethod
    def is_a_mapping(cls, value: Any) -> Any:
        if not isinstance(value, Mapping | cls) and value is not UNKNOWN:
            refuse(Problem((), f"expected a mapping, got {named(value)}", EXAMPLE))
        return value

    @model_validator(mode="after")
    def is_one_of_the_kinds(self) -> Self:
        kind = self.kind
        if kind not in KINDS or (kind == "log" and self.log is True):
            found = f"expected one of {joined(KINDS, 'and')}" + (f", got {kind}" if kind else "")
            refuse(Problem((), "log: true needs integer" if kind == "log" else found, EXAMPLE))
        problems = [*self.problems_of_numbers(kind)] if kind != "choice" else [*self.problems_of_options()]
        if self.step is not None and (kind in ("log", "choice") or self.log is True):
            problems.append(Problem(("step",), f"{'log' if self.log else kind} has no steps", "remove it", at_key=True))
        refuse(*problems)
        return self

    def problems_of_numbers(self, kind: str) -> Iterator[Problem]:
        low, high = self.bounds
        if not low < high:
            hint = f"write [{high:g}, {low:g}]" if high < low else "give two different numbers"
            yield Problem((kind, 0), f"expected the least value first, got [{low:g}, {high:g}]", hint)
        if self.log and low <= 0:
            yield Problem((kind, 0), f"a logarithmic scale needs positive values, got {low:g}")
        if self.step is not None and not 0 < self.step <= high - low:
            yield Problem(("step",), f"expected a step between 0 and {high - low:g}, got {self.step:g}")
        elif kind == "integer" and self.step is not None and self.step != int(self.step):
            yield Problem(("step",), f"expected an integer, got {self.step:g}")

    def problems_of_options(self) -> Iterator[Problem]:
        values = self.choice if isinstance(self.choice, tuple) else self.options
        if len(values) < 2:
            yield Problem(("choice",), f"expected at least 2 values, got {len(values)}")
        elif len(self.options) < len(values):
            hint = "give them names: {choice: {NAME: VALUE, NAME: VALUE}}"
            yield Problem(("choice",), "expected values that read differently", hint)
        for step, value in enumerate(values) if isinstance(values, tuple) else values.items():
            for path, inner in inner_dimensions(value):
                try:
                    Dimension.model_validate(inner)
                except ValidationError as error:
                    base: ConfigPath = ("choice", step, *path)
                    yield from (relocated(problem, base) for problem in problems_of_dimension(error))


def problems_of_dimension(error: ValidationError) -> list[Problem]:
    found: list[Problem] = []
    for details in error.errors():
        # Without pydantic's names of the members of a union.
        place = (*details["loc"][:1], *(each for each in details["loc"][1:] if isinstance(each, int)))
        field = Dimension.model_fields.get(str(place[0])) if place else None
        if not is_repeated(details, place, found):
            found += value_problems(details, place, annotation_of(field))
    return found


def is_dimension(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value.keys() & {*KINDS}) and value.keys() <= {*KINDS, "step"}


def inner_dimensions(value: Any, path: ConfigPath = ()) -> Iterator[tuple[ConfigPath, Any]]:
    """Yield every dimension within an option of a choice, with its path there."""
    if is_dimension(value):
        yield path, value
    elif isinstance(value, Mapping | list | tuple):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for step, inner in items:
            yield from inner_dimensions(inner, (*path, step))


def named_option(value: Any) -> str:
    """Return the name of an unnamed option: its text, or that of its only key."""
    if isinstance(value, Mapping) and len(value) == 1:
        ((key, inside),) = value.items()
        return f"{key}: {named_option(inside)}"
    return named(value) if isinstance(value, Mapping | list | tuple) else value_text(value)


class PruneOptions(Section):
    """When trials are compared, and how many continue."""

    factor: Annotated[int, Field(ge=2, le=100)] = 3
    """Of so many trials one continues; the others pause. Each stage has so many times the epochs of the one before."""
    first: Annotated[int, Field(ge=1)] | None = None
    """The epochs of the first stage. Default: about two seconds of training."""


class SearchOptions(Section):
    """What `dltool search` tries. `dltool train` trains the config as written."""

    space: Annotated[dict[str, Dimension], Field(min_length=1)]
    """The values to try by config path, such as `vars.units` or `training.optimizer.Adam.learning_rate`."""
    trials: Annotated[int, Field(ge=2, le=MOST_TRIALS)] | None = None
    """The number of trials, the config as written among them. Default: 30, or any number in `minutes`."""
    minutes: Annotated[float, Field(gt=0)] | None = None
    """The time after which no trial begins. The best one is then trained to its end."""
    metric: Annotated[str, Field(min_length=1)] | None = None
    """The validation metric that is searched for, by its best epoch. Default: `training.checkpoint.monitor`, or
    `val_loss`."""
    prune: PruneOptions | Literal[False] = PruneOptions()
    """Whether weak trials pause early; `false` trains every trial to its end."""
    seeds: Annotated[int, Field(ge=1, le=20)] = 1
    """With 3, the three best trials are trained with two other seeds each, and the best mean wins."""

    @property
    def most_trials(self) -> int:
        return self.trials or (MOST_TRIALS if self.minutes else USUAL_TRIALS)
