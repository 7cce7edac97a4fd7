"""One of several things by its name, with options of its own: a data source, the type of a column.

It is written like a Keras object: `digits`, `mnist: file.npz` (the value of its first option) or
`imdb: {num_words: 5000}`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from dltool.config.section import Section
from dltool.config.wording import BOUND_KEYS, BOUNDS, EXPECTED, MISSING, bound, literal_choices, named
from dltool.errors import ConfigPath, Problem


@dataclass(frozen=True)
class Choice:
    """The name that was chosen, with its typed options."""

    name: str
    options: Section


C = TypeVar("C", bound=Choice)


@dataclass(frozen=True)
class Choices:
    """What may be chosen: each name with the class of its options. `what` and `example` are for messages."""

    what: str
    example: str
    sections: Mapping[str, type[Section]]

    @property
    def noun(self) -> str:
        return self.what.split()[-1]

    def parse(self, kind: type[C], value: Any) -> C:
        """The choice that `value` (plain YAML data, or a choice already) writes down.

        Raises:
            PydanticCustomError: of type "problems", with every mistake at its place relative to `value`.
        """
        if isinstance(value, kind):
            return value
        name, options, problems = self.read(value)
        if options is None:
            raise PydanticCustomError("problems", "not a valid choice", {"problems": problems})
        return kind(name, options)

    def read(self, value: Any) -> tuple[str, Section | None, list[Problem]]:
        place: ConfigPath = ()
        options: Any = {}
        if isinstance(value, str):
            name = value
        elif isinstance(value, Mapping) and len(value) == 1:
            ((name, options),) = value.items()
            place = (name,)
        else:
            several = isinstance(value, Mapping) and len(value) > 1
            message = f"one {self.noun}, not {len(value)}" if several else f"expected the name of a {self.what}"
            return "", None, [Problem((), message, f"for example {self.example}")]
        if name not in self.sections:
            return name, None, [self.unknown(str(name), place)]
        section = self.sections[name]
        is_short = not isinstance(value, Mapping) or not isinstance(options, Mapping)
        if options is None:
            options = {}
        if not isinstance(options, Mapping):
            if not section.model_fields:
                return name, None, [Problem(place, f"{name} takes no options", f"write {name} alone")]
            options = {next(iter(section.model_fields)): options}
        try:
            return name, section.model_validate(dict(options)), []
        except ValidationError as error:
            problems = [p for details in error.errors() for p in option_problems(name, section, dict(details))]
            found = list(dict.fromkeys(problems))
            # In the short forms there is no option to point at.
            return (
                name,
                None,
                [replace(problem, place=place, at_key=False) if is_short else problem for problem in found],
            )

    def unknown(self, name: str, place: ConfigPath) -> Problem:
        near = get_close_matches(name, self.sections, 1, 0.6)
        hint = f'did you mean "{near[0]}"?' if near else f"known {self.noun}s: " + ", ".join(self.sections)
        return Problem(place, f'unknown {self.what} "{name[:60]}"', hint, at_key=bool(place))


LENGTHS = {"string_too_short": "at least one character", "string_too_long": "one character"}


def option_problems(name: str, section: type[Section], details: dict[str, Any]) -> list[Problem]:
    """One of pydantic's errors about the options of the choice `name`."""
    place: ConfigPath = (name, *details["loc"][:1])
    kind, context, value = details["type"], details.get("ctx", {}), details["input"]
    if kind == "problems":
        return [
            replace(
                problem,
                place=(name, *problem.place),
                related=tuple(((name, *path), words) for path, words in problem.related),
            )
            for problem in context["problems"]
        ]
    if kind == "extra_forbidden":
        near = get_close_matches(str(place[-1]), section.model_fields, 1, 0.5)
        known = ", ".join(section.model_fields)
        hint = f'did you mean "{near[0]}"?' if near else f"it takes {known}" if known else f"write {name} alone"
        return [Problem(place, f"unknown option of {name}", hint, at_key=True)]
    if kind == "missing":
        return [Problem((name,), MISSING.format(place[-1]), f"for example {name}: {{{place[-1]}: …}}")]
    if kind in BOUNDS:
        return [Problem(place, f"must be {BOUNDS[kind]} {bound(context[BOUND_KEYS[kind]])}, not {value}")]
    return value_problems(place, details, section.model_fields[str(place[-1])].annotation if len(place) > 1 else None)


def value_problems(place: ConfigPath, details: dict[str, Any], annotation: Any) -> list[Problem]:
    """A value that is none of what `annotation` allows."""
    kind, context, value = details["type"], details.get("ctx", {}), details["input"]
    if kind in LENGTHS:
        return [Problem(place, f"expected {LENGTHS[kind]}, not {named(value)}")]
    if kind in ("too_short", "too_long"):
        wanted = context["min_length" if kind == "too_short" else "max_length"]
        if wanted == len(value):
            # Items with a mistake are not counted, and speak for themselves.
            return []
        return [Problem(place, f"expected {wanted} values, not {len(value)}" if value else "the list is empty")]
    choices = [str(choice) for choice in literal_choices(annotation)]
    if kind == "literal_error" or (choices and kind in EXPECTED):
        # Of a union, each member has its complaint about the same value: they are one.
        others = ["a number"] if float in get_args(annotation) else []
        near = get_close_matches(str(value), choices, 1, 0.6)
        hint = f'did you mean "{near[0]}"?' if near else ""
        return [Problem(place, f"expected {' or '.join(choices + others)}, not {named(value)}", hint)]
    if kind in EXPECTED:
        hint = f"write [{value}]" if kind == "tuple_type" and isinstance(value, str) else ""
        return [Problem(place, f"expected {EXPECTED[kind]}, not {named(value)}", hint)]
    return [Problem(place, details["msg"])]
