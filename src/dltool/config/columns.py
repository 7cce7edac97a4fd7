"""The columns of a table: what kind of values each holds, and how they become numbers.

A type is written like a data source: `number`, `category: 5` (the value of its first option) or
`number: {missing: median, scale: standard}`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from dltool.config.choices import Choice, Choices
from dltool.config.pydantic_errors import problems_in, refusal, refuse, relocated
from dltool.config.section import Section
from dltool.config.tasks import TASKS, Task
from dltool.config.wording import named
from dltool.errors import Problem

Count = Annotated[int, Field(ge=1)]
MOST_NGRAMS = 100
"""A text of so many words has so many times as many runs of them."""
MOST_WORDS = 100_000
"""Of one text: a batch has so many for each of its texts."""
MOST_PIXEL_VALUES = 100_000_000
"""Of one image: each takes a byte."""


class NumberColumn(Section):
    """Numbers. What is filled in and the scale are fitted from the training rows alone."""

    missing: Literal["median", "mean", "error"] | float = "median"
    """What stands for a missing number: the median or mean of the training rows, a number, or `error`: none may be
    missing."""
    scale: Literal["standard", "min_max", "robust", "log", "none"] = "standard"
    """`standard` has mean 0 and standard deviation 1, `min_max` lies between 0 and 1, `robust` has median 0 and
    interquartile range 1, `log` is `standard` after sign(x) · log(1 + |x|)."""
    indicator: bool = False
    """Whether a second number says that the value was missing."""


class CategoryColumn(Section):
    """One of several values, each of them text."""

    min_count: Count = 1
    """Values rarer than this among the training rows count as unknown."""
    unknown: Literal["as_category", "error"] = "as_category"
    """What a value that training has not seen becomes: a category of its own, or an error that names the row."""
    missing: Literal["as_category", "most_frequent", "error"] = "as_category"
    """What a missing value becomes."""
    embedding: Count | None = None
    """So many fitted numbers for each value, instead of one-hot vectors."""
    strip: str = ""
    """Characters to remove from both ends of a value, besides spaces."""
    replace: dict[str, str] = Field(default_factory=dict)
    """Values to replace by others, such as `{m: male}`."""

    @model_validator(mode="after")
    def rare_values_are_allowed(self) -> Self:
        if self.min_count > 1 and self.unknown == "error":
            message = "rare values count as unknown, and unknown: error allows none"
            raise refusal(Problem(("min_count",), message, "remove one of the two", at_key=True))
        return self


class BooleanColumn(Section):
    """Yes or no, as 1 or 0. true/false, yes/no, t/f, y/n and 1/0 are understood, in upper and lower case."""

    missing: Literal["most_frequent", "error"] | float = "most_frequent"
    """What stands for a missing value: the most frequent one of the training rows, a number, or `error`."""
    indicator: bool = False
    """Whether a second number says that the value was missing."""


DatePart = Literal["year", "month", "day", "weekday", "day_of_year", "hour", "minute", "second", "elapsed"]


class DateColumn(Section):
    """A date, or a date and a time, as numbers with mean 0 and standard deviation 1."""

    parts: Annotated[tuple[DatePart, ...], Field(strict=False, min_length=1)] = ("year", "month", "day", "weekday")
    """Which numbers: months and days count from 1, weekdays from 0 (Monday); `elapsed` is all of it, in days."""
    format: str | None = None
    """How it is written, as in Python's strptime, such as "%d.%m.%Y"; ISO 8601 unless given."""
    missing: Literal["median", "error"] = "median"
    """What stands for a missing date: the median of the training rows, or `error`."""


class TextColumn(Section):
    """Text, by Keras's TextVectorization with the vocabulary of the training rows."""

    max_tokens: Count | None = 5000
    """The most frequent words are kept."""
    length: Annotated[int, Field(ge=1, le=MOST_WORDS)] | None = None
    """Each text becomes so many word numbers, for an Embedding; unless given, one vector with a number a word."""
    output_mode: Literal["multi_hot", "count", "tf_idf"] = "tf_idf"
    """What the vector of a text says of each word, where `length` is not given."""
    ngrams: Annotated[int, Field(ge=1, le=MOST_NGRAMS)] | None = None
    """Runs of up to so many words count as words too."""
    standardize: Literal["lower_and_strip_punctuation", "lower", "strip_punctuation"] | None = (
        "lower_and_strip_punctuation"
    )
    """What is done to the text before it is split."""
    split: Literal["whitespace", "character"] = "whitespace"
    """What is a word."""


def refuse_giant(size: tuple[int, ...], channels: Any) -> None:
    """Raises PydanticCustomError where an image of that size would have more values than `MOST_PIXEL_VALUES`."""
    # A number of channels may wait for the data.
    values = math.prod(size) * (channels if isinstance(channels, int) else 1)
    if values > MOST_PIXEL_VALUES:
        sizes = " × ".join(f"{length:,}" for length in (*size, channels))
        message = f"{sizes} are {values:,} values an image, and at most {MOST_PIXEL_VALUES:,} can be meant"
        raise refusal(Problem(("size",), message, "height and width in pixels"))


