"""Sources that are folders or archives of files, and the patterns for the paths of the files."""

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from dltool.config.file_columns import Rate
from dltool.config.image_size import ImageSize, refuse_giant
from dltool.config.pydantic_errors import refusal, refuse
from dltool.config.section import Section
from dltool.errors import Problem

FIELD = re.compile(r"\{([^{}]*)\}")
EXAMPLE = 'for example "{class}/{speaker}_{number}.wav"'


def file_pattern(text: str) -> Callable[[str], dict[str, str] | None]:
    """Return a function that matches the end of a path, from the start of a name, and returns the value of each
    `{name}`, or None.

    A name has as many characters as possible within one folder or file. Read backwards, that is the nearest text
    between two names, which needs no second attempt: the time is linear.

    Raises ValueError: the pattern is invalid."""
    if any(pattern_mistakes(text)):
        raise ValueError(text)
    end, *pieces = FIELD.split(text)[::-1]
    *groups, first = (
        f"(?P<{name}>[^/]+?){re.escape(before[::-1])}" for name, before in zip(pieces[::2], pieces[1::2], strict=True)
    )
    backwards = re.compile(
        f"{re.escape(end[::-1])}{''.join(f'(?>{group})' for group in groups)}{first}(?:/.*)?", re.DOTALL
    )

    def match(path: str) -> dict[str, str] | None:
        found = backwards.fullmatch(path[::-1])
        return found and {name: found[name][::-1] for name in pieces[-2::-2]}

    return match


def pattern_mistakes(text: str) -> Iterator[tuple[str, str]]:
    """Yield the errors in a pattern, each with a hint."""
    names = FIELD.findall(text)
    if "{" in FIELD.sub("", text) or "}" in FIELD.sub("", text):
        yield "unmatched brace", EXAMPLE
    for name in dict.fromkeys(names):
        if not (name.isidentifier() and name.isascii()):
            yield f'invalid name "{{{name}}}": use letters, digits and underscores', EXAMPLE
        elif names.count(name) > 1:
            yield f"duplicate name {{{name}}}", "give the two different names"
    if "class" not in names:
        yield "the pattern has no {class}", f"add {{class}}, {EXAMPLE}"
    if "}{" in text:
        yield "two names without a separator", "write a character between them, such as _"
    if text.startswith("/") or ".." in text.split("/"):
        yield "the pattern is matched against the end of a path", f"remove its beginning, {EXAMPLE}"


def checked_pattern(text: str) -> str:
    refuse(*(Problem((), message, hint) for message, hint in pattern_mistakes(text)))
    return text


Pattern = Annotated[str, AfterValidator(checked_pattern)]


def checked_masks(text: str) -> str:
    """Refuse braces that are no pattern for the path of a mask."""
    names = FIELD.findall(text)
    if re.search("[{}]", FIELD.sub("", text)) or {*names} - {"image", "folder"} or (names and "image" not in names):
        message = f'expected the name of a folder, or a pattern with {{image}}, found "{text}"'
        refuse(Problem((), message, 'for example "{image}_mask" or "../{folder}_masks/{image}"'))
    return text


class ImagesSource(Section):
    """Images in a folder per class; the folders may be in a zip or tar archive."""

    path: str
    """The folder or archive: class folders, or `train` and `test` (and `validation`) of class folders."""
    size: ImageSize | None = None
    """Height and width in pixels. Default: the common size of all images."""
    channels: Literal[1, 3, 4] = 3
    """1 is grey, 3 is colour, 4 is colour with transparency."""
    resize: Literal["stretch", "crop", "pad"] = "stretch"
    """How images of another aspect ratio are fitted: stretched, cropped, or padded with the background."""
    background: Literal["black", "white"] = "black"
    """The colour behind transparent pixels and of the padding."""
    bits: Annotated[int, Field(ge=8, le=16)] = 16
    """The bits of a value in grey images with more than 8: cameras and scanners may use 10, 12 or 14 of 16 bits."""
    pattern: Pattern | None = None
    """A pattern for the end of a path, such as "{class}/{scene}_{number}.jpg". {class} is the class, {split} the split;
    other names become columns."""
    on_error: Literal["refuse", "skip"] = "refuse"
    """Whether files that cannot be read, and images without a mask, are an error, or left out with a warning that
    names them."""
    masks: Annotated[str, AfterValidator(checked_masks)] | None = None
    """The name of the folders in `path` that hold a mask for each image, an image file of the same name, or a pattern
    for the path of a mask from the folder of its image: "{image}_mask", "../{folder}_masks/{image}". {image} is the
    name of the image without ending, {folder} its folder. The pixels of a mask are classes, by their value, index or
    colour. They become the target."""

    @model_validator(mode="after")
    def is_no_giant(self) -> Self:
        if self.masks is not None and self.pattern is not None:
            message = "pattern reads a class for each image, and masks have one for each pixel"
            raise refusal(Problem(("pattern",), message, "remove one of the two", at_key=True))
        # Where it is not given, images have the size that they have.
        if self.size is not None and self.is_known:
            refuse_giant(self.size, self.channels)
        return self


class AudioSource(Section):
    """Audio clips in a folder per class; the folders may be in a zip or tar archive."""

    path: str
    """The folder or archive: class folders, or `train` and `test` (and `validation`) of class folders."""
    seconds: Annotated[float, Field(gt=0)] | None = None
    """The length of a clip. Longer audio clips are cut, shorter ones padded with silence. Default: that of the
    longest."""
    rate: Rate | None = None
    """The sample rate in Hz, to which files of other rates are resampled. Default: that of the first file."""
    pattern: Pattern | None = None
    """A pattern for the end of a path, such as "{class}/{speaker}_{number}.wav". {class} is the class, {split} the
    split; other names become columns."""
    on_error: Literal["refuse", "skip"] = "refuse"
    """Whether files that cannot be read are an error, or left out with a warning that names them."""


class TextSource(Section):
    """Texts in a folder per class, or one file per class with a text on each line."""

    path: str
    """The folder or archive: class folders, `train` and `test` of class folders, or a file for each class."""
    pattern: Pattern | None = None
    """A pattern for the end of a path, such as "{class}/{number}.txt". {class} is the class, {split} the split; other
    names become columns."""
    encoding: str = "utf-8"
    """The character encoding of the files, by its Python name."""
