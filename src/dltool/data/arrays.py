"""The source `arrays`: the user's own `.npz` file, or an `.npy` file each for x and y."""

from collections.abc import Mapping

import numpy as np

from dltool.config.sources import ArraysSource
from dltool.data.examples import Examples, Part
from dltool.data.facts import ONE_INPUT
from dltool.data.files import require
from dltool.data.npz import npz_headers, read_npy, read_npz
from dltool.data.values import clean_inputs, clean_labels
from dltool.errors import ConfigPath, DataError, Problem

KEYS = {
    "training": (("x_train", "y_train"), ("x", "y")),
    "validation": (("x_validation", "y_validation"), ("x_val", "y_val")),
    "test": (("x_test", "y_test"),),
}


def load_arrays(options: ArraysSource, place: ConfigPath) -> Examples:
    """Examples with the parts that the file has. `place` is that of the source in the config.

    Raises:
        DataError: with every problem of the files.
        MachineError: an array does not fit in memory.
    """
    if options.path is None:
        return Examples(load_pair(options, (*place, "arrays")))
    place = (*place, "arrays", "path")
    path = require(options.path, place)
    headers = npz_headers(path, str(path), place)
    keys = {part: pair for part, pairs in KEYS.items() if (pair := chosen(pairs, headers)) is not None}
    if "training" not in keys:
        message = f"{path} has no x_train and y_train, nor x and y"
        raise DataError(Problem(place, message, f"it holds {', '.join(sorted(headers))}"))
    halves = [(have, lack) for x, y in keys.values() for have, lack in ((x, y), (y, x)) if lack not in headers]
    if halves:
        raise DataError([Problem(place, f"{path} has {have} but no {lack}") for have, lack in halves])
    arrays = read_npz(path, [name for pair in keys.values() for name in pair], headers, str(path), place)
    parts = {}
    problems: list[Problem] = []
    for part, (x, y) in keys.items():
        try:
            parts[part] = matched_part(arrays, (x, y), (place, place))
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    return Examples(parts["training"], parts.get("validation"), parts.get("test"))


def chosen(pairs: tuple[tuple[str, str], ...], present: Mapping[str, object]) -> tuple[str, str] | None:
    """The first spelling of which the file has at least one half."""
    return next((pair for pair in pairs if pair[0] in present or pair[1] in present), None)


def load_pair(options: ArraysSource, place: ConfigPath) -> Part:
    arrays: dict[str, np.ndarray] = {}
    problems: list[Problem] = []
    for name, text in (("x", options.x), ("y", options.y)):
        try:
            arrays[name] = read_npy(require(text or "", (*place, name)), name, (*place, name))
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    return matched_part(arrays, ("x", "y"), ((*place, "x"), (*place, "y")))


def matched_part(
    arrays: Mapping[str, np.ndarray], names: tuple[str, str], places: tuple[ConfigPath, ConfigPath]
) -> Part:
    """x and y of one part, cleaned and of the same length."""
    cleaned: list[np.ndarray] = []
    problems: list[Problem] = []
    for name, place, clean in zip(names, places, (clean_inputs, clean_labels), strict=True):
        try:
            cleaned.append(clean(arrays[name], name, place))
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    inputs, labels = cleaned
    if len(inputs) != len(labels):
        message = f"{names[0]} has {len(inputs):,} rows, {names[1]} has {len(labels):,}"
        raise DataError(Problem(places[1], message, "each example needs one label"))
    return Part({ONE_INPUT: inputs}, labels, places[0], names[0])
