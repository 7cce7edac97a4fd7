"""The JSON part of a checkpoint, checked before it is used: a checksum says that it is whole, not who wrote it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dltool.errors import RunError
from dltool.runs.checkpoint_file import Checkpoint, checkpoint_path

MOST = 2**63
POSITION = ("epoch", "phase", "step", "steps", "stop", "history")
RECORD = ("epoch", "logs", "learning_rate", "seconds")
BEST = ("monitor", "direction", "epoch", "value")
NOTE = ("class", "plain", "arrays")


def check_saved_state(checkpoint: Checkpoint, directory: Path) -> None:
    """Raises RunError where the state does not have the form that :mod:`dltool.training` gives it."""
    state, names = checkpoint.state, {name for name, _ in checkpoint.arrays}
    position, best, notes = state.get("position"), state.get("best"), state.get("callbacks")
    wrong = (
        ("position", not is_position(position)),
        ("best", not is_best(best, names)),
        ("variables", not isinstance(state.get("variables"), list)),
        ("callbacks", not (isinstance(notes, list) and all(is_note(note, i, names) for i, note in enumerate(notes)))),
    )
    found = [part for part, is_wrong in wrong if is_wrong]
    if found:
        path = checkpoint_path(directory, checkpoint.step)
        raise RunError(f"{path} is no state of a training: its {' and '.join(found)} cannot be right")


def is_position(value: Any) -> bool:
    if not has_keys(value, POSITION) or not isinstance(value["stop"], bool) or not isinstance(value["history"], list):
        return False
    counts = all(is_count(value[key]) for key in ("epoch", "phase", "step", "steps"))
    # Training stops at the end of an epoch only.
    return (
        counts
        and value["stop"] <= (value["epoch"] > 0)
        and value["epoch"] == len(value["history"])
        and all(map(is_record, value["history"]))
    )


def is_record(value: Any) -> bool:
    return (
        has_keys(value, RECORD)
        and is_count(value["epoch"])
        and is_mapping_of(value["logs"], is_number)
        and is_number(value["learning_rate"])
        and is_number(value["seconds"])
    )


def is_best(value: Any, names: set[str]) -> bool:
    """There are best weights where there is a best epoch."""
    return (
        has_keys(value, BEST)
        and isinstance(value["monitor"], str)
        and value["direction"] in ("min", "max")
        and (value["epoch"] is None or is_count(value["epoch"]))
        and (value["value"] is None or is_number(value["value"]))
        and (value["epoch"] is None) == (not any(name.startswith("best/") for name in names))
    )


def is_note(value: Any, number: int, names: set[str]) -> bool:
    """What a callback remembers. Its arrays are among those of the checkpoint."""
    return (
        has_keys(value, NOTE)
        and isinstance(value["class"], str)
        and is_mapping_of(value["plain"], is_plain)
        and isinstance(value["plain"].get("monitor_op"), bool)
        and is_mapping_of(value["arrays"], is_count)
        # One array too few ends the range early, however large the count.
        and all(
            f"callbacks/{number}/{name}/{index}" in names
            for name, count in value["arrays"].items()
            for index in range(count)
        )
    )


def has_keys(value: Any, keys: tuple[str, ...]) -> bool:
    return isinstance(value, Mapping) and value.keys() == set(keys)


def is_mapping_of(value: Any, is_right: Callable[[Any], bool]) -> bool:
    return isinstance(value, Mapping) and all(map(is_right, value.values()))


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST


def is_number(value: Any) -> bool:
    is_whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < MOST
    return is_whole or isinstance(value, float)


def is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | bool) or is_number(value)
