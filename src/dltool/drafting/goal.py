"""What a draft predicts: the choice of the target, and the type, loss, metric and last layers that fit it."""

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dltool.data.arrays.rows import Coded
from dltool.data.labels import LIST, listed_labels
from dltool.data.sources.tables import in_memory
from dltool.data.split.by_column import is_missing, numbered
from dltool.data.tables.typed_table import Column, Table
from dltool.drafting.column_uses import (
    FEW_VALUES,
    MANY_VALUES,
    as_written,
    present,
    scale_for,
    stand_in,
    with_options,
)
from dltool.drafting.draft import Lines, in_comment
from dltool.drafting.folder import CLASSES, LOSS
from dltool.drafting.series import PRICES, is_static, spread
from dltool.errors import ConfigError
from dltool.text import counted, did_you_mean, listed, near

TARGETS = (
    *("target", "label", "labels", "y", "outcome", "survived", "species", "income", "diagnosis", "dx", "churn"),
    *("churned", "default", "fraud", "is_fraud", "sentiment", "quality", "price", "medv", "class", "category"),
    *("saleprice", "sale_price", "charges", "mpg", "tip", "fare", "cnt", "attrition", "exited", "loan_status"),
    *("tags", "genres"),
)
"""Names of columns that mostly are the target, in this order."""
WORDS = ("sales", "demand", "price", "fare")
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
SEPARATORS = ("|", ";", ",", "/")
LONGEST_LABEL = 40
LEAST_SHARED = 5
"""The least number of rows that a label has on average, where a column lists labels."""


@dataclass(frozen=True)
class Goal:
    """How a draft predicts a column: its `type` as YAML, what was `seen` of it, and the parts of the config that fit.

    `fewest` are the rows of its rarest class, 0 for numbers."""

    type: str
    seen: str
    loss: str
    metric: str
    layers: Lines
    fewest: int = 0
    remarks: Lines = ()

    @property
    def is_number(self) -> bool:
        return self.metric == "mean_absolute_error"


def chosen(table: Table, target: str | None) -> tuple[str, str]:
    """Choose the column to predict, and say why."""
    # Numbers, strings that come more than once, or lists of labels.
    able = [
        name
        for name, column in table.columns.items()
        if column.kind in ("number", "boolean")
        or (column.kind == "category" and column.distinct is not None and 2 * column.distinct <= table.rows)
        or separator_of(column) is not None
    ]
    if target in able:
        return target, "as --target says"
    others = [f"{name} ({unable(each, table.rows)})" for name, each in table.columns.items() if name not in able]
    if not able:
        hint = "a target has numbers, or texts that come twice at least; --set data.inputs.COLUMN=TYPE reads others so"
        raise ConfigError(f"no column of {table.path.name} can be predicted: {listed(others, 5, '; ')}", hint)
    if target is not None:
        way = f"choose another one: --target {shlex.quote(able[-1])}"
        column = table.columns.get(target)
        if column is not None:
            raise ConfigError(f'"{target}" cannot be predicted: {unable(column, table.rows)}', way)
        names = did_you_mean(near(target, table.columns)) or f"its columns are {listed([*table.columns], 12)}"
        raise ConfigError(f'{table.path.name} has no column "{target}"', f"{names}; {way}")
    remarks: list[str] = []
    name, why = best(table, able)
    while len(able) > 1 and (unfit := unfitness(table, name, why)):
        able.remove(name)
        remarks.append(unfit)
        name, why = best(table, able)
    return name, "; ".join([why, *remarks])


def unfitness(table: Table, name: str, why: str) -> str:
    """Return why a column is rather not the target: it is constant in each series, or repeats another column."""
    if is_static(table, name):
        return f'"{name}" is constant within each series'
    column = table.columns[name]
    if column.kind != "number" or column.distinct is not None or "last" not in why:
        return ""
    others = [each for each in table.columns.values() if each.kind == "number" and each is not column]
    copies = (each.name for each in others if np.array_equal(each.values[:], column.values[:], equal_nan=True))
    return next((f'"{name}" is a copy of "{copy}"' for copy in copies), "")


def best(table: Table, able: Sequence[str]) -> tuple[str, str]:
    """Choose the target among the columns that can be one, and say why."""
    by_name = {name.lower().strip(): name for name in reversed(able)}
    if {*PRICES} <= by_name.keys():
        return by_name[PRICES[-1]], "chosen by its name, among prices"
    if {"x", "z"} <= {name.lower().strip() for name in table.columns}:
        # One of three coordinates.
        by_name.pop("y", None)
    known = next((by_name[name] for name in TARGETS if name in by_name), None)
    known = known or name_with_word(table, able)
    if known is not None:
        return known, "chosen by its name"
    # Many strings are rather texts that repeat than classes.
    few = [name for name in able if table.columns[name].kind != "category" or has_few_values(table.columns[name])]
    filled = [name for name in few if 10 * table.columns[name].missing <= 9 * table.rows]
    name = (filled or few or able)[-1]
    last = "the last column" if name == list(table.columns)[-1] else "the last column that can be predicted"
    return name, f"chosen as {last}"


