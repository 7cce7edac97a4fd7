"""What runs were told to do, value by value, as far as it differs between them."""

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
"""Runs whose configs are read for a list: each takes some milliseconds."""
MOST_SHOWN = 3
LONGEST_VALUE = 25
NOT_SHOWN = (("name",), ("data", "split", "seed"))
"""The first is the same in all; the second is the seed again, unless somebody has set it."""
ABSENT = "not there"


def recorded_values(run: Run) -> Values:
    """Every value of a run's resolved.yaml by its path; a list or mapping that is empty is one too.

    Raises:
        RunError: the file is missing, or is no YAML.
    """
    try:
        return values_by_path(run.read(run.resolved), str(run.resolved))
    except ConfigError as error:
        raise RunError(f"{run.resolved}: {error}") from None


def recorded_epochs(run: Run) -> int | None:
    """How many epochs the config of a run asks for; None where it cannot be told."""
    values = values_or_none(run.path) or {}
    asked = [
        value
        for path, value in values.items()
        if path == ("training", "epochs") or (path[:2] == ("training", "phases") and path[3:] == ("epochs",))
    ]
    return sum(asked) if asked and all(type(value) is int for value in asked) else None


def different(values: Sequence[Values]) -> list[ConfigPath]:
    """The paths whose values are not the same in all, in the order of the configs."""
    paths = dict.fromkeys(path for each in values for path in each)
    # 1 and 1.0 and True are not the same.
    return [path for path in paths if len({repr(each.get(path, ABSENT)) for each in values}) > 1]


def differences_in_short(runs: Sequence[Path]) -> dict[Path, str]:
    """What each of `runs` has and others of its name do not: `learning_rate=0.01 batch_size=64`.

    A run that cannot be read has none.
    """
    found: dict[Path, str] = {}
    by_name = sorted(runs, key=lambda path: path.parent)
    for _, group in groupby(by_name, key=lambda path: path.parent):
        values = {path: each for path in group if (each := values_or_none(path)) is not None}
        paths = [path for path in different(list(values.values())) if path not in NOT_SHOWN]
        names = short_names(paths)
        for run, each in values.items():
            said = [f"{names[path]}={short_value(each[path])}" for path in paths if path in each]
            found[run] = listed(said, MOST_SHOWN, " ")
    return found


def values_or_none(path: Path) -> Values | None:
    try:
        return recorded_values(Run(path))
    except RunError:
        return None


def short_names(paths: Sequence[ConfigPath]) -> dict[ConfigPath, str]:
    """The last step of each path that is a key, with as many before it as tell it from the others."""
    found = {}
    for path in paths:
        length = 1
        while length < len(path) and (
            isinstance(path[-length], int) or sum(other[-length:] == path[-length:] for other in paths) > 1
        ):
            length += 1
        found[path] = format_path(path[-length:])
    return found


def short_value(value: Any) -> str:
    return shortened(str(value), LONGEST_VALUE)
