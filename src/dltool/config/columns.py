"""The columns of a table: the type of their values and their encoding as numbers.

A type is written like a data source: `number`, `category: 5` (the value of its first option) or `number: {missing:
median, scale: standard}`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from dltool.config.choices import Choice, Choices
from dltool.config.file_columns import AudioColumn, ImageColumn
from dltool.config.image_size import Count
from dltool.config.pydantic_errors import problems_in, refusal, refuse, relocated
from dltool.config.section import Section
from dltool.config.tasks import TASKS, Task
from dltool.config.wording import named
from dltool.errors import Problem
from dltool.text import quoted

LEAST_TOKENS = 3
"""Of a text by a tokenizer: the start, a token and the end."""
MOST_NGRAMS = 100
"""The number of n-grams of a text is proportional to it."""
MOST_WORDS = 100_000
"""Of one text. Every text of a batch is padded to its length."""


class WrittenNumber(Section):
    """How the numbers of a column are written."""

    thousands: Literal[",", ".", " ", "'", "_"] | None = None
    """The mark between groups of digits, as in 1,234,567."""
    decimal: Literal[".", ","] | None = None
    """The decimal separator. Default: that of the file, or the other one where it separates groups of digits."""
    strip: str = ""
    """Characters to remove around a number, besides spaces, such as "$", "kg" or "m2". With "()", a number in
    parentheses is negative; with "-", one with a minus sign behind it."""

    @model_validator(mode="after")
    def marks_differ(self) -> Self:
        if self.is_known and self.thousands is not None and self.thousands == self.decimal:
            raise refusal(Problem(("thousands",), "thousands and decimal are the same", "remove one of the two"))
        return self


class ScaledNumber(Section):
    """How numbers become an input."""

    missing: Literal["median", "mean", "error"] | float = "median"
    """The replacement for missing numbers: the median or mean of the training rows, a number, or `error` to refuse
    them."""
    scale: Literal["standard", "min_max", "robust", "log", "none"] = "standard"
    """`standard` scales to mean 0 and standard deviation 1, `min_max` to the range 0 to 1, `robust` to median 0 and
    interquartile range 1. `log` is `standard` after sign(x) · log(1 + |x|)."""
    pieces: Annotated[int, Field(ge=2, le=1_000)] | None = None
    """Up to how many numbers encode it, one for each interval between quantiles of the training rows and their distinct
    values: 0 below, 1 above, linear inside. They make steps and bends easy to learn. Default: the number itself."""
    indicator: bool = False
    """Whether to add another number that is 1 if the value is missing."""


class NumberColumn(WrittenNumber, ScaledNumber):
    """Numbers. The fill value and the scale are fitted to the training rows alone."""


class CategoryColumn(Section):
    """One of several categories, each a string."""

    min_count: Count = 1
    """Categories with fewer training rows than this count as unknown."""
    unknown: Literal["as_category", "error"] = "as_category"
    """The treatment of categories absent from the training rows: a category of their own, or an error."""
    missing: Literal["as_category", "most_frequent", "error"] = "as_category"
    """The treatment of missing values: a category of their own, the most frequent one, or an error."""
    embedding: Count | None = None
    """The dimension of a trainable embedding, instead of one-hot vectors."""
    strip: str = ""
    """Characters to remove from both ends of a value, besides spaces."""
    case: Literal["keep", "lower", "upper"] = "keep"
    """Whether to write all values in lower or upper case, so that `Cat` and `cat` are the same."""
    replace: dict[str, str] = Field(default_factory=dict)
    """Values to replace by others, such as `{m: male}`."""

    @model_validator(mode="after")
    def rare_values_are_allowed(self) -> Self:
        if self.is_known and self.min_count > 1 and self.unknown == "error":
            message = "min_count makes rare values unknown, and unknown: error refuses them"
            raise refusal(Problem(("min_count",), message, "remove one of the two", at_key=True))
        return self


class BooleanColumn(Section):
    """Yes or no, encoded as 1 or 0. Accepts true/false, yes/no, t/f, y/n and 1/0 in any case."""

    missing: Literal["most_frequent", "error"] | float = "most_frequent"
    """The replacement for missing values: the most frequent one of the training rows, a number, or `error` to refuse
    them."""
    indicator: bool = False
    """Whether to add a second number that is 1 if the value is missing."""


DatePart = Literal["year", "month", "day", "weekday", "day_of_year", "hour", "minute", "second", "elapsed"]
UNIX: Mapping[str, int] = {"unix": 1, "unix_ms": 1_000, "unix_us": 1_000_000, "unix_ns": 1_000_000_000}
"""Formats of dates that are numbers since 1970: how many of them are a second."""


def checked_format(text: str) -> str:
    """Return the format of a date. Raises PydanticCustomError: strptime reads no date by it."""
    if text in UNIX:
        return text
    of_month = text.replace("%q", "%m")
    try:
        datetime.strptime(datetime(2026, 1, 31, tzinfo=UTC).strftime(of_month), of_month)  # noqa: DTZ007 - the format may have a zone
    except (ValueError, re.error):
        message = f"strptime reads no date in the format {quoted(text)}"
        refuse(Problem((), message, 'for example "%d.%m.%Y"; a part cannot occur twice'))
    return text


class DateColumn(Section):
    """A date with or without a time, as numbers with mean 0 and standard deviation 1."""

    parts: Annotated[tuple[DatePart, ...], Field(strict=False, min_length=1)] = ("year", "month", "day", "weekday")
    """The numbers to extract. Months and days count from 1, weekdays from 0 (Monday); `elapsed` is the date as a number
    of days."""
    format: Annotated[str, AfterValidator(checked_format)] | None = None
    """The format as in Python's strptime, such as "%d.%m.%Y", in which "%q" is a quarter; or `unix`, `unix_ms`,
    `unix_us` or `unix_ns`, the seconds, milli-, micro- or nanoseconds since 1970. Default: ISO 8601."""
    missing: Literal["median", "error"] = "median"
    """The replacement for missing dates: the median of the training rows, or `error` to refuse them."""


Standardization = Literal["lower_and_strip_punctuation", "lower", "strip_punctuation"]


class TextColumn(Section):
    """Text, encoded by Keras's TextVectorization with a vocabulary fitted to the training rows, or by a preset."""

    preset: str | None = None
    """Make the tokens of a preset of KerasHub, `length` of them for each text, as the layer KerasHubTokenizer does."""
    max_tokens: Count | None = 5000
    """The size of the vocabulary, which holds the most frequent words."""
    length: Annotated[int, Field(ge=1, le=MOST_WORDS)] | None = None
    """Encode a text as a sequence of so many word indices, for an Embedding. Default: a vector, a number per word."""
    output_mode: Literal["multi_hot", "count", "tf_idf"] = "tf_idf"
    """The numbers in the vector of a text, without `length`."""
    ngrams: Annotated[int, Field(ge=1, le=MOST_NGRAMS)] | None = None
    """Add n-grams of up to so many words to the vocabulary."""
    standardize: Standardization | None = "lower_and_strip_punctuation"
    """The standardization of the text before it is split into words."""
    split: Literal["whitespace", "character"] = "whitespace"
    """Whether tokens are separated by whitespace or are single characters."""

    @model_validator(mode="after")
    def preset_decides_all_but_the_length(self) -> Self:
        # A run records the defaults.
        fields = {name: field.default for name, field in type(self).model_fields.items()}
        others = [name for name in fields if name not in ("preset", "length") and getattr(self, name) != fields[name]]
        if self.is_known and self.preset is not None and others:
            raise refusal(Problem((others[0],), f"the preset decides {others[0]}", "remove it", at_key=True))
        if self.is_known and self.preset is not None and (self.length or 0) < LEAST_TOKENS:
            message = f"tokens of a preset need a length of at least {LEAST_TOKENS}"
            raise refusal(Problem(("preset",), message, "for example length: 128", at_key=True))
        return self


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