class ImageColumn(Section):
    """Paths of image files, relative to the table."""

    size: Annotated[tuple[Count, ...], Field(strict=False, min_length=2, max_length=2)]
    """Height and width."""
    channels: Literal[1, 3, 4] = 3
    """1 is grey, 3 is colour, 4 has transparency too."""
    resize: Literal["stretch", "crop", "pad"] = "stretch"
    """How another shape is made to fit: by stretching, by cutting off what is too long, or by a black border."""

    @model_validator(mode="after")
    def is_no_giant(self) -> Self:
        refuse_giant(self.size, self.channels)
        return self


class AudioColumn(Section):
    """Paths of WAV files, relative to the table."""

    seconds: Annotated[float, Field(gt=0)]
    """Longer audio clips are cut, shorter ones padded with silence."""
    rate: Annotated[int, Field(ge=1)] | None = None
    """Samples a second; that of the first file unless given. Other rates are converted."""


class IgnoredColumn(Section):
    """Not used."""


COLUMN_TYPES: Mapping[str, type[Section]] = {
    "number": NumberColumn,
    "category": CategoryColumn,
    "boolean": BooleanColumn,
    "date": DateColumn,
    "text": TextColumn,
    "image": ImageColumn,
    "audio": AudioColumn,
    "ignore": IgnoredColumn,
}


class ColumnType(Choice):
    """The type of a column by name, with its typed options (an instance of `COLUMN_TYPES[name]`)."""


def parse_column_type(value: Any) -> ColumnType:
    """Raises PydanticCustomError: see :meth:`dltool.config.choices.Choices.parse`."""
    return Choices("column type", "age: number, or age: {number: {scale: min_max}}", COLUMN_TYPES).parse(
        ColumnType, value
    )


class CategoryTarget(Section):
    """One class an example."""

    strip: str = ""
    """Characters to remove from both ends of a class name, besides spaces."""
    replace: dict[str, str] = Field(default_factory=dict)
    """Class names to replace by others."""


class NumberTarget(Section):
    """A number to predict."""


class MultiLabelTarget(Section):
    """Any number of labels an example, in one text."""

    separator: Annotated[str, Field(min_length=1)] = ","
    """What stands between two labels."""


class InputTarget(Section):
    """The input itself, as the preprocessing leaves it and before augmentation: for models that restore it."""


TARGET_TYPES: Mapping[str, type[Section]] = {
    "category": CategoryTarget,
    "number": NumberTarget,
    "multi_label": MultiLabelTarget,
    "input": InputTarget,
}


class TargetType(Choice):
    """How a target is read: by name, with its typed options (an instance of `TARGET_TYPES[name]`)."""

    @property
    def task(self) -> Task:
        return TASKS[self.name]


ONE_TARGET = "target"
"""The name of the only target, where it has none of its own."""


@dataclass(frozen=True)
class Target:
    """What a model is to predict: columns of a table, or the labels of a source without columns.

    It is written `income`, `{income: category}`, or `[x, y]` for several numbers; where there are no columns,
    `category` or `number`, with options or without. Several targets are `{digit: category, size: number}`: one of these
    for each, with its name for its column.
    """

    columns: tuple[str, ...] = ()
    type: TargetType | None = None

    @property
    def is_input(self) -> bool:
        """Whether it is what the model is given, and nothing that the data has beside it."""
        return self.type is not None and isinstance(self.type.options, InputTarget)


EXAMPLE = "target: income, or target: {income: category}"
TARGET_CHOICES = Choices("target type", EXAMPLE, TARGET_TYPES)


def parse_target(value: Any) -> Target | tuple[Target, ...]:
    """One target, or several.

    Raises PydanticCustomError: with every problem at its place relative to `value`.
    """
    if isinstance(value, Target) or (isinstance(value, tuple) and all(isinstance(each, Target) for each in value)):
        return value
    if isinstance(value, Mapping) and len(value) > 1:
        return parse_targets(value)
    if isinstance(value, list | tuple) and value and all(isinstance(name, str) for name in value):
        return Target(tuple(value), TargetType("number", NumberTarget()))
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, given),) = value.items()
        if name not in TARGET_TYPES or is_target_type(given):
            return Target((str(name),), below(str(name), given))
    elif isinstance(value, str) and value not in TARGET_TYPES:
        return Target((value,))
    if not isinstance(value, str | Mapping):
        raise refusal(Problem((), f"expected the name of a column, got {named(value)}", f"for example {EXAMPLE}"))
    return Target((), TARGET_CHOICES.parse(TargetType, value))


def parse_targets(value: Mapping[Any, Any]) -> tuple[Target, ...]:
    targets: list[Target] = []
    problems: list[Problem] = []
    for name, given in value.items():
        try:
            targets.append(Target((str(name),), below(str(name), given)))
        except PydanticCustomError as error:
            problems += problems_in(error)
    refuse(*problems)
    return tuple(targets)


def is_target_type(value: Any) -> bool:
    name = next(iter(value), None) if isinstance(value, Mapping) and len(value) == 1 else value
    return isinstance(name, str) and name in TARGET_TYPES


def below(column: str, value: Any) -> TargetType:
    """The type under the name of its column."""
    try:
        kind = TARGET_CHOICES.parse(TargetType, value)
        if isinstance(kind.options, InputTarget):
            raise refusal(Problem((), "a column is not the input", "target: input stands alone"))
        return kind
    except PydanticCustomError as error:
        raise refusal(*(relocated(problem, (column,)) for problem in problems_in(error))) from None
