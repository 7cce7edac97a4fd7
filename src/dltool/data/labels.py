"""Labels → class indices 0…classes-1, float32 numbers, or a 0 or 1 for each of several labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from dltool.config.columns import ONE_TARGET, MultiLabelTarget, TargetType
from dltool.config.tasks import TargetKind
from dltool.data.arrays.rows import Coded, is_text
from dltool.data.examples import Examples, Part
from dltool.data.split.by_column import distinct
from dltool.errors import ConfigPath, DataError, Problem

SHOWN = 5


@dataclass(frozen=True)
class Labels:
    """How the labels of the target `name` are read; `class_names` are in the order of their indices."""

    kind: ClassVar[TargetKind]
    name: str
    class_names: tuple[str, ...] = ()

    @classmethod
    def read(cls, examples: Examples, name: str, wanted: TargetType | None) -> Self:
        """What the labels of the training part are. Raises: DataError: they cannot be read so."""
        raise NotImplementedError

    def encode(self, part: Part) -> np.ndarray:
        """The targets of a part, (rows, …). Raises: DataError: labels that the training part does not have."""
        raise NotImplementedError

    def unknown(self, part: Part, unknown: np.ndarray) -> Problem:
        """A problem with the labels of `part` that are `unknown`, of their shape."""
        values = np.unique(part.labels[self.name][:].reshape(unknown.shape)[unknown])
        shown = ", ".join(f'"{value}"' for value in values[:SHOWN]) + (", …" if len(values) > SHOWN else "")
        rows = np.flatnonzero(unknown.reshape(len(unknown), -1).any(axis=1))
        message = f"{part.name} has labels that are none of the {len(self.class_names)} classes: {shown}"
        hint = f"in {len(rows):,} row{'s' * (len(rows) > 1)}, the first is row {rows[0]}, counted from 0"
        return Problem(part.place, message, hint)


class NumberLabels(Labels):
    """Encoded as they are, as float32."""

    kind = "number"

    @classmethod
    def read(cls, examples: Examples, name: str, wanted: TargetType | None) -> Self:
        if is_text(examples.training.labels[name]):
            message = "the labels are text, not numbers"
            raise DataError(Problem(place_of(name), message, "remove it, or write category"))
        return cls(name)

    def encode(self, part: Part) -> np.ndarray:
        given = part.labels[self.name]
        refuse_another_type(part, given, is_text_wanted=False)
        return np.asarray(given, np.float32)


@dataclass(frozen=True)
class ClassLabels(Labels):
    """Encoded as int32 indices into `values`, sorted; a last axis of one (the channel of a mask) is left out."""

    kind = "category"
    values: np.ndarray = field(default_factory=lambda: np.empty(0))

    @classmethod
    def read(cls, examples: Examples, name: str, wanted: TargetType | None) -> Self:
        if examples.class_names:
            return cls(name, examples.class_names, np.arange(len(examples.class_names)))
        labels = examples.training.labels[name]
        values = distinct(labels)
        if len(values) == 1:
            message = f'all {len(labels):,} examples have the label "{values[0]}"'
            raise DataError(Problem(examples.training.place, message, "two classes are needed"))
        return cls(name, tuple(str(value) for value in values), values)

    def encode(self, part: Part) -> np.ndarray:
        given = part.labels[self.name]
        refuse_another_type(part, given, is_text_wanted=is_text(self.values))
        if isinstance(given, Coded):
            codes = given.codes[:]
            index, unknown = indices(self.values, given.values)
            index, unknown = index[codes], unknown[codes]
        else:
            alone = given.ndim > 1 and given.shape[-1] == 1
            index, unknown = indices(self.values, given[..., 0] if alone else given)
        if unknown.any():
            raise DataError(self.unknown(part, unknown))
        return index


@dataclass(frozen=True)
class SeveralLabels(Labels):
    """Encoded as float32 of 0 and 1, (rows, classes), from texts in which `separator` stands between two labels."""

    kind = "multi_label"
    separator: str = ","

    @classmethod
    def read(cls, examples: Examples, name: str, wanted: TargetType | None) -> Self:
        labels = examples.training.labels[name]
        if not is_text(labels) or len(labels.shape) > 1:
            message = "multi_label takes one text an example"
            raise DataError(Problem(place_of(name), message, "write category or number"))
        separator = separator_of(wanted)
        names = sorted({label for text in distinct(labels) for label in labels_in(str(text), separator)})
        if len(names) < 2:
            message = f"the texts name {len(names) or 'no'} label{'s' * (not names)}; two are needed"
            raise DataError(Problem(examples.training.place, message, "is the separator right?"))
        return cls(name, tuple(names), separator)

    def encode(self, part: Part) -> np.ndarray:
        numbers = {name: index for index, name in enumerate(self.class_names)}
        given = part.labels[self.name]
        targets = np.zeros((len(given), len(numbers)), np.float32)
        unknown = np.zeros(len(given), dtype=bool)
        for row, text in enumerate(given[:]):
            for label in labels_in(str(text), self.separator):
                if label in numbers:
                    targets[row, numbers[label]] = 1
                else:
                    unknown[row] = True
        if unknown.any():
            raise DataError(self.unknown(part, unknown))
        return targets


READERS: Mapping[str, type[Labels]] = {kind.kind: kind for kind in (ClassLabels, NumberLabels, SeveralLabels)}


def read_labels(examples: Examples, wanted: TargetType | None, name: str = ONE_TARGET) -> Labels:
    """What the labels of the target `name` of `examples` are.

    Booleans, integers and text are classes, numbered in sorted order; floats and rows of several values are numbers.
    `wanted` (the config's `target`) overrules: classes by distinct values, also of rows such as the pixels of a mask,
    integers as numbers, or texts that list several labels.

    Raises:
        DataError: a single class, or labels that cannot be what is wanted.
    """
    if wanted is not None:
        return READERS[wanted.name].read(examples, name, wanted)
    labels, place = examples.training.labels[name], examples.training.place
    is_wide = len(labels.shape) > 1
    if is_wide and is_text(labels):
        message = f"a label has {labels.shape[1:]} texts, not one"
        raise DataError(Problem(place, message, "target: category makes each of them a class"))
    reader = NumberLabels if is_wide or labels.dtype.kind == "f" else ClassLabels
    return reader.read(examples, name, None)


def place_of(name: str) -> ConfigPath:
    return ("data", "target") if name == ONE_TARGET else ("data", "target", name)


def refuse_another_type(part: Part, given: np.ndarray | Coded, *, is_text_wanted: bool) -> None:
    """Raises DataError where the labels of `part` are text, and those of training are not, or the other way round."""
    if is_text(given) != is_text_wanted:
        here, there = ("text", "numbers")[:: -1 if is_text_wanted else 1]
        raise DataError(Problem(part.place, f"the labels of {part.name} are {here}; those of the source are {there}"))


def separator_of(wanted: TargetType | None) -> str:
    return wanted.options.separator if wanted and isinstance(wanted.options, MultiLabelTarget) else ","


def labels_in(text: str, separator: str) -> list[str]:
    return [label.strip() for label in text.split(separator) if label.strip()]


def indices(values: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where in the sorted `values` each of `given` is, and which are not there."""
    if {values.dtype.kind, given.dtype.kind} == {"i", "u"}:
        # NumPy would compare int64 with uint64 as floats, which are not exact.
        values, given = values.astype(object), given.astype(object)
    index = np.minimum(np.searchsorted(values, given), len(values) - 1).astype(np.int32)
    return index, values[index] != given
