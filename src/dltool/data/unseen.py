"""Values of categories that training has not seen: an error where the config says so, and allowed in a fold."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from dltool.config.columns import CategoryColumn, ColumnType
from dltool.config.schema import Data
from dltool.data.arrays.rows import Coded, Rows
from dltool.data.examples import SourceExamples
from dltool.data.split.at_random import Split
from dltool.errors import DataError, Problem
from dltool.text import counted

UNUSED = "unused"
"""The rows in no split, such as those of a gap between training and test of a fold."""


def types_in_force(
    data: Data, source: SourceExamples, inputs: Mapping[str, Rows], split: Split
) -> tuple[Mapping[str, ColumnType], Mapping[str, Any], tuple[str, ...]]:
    """Return the types of the columns, the inferred keys of `data`, and warnings. In a fold, and if
    some training rows are left out, a column with values that training has not seen allows them: a value in one fold
    alone must not end the training of all.

    Raises DataError: such values elsewhere, in columns in which they are an error."""
    unseen = dict(unseen_problems(inputs, source.types, split))
    problems = [problem for (_, part), problem in unseen.items() if part != UNUSED]
    if data.split.fold is None and data.split.use == 1:
        DataError.refuse(problems)
    if not unseen:
        return source.types, source.inferred, ()
    allowed = lenient({name: source.types[name] for name, _ in unseen})
    inferred = {**source.inferred, "inputs": {**source.inferred["inputs"], **allowed}}
    return {**source.types, **allowed}, inferred, tuple(problem.message for problem in problems)


def unseen_problems(
    inputs: Mapping[str, Rows], types: Mapping[str, ColumnType], split: Split
) -> Iterator[tuple[tuple[str, str], Problem]]:
    """Yield, by column and split, the problem of values unseen in training, in columns in which they are an error."""
    for name, kind in types.items():
        rows = inputs[name]
        if getattr(kind.options, "unknown", None) != "error" or not isinstance(rows, Coded):
            continue
        is_known = np.bincount(np.ravel(rows.codes[split.train]), minlength=len(rows.values)) > 0
        used = np.concatenate([split.train, split.validation, split.test])
        # Rows in no split are preprocessed in the same table.
        parts = {"validation": split.validation, "test": split.test, UNUSED: np.delete(np.arange(len(rows)), used)}
        for part, of_part in parts.items():
            codes = np.asarray(rows.codes[of_part])
            unseen = np.unique(codes[~is_known[codes]])
            if len(unseen):
                shown = ", ".join(f'"{value}"' for value in rows.values[unseen][:5])
                values = counted(int(np.isin(codes, unseen).sum()), f"{part} value")
                message = f'{values} of "{name}" not among those of the training rows: {shown}'
                yield (name, part), Problem(("data", "inputs", name), message, "unknown: as_category takes them")


def lenient(types: Mapping[str, ColumnType]) -> dict[str, ColumnType]:
    """Allow categories in other splits that no training row has, since some training rows are left out."""
    update = {"unknown": "as_category"}
    return {
        name: ColumnType(kind.name, kind.options.model_copy(update=update))
        if isinstance(kind.options, CategoryColumn)
        else kind
        for name, kind in types.items()
    }
