"""Predictions as a table, and the files that hold it."""

import csv
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from dltool.config.schema import Config
from dltool.data.facts import Facts
from dltool.durable_files import atomic_path
from dltool.errors import ConfigError
from dltool.evaluation.tasks import evaluators
from dltool.text import printable

FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@]")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

KERAS = "keras.models.load_model(…/model.keras).predict(…) returns the raw outputs"

Columns = Mapping[str, np.ndarray]


def refuse_unclear(config: Config, facts: Facts, hint: str = KERAS) -> None:
    """Raise ConfigError if a table of predictions cannot hold the outputs of such a model. `hint` is another way."""
    for output in evaluators(config, facts):
        if output.unclear:
            raise ConfigError(output.unclear, hint)


def predictions(config: Config, facts: Facts, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the columns of `outputs`, by name and (examples, …) each. Names of outputs in the config become prefixes.

    Raises RunError: the model has other outputs than the run has classes."""
    columns: dict[str, np.ndarray] = {}
    for output in evaluators(config, facts):
        columns |= output.named(output.columns(outputs[output.head.name]))
    return columns


def write_csv(columns: Columns, file: TextIO) -> None:
    """Write CSV with a header. Strings that look like formulas get a leading ', control characters become escapes."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(harmless, columns))
    writer.writerows(zip(*map(written, columns.values()), strict=True))


def written(column: np.ndarray) -> Iterable[Any]:
    """Return the cells of a column, numbers in the fewest digits that keep their bits."""
    if column.dtype == object:
        return map(harmless, column)
    return list((column.astype(str) if column.dtype.kind == "f" else column).tolist())


def harmless(text: str) -> str:
    is_formula = FORMULA.match(text) and not NUMBER.fullmatch(text)
    return f"'{printable(text)}" if is_formula else printable(text)


def records(columns: Columns) -> list[dict[str, object]]:
    """Return a mapping for each row. NaN and infinity become None, as JSON has neither."""
    plain = [
        [float(text) if np.isfinite(float(text)) else None for text in column.astype(str).tolist()]
        if column.dtype.kind == "f"
        else column.tolist()
        for column in columns.values()
    ]
    return [dict(zip(columns, row, strict=True)) for row in zip(*plain, strict=True)]


def write_text(columns: Columns, path: Path) -> None:
    with path.open("x", encoding="utf-8", newline="") as file:
        if path.suffix.lower() == ".csv":
            write_csv(columns, file)
        else:
            file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records(columns))


def write_parquet(columns: Columns, path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    arrays = {name: pa.array(np.ascontiguousarray(column)) for name, column in columns.items()}
    parquet.write_table(pa.table(arrays), path)


FORMATS: Mapping[str, Callable[[Columns, Path], None]] = {
    ".csv": write_text,
    ".jsonl": write_text,
    ".parquet": write_parquet,
}
"""Writers by file suffix."""


def write(columns: Columns, path: Path) -> None:
    """Write the file, replacing it as a whole. Raises MachineError."""
    with atomic_path(path) as temporary:
        FORMATS[path.suffix.lower()](columns, temporary)
