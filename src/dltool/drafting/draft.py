"""A config drafted for some data: its text, checked by loading it, with the baseline that a model has to beat."""

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

from dltool.config.columns import ONE_TARGET
from dltool.config.load import Document, build_config
from dltool.config.schema import Windows
from dltool.config.text.scalars import is_plain_text
from dltool.config.text.yaml_reader import parse_yaml
from dltool.data.arrays.window_rows import repeated_values
from dltool.data.checked import checked_with
from dltool.data.dataset import Dataset, load_data
from dltool.errors import ConfigError, DataError
from dltool.text import counted, listed, number, shortened

Lines = Sequence[tuple[str, str]]
"""Lines of YAML, each with its comment."""
SEED = 42
LONGEST_LINE = 120
WIDEST_ALIGNED = 56
PLAIN = re.compile(r"[A-Za-z_./][\w./-]*", re.ASCII)
OLD_BOOLEANS = frozenset({"y", "n", "yes", "no", "on", "off"})
LONGEST_SHOWN = 30
FEWEST = 10
TOLERANCE = 0.25
"""By how much of the baseline a model may miss it that may not beat it."""
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


def written(draft: Draft, stem: str, command: str, folder: Path) -> tuple[str, tuple[str, ...]]:
    """Return the text of the config, and warnings about the data. `command` trains it, `folder` is its folder.

    The config is loaded with its data once, for the baseline and so that none is written that cannot be trained.

    Raises ConfigError, DataError, MachineError: the data is not fit for training, with every problem."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:100] or "data"
    shown_as, text = "the drafted config", text_of(draft, name, command)
    root = parse_yaml(text, shown_as)
    document = Document(folder / "config.yaml", shown_as, root, {shown_as: text}, {shown_as: folder}, text.encode())
    config = build_config(document)
    dataset = load_data(config.data, config.seed)
    checked_with(document, dataset.facts)
    return text_of(draft, name, command, *baseline(dataset, draft, config.data.windows)), dataset.warnings


def baseline(dataset: Dataset, draft: Draft, windows: Windows | None) -> tuple[str, str]:
    """Return a baseline that needs no model, measured on the test split: its description, and a bound on the metric."""
    examples = dataset.examples("test")
    # The target of an example may be a class for each pixel.
    training = np.ravel(dataset.targets[ONE_TARGET][dataset.split.train])
    test = np.ravel(examples.targets[ONE_TARGET])
    if draft.metric == "accuracy":
        most = int(np.argmax(np.bincount(training)))
        share = float(np.mean(test == most))
        what = "pixels" if len(test) > len(examples) else "examples"
        name = in_comment(dataset.facts.targets[ONE_TARGET].class_names[most])
        return f"the most frequent class, {name}, is right in {share:.1%} of the test {what}", f"> {share:.4f}"
    if draft.metric == "binary_accuracy":
        share = float(np.mean(test == (training.mean(axis=0) > 0.5)))
        return f"the labels that most examples have are {share:.1%} of the test labels right", f"> {share:.4f}"
    middle = float(np.median(training))
    error, words = float(np.mean(np.abs(test - middle))), f"always {number(middle)}, the median,"
    if windows is not None:
        for name, values in repeated_values(windows, dataset.season, examples.inputs).items():
            errors = np.abs(test - values.ravel())
            if np.isfinite(errors).any() and (persistent := float(np.nanmean(errors))) < error:
                error, words = persistent, f"repeating the {name} of {in_comment(windows.targets[0])}"
    bound = number(error * (1 + TOLERANCE) if draft.doubt else error).replace(",", "")
    return f"{words} has a mean absolute error of {number(error)} on the test examples", f"< {bound}"


def text_of(draft: Draft, name: str, command: str, words: str = "", bound: str = "") -> str:
    doubt = f"\n#   {draft.doubt}." if draft.doubt else ""
    what = f"{TOLERANCE:.0%} above the baseline" if draft.doubt else "the baseline"
    expect = f'\nexpect: {{{draft.metric}: "{bound}"}}  # {what}; a miss is exit code 7\n' if bound else ""
    return f"""\
# {draft.title}
#   {command}
# Baseline: {words}.{doubt}
name: {name}
seed: {SEED}  # the split, the initial weights and the order of the examples

data:
{block(draft.data, 2)}

model:
  layers:
{block(draft.layers, 4)}

training:
{block(draft.training, 2)}
{expect}"""


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
    examples: int, loss: str, metric: str, length: tuple[int, int] = (6_000, 200), monitored: str | None = None
) -> list[tuple[str, str]]:
    """Return the section `training`. `length` is roughly the number of steps in all, and the most epochs; `monitored`
    is what chooses the best epoch, by default the metric."""
    steps, most_epochs = length
    batch_size = (8, 32, 128, 512, 2_048)[bisect_left((500, 5_000, 50_000, 500_000), examples)]
    epochs = int(np.clip(steps * batch_size / max(examples, 1), 5, most_epochs))
    monitor = f"val_{monitored or metric}"
    return [
        ("optimizer: {Adam: {learning_rate: 1e-3}}", ""),
        (f"loss: {loss}", ""),
        (f"metrics: [{metric}]", ""),
        (f"batch_size: {batch_size}", ""),
        (f"epochs: {epochs}", "at most"),
        ("callbacks:", ""),
        (f"  - EarlyStopping: {{monitor: {monitor}, patience: {max(3, epochs // 6)}}}", ""),
        (f"checkpoint: {{monitor: {monitor}}}", "the best epoch is the one that is tested and kept"),
    ]


def split_line(examples: int) -> str:
    """Return the line of the split. Raises DataError: too few examples to be divided."""
    if examples < FEWEST:
        raise DataError(f"{counted(examples, 'example')}: too few for training, validation and test", f"{FEWEST} do")
    return "split: {validation: 0.15, test: 0.2}" if examples < 50_000 else "split: {validation: 0.1, test: 0.1}"
