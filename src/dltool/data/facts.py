"""What the data is like: its shapes, classes and sizes. Imports nothing heavy, so that `check` stays quick."""

from dataclasses import dataclass
from typing import Any, Literal

from dltool.config.schema import Data
from dltool.config.sources import Source
from dltool.data.catalog import Published, published
from dltool.data.npz_header import header_of_npz
from dltool.data.sizes import check_parts, check_stratify, part_sizes


@dataclass(frozen=True)
class Facts:
    """The data as a model sees it.

    `input_shape` and `target_shape` are of one example; `input_dtype` is "uint8", "int32", "float32" or "string".
    A target is one or several class indices (`category`, int32) or numbers (`number`, float32). `class_names` is
    empty for numbers. `examples` counts the training part, after validation and test have been taken out.
    """

    input_shape: tuple[int, ...]
    input_dtype: str
    target: Literal["category", "number"]
    target_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    examples: int
    validation_examples: int
    test_examples: int

    def names(self) -> dict[str, Any]:
        """What `$examples`, `$input_shape`, … stand for. `$classes` is absent where the target is a number."""
        names: dict[str, Any] = {
            "examples": self.examples,
            "validation_examples": self.validation_examples,
            "test_examples": self.test_examples,
            "input_shape": list(self.input_shape),
            "target_shape": list(self.target_shape),
        }
        return names | ({"classes": len(self.class_names)} if self.target == "category" else {})


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
    if known is None or (data.target == "category" and not is_category):
        return None
    examples, own_test = sizes_of(data.source, known)
    validation = rows_given(data.validation, "validation") if data.validation else 0
    test = rows_given(data.test, "test") if data.test else own_test
    if validation is None or test is None:
        return None
    target: Literal["category", "number"] = "number" if data.target == "number" or not is_category else "category"
    check_stratify(data.split, target)
    sizes = part_sizes(data.split, examples, validation, test)
    return Facts(
        input_shape=known.input_shape,
        input_dtype=known.input_dtype,
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
