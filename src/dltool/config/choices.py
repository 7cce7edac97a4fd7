"""A choice by name with options of its own: a data source or the type of a column.

It is written like a Keras object: `digits`, `mnist: file.npz` (the value of its first option) or `imdb: {num_words:
5000}`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from dltool.config.pydantic_errors import annotation_of, refusal, value_problems
from dltool.config.section import Section
from dltool.config.wording import MISSING, named
from dltool.errors import ConfigPath, Problem
from dltool.text import did_you_mean, near, quoted


@dataclass(frozen=True)
class Choice:
    """The chosen name with its typed options."""

    name: str
    options: Section


C = TypeVar("C", bound=Choice)


@dataclass(frozen=True)
class Choices(Generic[C]):
    """Choices of the class `kind`: each name with the class of its options. `what` and `example` are for messages."""

    kind: type[C]
    what: str
    example: str
    sections: Mapping[str, type[Section]]

    def parse(self, value: Any) -> C:
        """Return the choice that `value` (plain data or a choice) is. Raises PydanticCustomError: every problem."""
        if isinstance(value, self.kind):
            return value
        name, options, place = self.name_and_options(value)
        if name not in self.sections:
            usual = f"known {self.what.split()[-1]}s: {', '.join(self.sections)}"
            hint = did_you_mean(near(name, self.sections)) or usual
            raise refusal(Problem(place, f"unknown {self.what} {quoted(name)}", hint, at_key=bool(place)))
        section = self.sections[name]
        is_short = not place or not isinstance(options, Mapping)
        if not isinstance(options, Mapping | None):
            if not section.model_fields:
                raise refusal(Problem(place, f"{name} takes no options", f"write {name} alone"))
            options = {next(iter(section.model_fields)): options}
        try:
            return self.kind(name, section.model_validate(dict(options or {})))
        except ValidationError as error:
            found = dict.fromkeys(p for details in error.errors() for p in option_problems(name, section, details))
            # In the short forms there is no option to point at.
            problems = [replace(problem, place=place, at_key=False) if is_short else problem for problem in found]
            raise refusal(*problems) from None

    def name_and_options(self, value: Any) -> tuple[str, Any, ConfigPath]:
        """Return the name, the options or the value of the first one, and the config path of the options."""
        if isinstance(value, str):
            return value, {}, ()
        if isinstance(value, Mapping) and len(value) == 1:
            ((name, options),) = value.items()
            return str(name), options, (name,)
        message = f"expected the name of a {self.what}, got {named(value)}"
        if isinstance(value, Mapping) and len(value) > 1:
            message = f"expected one {self.what.split()[-1]}, got {len(value)}"
        raise refusal(Problem((), message, f"for example {self.example}"))


def option_problems(name: str, section: type[Section], details: Mapping[str, Any]) -> Iterator[Problem]:
    """Translate one of pydantic's errors about the options of the choice `name`."""
    place: ConfigPath = (name, *details["loc"][:1])
    key = str(place[-1])
    if details["type"] == "extra_forbidden":
        known = ", ".join(section.model_fields)
        usual = f"it takes {known}" if known else f"write {name} alone"
        hint = did_you_mean(near(key, section.model_fields, cutoff=0.5)) or usual
        yield Problem(place, f"unknown option of {name}", hint, at_key=True)
    elif details["type"] == "missing":
        yield Problem((name,), MISSING.format(key), f"for example {name}: {{{key}: …}}")
    else:
        field = section.model_fields.get(key) if len(place) > 1 else None
        yield from value_problems(details, place, annotation_of(field))
