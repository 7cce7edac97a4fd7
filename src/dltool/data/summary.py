"""Summaries of data: its columns, and the examples of each class."""

from collections.abc import Iterator
from dataclasses import dataclass

from dltool.config.schema import Config
from dltool.data.dataset import Dataset
from dltool.data.sources.tables import named_columns


@dataclass(frozen=True)
class ColumnRow:
    """One column of a table. `use` is "input", "target", the key that names it ("split.group"), or empty.

    `distinct` is None if there are many, `low` and `high` if there is no range."""

    name: str
    type: str
    use: str
    why: str
    missing: int
    distinct: int | None
    low: str | None
    high: str | None


def column_rows(config: Config, dataset: Dataset) -> Iterator[ColumnRow]:
    kinds = {name: target.type for target in config.data.targets.values() for name in target.columns}
    uses = dict.fromkeys(dataset.facts.inputs, "input")
    if dataset.columns:
        uses |= {name: ".".join(key) for key, name in named_columns(config.data)}
        uses |= lengths_in_windows(config, dataset)
        uses |= dict.fromkeys(kinds, "target")
        uses |= {} if config.data.weights is None else {config.data.weights: "weights"}
    for found in dataset.columns:
        use, numbers = uses.get(found.name, ""), (found.missing, found.distinct, found.low, found.high)
        kind = kinds.get(found.name) if use == "target" else None
        yield ColumnRow(found.name, kind.name if kind else found.kind, use, found.why, *numbers)


def lengths_in_windows(config: Config, dataset: Dataset) -> dict[str, str]:
    """Return the uses of the columns that have another length than the windows."""
    windows, inputs = config.data.windows, dataset.facts.inputs
    if windows is None:
        return {}
    known = {name: f"windows.known, {inputs[name].shape[0]} rows" for name in windows.known}
    return known | dict.fromkeys(windows.static, "windows.static, 1 row")


def class_counts(dataset: Dataset) -> dict[str, tuple[int, int, int]]:
    """Return the examples of each class or label; nothing for numbers and for masks. With several targets, each class
    is prefixed with the name of its target."""
    split = dataset.split
    found: dict[str, tuple[int, int, int]] = {}
    for name, target in dataset.facts.targets.items():
        values = dataset.targets[name]
        counts = [target.task.counts(values[rows], target) for rows in (split.train, split.validation, split.test)]
        counts[0] = counts[0] if dataset.stream is None else dataset.stream.class_counts[name].tolist()
        prefix = "" if len(dataset.facts.targets) == 1 else f"{name}: "
        found |= dict(zip([f"{prefix}{each}" for each in target.class_names], zip(*counts, strict=True), strict=False))
    return found
