"""The data of a run as run.json describes it: its facts, and its differences from today's data."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dltool.config.schema import Data
from dltool.config.sources import TABLE_SOURCES
from dltool.config.tasks import TASKS, TargetFacts
from dltool.data.arrays.fingerprint import split_hash
from dltool.data.dataset import Dataset
from dltool.data.facts import DTYPES, Facts, InputFacts, is_for_layers
from dltool.errors import RunError
from dltool.runs.changes import said
from dltool.runs.records import DataRecord, InputRecord, RecordedPart, TargetRecord
from dltool.text import listed, plural

LONGEST_NAME = 100
"""Most characters of a column's name: an untrusted run.json may hold any number."""
MOST_NAMED = 5
MOST_VALUES = 10**8
"""Most values of one example."""


def recorded_contents(dataset: Dataset) -> dict[str, Any]:
    """Return the digests in run.json that detect changed data."""
    contents = {
        part: {"rows": found.rows, "inputs": dict(found.inputs), "targets": dict(found.targets)}
        for part, found in dataset.contents.items()
    }
    return {"fingerprint": dataset.fingerprint, "contents": contents, "split": split_hash(dataset.split)}


def recorded_facts(record: DataRecord, data: Data, shown_as: str) -> Facts:
    """Return the facts of a run's data from its run.json. `data` is from its config. Raises RunError: a value is
    missing or invalid."""
    hint = "train it again with this version"
    inputs, targets = record.inputs or {}, record.targets
    if not inputs or not all(is_input(name, each, data, len(inputs) == 1) for name, each in inputs.items()):
        raise RunError(f"{shown_as}: the inputs of the run are missing or invalid", hint)
    given = (record.examples, record.validation_examples, record.test_examples)
    sizes = [size for size in given if size is not None]
    are_named = targets is not None and targets.keys() == data.targets.keys() and len(sizes) == len(given)
    if targets is None or not are_named or not all(map(is_target, targets.values())):
        raise RunError(f"{shown_as}: the target of the run is missing or invalid", hint)
    types = data.inputs or {}
    return Facts(
        {
            name: InputFacts(tuple(each.shape), each.dtype, types[name] if each.is_column else None)
            for name, each in inputs.items()
        },
        {
            name: TargetFacts(each.kind, tuple(each.shape), tuple(each.class_names))  # type: ignore[arg-type]
            for name, each in targets.items()
        },
        *sizes,
    )


def is_small(shape: Sequence[int]) -> bool:
    return math.prod(max(1, size) for size in shape) <= MOST_VALUES


def is_target(found: TargetRecord) -> bool:
    """Return whether this can describe a target: class and label names are unique."""
    task = TASKS.get(found.kind)
    if task is None or not task.has_labels or not is_small(found.shape):
        return False
    if not task.has_classes:
        return not found.class_names
    return len(set(found.class_names)) == len(found.class_names) > 1


def is_input(name: str, found: InputRecord, data: Data, is_alone: bool) -> bool:
    """Return whether this can describe an input of the config."""
    if found.dtype not in DTYPES or not is_small(found.shape):
        return False
    kind = (data.inputs or {}).get(name)
    if data.source.name not in TABLE_SOURCES:
        return not found.is_column
    if kind is None or kind.name == "ignore":
        return False
    return found.is_column != (is_alone and is_for_layers(kind, data))


def data_changes(recorded: DataRecord, dataset: Dataset) -> str:
    """Describe the changes of the data; empty if there are none."""
    now = recorded_contents(dataset)
    if recorded.fingerprint == now["fingerprint"]:
        return "" if recorded.split == now["split"] else "the assignment of rows to splits"
    found = []
    for name, target in dataset.facts.targets.items():
        known = (recorded.targets or {}).get(name)
        classes, was = list(target.class_names), None if known is None else known.class_names
        found += [] if was == classes else [f"the classes, from {said(was)} to {said(classes)}"]
    for part, contents in now["contents"].items():
        found += part_changes(part, recorded.contents.get(part, RecordedPart()), contents, bool(dataset.columns))
    return "; ".join(found) or "something that the run did not record"


def part_changes(part: str, was: RecordedPart, now: Mapping[str, Any], has_columns: bool) -> Iterator[str]:
    if was.rows is not None and was.rows != now["rows"]:
        # With other rows, every column differs.
        difference = abs(now["rows"] - was.rows)
        more = "more" if now["rows"] > was.rows else "fewer"
        yield f"{said(difference)} {more} {plural(difference, 'row')} in {part}"
    elif was.inputs is not None:
        inputs = was.inputs
        names = [name for name in {**inputs, **now["inputs"]} if inputs.get(name) != now["inputs"].get(name)]
        if names and not has_columns:
            yield f"the examples in {part}"
        elif names:
            columns = listed([name[:LONGEST_NAME] for name in names], MOST_NAMED)
            yield f"{plural(len(names), 'column')} {columns} in {part}"
        elif list(inputs) != list(now["inputs"]):
            yield "the order of the columns"
        if was.targets != now["targets"]:
            yield f"the target in {part}"
