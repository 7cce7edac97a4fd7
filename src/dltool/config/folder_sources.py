"""Sources that are folders or archives of files, and the patterns for the names of the files."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from dltool.config.columns import refuse_giant
from dltool.config.pydantic_errors import refuse
from dltool.config.section import Section
from dltool.errors import Problem

Count = Annotated[int, Field(ge=1)]
FIELD = re.compile(r"\{([^{}]*)\}")
EXAMPLE = 'for example "{class}/{speaker}_{number}.wav"'


def file_pattern(text: str) -> re.Pattern[str]:
    """Return what matches the end of a path, from the start of a folder's or file's name; each `{name}` is a group.

    A group takes as much as it can, within the name of one folder or file.

    Raises:
        ValueError: the pattern is not one; its problems are those of :func:`pattern_problems`.
    """
    if pattern_problems(text):
        raise ValueError(text)
    pieces = FIELD.split(text)
    expression = "".join(f"(?P<{piece}>[^/]+)" if index % 2 else re.escape(piece) for index, piece in enumerate(pieces))
    return re.compile(f"(?:.*/)?{expression}", re.DOTALL)


def pattern_problems(text: str) -> list[Problem]:
    """Return what is wrong with a pattern, at the place ()."""
    return [Problem((), message, hint) for message, hint in pattern_mistakes(text)]


def pattern_mistakes(text: str) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a pattern, each with a hint."""
    names = FIELD.findall(text)
    if "{" in FIELD.sub("", text) or "}" in FIELD.sub("", text):
        yield "a brace without its other half", EXAMPLE
    for name in dict.fromkeys(names):
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
            yield f'"{{{name}}}" is no name: letters, digits and underscores', EXAMPLE
        elif names.count(name) > 1:
            yield f"{{{name}}} stands in it twice", "give the two different names"
    if "class" not in names:
        yield "the pattern does not say where the class stands", f"write {{class}} in it, {EXAMPLE}"
    if "}{" in text:
        yield "nothing stands between two names", "it could not be told where one ends"
    if text.startswith("/") or ".." in text.split("/"):
        yield "the pattern is matched against the end of a path", f"leave out what is in front, {EXAMPLE}"


def checked_pattern(text: str) -> str:
    refuse(*pattern_problems(text))
    return text


Pattern = Annotated[str, AfterValidator(checked_pattern)]


class ImagesSource(Section):
    """Images, in a folder for each class: a folder, a zip or a tar of them."""

    path: str
    """The folder or archive: class folders, or `train` and `test` (and `validation`) of class folders."""
    size: Annotated[tuple[Count, ...], Field(strict=False, min_length=2, max_length=2)] | None = None
    """Height and width; unless given, all images must have the same."""
    channels: Literal[1, 3, 4] = 3
    """1 is grey, 3 is colour, 4 has transparency too."""
    resize: Literal["stretch", "crop", "pad"] = "stretch"
    """How another shape is made to fit: by stretching, by cutting off what is too long, or by a black border."""
    pattern: Pattern | None = None
    """How the end of a path tells the class, such as "{class}/{scene}_{number}.jpg"; {split} tells the part, and other
    names become columns."""

    @model_validator(mode="after")
    def is_no_giant(self) -> Self:
        # Where it is not given, images have the size that they have.
        if self.size is not None:
            refuse_giant(self.size, self.channels)
        return self


class AudioSource(Section):
    """Audio clips (WAV), in a folder for each class: a folder, a zip or a tar of them."""

    path: str
    """The folder or archive: class folders, or `train` and `test` (and `validation`) of class folders."""
    seconds: Annotated[float, Field(gt=0)] | None = None
    """Longer audio clips are cut, shorter ones padded with silence; as long as the longest unless given."""
    rate: Count | None = None
    """Samples a second; that of the first file unless given. Other rates are converted."""
    pattern: Pattern | None = None
    """How the end of a path tells the class, such as "{class}/{speaker}_{number}.wav"; {split} tells the part, and
    other names become columns."""


class TextSource(Section):
    """Texts, in a folder for each class, or one file a class with a text on each line."""

    path: str
    """The folder or archive: class folders, `train` and `test` of class folders, or a file for each class."""
    pattern: Pattern | None = None
    """How the end of a path tells the class, such as "{class}/{number}.txt"; {split} tells the part, and other names
    become columns."""
    encoding: str = "utf-8"
    """How characters are written as bytes, as Python calls it."""
