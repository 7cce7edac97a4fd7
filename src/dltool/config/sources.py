"""Data sources, each written like a Keras object: `digits`, `mnist: file.npz`, `imdb: {num_words: 5000}`."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from dltool.config.choices import Choice, Choices
from dltool.config.folder_sources import AudioSource, ImagesSource, TextSource
from dltool.config.pydantic_errors import refusal
from dltool.config.section import Section
from dltool.config.table_sources import (
    CsvSource,
    ExcelSource,
    FeatherSource,
    JsonLinesSource,
    OrcSource,
    ParquetSource,
    SqlSource,
    TsvSource,
)
from dltool.config.wording import named
from dltool.errors import Problem


class BuiltinSource(Section):
    """A dataset bundled with scikit-learn; it takes no arguments."""


class ImageSource(Section):
    """A dataset of keras.datasets."""

    path: str | None = None
    """A file to read instead of Keras's cache."""


class Cifar100Source(ImageSource):
    label_mode: Literal["fine", "coarse"] = "fine"
    """The 100 fine classes, or the 20 coarse ones."""


class TokenSource(Section):
    """A text dataset of keras.datasets, as sequences of word indices."""

    path: str | None = None
    """A file to read instead of Keras's cache."""
    num_words: Annotated[int, Field(gt=3)] | None = None
    """The size of the vocabulary. Rarer words become 2, as in keras.datasets."""
    length: Annotated[int, Field(ge=1)] = 200
    """The length of a sequence. Longer texts keep their last words; shorter ones are padded with zeros in front."""


class CaliforniaHousingSource(Section):
    """House prices of keras.datasets."""

    path: str | None = None
    """A file to read instead of Keras's cache."""
    version: Literal["large", "small"] = "large"
    """All 20,640 districts, or the first 600."""


class ArraysSource(Section):
    """Your own arrays: one `.npz` file, or one `.npy` file each for x and y."""

    path: str | None = None
    """A `.npz` file with `x` and `y`, or with `x_train`, `y_train`, `x_test`, …"""
    x: str | dict[str, str] | None = None
    """A `.npy` file of inputs. For a `.npz` file, several inputs by name with their arrays: `{left: x1, right: x2}`;
    for `x1_train` and `x1_test` write x1."""
    y: str | dict[str, str] | None = None
    """A `.npy` file of labels. For a `.npz` file, several targets by name with their arrays."""

    @property
    def target_names(self) -> tuple[str, ...]:
        """Return the names of the targets; empty if they have none."""
        return tuple(self.y) if isinstance(self.y, dict) else ()

    @field_validator("x", "y", mode="before")
    @classmethod
    def names_arrays(cls, value: Any, info: ValidationInfo) -> Any:
        key = info.field_name
        if isinstance(value, Mapping):
            wrong = next((name for name, array in value.items() if not isinstance(array, str)), None)
            if not value:
                example = f"for example {key}: {{left: {key}1, right: {key}2}}"
                raise refusal(Problem((), "the mapping is empty", example))
            if wrong is not None:
                raise refusal(Problem((wrong,), f"expected the name of an array, got {named(value[wrong])}"))
        elif value is not None and not isinstance(value, str):
            raise refusal(Problem((), f"expected a file or a mapping of names to arrays, got {named(value)}"))
        return value

    @model_validator(mode="after")
    def one_form(self) -> Self:
        several = next((key for key in ("x", "y") if isinstance(getattr(self, key), dict)), None)
        if several is not None and self.path is None:
            message = "array names require path, the .npz file that holds them"
            raise refusal(Problem((several,), message, f"arrays: {{path: data.npz, {several}: …}}", at_key=True))
        other = next((key for key in ("x", "y") if isinstance(getattr(self, key), str)), None)
        if self.path is not None and other is not None:
            message = f"path and {other} are mutually exclusive"
            hint = "write path for one .npz, or x and y for two .npy files"
            raise refusal(Problem((other,), message, hint, at_key=True, related=((("path",), "path is given here"),)))
        if self.path is None and (self.x is None or self.y is None):
            message = "arrays needs path (one .npz), or x and y (two .npy files)"
            raise refusal(Problem((), message, "for example arrays: {path: data.npz}"))
        return self


SOURCES: Mapping[str, type[Section]] = {
    **dict.fromkeys(("digits", "iris", "wine", "breast_cancer", "diabetes"), BuiltinSource),
    **dict.fromkeys(("mnist", "fashion_mnist", "cifar10"), ImageSource),
    "cifar100": Cifar100Source,
    "imdb": TokenSource,
    "reuters": TokenSource,
    "california_housing": CaliforniaHousingSource,
    "arrays": ArraysSource,
    "csv": CsvSource,
    "tsv": TsvSource,
    "json_lines": JsonLinesSource,
    "excel": ExcelSource,
    "parquet": ParquetSource,
    "feather": FeatherSource,
    "orc": OrcSource,
    "sql": SqlSource,
    "images": ImagesSource,
    "audio": AudioSource,
    "text": TextSource,
}

TABLE_SOURCES = ("csv", "tsv", "json_lines", "excel", "parquet", "feather", "orc", "sql")
"""The sources that have columns."""
FOLDER_SOURCES = ("images", "audio", "text")
"""The sources that are folders or archives of files."""


class Source(Choice):
    """A data source by name, with its typed options (an instance of `SOURCES[name]`)."""


def kind_of(source: Source) -> str:
    """Return the kind that all splits of a config must share: tables, arrays, or folders of the same files."""
    return "table" if source.name in TABLE_SOURCES else source.name if source.name in FOLDER_SOURCES else "arrays"


parse_source = Choices(Source, "data source", "source: digits, or source: {mnist: {path: mnist.npz}}", SOURCES).parse
