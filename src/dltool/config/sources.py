"""Data sources: each is named like a Keras object (`digits`, `mnist: file.npz`, `imdb: {num_words: 5000}`)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from dltool.config.section import Section
from dltool.config.wording import BOUND_KEYS, BOUNDS, EXPECTED, bound, literal_choices, named
from dltool.errors import ConfigPath, Problem


class BuiltinSource(Section):
    """A data set bundled with scikit-learn; it takes no arguments."""


class ImageSource(Section):
    """A data set of keras.datasets."""

    path: str | None = None
    """A file to read it from, instead of Keras's cache."""


class Cifar100Source(ImageSource):
    label_mode: Literal["fine", "coarse"] = "fine"
    """100 classes, or the 20 that they belong to."""


class TokenSource(Section):
    """Texts of keras.datasets as sequences of word numbers."""

    path: str | None = None
    """A file to read it from, instead of Keras's cache."""
    num_words: Annotated[int, Field(gt=3)] | None = None
    """Only the most frequent words keep their numbers; the others become 2, as in keras.datasets."""
    length: Annotated[int, Field(ge=1)] = 200
    """Each text is cut to its last words, or padded with zeros in front, to this length."""


class CaliforniaHousingSource(Section):
    """House prices of keras.datasets."""

    path: str | None = None
    """A file to read it from, instead of Keras's cache."""
    version: Literal["large", "small"] = "large"
    """All 20,640 districts, or the first 600."""


class ArraysSource(Section):
    """Your own arrays: one `.npz`, or a `.npy` each for x and y."""

    path: str | None = None
    """A `.npz` file with `x` and `y`, or with `x_train`, `y_train`, `x_test`, …"""
    x: str | None = None
    """A `.npy` file of inputs."""
    y: str | None = None
    """A `.npy` file of labels."""

    @model_validator(mode="after")
    def one_form(self) -> Self:
        other = "x" if self.x is not None else "y"
        if self.path is not None and (self.x is not None or self.y is not None):
            message = f"path and {other} exclude each other"
            hint = "write path for one .npz, or x and y for two .npy files"
            problem = Problem((other,), message, hint, at_key=True, related=((("path",), "path is given here"),))
            raise PydanticCustomError("problems", "exclusive keys", {"problems": [problem]})
        if self.path is None and (self.x is None or self.y is None):
            message = "arrays needs path (one .npz), or x and y (two .npy files)"
            problem = Problem((), message, "for example arrays: {path: data.npz}")
            raise PydanticCustomError("problems", "missing keys", {"problems": [problem]})
        return self


SOURCES: Mapping[str, type[Section]] = {
    **dict.fromkeys(("digits", "iris", "wine", "breast_cancer", "diabetes"), BuiltinSource),
    **dict.fromkeys(("mnist", "fashion_mnist", "cifar10"), ImageSource),
    "cifar100": Cifar100Source,
    "imdb": TokenSource,
    "reuters": TokenSource,
    "california_housing": CaliforniaHousingSource,
    "arrays": ArraysSource,
}


@dataclass(frozen=True)
class Source:
    """A data source by name, with its typed options (an instance of `SOURCES[name]`)."""

    name: str
    options: Section


def parse_source(value: Any) -> Source:
    """A :class:`Source` from `name`, `{name: value of its first option}` or `{name: {option: value}}`.

    Raises:
        PydanticCustomError: of type "problems", with every mistake at its place relative to `value`.
    """
    if isinstance(value, Source):
        return value
    source, problems = read_source(value)
    if source is None:
        raise PydanticCustomError("problems", "not a valid data source", {"problems": problems})
    return source


def read_source(value: Any) -> tuple[Source | None, list[Problem]]:
    place: ConfigPath = ()
    options: Any = {}
    if isinstance(value, str):
        name = value
    elif isinstance(value, Mapping) and len(value) == 1:
        ((name, options),) = value.items()
        place = (name,)
    else:
        hint = "for example source: digits, or source: {mnist: {path: mnist.npz}}"
        several = isinstance(value, Mapping) and len(value) > 1
        message = f"one source, not {len(value)}" if several else "expected the name of a data source"
        return None, [Problem((), message, hint)]
    if name not in SOURCES:
        return None, [unknown_source(str(name), place)]
    section = SOURCES[name]
    is_short = not isinstance(value, Mapping) or not isinstance(options, Mapping)
    if not isinstance(options, Mapping):
        if not section.model_fields:
            return None, [Problem(place, f"{name} takes no options", f"write {name} alone")]
        options = {next(iter(section.model_fields)): options}
    try:
        return Source(name, section.model_validate(dict(options))), []
    except ValidationError as error:
        found = [problem for details in error.errors() for problem in option_problems(name, section, dict(details))]
        # In the short forms there is no option to point at.
        return None, [replace(problem, place=place, at_key=False) if is_short else problem for problem in found]


def unknown_source(name: str, place: ConfigPath) -> Problem:
    near = get_close_matches(name, SOURCES, 1, 0.6)
    hint = f'did you mean "{near[0]}"?' if near else "known sources: " + ", ".join(SOURCES)
    return Problem(place, f'unknown data source "{name[:60]}"', hint, at_key=bool(place))


def option_problems(name: str, section: type[Section], details: dict[str, Any]) -> list[Problem]:
    """One of pydantic's errors about the options of the source `name`."""
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
    if kind == "literal_error":
        choices = " or ".join(literal_choices(section.model_fields[str(place[-1])].annotation))
        return [Problem(place, f"expected {choices}, not {named(value)}")]
    if kind in EXPECTED:
        return [Problem(place, f"expected {EXPECTED[kind]}, not {named(value)}")]
    if kind in BOUNDS:
        return [Problem(place, f"must be {BOUNDS[kind]} {bound(context[BOUND_KEYS[kind]])}, not {value}")]
    return [Problem(place, details["msg"])]
