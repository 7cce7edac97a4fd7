"""The section `data.windows` of a config: windows over the rows of time series."""

import re
from itertools import pairwise
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from dltool.config.image_size import Count
from dltool.config.pydantic_errors import refusal, refuse
from dltool.config.section import FORM, Section
from dltool.config.wording import named
from dltool.errors import Problem
from dltool.text import quoted

STEPS = re.compile(r"([0-9]{1,4})\.\.([0-9]{1,4})")
STEPS_FORM = "an integer, a list of integers, or first..last"


def steps_in(value: Any) -> Any:
    """Return the integers of a range, written `1..24`; other values unchanged. Raises PydanticCustomError: no range."""
    if not isinstance(value, str):
        return value
    match = STEPS.fullmatch(value)
    if match is None or int(match[1]) > int(match[2]):
        raise refusal(Problem((), f"expected {STEPS_FORM}, got {named(value)}", "for example 1..24"))
    return tuple(range(int(match[1]), int(match[2]) + 1))


STEPS_SCHEMA = {
    "type": ["integer", "array", "string"],
    "minimum": 1,
    "items": {"type": "integer", "minimum": 1},
    "minItems": 1,
    "pattern": f"^{STEPS.pattern}$",
    FORM: STEPS_FORM,
}
Steps = Annotated[
    Count | Annotated[tuple[Count, ...], Field(strict=False, min_length=1)],
    BeforeValidator(steps_in),
    WithJsonSchema(STEPS_SCHEMA),
]
Names = Annotated[tuple[str, ...], Field(strict=False)]
SomeNames = str | Annotated[tuple[str, ...], Field(strict=False, min_length=1)]


def columns_in(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the columns in a value that names one, several or none."""
    return (value,) if isinstance(value, str) else value or ()


class Windows(Section):
    """Examples that are windows of consecutive rows of a table, with later values of columns as the target."""

    length: Count
    """The number of rows in a window."""
    target: SomeNames
    """The column to predict, or a list of columns of numbers."""
    horizon: Steps = 1
    """The number of rows from the end of the window to the target; or several, as a list or as `1..24`, to predict
    numbers at each of them."""
    stride: Count = 1
    """The number of rows from one window to the next."""
    key: SomeNames | None = None
    """The column that identifies the series of a row, or a list of columns that do so together. No window contains rows
    of two series."""
    order: SomeNames | None = None
    """A column to sort the rows by. Default: the order of the file. Unless a column is called `time`, `time` means the
    table's date column. A list is one time in several columns: a date and a time such as 18:30, a date and
    `hour`, or `year`, `month`, `day` and so on."""
    known: Names = ()
    """Columns known in advance, such as holidays. As inputs they extend to the last row of the target."""
    static: Names = ()
    """Columns that are constant in each series. As inputs they have one value per window."""

    @model_validator(mode="after")
    def are_apart(self) -> Self:
        problems = [
            Problem((key,), f"{quoted(name)} is also under {other}", "remove one of the two")
            for key, other in (("known", "target"), ("static", "target"), ("static", "known"))
            for name in getattr(self, key)
            if name in (self.targets if other == "target" else self.known)
        ]
        if any(step >= after for step, after in pairwise(self.steps)):
            problems.append(Problem(("horizon",), "expected distinct integers in ascending order"))
        if len({*self.targets}) < len(self.targets):
            problems.append(Problem(("target",), "a column is named twice", "remove one of the two"))
        refuse(*problems)
        return self

    @property
    def targets(self) -> tuple[str, ...]:
        return columns_in(self.target)

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the columns that together identify the series of a row."""
        return columns_in(self.key)

    @property
    def steps(self) -> tuple[int, ...]:
        """Return the rows from the end of the window to each value of the target."""
        return self.horizon if isinstance(self.horizon, tuple) else (self.horizon,)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Return the names of the values of the target: each column at every step, one column after another."""
        steps = [f"+{step}" for step in self.steps] if len(self.steps) > 1 else [""]
        return tuple(f"{name}{step}" for name in self.targets for step in steps)
