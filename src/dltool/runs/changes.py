"""Differences between a recorded run and this machine that can change result bits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dltool.machine import describe_machine
from dltool.runs.records import RunRecord

COMPARED = ("cpu", "cpu_features", "versions", "environment")
"""Keys of the machine record. The number of cores is not compared: a resumed run keeps its number of threads."""
LONGEST = 300
"""Most characters of a value: an untrusted run.json may hold any number."""
MOST_CHANGES = 20
PINNED = ("intra_op_threads", "op_determinism", "gpus", "keras", "onednn")


@dataclass(frozen=True)
class Change:
    """A changed value. `was` and `now` are as in run.json."""

    what: str
    was: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.what} was {said(self.was)} and is {said(self.now)}"


def said(value: Any) -> str:
    if value is None:
        return "not set"
    words = ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
    return words if len(words) <= LONGEST else words[:LONGEST] + " …"


def machine_changes(record: RunRecord, pinned: Mapping[str, Any]) -> list[Change]:
    """Return the differences between the recorded machine and settings and today's. `pinned` are today's settings."""
    changes = list(differences(chosen(record.machine, COMPARED), chosen(describe_machine(), COMPARED)))
    changes += differences(chosen(record.pinned, PINNED), chosen(pinned, PINNED))
    return changes[:MOST_CHANGES]


def chosen(values: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: values.get(key) for key in keys}


def numbered(items: list[Any]) -> dict[str, Any]:
    return {f"[{number}]": item for number, item in enumerate(items)}


def differences(was: Mapping[str, Any], now: Mapping[str, Any], above: str = "") -> Iterator[Change]:
    """Yield the changes leaf by leaf, in key order."""
    for key in dict.fromkeys([*was, *now]):
        one, other = was.get(key), now.get(key)
        name = f"{above}{'' if key[:1] == '[' or not above else '.'}{key}"[:LONGEST]
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from differences(one, other, name)
        elif isinstance(one, list) and isinstance(other, list) and any(isinstance(item, Mapping) for item in one):
            yield from differences(numbered(one), numbered(other), name)
        elif one != other:
            yield Change(name, one, other)
