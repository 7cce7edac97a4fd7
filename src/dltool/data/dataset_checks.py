"""What keeps the splits of a dataset from going together."""

from collections.abc import Mapping, Sequence

import numpy as np

from dltool.config.columns import CategoryColumn, ColumnType
from dltool.config.tasks import TargetFacts
from dltool.data.arrays.rows import Coded, Rows, is_text
from dltool.data.examples import Examples
from dltool.data.split.at_random import Split
from dltool.errors import ConfigPath, DataError, Problem
from dltool.text import counted, listed


def check_unknown(inputs: Mapping[str, Rows], types: Mapping[str, ColumnType], split: Split) -> None:
    """Raise DataError for values that training has not seen, in columns in which they are an error."""
    problems = []
    for name, kind in types.items():
        rows = inputs[name]
        if not (
            isinstance(kind.options, CategoryColumn) and kind.options.unknown == "error" and isinstance(rows, Coded)
        ):
            continue
        counts = np.bincount(np.ravel(rows.codes[split.train]), minlength=len(rows.values))
        for part in ("validation", "test"):
            codes = np.asarray(rows.codes[getattr(split, part)])
            unseen = np.unique(codes[counts[codes] < kind.options.min_count])
            if len(unseen):
                shown = ", ".join(f'"{value}"' for value in rows.values[unseen][:5])
                values = counted(int(np.isin(codes, unseen).sum()), f"{part} value")
                message = f'{values} of "{name}" not among those of the training rows: {shown}'
                problems.append(Problem(("data", "inputs", name), message, "unknown: as_category takes them"))
    if problems:
        raise DataError(problems)


def check_alike(parts: Sequence[Examples]) -> None:
    """Raise DataError for a split with other columns, or another kind of values, than the training split."""
    training, *others = parts
    problems = []
    for part in others:
        for name, values in training.inputs.items():
            here, there = described(part.inputs[name]), described(values)
            if here != there:
                message = f"the examples of {part.name} are {here}, those of {training.name} {there}"
                problems.append(Problem(part.place, message))
        for name, labels in training.targets.items():
            if part.targets[name].shape[1:] != labels.shape[1:]:
                here, there = (f"{each.targets[name].shape[1:]} in {each.name}" for each in (part, training))
                problems.append(Problem(part.place, f"a label has the shape {here}, {there}"))
    if problems:
        raise DataError(problems)


def described(rows: Rows) -> str:
    """Describe the kind and shape of one row; rows that can be stacked have equal descriptions."""
    kind = "text" if is_text(rows) else "floats" if np.dtype(rows.dtype).kind == "f" else "whole numbers"
    return f"{kind} of shape {rows.shape[1:]}" if len(rows.shape) > 1 else kind


def check_class_sizes(classes: np.ndarray, target: TargetFacts, place: ConfigPath) -> None:
    """Raise DataError for a class with a single example, which cannot be in two splits."""
    alone = [target.class_names[index] for index in np.flatnonzero(np.bincount(classes) == 1)]
    if not alone:
        return
    names = listed([f'"{name}"' for name in alone], 5)
    which = f"the class {names} has" if len(alone) == 1 else f"{len(alone)} classes ({names}) have"
    hint = "write split: {stratify: false}, or target: number if the labels are no classes"
    raise DataError(Problem(place, f"{which} one example only and cannot be stratified", hint))
