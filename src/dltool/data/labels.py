"""Labels → class indices 0…classes-1, float32 numbers, or a 0 or 1 for each of several labels."""

from dataclasses import dataclass

import numpy as np

from dltool.config.columns import ONE_TARGET, MultiLabelTarget, TargetType
from dltool.data.arrays.rows import Coded, is_text
from dltool.data.examples import Examples, SourceExamples
from dltool.data.facts import TargetKind
from dltool.data.split.by_column import distinct
from dltool.errors import ConfigPath, DataError, Problem
from dltool.text import listed

SHOWN = 5


@dataclass(frozen=True)
class Labels:
    """How the labels of one target are read. `values` are the distinct ones in the order of their indices; empty for
    numbers.

    `name` is that of the target. `separator` stands between the labels of a `multi_label` target.
    """

    name: str
    kind: TargetKind
    values: np.ndarray
    class_names: tuple[str, ...]
    separator: str = ""


def read_labels(source: SourceExamples, wanted: TargetType | None, name: str = ONE_TARGET) -> Labels:
    """Infer what the labels of the target `name` of the source are.

    Booleans, integers and strings are classes, numbered in sorted order; floats and rows of several values are numbers.
    `wanted` (the config's `target`) overrides: classes by distinct values, also of rows such as the pixels of a mask,
    integers as numbers, or strings that list several labels.

    Raises DataError: a single class, or labels that cannot be what is wanted."""
    labels, place = source.training.targets[name], source.training.place
    target: ConfigPath = ("data", "target") if name == ONE_TARGET else ("data", "target", name)
    has_text, is_wide = is_text(labels), len(labels.shape) > 1
    kind = wanted.name if wanted else None
    if kind == "number" and has_text:
        raise DataError(Problem(target, "the labels are text, not numbers", "remove it, or write category"))
    if wanted is not None and isinstance(wanted.options, MultiLabelTarget):
        return multi_labels(source.training, wanted.options.separator, name, target)
    if kind is None and is_wide and has_text:
        message = f"a label has {labels.shape[1:]} texts, not one"
        raise DataError(Problem(place, message, "target: category makes each of them a class"))
    if kind == "number" or (kind is None and (is_wide or labels.dtype.kind == "f")):
        return Labels(name, "number", np.empty(0), ())
    if source.class_names:
        return Labels(name, "category", np.arange(len(source.class_names)), source.class_names)
    values = distinct(labels)
    if len(values) == 1:
        raise DataError(
            Problem(place, f'all {len(labels):,} examples have the label "{values[0]}"', "two classes are needed")
        )
    return Labels(name, "category", values, tuple(str(value) for value in values))


def multi_labels(part: Examples, separator: str, name: str, target: ConfigPath) -> Labels:
    """Return the labels. Raises DataError: the labels are not strings, or name fewer than two labels."""
    labels = part.targets[name]
    if not is_text(labels) or len(labels.shape) > 1:
        raise DataError(Problem(target, "multi_label takes one text an example", "write category or number"))
    names = sorted({label for text in distinct(labels) for label in labels_in(str(text), separator)})
    if len(names) < 2:
        raise DataError(
            Problem(
                part.place,
                f"the texts name {len(names) or 'no'} label{'s' * (not names)}; two are needed",
                "is the separator right?",
            )
        )
    return Labels(name, "multi_label", np.array(names, dtype=object), tuple(names), separator)


def labels_in(text: str, separator: str) -> list[str]:
    return [label.strip() for label in text.split(separator) if label.strip()]


def encode(labels: Labels, part: Examples) -> np.ndarray:
    """Encode the targets of `part`: int32 indices, or float32, of the shape of its labels; multi-labels as (rows,
    classes) of 0 and 1. Class indices lose a last axis of one (the channel of a mask).

    Raises DataError: labels that `labels` does not have."""
    given = part.targets[labels.name]
    if labels.kind == "multi_label":
        return encode_several(labels, part)
    if is_text(given) != (labels.kind == "category" and is_text(labels.values)):
        here, there = ("text" if is_text(array) else "numbers" for array in (given, labels.values))
        raise DataError(Problem(part.place, f"the labels of {part.name} are {here}; those of the source are {there}"))
    if isinstance(given, Coded):
        codes = given.codes[:]
        index, unknown = indices(labels.values, given.values)
        index, unknown = index[codes], unknown[codes]
    elif labels.kind == "number":
        return np.asarray(given, np.float32)
    else:
        index, unknown = indices(labels.values, given[..., 0] if given.ndim > 1 and given.shape[-1] == 1 else given)
    if unknown.any():
        raise DataError(unknown_labels(labels, part, unknown))
    return index


def indices(values: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where in the sorted `values` each of `given` is, and which are missing there."""
    if {values.dtype.kind, given.dtype.kind} == {"i", "u"}:
        # NumPy would compare int64 with uint64 as floats, which are not exact.
        values, given = values.astype(object), given.astype(object)
    index = np.minimum(np.searchsorted(values, given), len(values) - 1).astype(np.int32)
    return index, values[index] != given


def encode_several(labels: Labels, part: Examples) -> np.ndarray:
    """Return (rows, classes) of float32. Raises DataError: a label that training does not have."""
    numbers = {name: index for index, name in enumerate(labels.class_names)}
    given = part.targets[labels.name]
    targets = np.zeros((len(given), len(numbers)), np.float32)
    unknown = np.zeros(len(given), dtype=bool)
    for row, text in enumerate(given[:]):
        for label in labels_in(str(text), labels.separator):
            if label in numbers:
                targets[row, numbers[label]] = 1
            else:
                unknown[row] = True
    if unknown.any():
        raise DataError(unknown_labels(labels, part, unknown))
    return targets


def unknown_labels(labels: Labels, part: Examples, unknown: np.ndarray) -> Problem:
    values = np.unique(part.targets[labels.name][:].reshape(unknown.shape)[unknown])
    shown = listed([f'"{value}"' for value in values], SHOWN)
    rows = np.flatnonzero(unknown.reshape(len(unknown), -1).any(axis=1))
    message = f"{part.name} has labels that are none of the {len(labels.values)} classes: {shown}"
    return Problem(
        part.place, message, f"in {len(rows):,} row{'s' * (len(rows) > 1)}, the first is row {rows[0]}, counted from 0"
    )
