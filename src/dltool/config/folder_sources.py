"""Sources that are folders or archives of files: pictures, recordings, texts."""

from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from dltool.config.columns import refuse_giant
from dltool.config.file_patterns import pattern_problems
from dltool.config.section import Section

Count = Annotated[int, Field(ge=1)]


def checked_pattern(text: str) -> str:
    problems = [replace(problem, place=("pattern",)) for problem in pattern_problems(text)]
    if problems:
        raise PydanticCustomError("problems", "not a pattern", {"problems": problems})
    return text


Pattern = Annotated[str, AfterValidator(checked_pattern)]


class ImagesSource(Section):
    """Pictures, in a folder for each class: a folder, a zip or a tar of them."""

    path: str
    """The folder or archive: class folders, or `train` and `test` (and `validation`) of class folders."""
    size: Annotated[tuple[Count, ...], Field(strict=False, min_length=2, max_length=2)] | None = None
    """Height and width; unless given, all pictures must have the same."""
    channels: Literal[1, 3, 4] = 3
    """1 is grey, 3 is colour, 4 has transparency too."""
    resize: Literal["stretch", "crop", "pad"] = "stretch"
    """How another shape is made to fit: by stretching, by cutting off what is too long, or by a black border."""
    pattern: Pattern | None = None
    """How the end of a path tells the class, such as "{class}/{scene}_{number}.jpg"; {split} tells the part, and other
    names become columns."""

    @model_validator(mode="after")
    def is_no_giant(self) -> Self:
        # Where it is not given, pictures have the size that they have.
        if self.size is not None:
            refuse_giant(self.size, self.channels)
        return self


class AudioSource(Section):
    """Recordings (WAV), in a folder for each class: a folder, a zip or a tar of them."""

    path: str
    """The folder or archive: class folders, or `train` and `test` (and `validation`) of class folders."""
    seconds: Annotated[float, Field(gt=0)] | None = None
    """Longer recordings are cut, shorter ones padded with silence; as long as the longest unless given."""
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
