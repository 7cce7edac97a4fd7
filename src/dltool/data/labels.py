"""Encodes labels as class indices 0…classes-1, float32 numbers, or a 0 or 1 for each of several labels."""

import ast
import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dltool.config.columns import MOST_CLASSES, ONE_TARGET, CategoryTarget, Target, TargetType
from dltool.config.tasks import TargetKind, TargetScale
from dltool.data.arrays.rows import Coded, is_text
from dltool.data.examples import Examples, SourceExamples
from dltool.data.scales import scale_of
from dltool.data.split.by_column import distinct
from dltool.data.tables.cells import BOOLEANS
from dltool.errors import ConfigPath, DataError, Problem
from dltool.text import counted, listed, quoted

SHOWN = 5
ITEM = r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s'",\[\]](?:[^'",\[\]]*[^\s'",\[\]])?)"""
LIST = re.compile(rf"\[\s*(?:{ITEM}\s*(?:,\s*{ITEM}\s*)*,?\s*)?\]")
"""A list of texts as Python or JSON writes it."""


@dataclass(frozen=True)
class Labels:
    """The encoding of one target; `class_names` are in the order of their indices, none for numbers, which may have a
    `scale`.

    `encode` returns the targets of a split, (rows, …); it raises DataError for labels that training does not have."""

    kind: TargetKind
    name: str
    encode: Callable[[Examples], np.ndarray]
    class_names: tuple[str, ...] = ()
    scale: str = "none"


def read_labels(source: SourceExamples, wanted: TargetType | None, name: str = ONE_TARGET) -> Labels:
    """Infer the kind of labels of the target `name` of the source.

    Booleans, integers and strings are classes, numbered in sorted order; floats and rows of several values are numbers.
    `wanted` (the config's `target`) overrides: classes by distinct values, also of rows such as the pixels of a mask,
    integers as numbers, or strings that list several labels. Raises DataError: a single class, or labels that do not
    fit `wanted`."""
    if wanted is not None:
        return READERS[wanted.name](source, name, wanted.options)
    labels = source.training.targets[name]
    is_wide = len(labels.shape) > 1
    if is_wide and is_text(labels):
        message = f"a label has {labels.shape[1:]} strings, not one"
        raise DataError(Problem(source.training.place, message, "target: category makes each of them a class"))
    read = read_numbers if is_wide or labels.dtype.kind == "f" else read_classes
    return read(source, name, None)


def read_numbers(source: SourceExamples, name: str, options: Any) -> Labels:
    """Read numbers as float32."""
    if is_text(source.training.targets[name]):
        raise DataError(Problem(place_of(name), "the labels are strings, not numbers", "remove it, or write category"))

    def encode(part: Examples) -> np.ndarray:
        refuse_another_type(part, name, is_text_wanted=False)
        return np.asarray(part.targets[name], np.float32)

    return Labels("number", name, encode, scale="none" if options is None else options.scale)


def target_scale(labels: Labels, targets: np.ndarray) -> TargetScale | None:
    """Return the scale of a target, fitted to the training `targets`. Raises DataError: they have no logarithm."""
    if labels.scale == "none":
        return None
    is_log = labels.scale == "log"
    if is_log and targets.min() < 0:
        message = f"scale: log takes targets from 0 on, and the lowest is {targets.min():g}"
        raise DataError(Problem(place_of(labels.name), message, "write scale: robust"))
    center, spread = scale_of(labels.scale, targets.astype(np.float64))
    return TargetScale(center, spread, is_log)


def read_classes(source: SourceExamples, name: str, options: Any) -> Labels:
    """Read classes as int32 indices; a last axis of one (the channel of a mask) is dropped."""
    names, labels = source.class_names, source.training.targets[name]
    values = np.arange(len(names)) if names else distinct(labels)
    if len(values) == 1 and not names:
        message = f'all {len(labels):,} examples have the label "{values[0]}"'
        raise DataError(Problem(source.training.place, message, "two classes are needed"))

    def encode(part: Examples) -> np.ndarray:
        refuse_another_type(part, name, is_text_wanted=is_text(values))
        given = part.targets[name]
        if isinstance(given, Coded):
            codes = given.codes[:]
            index, unknown = (found[codes] for found in indices(values, given.values))
        else:
            is_channel = given.ndim > 1 and given.shape[-1] == 1
            index, unknown = indices(values, given[..., 0] if is_channel else given)
        refuse_unknown(part, name, unknown, len(values))
        return np.asarray(index)

    return Labels("category", name, encode, names or tuple(str(value) for value in values))


def read_indices(source: SourceExamples, name: str, options: Any) -> Labels:
    """Read integers from 0 on as int32, unchanged; a last axis of one (the channel of a mask) is dropped."""

    def encode(part: Examples) -> np.ndarray:
        refuse_another_type(part, name, is_text_wanted=False)
        given = np.asarray(part.targets[name])
        given = given[..., 0] if given.ndim > 1 and given.shape[-1] == 1 else given
        is_wrong = not_indices(given, options.classes)
        if is_wrong.any():
            row = int(np.flatnonzero(is_wrong.reshape(len(given), -1).any(axis=1))[0])
            which = f"the first in row {row:,} of {part.name}, counted from 0"
            raise DataError(Problem(place_of(name), *index_problem(given[is_wrong], which, options.classes)))
        return given.astype(np.int32)

    return Labels("index", name, encode, tuple(map(str, range(options.classes))))


def not_indices(values: np.ndarray, classes: int) -> np.ndarray:
    """Return which values are no integers from 0 to classes - 1."""
    return np.asarray((values < 0) | (values >= classes) | (values != np.floor(values)))


def index_problem(values: np.ndarray, which: str, classes: int) -> tuple[str, str]:
    """Return message and hint for labels that are no indices; `which` says where they are."""
    shown = listed([f"{value:.10g}" for value in np.unique(values)], SHOWN)
    message = f"expected integers from 0 to {classes - 1:,}, got {shown} in {counted(len(values), 'label')}, {which}"
    more = "" if not_indices(values, MOST_CLASSES).any() else f"write index: {values.max() + 1:.0f}, or "
    return message, f"{more}correct the labels; category would number the classes anew"


def read_several(source: SourceExamples, name: str, options: Any) -> Labels:
    """Read strings that list labels as (rows, labels) of float32; `options` are those of `multi_label`."""
    labels = source.training.targets[name]
    if not is_text(labels) or len(labels.shape) > 1:
        raise DataError(Problem(place_of(name), "multi_label takes one string per example", "write category or number"))

    are_lists = any(is_list(text) for text in distinct(labels))

    def labels_in(text: Any) -> list[str]:
        items = listed_labels(str(text), name) if are_lists else str(text).split(options.separator)
        return [label.strip() for label in items if label.strip()]

    names = sorted({label for text in distinct(labels) for label in labels_in(text)})
    if len(names) < 2:
        message = f"the strings name {len(names) or 'no'} label{'s' * (not names)}; two are needed"
        raise DataError(Problem(source.training.place, message, "is the separator right?"))
    numbers = {name: index for index, name in enumerate(names)}

    def encode(part: Examples) -> np.ndarray:
        given = part.targets[name]
        targets = np.zeros((len(given), len(numbers)), np.float32)
        unknown = np.zeros(len(given), dtype=bool)
        for row, text in enumerate(given[:]):
            found = labels_in(text)
            targets[row, [numbers[label] for label in found if label in numbers]] = 1
            unknown[row] = not numbers.keys() >= {*found}
        refuse_unknown(part, name, unknown, len(names))
        return targets

    return Labels("multi_label", name, encode, tuple(names))


def is_list(text: Any) -> bool:
    return str(text).strip()[:1] == "[" and str(text).strip()[-1:] == "]"


def listed_labels(text: str, name: str) -> list[str]:
    """Return the labels in a list as Python or JSON writes it. Raises DataError: the text is no such list."""
    if not text.strip():
        return []
    if LIST.fullmatch(text.strip()) is None:
        message = f"some labels are lists such as ['a', 'b'], and this is none: {quoted(text, 60)}"
        raise DataError(Problem(place_of(name), message, "write all as lists, or all with a separator: a,b"))
    return [plain_label(item) for item in re.findall(ITEM, text.strip()[1:-1])]


def plain_label(item: str) -> str:
    """Return the text that an item of a list stands for."""
    for read in (json.loads, ast.literal_eval) if item[0] in "\"'" else ():
        try:
            return str(read(item))
        except (ValueError, SyntaxError):
            continue
    return item


READERS: Mapping[str, Callable[[SourceExamples, str, Any], Labels]] = {
    "category": read_classes,
    "index": read_indices,
    "number": read_numbers,
    "multi_label": read_several,
}


def spelling_warnings(labels: Sequence[Labels]) -> tuple[str, ...]:
    """Return a warning for each target whose classes differ in case or spaces alone, or are one number or truth."""
    warnings = []
    for each in labels:
        are_boolean = all(name.lower() in BOOLEANS for name in each.class_names)
        alike: dict[Any, list[str]] = {}
        for name in each.class_names:
            visible = "".join(letter for letter in name if unicodedata.category(letter) != "Cf")
            folded = " ".join(unicodedata.normalize("NFKC", visible).casefold().split())
            folded = re.sub(r"^(-?\d+)\.0+$", r"\1", folded)
            alike.setdefault(BOOLEANS[name.lower()] if are_boolean else folded, []).append(name)
        same = [names for names in alike.values() if len(names) > 1]
        if same:
            shown = "; ".join(listed([*map(escaped, names)], SHOWN) for names in same[:SHOWN])
            merged = ", ".join(f"{escaped(name)}: {escaped(names[-1])}" for names in same for name in names[:-1])
            is_case = not are_boolean and all(len({name.lower() for name in names}) == 1 for names in same)
            way = "case: lower" if is_case else f"replace: {{{merged}}}"
            warnings.append(f"classes of the target that may be the same: {shown}; {way} in its type merges them")
    return tuple(warnings)


def escaped(name: str) -> str:
    """Return the name in quotes as YAML writes it, with codes for characters that cannot be seen."""
    return json.dumps(name, ensure_ascii=not name.isprintable())


def with_positive(labels: Labels, target: Target) -> Labels:
    """Number the classes so that the positive one, if the target names one, is class 1.

    Raises DataError: it is none of two classes."""
    options, names = target.type and target.type.options, labels.class_names
    if not isinstance(options, CategoryTarget) or options.positive is None:
        return labels
    place = ("data", "target", *target.columns, "category", "positive")
    if len(names) != 2:
        message = f"a positive class is one of two, and the data has {len(names)} classes"
        raise DataError(Problem(place, message, "remove it", at_key=True))
    if options.positive not in names:
        hint = f"the classes are {listed([quoted(each) for each in names], SHOWN)}"
        raise DataError(Problem(place, f"no class is called {quoted(options.positive)}", hint))
    if options.positive == names[1]:
        return labels
    return replace(labels, encode=lambda part: 1 - labels.encode(part), class_names=names[::-1])


def place_of(name: str) -> ConfigPath:
    return ("data", "target") if name == ONE_TARGET else ("data", "target", name)


def refuse_another_type(part: Examples, name: str, *, is_text_wanted: bool) -> None:
    """Raise DataError if either the labels of `part` or those of training are text, but not both."""
    if is_text(part.targets[name]) != is_text_wanted:
        here, there = ("numbers", "text") if is_text_wanted else ("text", "numbers")
        raise DataError(Problem(part.place, f"the labels of {part.name} are {here}; those of the source are {there}"))


def indices(values: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of each value of `given` in the sorted `values`, and which are missing there."""
    if {values.dtype.kind, given.dtype.kind} == {"i", "u"}:
        # NumPy would compare int64 with uint64 as floats, which are not exact.
        values, given = values.astype(object), given.astype(object)
    if given.dtype == np.uint8 and given.size > 256:
        index, is_unknown = indices(values, np.arange(256, dtype=np.uint8))
        return index[given], is_unknown[given]
    index = np.minimum(np.searchsorted(values, given), len(values) - 1).astype(np.int32)
    return index, values[index] != given


def refuse_unknown(part: Examples, name: str, unknown: np.ndarray, classes: int) -> None:
    """Raise DataError if some labels are `unknown`, a mask of their shape."""
    if not unknown.any():
        return
    values = np.unique(part.targets[name][:].reshape(unknown.shape)[unknown])
    shown = listed([f'"{value}"' for value in values], SHOWN)
    rows = np.flatnonzero(unknown.reshape(len(unknown), -1).any(axis=1))
    message = f"{part.name} has labels that are none of the {classes} classes: {shown}"
    hint = f"in {counted(len(rows), 'row')}, the first is row {rows[0]}, counted from 0"
    raise DataError(Problem(part.place, message, hint))