def name_with_word(table: Table, able: Sequence[str]) -> str | None:
    """Return the column of numbers that a table with dates is about, by a word in its name; a count of something only
    if the last column is not another quantity."""
    if not any(column.kind == "date" for column in table.columns.values()):
        return None
    columns = {name: table.columns[name] for name in able if table.columns[name].kind == "number"}
    numbers = [name for name, each in columns.items() if each.distinct is None or each.distinct > FEW_VALUES]
    words = WORDS if able[-1] in numbers else (*WORDS, "count")
    return next((name for word in words for name in numbers if word in map(str.lower, WORD.findall(name))), None)


def unable(column: Column, rows: int) -> str:
    many = "too many classes" if column.distinct is None else counted(column.distinct, "class", "classes")
    many += f" in {counted(rows, 'row')}"
    return f"{column.kind}, {many if column.kind == 'category' else column.why}"


def has_few_values(column: Column) -> bool:
    return (column.distinct is not None and column.distinct <= MANY_VALUES) or separator_of(column) is not None


def goal_of(column: Column, declared: tuple[Any, str] | None) -> Goal:
    """Return how to predict a column, as it is read for that. `declared` says how its numbers are written, and why.

    Raises ConfigError: it is the same in every row."""
    options: dict[str, Any] = {"missing": "drop"} if column.missing else {}
    absent = f"; {counted(column.missing, 'row')} without it left out" if column.missing else ""
    if column.kind == "number":
        values = present(column)
        spread(values, column.name)
        written = f"; {declared[1]}" if declared else ""
        seen = f"{column.low} to {column.high}, median {np.median(values):.4g}{absent}{written}{stand_in(values)}"
        kind = with_options("number", {**as_written(declared, "number"), **options, "scale": scale_for(values)})
        loss = "mean_absolute_error"
        return Goal(kind, seen, loss, loss, [("- Dense: 1", "in the scale of the target")])
    if separator := separator_of(column):
        labels = labels_in(column, separator)
        shown = [f"{in_comment(label)} {count:,}" for label, count in labels.most_common()]
        last = ("- Dense: {units: $classes, activation: sigmoid}", "each label has a probability of its own")
        kind = with_options("multi_label", {"separator": separator})
        seen = f"{counted(len(labels), 'label')}: {listed(shown, 4)}"
        return Goal(kind, seen, "binary_crossentropy", "binary_accuracy", [last])
    names, counts = classes_of(column)
    frequent = [f"{in_comment(names[index])} {counts[index]:,}" for index in np.argsort(-counts, kind="stable")]
    seen = f"{len(names)} classes: {listed(frequent, 4)}{absent}"
    kind, fewest = with_options("category", options), int(counts.min())
    return Goal(kind, seen, LOSS, "accuracy", [CLASSES], fewest, imbalance(names, counts))


def separator_of(column: Column) -> str | None:
    """Return what separates the labels in a column of lists of them: few labels, in other combinations."""
    if not isinstance(column.values, Coded) or column.kind not in ("category", "text"):
        return None
    for separator in SEPARATORS:
        labels = labels_in(column, separator)
        codes = column.values.codes[:]
        lists = np.array([separator in str(value) for value in column.values.values])
        in_lists = int(lists[codes].sum())
        are_short = max(map(len, labels), default=0) <= LONGEST_LABEL
        are_shared = labels.total() >= LEAST_SHARED * len(labels) and len(labels) < len(column.values.values)
        if len(labels) >= 2 and 5 * in_lists >= len(codes) and are_short and are_shared:
            return separator
    return None


def labels_in(column: Column, separator: str) -> Counter[str]:
    """Return the rows of each label."""
    assert isinstance(column.values, Coded)
    labels: Counter[str] = Counter()
    for value, count in zip(column.values.values, np.bincount(column.values.codes[:]), strict=False):
        items = listed_labels(str(value), column.name) if LIST.fullmatch(str(value)) else str(value).split(separator)
        for label in {each.strip() for each in items} - {""}:
            labels[re.sub(r"\s+", " ", label)] += int(count)
    return labels


def classes_of(column: Column) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes and their rows, without missing ones."""
    values = in_memory(column.values)
    numbers, names = numbered(values)
    counts = np.bincount(numbers[~is_missing(values)], minlength=len(names))
    return names[counts > 0], counts[counts > 0]


def imbalance(names: np.ndarray, counts: np.ndarray) -> Lines:
    if counts.min() * 3 > counts.max():
        return []
    rare, share = in_comment(names[np.argmin(counts)]), counts.min() / counts.sum()
    return [("", f"class_weights: balanced would make {rare}, {share:.1%} of the rows, count more")]
