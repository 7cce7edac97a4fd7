"""Facts of the data: shapes, classes and sizes. Imports nothing heavy, which keeps `check` fast."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from dltool.config.columns import ONE_TARGET, ColumnType, Target
from dltool.config.schema import Data
from dltool.config.sources import Source
from dltool.config.tasks import TargetFacts
from dltool.data.arrays.npz_header import header_of_npz
from dltool.data.sources.catalog import Published, published
from dltool.data.split.sizes import check_parts, check_stratify, part_sizes, used_size
from dltool.text import shape

ONE_INPUT = "input"
"""The name of a source's only input, if it has no other."""
DTYPES = ("uint8", "int32", "int64", "float32", "float64", "string")


@dataclass(frozen=True)
class InputFacts:
    """One input: the shape of one example, and "uint8", "int32", "int64", "float32", "float64" or "string".

    `column` is the type of a table's column, which determines its encoding; None for arrays."""

    shape: tuple[int, ...]
    dtype: str
    column: ColumnType | None = None


@dataclass(frozen=True)
class Facts:
    """The data as a model sees it.

    `inputs` are in the order of the columns; `targets` are by name, none for an autoencoder. `examples` counts the
    training split, without validation and test. `shuffled` are the most training rows that are shuffled together, None
    if all are."""

    inputs: Mapping[str, InputFacts]
    targets: Mapping[str, TargetFacts]
    examples: int
    validation_examples: int
    test_examples: int
    shuffled: int | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """Return the examples of each split."""
        return {"training": self.examples, "validation": self.validation_examples, "test": self.test_examples}

    @property
    def only_input(self) -> InputFacts | None:
        """Return the input of data with one input and no columns."""
        first = next(iter(self.inputs.values()))
        return first if len(self.inputs) == 1 and first.column is None else None

    @property
    def has_columns(self) -> bool:
        return any(found.column is not None for found in self.inputs.values())

    @property
    def in_words(self) -> str:
        """Return `inputs 28 × 28 × 1 uint8, 10 classes`, or the number of columns of each type."""
        only = self.only_input
        if only is not None:
            what = f"inputs {shape(only.shape)} {only.dtype}"
        else:
            kinds = [found.column.name if found.column else found.dtype for found in self.inputs.values()]
            counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
            noun = "column" if next(iter(self.inputs.values())).column else "input"
            what = f"{len(kinds)} {noun}{'s' * (len(kinds) > 1)} ({counts})"
        are_several = len(self.targets) > 1
        targets = (f"{name}: {each.in_words}" if are_several else each.in_words for name, each in self.targets.items())
        width = [] if self.shuffled is None else [f"shuffled in windows of {self.shuffled:,} rows"]
        return ", ".join([what, *(targets if self.targets else ["to be reconstructed"]), *width])

    def names(self) -> dict[str, Any]:
        """Return the values of `$examples`, `$input_shape`, …

        `$classes` is absent if the target is a number, `$input_shape` if there are columns. Several targets have
        `$classes_NAME` and `$target_shape_NAME`, and `$classes` if only one has classes."""
        names: dict[str, Any] = {
            "examples": self.examples,
            "validation_examples": self.validation_examples,
            "test_examples": self.test_examples,
        }
        if self.only_input is not None:
            names["input_shape"] = list(self.only_input.shape)
        for name, target in self.targets.items():
            own = "" if len(self.targets) == 1 else f"_{name}"
            names[f"target_shape{own}"] = list(target.shape)
            if target.class_names:
                names[f"classes{own}"] = len(target.class_names)
        with_classes = [target for target in self.targets.values() if target.class_names]
        return names | ({"classes": len(with_classes[0].class_names)} if len(with_classes) == 1 else {})

    def record(self) -> dict[str, Any]:
        """Return the record for run.json, see :mod:`dltool.runs.recorded`; types of columns are in the config."""
        inputs = {
            name: {"shape": list(found.shape), "dtype": found.dtype, "is_column": found.column is not None}
            for name, found in self.inputs.items()
        }
        targets = {
            name: {
                "kind": target.kind,
                "shape": list(target.shape),
                "class_names": list(target.class_names),
                **({} if target.scale is None else {"scale": asdict(target.scale)}),
            }
            for name, target in self.targets.items()
        }
        return {**self.names(), "inputs": inputs, "targets": targets, "shuffled": self.shuffled}


def is_for_layers(kind: ColumnType, data: Data) -> bool:
    """Return whether the only input, of this type, has layers of its own and is not encoded as a column."""
    return kind.name in ("image", "audio") or (kind.name == "text" and bool(data.preprocessing))


def known_facts(data: Data) -> Facts | None:
    """Return the facts that `load_data` will find, without loading; None if they depend on the data.

    If the path of a built-in set is an `.npz`, its header is read for the sizes; for a missing file the published sizes
    count. Raises ConfigError: the split contradicts itself, or leaves a split empty."""
    check_parts(data)
    known = published(data.source)
    targets = None if known is None else known_targets(known, data.given_targets[0])
    if known is None or targets is None:
        return None
    examples, own_test = sizes_of(data.source, known)
    validation = rows_given(data.validation, "validation") if data.validation else 0
    test = rows_given(data.test, "test") if data.test else own_test
    if validation is None or test is None:
        return None
    check_stratify(data.split, targets)
    sizes = part_sizes(data.split, examples, validation, test)
    inputs = {ONE_INPUT: InputFacts(known.input_shape, known.input_dtype)}
    return Facts(inputs, targets, used_size(data.split, sizes.training), sizes.validation, sizes.test)


def known_targets(known: Published, given: Target) -> dict[str, TargetFacts] | None:
    """Return the targets of a built-in set: class indices or numbers; None if they depend on the data."""
    if given.is_input:
        return {}
    own = TargetFacts("category", class_names=known.class_names) if known.class_names else TargetFacts("number")
    task = own.task if given.type is None else given.type.task
    if task is own.task:
        return {ONE_TARGET: own}
    return None if task.has_classes else {ONE_TARGET: TargetFacts("number")}


def rows_given(source: Source, part: Literal["validation", "test"]) -> int | None:
    """Return the rows that a separate source contributes: its test split if that is wanted, else all of it."""
    known = published(source)
    if known is None:
        return None
    examples, test = sizes_of(source, known)
    return test if part == "test" and test else examples


def sizes_of(source: Source, known: Published) -> tuple[int, int]:
    """Return the rows of the source's own training and test split."""
    path = getattr(source.options, "path", None)
    shapes = header_of_npz(path) if isinstance(path, str) else {}
    if {"x_train", "x_test"} <= shapes.keys() and shapes["x_train"].shape and shapes["x_test"].shape:
        return shapes["x_train"].shape[0], shapes["x_test"].shape[0]
    if "x" in shapes and shapes["x"].shape and known.share is not None:
        return known.share(shapes["x"].shape[0])
    return known.examples, known.test_examples
