"""What of the data differs between a run as it was recorded and today."""

from collections.abc import Iterator, Mapping
from typing import Any

from dltool.data.arrays.fingerprint import split_hash
from dltool.data.dataset import Dataset
from dltool.runs.changes import of, said
from dltool.text import listed, plural

LONGEST_NAME = 100
"""Characters of a column's name. A hostile run.json may hold any number."""
MOST_NAMED = 5


def recorded_contents(dataset: Dataset) -> dict[str, Any]:
    """What run.json says of the data, to tell by whether it has changed."""
    contents = {
        part: {"rows": found.rows, "inputs": dict(found.inputs), "targets": dict(found.targets)}
        for part, found in dataset.contents.items()
    }
    return {"fingerprint": dataset.fingerprint, "contents": contents, "split": split_hash(dataset.split)}


def data_changes(recorded: Any, dataset: Dataset) -> str:
    """What differs, in words; empty where the data is still the same. `recorded` is the data of a run.json."""
    now = recorded_contents(dataset)
    if of(recorded, "fingerprint") == now["fingerprint"]:
        return "" if of(recorded, "split") == now["split"] else "which rows are in which part"
    found = []
    for name, target in dataset.facts.targets.items():
        classes, was = list(target.class_names), of(of(of(recorded, "targets"), name), "class_names")
        found += [] if was == classes else [f"the classes, which were {said(was)} and are {said(classes)}"]
    for part, contents in now["contents"].items():
        found += part_changes(part, of(of(recorded, "contents"), part), contents, bool(dataset.columns))
    return "; ".join(found) or "something that the run did not record"


def part_changes(part: str, was: Any, now: Mapping[str, Any], has_columns: bool) -> Iterator[str]:
    rows, inputs = of(was, "rows"), of(was, "inputs")
    if isinstance(rows, int) and rows != now["rows"]:
        # Each column of other rows is another one.
        difference = abs(now["rows"] - rows)
        more = "more" if now["rows"] > rows else "fewer"
        yield f"{said(difference)} {more} {plural(difference, 'row')} in {part}"
    elif isinstance(inputs, Mapping):
        names = [
            name for name in dict.fromkeys([*inputs, *now["inputs"]]) if inputs.get(name) != now["inputs"].get(name)
        ]
        if names and not has_columns:
            yield f"the examples in {part}"
        elif names:
            columns = listed([name[:LONGEST_NAME] for name in names], MOST_NAMED)
            yield f"{plural(len(names), 'column')} {columns} in {part}"
        elif list(inputs) != list(now["inputs"]):
            yield "the order of the columns"
        if of(was, "targets") != now["targets"]:
            yield f"the target in {part}"
