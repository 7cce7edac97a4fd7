"""Examples by row: of a source, of a split, of new files; and the examples of all sources."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dltool.config.columns import ONE_TARGET, ColumnType
from dltool.config.data_options import Data
from dltool.data.arrays.rows import Coded, Rows, is_text, stack, take, text_array
from dltool.data.files.class_folders import Item, PartName
from dltool.data.files.file_tree import Members
from dltool.data.split.at_random import Split
from dltool.data.split.by_column import SplitColumns, Values
from dltool.data.tables.typed_table import Column
from dltool.errors import ConfigError, ConfigPath, DataError, Problem
from dltool.text import did_you_mean, listed, near, quoted

if TYPE_CHECKING:
    from dltool.data.tables.shards import ShardedTable

NO_ROWS = np.empty(0, int)
FILE_ROW = "file row"
"""The place of an example in its file, if it is another than its "row": that among all examples in memory."""


@dataclass(frozen=True)
class Examples:
    """Some examples. `name` is their name in messages ("x_test"), `place` the config path that named them.

    `inputs` by name are (rows, …) of uint8, int32, int64, float32 or text. `targets` by name are (rows,) or (rows, …):
    raw labels of any kind, of which text may be str objects or coded; or int32 class indices, or float32. `columns` are
    further values by name, (rows,) each, by which rows may be divided or compared. `digests` (rows, 32) of uint8 by
    input are those of the files behind its rows, if they are faster to compare than the rows. `places` by name are
    (rows,) that locate each example for a reader: its file, its row there. `weights` (rows,) of float32, if there are
    any, are those of the examples in the loss. `rows` (rows,) are those of the dataset that they were taken from."""

    inputs: Mapping[str, Rows]
    targets: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    place: ConfigPath = ()
    columns: Mapping[str, Values] = field(default_factory=dict)
    digests: Mapping[str, np.ndarray] = field(default_factory=dict)
    places: Mapping[str, np.ndarray] = field(default_factory=dict)
    weights: np.ndarray | None = None
    rows: np.ndarray = field(default_factory=lambda: NO_ROWS)

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def take(self, rows: np.ndarray) -> "Examples":
        """Return these rows."""

        def taken(values: Mapping[str, Any]) -> dict[str, Any]:
            return {key: each.take(rows) if isinstance(each, Coded) else each[rows] for key, each in values.items()}

        inputs = {key: take(each, rows) for key, each in self.inputs.items()}
        weights = None if self.weights is None else self.weights[rows]
        columns, digests, places = map(taken, (self.columns, self.digests, self.places))
        of = self.rows[rows] if len(self.rows) else self.rows
        return Examples(inputs, taken(self.targets), "", self.place, columns, digests, places, weights, of)


def stacked(parts: Sequence[Examples], targets: Mapping[str, np.ndarray]) -> Examples:
    """Concatenate examples, with these targets, and the columns, digests and places that all of them have."""

    def joined(
        of: Callable[[Examples], Mapping[str, Any]], join: Callable[..., Any] = np.concatenate
    ) -> dict[str, Any]:
        found = [of(part) for part in parts]
        names = [name for name in found[0] if all(name in other for other in found)]
        return {name: join([each[name] for each in found]) for name in names}

    inputs = {name: stack([part.inputs[name] for part in parts]) for name in parts[0].inputs}
    weights = [part.weights for part in parts if part.weights is not None]
    return Examples(
        inputs,
        targets,
        columns=joined(lambda part: part.columns, stack),
        digests=joined(lambda part: part.digests),
        places=joined(lambda part: part.places),
        weights=np.concatenate(weights) if weights else None,
    )


def check_alike(parts: Sequence[Examples]) -> None:
    """Raise DataError for a split with other columns or kinds of values than the training split."""
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
    DataError.refuse(problems)


def described(rows: Rows) -> str:
    """Describe the kind and shape of one row; rows that can be stacked have equal descriptions."""
    kind = "text" if is_text(rows) else "floats" if np.dtype(rows.dtype).kind == "f" else "integers"
    return f"{kind} of shape {rows.shape[1:]}" if len(rows.shape) > 1 else kind


@dataclass(frozen=True)
class SourceExamples:
    """One source by split, with the splits from other sources; the training split is the first.

    `class_names` are those of the labels 0, 1, …, if the source knows them. `types` are those of a table's `columns`
    used as inputs without layers of their own. `divided` is a fixed division of the training rows, as windows have.
    `spans` (rows, 2) of int64 are the numbers of the first and last time in each window, among those that folds divide;
    -1 in other windows.
    `inferred` are keys of the config's `data` that reading inferred, such as the types of all columns. `warnings` are
    sentences for the user. `season` are the rows after which the values of a time series usually repeat. `sharded` is
    the table whose training rows are read in shards; the first split then has only some of them."""

    parts: Mapping[PartName, Examples]
    class_names: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    divided: Split | None = None
    spans: np.ndarray | None = None
    inferred: Mapping[str, Any] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    season: int | None = None
    sharded: "ShardedTable | None" = None

    @property
    def training(self) -> Examples:
        return self.parts["training"]

    @property
    def split_columns(self) -> SplitColumns:
        return SplitColumns(self.training.columns, [column.name for column in self.columns if column.kind == "date"])


def examples_of_items(inputs: Mapping[str, Rows], items: Sequence[Item], files: Members, part: PartName) -> Examples:
    """Return `inputs` (items, …), with the items' classes as labels and further groups of a pattern as columns."""
    columns = {key: text_array(item.columns[key] for item in items) for key in items[0].columns}
    labels = {ONE_TARGET: text_array(item.label for item in items)}
    places = {"file": text_array(item.member.name for item in items)}
    return Examples(inputs, labels, files.part_name(part), files.place, columns, places=places)


def places_in(file: str, count: int, rows: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Return the places of that many examples in a file: its rows, from 1 on, or these."""
    return {"file": np.full(count, file, dtype=object), "row": np.arange(1, count + 1) if rows is None else rows}


def places_left(file: str, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return the places of these rows of a file, from 1 on, of which others are not among the examples."""
    return {"file": np.full(len(rows), file, dtype=object), FILE_ROW: rows}


def with_known_slices(data: Data, examples: Examples) -> Examples:
    """Return the examples. Raises ConfigError for slices by what is no column with one value for each example."""
    values = {**examples.inputs, **examples.columns}
    known = [name for name, each in values.items() if len(each.shape) == 1]
    ConfigError.refuse(
        Problem(
            ("data", "slices", number),
            f"there is no column {quoted(name)} with one value for each example",
            did_you_mean(near(name, known)) or (f"there are {listed(known, 10)}" if known else "remove data.slices"),
        )
        for number, name, _ in data.numbered_slices()
        if name not in known
    )
    ConfigError.refuse(
        Problem(("data", "slices", number), f"{quoted(name)} has no numbers to bound", f"name it alone: {name}")
        for number, name, bounds in data.numbered_slices()
        if bounds and is_text(values[name])
    )
    return examples
