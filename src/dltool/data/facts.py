"""What the data is like: its shapes, classes and sizes. Imports nothing heavy, so that `check` stays quick."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from dltool.config.columns import ColumnType
from dltool.config.schema import Data
from dltool.config.sources import TABLE_SOURCES, Source
from dltool.data.catalog import Published, published
from dltool.data.npz_header import header_of_npz
from dltool.data.sizes import check_parts, check_stratify, part_sizes
from dltool.errors import RunError

ONE_INPUT = "input"
"""The name of the input of a source that has one and gives it no name."""
TargetKind = Literal["category", "number", "multi_label"]
DTYPES = ("uint8", "int32", "int64", "float32", "string")
MOST_AXES = 8
MOST_VALUES = 10**8
"""Of one example."""


@dataclass(frozen=True)
class InputFacts:
    """One input: the shape of one example, and "uint8", "int32", "int64", "float32" or "string".

    `column` is the type of a table's column, which says how it becomes numbers; None for arrays.
    """

    shape: tuple[int, ...]
    dtype: str
    column: ColumnType | None = None


@dataclass(frozen=True)
class Facts:
    """The data as a model sees it.

    `inputs` are in the order of the columns; `target_shape` is of one example. A target is one or several class
    indices (`category`, int32), numbers (`number`, float32), or a 0 or 1 for each label (`multi_label`, float32).
    `class_names` is empty for numbers. `examples` counts the training part, after validation and test have been taken
    out.
    """

    inputs: Mapping[str, InputFacts]
    target: TargetKind
    target_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    examples: int
    validation_examples: int
    test_examples: int

    @property
    def only_input(self) -> InputFacts | None:
        """The input of data that has one, and no columns."""
        first = next(iter(self.inputs.values()))
        return first if len(self.inputs) == 1 and first.column is None else None

    def names(self) -> dict[str, Any]:
        """What `$examples`, `$input_shape`, … stand for.

        `$classes` is absent where the target is a number, `$input_shape` where there are columns.
        """
        names: dict[str, Any] = {
            "examples": self.examples,
            "validation_examples": self.validation_examples,
            "test_examples": self.test_examples,
            "target_shape": list(self.target_shape),
        }
        if self.only_input is not None:
            names["input_shape"] = list(self.only_input.shape)
        return names | ({"classes": len(self.class_names)} if self.class_names else {})

    def record(self) -> dict[str, Any]:
        """What run.json holds, and :func:`recorded_facts` makes facts of; the types of columns are in the config."""
        inputs = {
            name: {"shape": list(found.shape), "dtype": found.dtype, "is_column": found.column is not None}
            for name, found in self.inputs.items()
        }
        return {**self.names(), "inputs": inputs, "target": self.target, "class_names": list(self.class_names)}


def recorded_facts(record: Any, data: Data, shown_as: str) -> Facts:
    """The facts of a run's data from what its run.json says, which is not trusted. `data` is that of its config.

    Raises:
        RunError: something is missing, or cannot be.
    """
    found: Mapping[str, Any] = record if isinstance(record, Mapping) else {}
    inputs = found.get("inputs")
    is_alone = isinstance(inputs, Mapping) and len(inputs) == 1
    if (
        not isinstance(inputs, Mapping)
        or not inputs
        or not all(is_input(name, found, data, is_alone=is_alone) for name, found in inputs.items())
    ):
        raise RunError(f"{shown_as} does not say which inputs the run has", "train it again with this version")
    sizes = ("examples", "validation_examples", "test_examples")
    has_sizes = all(is_size(found.get(name)) for name in sizes) and is_shape(found.get("target_shape"))
    if not has_sizes or not are_names(found.get("class_names"), found.get("target")):
        raise RunError(f"{shown_as} does not say which target the run has", "train it again with this version")
    types = data.inputs or {}
    return Facts(
        {
            name: InputFacts(tuple(each["shape"]), each["dtype"], types[name] if each["is_column"] else None)
            for name, each in inputs.items()
        },
        found["target"],
        tuple(found["target_shape"]),
        tuple(found["class_names"]),
        *(found[name] for name in sizes),
    )


def are_names(names: Any, target: Any) -> bool:
    """Whether they are names of classes or labels: several, all different; none of numbers."""
    if target not in get_args(TargetKind) or not isinstance(names, list):
        return False
    are_different = all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
    return not names if target == "number" else are_different and len(names) > 1


def is_for_layers(kind: ColumnType, data: Data) -> bool:
    """Whether the only input, of this type, is for layers of its own: the column is then of no interest any more."""
    return kind.name in ("image", "audio") or (kind.name == "text" and bool(data.preprocessing))


def is_input(name: str, found: Any, data: Data, *, is_alone: bool) -> bool:
    """Whether an entry of a run.json describes an input that the config may have."""
    if not isinstance(found, Mapping) or not is_shape(found.get("shape")) or found.get("dtype") not in DTYPES:
        return False
    if not isinstance(found.get("is_column"), bool):
        return False
    kind = (data.inputs or {}).get(name)
    if data.source.name not in TABLE_SOURCES:
        return not found["is_column"]
    if kind is None or kind.name == "ignore":
        return False
    return bool(found["is_column"] != (is_alone and is_for_layers(kind, data)))


def is_shape(value: Any) -> bool:
    is_list = isinstance(value, list) and len(value) <= MOST_AXES and all(map(is_size, value))
    return is_list and math.prod(max(1, size) for size in value) <= MOST_VALUES


def is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def known_facts(data: Data) -> Facts | None:
    """The facts that `load_data` will find, without loading; None where only reading the data can tell.

    Of a `.npz` given as the path of a built-in set only the header is read, for its sizes; while there is no such file,
    the published sizes stand for it.

    Raises:
        ConfigError: the split contradicts itself, or leaves a part empty.
    """
    check_parts(data)
    known = published(data.source)
    is_category = known is not None and bool(known.class_names)
    wanted = data.target.type.name if data.target and data.target.type else None
    if known is None or wanted == "multi_label" or (wanted == "category" and not is_category):
        return None
    examples, own_test = sizes_of(data.source, known)
    validation = rows_given(data.validation, "validation") if data.validation else 0
    test = rows_given(data.test, "test") if data.test else own_test
    if validation is None or test is None:
        return None
    target: TargetKind = "number" if wanted == "number" or not is_category else "category"
    check_stratify(data.split, target)
    sizes = part_sizes(data.split, examples, validation, test)
    return Facts(
        inputs={ONE_INPUT: InputFacts(known.input_shape, known.input_dtype)},
        target=target,
        target_shape=(),
        class_names=known.class_names if target == "category" else (),
        examples=sizes.training,
        validation_examples=sizes.validation,
        test_examples=sizes.test,
    )


def rows_given(source: Source, part: Literal["validation", "test"]) -> int | None:
    """The rows that a source of its own contributes: its own test part to the test, else all of it."""
    known = published(source)
    if known is None:
        return None
    examples, test = sizes_of(source, known)
    return test if part == "test" and test else examples


def sizes_of(source: Source, known: Published) -> tuple[int, int]:
    """Rows of the source's own training and test part."""
    path = getattr(source.options, "path", None)
    shapes = header_of_npz(path) if isinstance(path, str) else {}
    if {"x_train", "x_test"} <= shapes.keys() and shapes["x_train"].shape and shapes["x_test"].shape:
        return shapes["x_train"].shape[0], shapes["x_test"].shape[0]
    if "x" in shapes and shapes["x"].shape and known.share is not None:
        return known.share(shapes["x"].shape[0])
    return known.examples, known.test_examples