COLUMN_EXAMPLE = "age: number, or age: {number: {scale: min_max}}"
parse_column_type = Choices(ColumnType, "column type", COLUMN_EXAMPLE, COLUMN_TYPES).parse


class ColumnTarget(Section):
    """A target that some rows of a table may lack."""

    missing: Literal["error", "drop"] = "error"
    """Whether to refuse rows without the target, or to leave them out (`drop`)."""


class CategoryTarget(ColumnTarget):
    """One class per example."""

    strip: str = ""
    """Characters to remove from both ends of a class name, besides spaces."""
    case: Literal["keep", "lower", "upper"] = "keep"
    """Whether to write all class names in lower or upper case, so that `Cat` and `cat` are the same."""
    replace: dict[str, str] = Field(default_factory=dict)
    """Class names to replace by others."""
    positive: str | None = None
    """The positive one of two classes, class 1: a single output is its probability. Default: the second by name."""


MOST_CLASSES = 1_000_000
"""Each class has a name, and one output of the model."""


class IndexTarget(Section):
    """One class per example, as an integer from 0 to classes - 1 that keeps its meaning, such as a token id."""

    classes: Annotated[int, Field(ge=2, le=MOST_CLASSES)]
    """The number of classes; not all of them need examples."""


class NumberTarget(WrittenNumber, ColumnTarget):
    """A number to predict."""

    scale: Literal["standard", "robust", "log", "none"] = "none"
    """The scale of the last layer's output, fitted in training; the model restores the units. `log`: log(1 + y)."""


