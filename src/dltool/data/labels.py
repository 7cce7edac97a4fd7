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
    `wanted` (the config's `target`) overrules: classes by distinct values, or integers as numbers.

    Raises:
        DataError: a single class, or labels that cannot be what is wanted.
    """
    labels, place = examples.training.labels, examples.training.place
    is_text, is_wide = labels.dtype.kind == "U", labels.ndim > 1
    if wanted == "number" and is_text:
        raise DataError(Problem(("data", "target"), "the labels are text, not numbers", "remove it, or write category"))
    if is_wide and (wanted == "category" or is_text):
        place = ("data", "target") if wanted else place
        raise DataError(Problem(place, f"a class needs one label a row; there are {labels.shape[1:]}"))
    if wanted == "number" or is_wide or (labels.dtype.kind == "f" and wanted is None):
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
    """The targets of `part`: int32 indices of shape (rows,), or float32 of shape (rows, …).

    Raises:
        DataError: labels that `labels` does not have.
    """
    given = part.labels
    if labels.target == "number":
        if given.dtype.kind == "U":
            raise DataError(Problem(part.place, f"the labels of {part.name} are text; the training labels are numbers"))
        return given.astype(np.float32, copy=False)
    if (given.dtype.kind == "U") != (labels.values.dtype.kind == "U") or given.ndim > 1:
        here, there = (describe(array) for array in (given, labels.values))
        raise DataError(Problem(part.place, f"the labels of {part.name} are {here}; those of the source are {there}"))
    index = np.searchsorted(labels.values, given)
    index = np.minimum(index, len(labels.values) - 1)
    unknown = labels.values[index] != given
    if unknown.any():
        raise DataError(unknown_labels(labels, part, unknown))
    return index.astype(np.int32)


def describe(array: np.ndarray) -> str:
    return "text" if array.dtype.kind == "U" else "numbers" if array.ndim == 1 else f"rows of {array.shape[1:]}"


def unknown_labels(labels: Labels, part: Part, unknown: np.ndarray) -> Problem:
    values = np.unique(part.labels[unknown])
    shown = ", ".join(f'"{value}"' for value in values[:SHOWN]) + (", …" if len(values) > SHOWN else "")
    rows = np.flatnonzero(unknown)
    message = f"{part.name} has labels that are none of the {len(labels.values)} classes: {shown}"
    return Problem(part.place, message, f"in {len(rows):,} rows, the first is row {rows[0]}, counted from 0")
