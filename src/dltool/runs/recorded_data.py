"""The data of a run as run.json describes it: its facts, and what of it differs today."""

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
from dltool.runs.records import DataRecord, InputRecord, PartContents, TargetRecord

LONGEST_NAME = 100
"""Characters of a column's name. A hostile run.json may hold any number."""
MOST_NAMED = 5
MOST_VALUES = 10**8
"""Of one example."""


def recorded_contents(dataset: Dataset) -> dict[str, Any]:
    """What run.json says of the data, to tell by whether it has changed."""
    contents = {
        part: {"rows": found.rows, "inputs": dict(found.inputs), "targets": dict(found.targets)}
        for part, found in dataset.contents.items()
    }
    return {"fingerprint": dataset.fingerprint, "contents": contents, "split": split_hash(dataset.split)}


def recorded_facts(record: DataRecord, data: Data, shown_as: str) -> Facts:
    """The facts of a run's data from what its run.json says. `data` is that of its config.

    Raises:
        RunError: something is missing, or cannot be.
    """
    hint = "train it again with this version"
    inputs, targets = record.inputs or {}, record.targets
    if not inputs or not all(is_input(name, each, data, len(inputs) == 1) for name, each in inputs.items()):
        raise RunError(f"{shown_as} does not say which inputs the run has", hint)
    given = (record.examples, record.validation_examples, record.test_examples)
    sizes = [size for size in given if size is not None]
    are_named = targets is not None and targets.keys() == data.targets.keys() and len(sizes) == len(given)
    if targets is None or not are_named or not all(map(is_target, targets.values())):
        raise RunError(f"{shown_as} does not say which target the run has", hint)
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
    """Whether this can describe a target: classes and labels have names, all different."""
    task = TASKS.get(found.kind)
    if task is None or not task.has_labels or not is_small(found.shape):
        return False
    are_different = len(set(found.class_names)) == len(found.class_names) > 1
    return are_different if task.has_classes else not found.class_names


def is_input(name: str, found: InputRecord, data: Data, is_alone: bool) -> bool:
    """Whether this can describe an input that the config may have."""
    if found.dtype not in DTYPES or not is_small(found.shape):
        return False
    kind = (data.inputs or {}).get(name)
    if data.source.name not in TABLE_SOURCES:
        return not found.is_column
    if kind is None or kind.name == "ignore":
        return False
    return found.is_column != (is_alone and is_for_layers(kind, data))


def data_changes(recorded: DataRecord, dataset: Dataset) -> str:
    """What differs, in words; empty where the data is still the same."""
    now = recorded_contents(dataset)
    if recorded.fingerprint == now["fingerprint"]:
        return "" if recorded.split == now["split"] else "which rows are in which part"
    found = []
    for name, target in dataset.facts.targets.items():
        known = (recorded.targets or {}).get(name)
        classes, was = list(target.class_names), None if known is None else known.class_names
        found += [] if was == classes else [f"the classes, which were {said(was)} and are {said(classes)}"]
    for part, contents in now["contents"].items():
        found += part_changes(part, recorded.contents.get(part, PartContents()), contents, bool(dataset.columns))
    return "; ".join(found) or "something that the run did not record"


def part_changes(part: str, was: PartContents, now: Mapping[str, Any], has_columns: bool) -> Iterator[str]:
    if was.rows is not None and was.rows != now["rows"]:
        # Each column of other rows is another one.
        difference = abs(now["rows"] - was.rows)
        more = "more" if now["rows"] > was.rows else "fewer"
        yield f"{said(difference)} {more} {'row' if difference == 1 else 'rows'} in {part}"
    elif was.inputs is not None:
        inputs = was.inputs
        names = [
            name for name in dict.fromkeys([*inputs, *now["inputs"]]) if inputs.get(name) != now["inputs"].get(name)
        ]
        if names and not has_columns:
            yield f"the examples in {part}"
        elif names:
            shown = ", ".join(name[:LONGEST_NAME] for name in names[:MOST_NAMED])
            more = ", …" if len(names) > MOST_NAMED else ""
            yield f"{'column' if len(names) == 1 else 'columns'} {shown}{more} in {part}"
        elif list(inputs) != list(now["inputs"]):
            yield "the order of the columns"
        if was.targets != now["targets"]:
            yield f"the target in {part}"
