"""Labels → class indices 0…classes-1, or float32 numbers."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dltool.data.examples import Examples, Part
from dltool.errors import DataError, Problem

SHOWN = 5


@dataclass(frozen=True)
class Labels:
    """How labels are read. `values` are the distinct labels in the order of their indices; empty for numbers."""

    target: Literal["category", "number"]
    values: np.ndarray
    class_names: tuple[str, ...]


def read_labels(examples: Examples, wanted: Literal["category", "number"] | None) -> Labels:
    """What the labels of `examples` are.

    Booleans, integers and text are classes, numbered in sorted order; floats and rows of several values are numbers.
    `wanted` (the config's `target`) overrules: classes by distinct values, also of rows such as the pixels of a mask,
    or integers as numbers.

    Raises:
        DataError: a single class, or labels that cannot be what is wanted.
    """
    labels, place = examples.training.labels, examples.training.place
    is_text, is_wide = labels.dtype.kind == "U", labels.ndim > 1
    if wanted == "number" and is_text:
        raise DataError(Problem(("data", "target"), "the labels are text, not numbers", "remove it, or write category"))
    if wanted is None and is_wide and is_text:
        message = f"a label has {labels.shape[1:]} texts, not one"
        raise DataError(Problem(place, message, "target: category makes each of them a class"))
    if wanted == "number" or (wanted is None and (is_wide or labels.dtype.kind == "f")):
        return Labels("number", np.empty(0), ())
    if examples.class_names:
        return Labels("category", np.arange(len(examples.class_names)), examples.class_names)
    values = np.unique(labels)
    if len(values) == 1:
        raise DataError(
            Problem(place, f'all {len(labels):,} examples have the label "{values[0]}"', "two classes are needed")
        )
    return Labels("category", values, tuple(str(value) for value in values))


def encode(labels: Labels, part: Part) -> np.ndarray:
    """The targets of `part`: int32 indices, or float32, of the shape of its labels.

    Of class indices, a last axis of one (the channel of a mask) is left out.

    Raises:
        DataError: labels that `labels` does not have.
    """
    given = part.labels
    if labels.target == "number":
        if given.dtype.kind == "U":
            raise DataError(Problem(part.place, f"the labels of {part.name} are text; the training labels are numbers"))
        return given.astype(np.float32, copy=False)
    if given.ndim > 1 and given.shape[-1] == 1:
        given = given[..., 0]
    if (given.dtype.kind == "U") != (labels.values.dtype.kind == "U"):
        here, there = (describe(array) for array in (given, labels.values))
        raise DataError(Problem(part.place, f"the labels of {part.name} are {here}; those of the source are {there}"))
    values = labels.values
    if {values.dtype.kind, given.dtype.kind} == {"i", "u"}:
        # NumPy would compare int64 with uint64 as floats, which are not exact.
        values, given = values.astype(object), given.astype(object)
    index = np.minimum(np.searchsorted(values, given), len(values) - 1)
    unknown = values[index] != given
    if unknown.any():
        raise DataError(unknown_labels(labels, part, unknown))
    return index.astype(np.int32)


def describe(array: np.ndarray) -> str:
    return "text" if array.dtype.kind == "U" else "numbers"


def unknown_labels(labels: Labels, part: Part, unknown: np.ndarray) -> Problem:
    values = np.unique(part.labels.reshape(unknown.shape)[unknown])
    shown = ", ".join(f'"{value}"' for value in values[:SHOWN]) + (", …" if len(values) > SHOWN else "")
    rows = np.flatnonzero(unknown.reshape(len(unknown), -1).any(axis=1))
    message = f"{part.name} has labels that are none of the {len(labels.values)} classes: {shown}"
    return Problem(part.place, message, f"in {len(rows):,} rows, the first is row {rows[0]}, counted from 0")