class MultiLabelTarget(Section):
    """Any number of labels per example, in one string."""

    separator: Annotated[str, Field(min_length=1)] = ","
    """The string between two labels."""


class InputTarget(Section):
    """The preprocessed input itself, before augmentation: for autoencoders."""


TARGET_TYPES: Mapping[str, type[Section]] = {
    "category": CategoryTarget,
    "index": IndexTarget,
    "number": NumberTarget,
    "multi_label": MultiLabelTarget,
    "input": InputTarget,
}


class TargetType(Choice):
    """The type of a target by name, with its typed options (an instance of `TARGET_TYPES[name]`)."""

    @property
    def task(self) -> Task:
        return TASKS[self.name]


ONE_TARGET = "target"
"""The name of the only target if it has none of its own."""


@dataclass(frozen=True)
class Target:
    """A target of the model: columns of a table, or the labels of a source without columns.

    It is written `income`, `{income: category}`, or `[x, y]` for several numbers; without columns, `category`,
    `number` or `index`, with or without options. Several targets are `{digit: category, size: number}`: one of these
    for each, with its name as its column."""

    columns: tuple[str, ...] = ()
    type: TargetType | None = None

    @property
    def is_input(self) -> bool:
        return self.type is not None and self.type.name == "input"


EXAMPLE = "target: income, or target: {income: category}"
TARGET_CHOICES = Choices(TargetType, "target type", EXAMPLE, TARGET_TYPES)


def parse_target(value: Any) -> Target | tuple[Target, ...]:
    """Return one target, or several. Raises PydanticCustomError: with every problem, relative to `value`."""
    if isinstance(value, Target) or (isinstance(value, tuple) and all(isinstance(each, Target) for each in value)):
        return value
    if isinstance(value, list | tuple) and value and all(isinstance(name, str) for name in value):
        return Target(tuple(value), TargetType("number", NumberTarget()))
    if isinstance(value, Mapping) and value:
        (name, given), *others = value.items()
        if others or name not in TARGET_TYPES or is_target_type(given):
            targets = parse_targets(value)
            return targets if others else targets[0]
    elif isinstance(value, str) and (value not in TARGET_TYPES or value == "index"):
        # As a type, index needs its number of classes.
        return Target((value,))
    if not isinstance(value, str | Mapping):
        raise refusal(Problem((), f"expected the name of a column, got {named(value)}", f"for example {EXAMPLE}"))
    return Target((), TARGET_CHOICES.parse(value))


def parse_targets(value: Mapping[Any, Any]) -> tuple[Target, ...]:
    """Return the targets by the names of their columns."""
    targets: list[Target] = []
    problems: list[Problem] = []
    for name, given in value.items():
        try:
            kind = TARGET_CHOICES.parse(given)
            if isinstance(kind.options, InputTarget):
                raise refusal(Problem((), "input cannot be the type of a column", "write target: input"))
            targets.append(Target((str(name),), kind))
        except PydanticCustomError as error:
            problems += (relocated(problem, (str(name),)) for problem in problems_in(error))
    refuse(*problems)
    return tuple(targets)


def is_target_type(value: Any) -> bool:
    name = next(iter(value), None) if isinstance(value, Mapping) and len(value) == 1 else value
    return isinstance(name, str) and name in TARGET_TYPES
