"""The parts of a config drafted for some data, and how they are written as YAML."""

import os
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
import yaml

from dltool.config.text.scalars import is_plain_text
from dltool.errors import ConfigError, DataError
from dltool.text import counted, listed, shortened

Lines = Sequence[tuple[str, str]]
"""Lines of YAML, each with its comment."""
LONGEST_LINE = 120
WIDEST_ALIGNED = 56
PLAIN = re.compile(r"[A-Za-z_./][\w./-]*", re.ASCII)
OLD_BOOLEANS = frozenset({"y", "n", "yes", "no", "on", "off"})
LONGEST_SHOWN = 30
FEWEST = 10
RANDOM = "Its changes follow no pattern that a model could learn: one that is no worse than this is as good as it gets"


@dataclass(frozen=True)
class Draft:
    """The parts of a config that follow from the data. `title` says what it is; `notes` are messages for the user.

    `data`, `layers` and `training` are the lines of the sections. `metric` is accuracy, binary_accuracy
    or mean_absolute_error. `doubt` is why a model may not beat the baseline."""

    title: str
    data: Lines
    layers: Lines
    training: Lines
    metric: str
    notes: tuple[str, ...] = ()
    doubt: str = ""


def block(lines: Lines, indent: int) -> str:
    """Return lines with their comments beside them, or above if they are long."""
    width = max((len(line) for line, comment in lines if comment and len(line) <= WIDEST_ALIGNED), default=0)
    rows: list[str] = []
    for line, comment in lines:
        beside = f"{line:{width}}  # {comment}", f"{line}  # {comment}"
        fitting = [row for row in beside if indent + len(row) <= LONGEST_LINE]
        if not comment:
            rows.append(line)
        elif line and fitting:
            rows.append(fitting[0])
        else:
            above = line[: len(line) - len(line.lstrip())]
            wrapped = wrap(comment, LONGEST_LINE - indent - 8, initial_indent="# ", subsequent_indent="#   ")
            rows += [*(f"{above}{row}" for row in wrapped), *([line] if line else [])]
    return "\n".join(" " * indent + row for row in rows)


def scalar(text: str, *, is_key: bool = False) -> str:
    """Return a string as YAML, in `{…}` too: quoted if it would be read as something else, dollar signs doubled in
    values."""
    value = text if is_key else text.replace("$", "$$")
    is_plain = value != "." and PLAIN.fullmatch(value) and is_plain_text(value) and value.lower() not in OLD_BOOLEANS
    return value if is_plain else in_quotes(value)


def in_quotes(text: str) -> str:
    quoted: str = yaml.dump(text, default_style='"', allow_unicode=True, width=10**9)
    return quoted.rstrip("\n")


def path_scalar(path: Path, folder: Path) -> str:
    """Return the path as a config in `folder` names it: absolute if it was given so.

    Raises ConfigError: its name is not UTF-8, and cannot be written."""
    text = str(path) if path.is_absolute() else os.path.relpath(path, folder)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"the name of {path.name!a} is not UTF-8 and cannot stand in a config", "rename it") from None
    # No home folder is meant.
    return scalar(f"./{text}" if text.startswith("~") else text)


def in_comment(value: Any) -> str:
    """Return a value of the data as comments show it: on one line, and not too long."""
    return in_quotes(shortened(str(value), LONGEST_SHOWN))


def in_comments(values: Sequence[Any], most: int = 4) -> str:
    return listed([in_comment(value) for value in values], most)


def training_lines(
    examples: int,
    loss: str,
    metric: str,
    length: tuple[int, int] = (6_000, 200),
    monitored: str | None = None,
    optimizer: tuple[str, str] = ("Adam: {learning_rate: 1e-3}", ""),
    patience: int = 3,
) -> list[tuple[str, str]]:
    """Return the section `training`. `length` is roughly the number of steps in all, and the most epochs; `monitored`
    is what chooses the best epoch, by default the metric; `optimizer` has a comment; `patience` is
    the least, as long as that is not most of the training."""
    steps, most_epochs = length
    batch_size = (8, 32, 128, 512, 2_048)[bisect_left((500, 5_000, 50_000, 500_000), examples)]
    epochs = int(np.clip(steps * batch_size / max(examples, 1), 5, most_epochs))
    patience = max(3, min(patience, epochs // 2), epochs // 6)
    monitor = f"val_{monitored or metric}"
    return [
        (f"optimizer: {{{optimizer[0]}}}", optimizer[1]),
        (f"loss: {loss}", ""),
        (f"metrics: [{metric}]", ""),
        (f"batch_size: {batch_size}", ""),
        (f"epochs: {epochs}", "at most"),
        ("callbacks:", ""),
        (f"  - EarlyStopping: {{monitor: {monitor}, patience: {patience}}}", ""),
        (f"checkpoint: {{monitor: {monitor}}}", "the best epoch is the one that is tested and kept"),
    ]


def split_line(examples: int) -> str:
    """Return the line of the split. Raises DataError: too few examples to be divided."""
    if examples < FEWEST:
        raise DataError(f"{counted(examples, 'example')}: too few for training, validation and test", f"{FEWEST} do")
    return "split: {validation: 0.15, test: 0.2}" if examples < 50_000 else "split: {validation: 0.1, test: 0.1}"
