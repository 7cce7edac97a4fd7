"""The section `data` of a config: source, targets, split, preprocessing and augmentation."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, PlainValidator, Tag, WithJsonSchema, model_validator

from dltool.config.columns import (
    ONE_TARGET,
    TARGET_CHOICES,
    ColumnType,
    NumberTarget,
    Target,
    TargetType,
    parse_column_type,
    parse_target,
)
from dltool.config.keras.fields import Layer, schema_of
from dltool.config.pydantic_errors import refusal, refuse
from dltool.config.section import FORM, Section
from dltool.config.shuffle_options import Shuffle, shuffle_problems
from dltool.config.sources import ArraysSource, Source, kind_of, parse_source
from dltool.config.split_options import SplitOptions
from dltool.config.window_options import Windows
from dltool.config.wording import named
from dltool.errors import Problem
from dltool.text import UNITS, did_you_mean, near, quoted, shortened

AMOUNT = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,3})?) ?([KMGT]?B)")
LEAST_BYTES = 1_000
"""A smaller amount probably lacks its unit."""


def byte_size(value: Any) -> int:
    """Return bytes; 0 for `off`. Raises PydanticCustomError: it is no amount."""
    if value == "off":
        return 0
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        size = value
    elif isinstance(value, str) and (match := AMOUNT.fullmatch(value.upper())):
        size = int(float(match[1]) * UNITS[match[2]])
    else:
        raise refusal(Problem((), f"expected an amount such as 4 GB, or off, got {named(value)}"))
    if 0 < size < LEAST_BYTES:
        hint = f"write {value} GB, or off" if value == size else ""
        raise refusal(Problem((), f"expected at least {LEAST_BYTES:,} bytes, got {size}", hint))
    return size


AMOUNT_SCHEMA = {
    "type": ["string", "integer"],
    "minimum": 0,
    "pattern": r"^[0-9]{1,12}(\.[0-9]{1,3})? ?[KMGTkmgt]?[Bb]$|^off$",
    FORM: "an amount such as 4 GB, or off",
}
ByteSize = Annotated[int, BeforeValidator(byte_size), Field(ge=0), WithJsonSchema(AMOUNT_SCHEMA)]
"""Bytes as an integer, written with a unit."""


Bounds = Annotated[tuple[float, ...], Field(strict=False, min_length=1, max_length=20)]
COLUMN_SCHEMA = {"type": "string", FORM: "columns"}
NUMBERS_SCHEMA = {"type": "array", "items": {"type": "number"}, "minItems": 1}
BOUNDS_SCHEMA = {"type": "object", "additionalProperties": NUMBERS_SCHEMA, FORM: "columns with bounds"}
Slice = Annotated[
    Annotated[str, Tag("str")] | Annotated[dict[str, Bounds], Tag("dict")],
    Discriminator(lambda value: "dict" if isinstance(value, dict) else "str"),
    WithJsonSchema({"anyOf": [COLUMN_SCHEMA, BOUNDS_SCHEMA]}),
]
"""A column, alone or with the rising bounds of its groups."""
DataSource = Annotated[Source, PlainValidator(parse_source), schema_of("source")]


def are_alike(source: Source, first: Source) -> bool:
    """Return whether two sources of arrays have inputs and targets of the same names; unnamed ones match any."""
    options = source.options
    if isinstance(options, ArraysSource) and options.x is None and options.y is None:
        return True

    def names(source: Source, key: str) -> set[str] | None:
        arrays = getattr(source.options, key, None)
        return set(arrays) if isinstance(arrays, dict) else None

    return all(names(source, key) == names(first, key) for key in ("x", "y"))


class Data(Section):
    """The dataset: its source, split, preprocessing and augmentation."""

    source: DataSource
    """A built-in dataset by name, or your own files: `csv`, `tsv`, `json_lines`, `excel`, `parquet`, `feather`, `orc`,
    `sql`, `images`, `audio`, `text` or `arrays`."""
    validation: DataSource | None = None
    """A separate source for validation, instead of a fraction of `source`."""
    test: DataSource | None = None
    """A separate source for the test."""
    inputs: dict[str, Annotated[ColumnType, PlainValidator(parse_column_type), schema_of("column_type")]] | None = None
    """Types of columns that override the inferred ones: `number`, `category`, `boolean`, `date`, `text`, `image`,
    `audio` or `ignore`. Every column except the target is an input."""
    target: Annotated[Target | tuple[Target, ...], PlainValidator(parse_target), schema_of("target")] | None = None
    """The column to predict. Without columns, `category`, `number` or `{index: CLASSES}`; by default integers and
    strings are classes. `input` is the preprocessed input itself. Several targets by name, each with its type: `{digit:
    category, size: number}`."""
    weights: str | None = None
    """A column, or an array of an `.npz` file, with the weight of each example in the loss. It is not an input."""
    windows: Windows | None = None
    """Windows over the rows of a time series. The target of each window lies after it."""
    split: SplitOptions = SplitOptions()
    """How the examples of `source` are split."""
    shuffle: Shuffle | None = None
    """How training rows are shuffled: `{window: 64}` shuffles shards, and the rows within windows of so many. Parquet
    files are then read as training needs them, and may be larger than memory. Default: all rows are shuffled
    together."""
    slices: Annotated[tuple[Slice, ...], Field(strict=False)] | None = None
    """The columns by which the report compares groups of examples, inputs or not: `[sex, {age: [30, 50]}]`, with the
    bounds of a number. Default: all columns; the report shows the groups that differ significantly."""
    final: Literal["refit", "ensemble", "none"] | None = None
    """With folds, the model of the run itself: `refit` trains it as without folds; `ensemble` is the mean of the models
    of the folds, whose predictions cost as much as theirs together; `none` is no model. Default: refit."""
    preprocessing: Annotated[tuple[Layer, ...], Field(strict=False)] = ()
    """Keras layers that become part of the saved model. They are fitted to the training examples alone."""
    augmentation: Annotated[tuple[Layer, ...], Field(strict=False)] = ()
    """Keras layers applied in training only, after the preprocessing."""
    cache: ByteSize = 4 * 10**9
    """The maximum size of dltool's cache of decoded files, or `off`."""

    @model_validator(mode="after")
    def parts_are_alike(self) -> Self:
        problems = []
        for role, other in (("validation", self.validation), ("test", self.test)):
            if other is not None and kind_of(other) != kind_of(self.source):
                message = f"{other.name} cannot be a split of {self.source.name}"
                problems.append(Problem((role,), message, "all splits need the same kind of source"))
            elif other is not None and not are_alike(other, self.source):
                message = "its inputs or targets differ from those of source"
                problems.append(Problem((role,), message, "use the same names under x and y"))
        refuse(*problems)
        return self

    @model_validator(mode="after")
    def folds_can_be_made(self) -> Self:
        problems = []
        if self.final is not None and self.split.folds is None:
            problems.append(Problem(("final",), "final needs folds", "split: {folds: 5}, or remove it", at_key=True))
        elif self.final is not None and not self.split.has_folds:
            message = "a fold alone is an ordinary run, with a model of its own"
            related = ((("split", "fold"), "given here"),)
            problems.append(Problem(("final",), message, "remove it, or final: null", at_key=True, related=related))
        if self.windows is None and self.split.folds is not None and self.split.order is None:
            problems += [
                Problem(("split", key), f"{key} is a number of values of the column of `order`", "remove it", True)
                for key in ("gap", "window")
                if getattr(self.split, key) is not None
            ]
        refuse(*problems)
        return self

    @model_validator(mode="after")
    def can_be_read_in_shards(self) -> Self:
        if self.shuffle is not None:
            refuse(*shuffle_problems(self))
        return self

    @property
    def is_streamed(self) -> bool:
        """Return whether the training rows are read in shards, as training needs them."""
        return self.shuffle is not None and self.source.name == "parquet"

    @property
    def is_refit(self) -> bool:
        """Return whether a run trains a model of its own, and not only its folds."""
        return self.final in (None, "refit")

    @property
    def targets(self) -> dict[str, Target]:
        """Return the targets by name; empty if the target is the input. The only target is called "target" unless it
        has a name."""
        given, names = self.given_targets, self.named_targets
        if given[0].is_input:
            return {}
        if names:
            types = {name: each.type for each in given for name in each.columns or names}
            return {name: Target((name,), types.get(name)) for name in names}
        return {each.columns[0]: each for each in given} if isinstance(self.target, tuple) else {ONE_TARGET: given[0]}

    @property
    def given_targets(self) -> tuple[Target, ...]:
        """Return the targets of the key `target`, at least one."""
        return self.target if isinstance(self.target, tuple) else (self.target or Target(),)

    @property
    def named_targets(self) -> tuple[str, ...]:
        """Return the targets to which the source gives names."""
        return self.source.options.target_names if isinstance(self.source.options, ArraysSource) else ()

    @property
    def slice_bounds(self) -> dict[str, tuple[float, ...]]:
        """Return the columns of the slices with the bounds of each, empty unless given."""
        return {column: bounds for _, column, bounds in self.numbered_slices()}

    def numbered_slices(self) -> Iterator[tuple[int, str, tuple[float, ...]]]:
        """Yield the columns of the slices: the position of each in the list, its name and its bounds."""
        for number, each in enumerate(self.slices or ()):
            yield from ((number, *named) for named in (each.items() if isinstance(each, dict) else [(each, ())]))

    def slice_problems(self) -> Iterator[Problem]:
        if self.slices and self.windows is not None:
            message = "windows have several rows, and a slice is of single ones"
            yield Problem(("slices",), message, "remove it", at_key=True)
        names = [name for _, name, _ in self.numbered_slices()]
        for at, (number, name, bounds) in enumerate(self.numbered_slices()):
            if name in names[:at]:
                yield Problem(("slices", number), f"{quoted(name)} is named more than once", "give its bounds once")
            if list(bounds) != sorted(set(bounds)):
                yield Problem(("slices", number, name), f"expected rising bounds, got {list(bounds)}", "sort them")
            if name in self.target_columns:
                hint = "the report has the results of each class anyway"
                yield Problem(("slices", number), f"{quoted(name)} is the target", hint)

    @model_validator(mode="after")
    def slices_can_be_made(self) -> Self:
        refuse(*self.slice_problems())
        return self

    @property
    def target_columns(self) -> tuple[str, ...]:
        return tuple(name for target in self.targets.values() for name in target.columns)

    @model_validator(mode="after")
    def targets_are_there(self) -> Self:
        """Check the names of targets without columns; only arrays have such names."""
        if kind_of(self.source) == "table" or self.target is None:
            return self
        several, given, names = isinstance(self.target, tuple), self.given_targets, self.named_targets
        problems = []
        if len(names) > 1 and not given[0].columns and not given[0].is_input:
            hint = f"target: {{{names[0]}: category}}"
            problems.append(Problem(("target",), f"there are {len(names)} targets, and each needs a type", hint))
        for target in given:
            if not names and several:
                message = f"{self.source.name} has one target, which has no name"
                problems.append(Problem(("target",), message, "target: category, or number"))
                break
            if target.type is not None and getattr(target.type.options, "missing", "error") == "drop":
                place = ("target", *target.columns, target.type.name, "missing")
                problems.append(Problem(place, "only the rows of a table can be left out", "remove it", at_key=True))
            if names and target.columns and target.columns[0] not in names:
                hint = did_you_mean(near(target.columns[0], names, cutoff=0.5)) or f"the targets are {', '.join(names)}"
                place = ("target", target.columns[0]) if target.type else ("target",)
                message = f"unknown target {quoted(target.columns[0])}"
                problems.append(Problem(place, message, hint, at_key=target.type is not None))
        refuse(*problems)
        return self

    @model_validator(mode="after")
    def target_is_a_column(self) -> Self:
        """In a table `target: category` is the column of that name."""
        target, name = self.target, self.source.name
        if kind_of(self.source) == "table":
            return self.with_windows(self.windows) if self.windows is not None else self.with_target_column()
        if self.windows is not None:
            message = f"{name} has no columns, and windows need a table"
            raise refusal(Problem(("windows",), message, "remove it", at_key=True))
        if isinstance(target, Target) and target.columns and not self.named_targets:
            message = f"{name} has no columns: expected category or number, got {shortened(target.columns[0], 60)}"
            is_index = target.columns[0] == "index"
            hint = "index: CLASSES" if is_index else did_you_mean(near(target.columns[0], ("category", "number")))
            raise refusal(Problem(("target",), message, hint))
        if self.inputs is not None:
            raise refusal(Problem(("inputs",), f"{name} has no columns", "remove it", at_key=True))
        return self

    @model_validator(mode="after")
    def weights_can_be_read(self) -> Self:
        """Weights need rows of their own, and are neither an input nor a target."""
        if self.weights is None:
            return self
        options = self.source.options
        x, y = (options.x, options.y) if isinstance(options, ArraysSource) else ({}, {})
        inputs = [*(self.inputs or ()), *(x.values() if isinstance(x, dict) else ["x"])]
        targets = [*self.target_columns, *(y.values() if isinstance(y, dict) else ["y"])]
        is_file = isinstance(options, ArraysSource) and options.path is not None
        message, hint = "", "name another column or array"
        if self.windows is not None:
            message, hint = "windows have several rows, and weights are those of one", "remove it"
        elif not is_file and kind_of(self.source) != "table":
            message = f"{self.source.name} has no weights of examples"
            hint = "a table may have a column of weights, an .npz file an array"
        elif self.weights in (*inputs, *targets):
            message = f"{quoted(self.weights)} is {'an input' if self.weights in inputs else 'the target'} already"
        refuse(*([Problem(("weights",), message, hint)] if message else []))
        return self

    def with_target_column(self) -> Self:
        if self.target is None:
            raise refusal(Problem((), "a table needs a target", f"for example {TARGET_CHOICES.example}"))
        if isinstance(self.target, Target) and not self.target.columns and self.target.type is not None:
            kind = self.target.type
            if kind.options.model_fields_set:
                message = f"expected the name of a column, got the type {kind.name} with its options"
                raise refusal(Problem(("target",), message, f"target: {{COLUMN: {{{kind.name}: …}}}}"))
            return self.model_copy(update={"target": Target((self.target.type.name,))})
        column = next((name for name in self.target_columns if name in (self.inputs or ())), None)
        if column is not None:
            hint = f"to set its type, write target: {{{column}: category}}"
            raise refusal(Problem(("inputs", column), "the target cannot be an input", hint, at_key=True))
        return self

    def with_windows(self, windows: Windows) -> Self:
        """Set the target of the windows; their rows are split by time alone."""
        given = self.given_targets[0]
        are_several = len(windows.numbers) > 1
        as_numbers = TargetType("number", NumberTarget()) if are_several else None
        target = Target(windows.targets, given.type or as_numbers)
        problems, by_time = [], "windows are split by time"
        if are_several and given.type is not None and given.type.name != "number":
            problems.append(Problem(("target",), "several columns or steps have to be numbers", "remove it"))
        if len(self.given_targets) > 1 or given.is_input or given.columns not in ((), windows.targets):
            related = ((("windows", "target"), "the target of the windows"),)
            problems.append(Problem(("target",), "windows have one target", "remove it", related=related))
        if self.split.group is not None:
            problems.append(Problem(("split", "group"), by_time, "use windows.key to separate series"))
        if self.split.stratify:
            problems.append(Problem(("split", "stratify"), by_time, "remove it", at_key=True))
        problems += [
            Problem(("split", key), f"{by_time}, into the same folds each time", "remove it", at_key=True)
            for key in ("column", "repeats")
            if self.split.folds is not None and getattr(self.split, key) is not None
        ]
        refuse(*problems)
        return self.model_copy(update={"target": target})
