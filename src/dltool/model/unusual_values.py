"""Values of new data that training has not seen: unknown categories, missing values, numbers and dates out of range."""

from collections.abc import Iterator, Mapping

import numpy as np

from dltool.config.columns import CategoryColumn, ColumnType, DateColumn, NumberColumn
from dltool.data.arrays.rows import Coded, Rows
from dltool.data.arrays.window_rows import values_once
from dltool.data.split.by_column import is_missing
from dltool.model.column_states import ColumnState, counted
from dltool.text import and_more, number, plural, quoted

SHOWN = 5
FAR = 1.0
"""A number or a date is far out of the training range if it is further outside than this multiple of its width."""


def unusual_values(
    inputs: Mapping[str, Rows], types: Mapping[str, ColumnType], states: Mapping[str, ColumnState]
) -> Iterator[str]:
    """Yield a warning for each column with values unlike those of the training rows. `types` are those of the columns
    among `inputs`, `states` what training fitted; a state of an older run may lack some of it."""
    for name, state in states.items():
        rows, options = inputs[name], types[name].options
        if isinstance(options, CategoryColumn) and options.unknown == "as_category":
            known = {"", *state["vocabulary"]}
            unseen = {text: count for text, count in counted(rows).items() if text not in known}
            if unseen:
                values = and_more([f"{quoted(text)} in {count:,}" for text, count in unseen.items()], SHOWN)
                what = f'"{name}": {rows_have(sum(unseen.values()))} none of the training categories'
                yield f"{what}: {values}; the model gets its unknown category"
        if state.get("missing") == 0 and (lacking := missing_in(rows)):
            is_number = isinstance(options, NumberColumn)
            fill = number(state["fill"]) if is_number else "what stands for missing values"
            yield f'"{name}": {rows_have(lacking)} no value, unlike all training rows; the model gets {fill}'
        is_date = isinstance(options, DateColumn)
        low, high = (state.get(end) for end in (("first", "last") if is_date else ("low", "high")))
        if isinstance(low, float | int) and isinstance(high, float | int):
            new, margin = values_once(rows), FAR * (high - low)
            far = new[~is_missing(new) & ((new < low - margin) | (new > high + margin))]
            if len(far):
                first, last, *others = (day_or_number(each, is_date) for each in (low, high, *np.unique(far).tolist()))
                training = f"the training range, {first} to {last}: {and_more(others, SHOWN)}"
                yield f'"{name}": {rows_have(len(far))} a value far outside {training}'


def day_or_number(value: float, is_date: bool) -> str:
    return str(np.datetime64(int(value), "s").astype("datetime64[D]")) if is_date else number(value)


def rows_have(count: int) -> str:
    return f"{count:,} {plural(count, 'row has', 'rows have')}"


def missing_in(rows: Rows) -> int:
    return counted(rows).get("", 0) if isinstance(rows, Coded) else int(is_missing(values_once(rows)).sum())
