"""The configs of runs, compared value by value."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from dltool.config.text.tree import format_path
from dltool.config.text.yaml_reader import values_by_path
from dltool.errors import ConfigError, ConfigPath, RunError
from dltool.runs.files import Run
from dltool.text import listed, shortened

Values = Mapping[ConfigPath, Any]
MOST_COMPARED = 200
"""Most runs in a list whose configs are read: each takes some milliseconds."""
MOST_SHOWN = 3
LONGEST_VALUE = 25
NOT_SHOWN = (("name",), ("data", "split", "seed"))
"""The name is always equal; the split's seed defaults to the seed."""
ABSENT = "not there"


def recorded_values(run: Run) -> Values:
    """Return the values of resolved.yaml by path, empty lists and mappings too. Raises RunError: it is invalid."""
    try:
        return values_by_path(run.read(run.resolved), str(run.resolved))
    except ConfigError as error:
        raise RunError(f"{run.resolved}: {error}") from None


def recorded_epochs(run: Run) -> int | None:
    """Return the number of epochs in the config of a run, None if unknown."""
    values = values_or_none(run.path) or {}
    asked = [
        value
        for path, value in values.items()
        if path == ("training", "epochs") or (path[:2] == ("training", "phases") and path[3:] == ("epochs",))
    ]
    return sum(asked) if asked and all(type(value) is int for value in asked) else None


def different(values: Sequence[Values]) -> list[ConfigPath]:
    """Return the paths whose values differ, in config order."""
    paths = dict.fromkeys(path for each in values for path in each)
    # repr distinguishes 1, 1.0 and True.
    return [path for path in paths if len({repr(each.get(path, ABSENT)) for each in values}) > 1]


def differences_in_short(runs: Sequence[Path]) -> dict[Path, str]:
    """Return the config values that distinguish each run from others of its name: `learning_rate=0.01 batch_size=64`.
    Unreadable runs are left out."""
    found: dict[Path, str] = {}
    by_name = sorted(runs, key=lambda path: path.parent)
    for _, group in groupby(by_name, key=lambda path: path.parent):
        values = {path: each for path in group if (each := values_or_none(path)) is not None}
        paths = [path for path in different(list(values.values())) if path not in NOT_SHOWN]
        names = short_names(paths)
        for run, each in values.items():
            settings = [f"{names[path]}={shortened(str(each[path]), LONGEST_VALUE)}" for path in paths if path in each]
            found[run] = listed(settings, MOST_SHOWN, " ")
    return found


def values_or_none(path: Path) -> Values | None:
    try:
        return recorded_values(Run(path))
    except RunError:
        return None


def short_names(paths: Sequence[ConfigPath]) -> dict[ConfigPath, str]:
    """Return the last key of each path, with as many before it as make it unique."""
    found = {}
    for path in paths:
        length = 1
        while length < len(path) and (
            isinstance(path[-length], int) or sum(other[-length:] == path[-length:] for other in paths) > 1
        ):
            length += 1
        found[path] = format_path(path[-length:])
    return found
