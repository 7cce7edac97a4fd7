"""Predictions as a table: what the outputs of a model say, and the files that hold it."""

import csv
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from dltool.config.checks import BINARY, ONE_HOT, SPARSE, last_output, loss_name
from dltool.config.columns import MultiLabelTarget, Target
from dltool.config.outputs import OutputSpec, heads_of, layer_index
from dltool.config.schema import Config
from dltool.data.facts import Facts, TargetFacts
from dltool.durable_files import atomic_path
from dltool.errors import ConfigError, RunError
from dltool.text import printable

PLACES = ("file", "row")
"""The columns that say which example a prediction is for."""
FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@]")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

Columns = Mapping[str, np.ndarray]


RESTORED = "squared error of restoring"
"""The column of an output that restores the input."""


def refuse_unclear(config: Config, facts: Facts) -> None:
    """Raises: ConfigError: the outputs of such a model are not what a table of predictions can hold."""
    for head in heads_of(config):
        name, target = loss_name(head.loss), target_of(head, facts)
        if target is None or target.kind != "category":
            continue
        if target.shape:
            shape = " × ".join(map(str, target.shape))
            raise ConfigError(f"the model predicts {shape} classes for each example, which a table cannot hold", KERAS)
        if not has_probabilities(head) and not ends_in_probabilities(config, head):
            raise ConfigError(f"with the loss {name}, the outputs of the model are no probabilities of classes", KERAS)


def ends_in_probabilities(config: Config, head: OutputSpec) -> bool:
    """Whether an output gives them whatever its loss: it ends with a softmax, or with one sigmoid."""
    index = layer_index(config, head)
    output = None if index is None else last_output(config.model.layers[: index + 1])
    return output is not None and (output.activation, output.units == 1) in (("softmax", False), ("sigmoid", True))


KERAS = "keras.models.load_model(…/model.keras).predict(…) gives the outputs as they are"


def has_probabilities(head: OutputSpec) -> bool:
    """Whether the outputs that its loss is for are probabilities of classes, or logits of some."""
    return loss_name(head.loss) in SPARSE | ONE_HOT | BINARY


def target_of(head: OutputSpec, facts: Facts) -> TargetFacts | None:
    """None where the output restores the input.

    Raises:
        RunError: the run has no such target.
    """
    if head.target is None:
        return None
    if head.target not in facts.targets:
        raise RunError(f"the run has no target {head.target[:100]}")
    return facts.targets[head.target]


def predictions(config: Config, facts: Facts, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns that `outputs` by name, (examples, …) each, mean.

    Of classes: "class", and "probability of NAME" for each. Of labels: "labels", those above 0.5, and the same
    probabilities. Of numbers: the columns of the target, or "prediction" where it has no name. Of an input that is
    restored: how far from it the output is. Where the config names outputs, their columns begin with their names.

    Raises:
        RunError: the model has other outputs than the run has classes.
    """
    columns: dict[str, np.ndarray] = {}
    for head in heads_of(config):
        found = predicted(config, head, target_of(head, facts), outputs[head.name])
        columns |= {column_name(head, name) if config.model.outputs else name: found[name] for name in found}
    return columns


def column_name(head: OutputSpec, name: str) -> str:
    """The name of the output, and what the column says of it where that is another word."""
    own = f"predicted {head.name}" if head.name in PLACES else whole_text(head.name)
    return own if name in (head.name, "prediction") else f"{own} {name}"


def predicted(
    config: Config, head: OutputSpec, target: TargetFacts | None, outputs: np.ndarray
) -> dict[str, np.ndarray]:
    """The columns of one output."""
    if target is None:
        return {RESTORED: outputs}
    options = config.data.targets[str(head.target)]
    values = outputs.reshape(len(outputs), -1)
    if target.kind == "number":
        return dict(zip(number_names(options, values.shape[1]), values.T, strict=True))
    values = probabilities(head, values, target)
    if values.shape[1] != len(target.class_names):
        message = f"the model has {values.shape[1]} outputs, and the run has {len(target.class_names)} classes"
        raise RunError(message)
    names = np.array([whole_text(name) for name in target.class_names], dtype=object)
    each = {f"probability of {name}": column for name, column in zip(names, values.T, strict=True)}
    if target.kind == "category":
        return {"class": names[values.argmax(axis=1)], **each}
    kind = options.type.options if options.type else None
    separator = kind.separator if isinstance(kind, MultiLabelTarget) else ","
    labels = np.array([separator.join(names[row]) for row in values > 0.5], dtype=object)
    return {"labels": labels, **each}


def probabilities(head: OutputSpec, values: np.ndarray, target: TargetFacts) -> np.ndarray:
    """(examples, classes). Of two classes a model may have one output, the probability of the second."""
    if head.loss.arguments.get("from_logits") is True:
        values = (1 + np.tanh(values / 2)) / 2 if loss_name(head.loss) in BINARY else softmax(values)
    if target.kind == "category" and values.shape[1] == 1:
        return np.concatenate([1 - values, values], axis=1)
    return values


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def number_names(target: Target, count: int) -> list[str]:
    names = list(target.columns) if len(target.columns) == count else ["prediction"]
    if len(names) < count:
        names = [f"prediction_{number}" for number in range(1, count + 1)]
    return [f"predicted {name}" if name in PLACES else whole_text(name) for name in names]


def whole_text(text: str) -> str:
    """The text with escapes for what is no character, so that any file can hold it."""
    return text.encode("utf-8", "backslashreplace").decode()


# --- files ---


def write_csv(columns: Columns, file: TextIO) -> None:
    """With a line of names. Texts that a spreadsheet would take for a formula have a ' in front, and those that would
    steer a terminal have escapes.
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(harmless, columns))
    writer.writerows(zip(*map(written, columns.values()), strict=True))


def written(column: np.ndarray) -> Iterable[Any]:
    """Numbers in the fewest digits that give the same bits again."""
    if column.dtype == object:
        return map(harmless, column)
    numbers: list[Any] = (column.astype(str) if column.dtype.kind == "f" else column).tolist()
    return numbers


def harmless(text: str) -> str:
    is_formula = FORMULA.match(text) and not NUMBER.fullmatch(text)
    return f"'{printable(text)}" if is_formula else printable(text)


def records(columns: Columns) -> list[dict[str, object]]:
    """A mapping for each row; numbers that are none are None, as JSON has none."""
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

    parquet.write_table(
        pa.table({name: pa.array(np.ascontiguousarray(column)) for name, column in columns.items()}), path
    )


FORMATS: Mapping[str, Callable[[Columns, Path], None]] = {
    ".csv": write_text,
    ".jsonl": write_text,
    ".parquet": write_parquet,
}
"""By the ending of the file."""


def write(columns: Columns, path: Path) -> None:
    """Replaces the file as a whole. Raises MachineError."""
    with atomic_path(path) as temporary:
        FORMATS[path.suffix.lower()](columns, temporary)
