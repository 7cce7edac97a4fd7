"""The source `arrays`: the user's own `.npz` file, also of several inputs and targets, or an `.npy` file each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from dltool.config.columns import ONE_TARGET
from dltool.config.sources import ArraysSource
from dltool.data.arrays.cleaning import clean_inputs, clean_labels, clean_weights
from dltool.data.arrays.npz import npz_headers, read_npy, read_npz
from dltool.data.examples import Examples, SourceExamples, places_in
from dltool.data.facts import ONE_INPUT, Facts, InputFacts
from dltool.data.files.class_folders import PartName
from dltool.data.files.paths import require
from dltool.errors import ConfigPath, DataError, Problem

ENDINGS: Mapping[PartName, tuple[str, ...]] = {
    "training": ("_train", ""),
    "validation": ("_validation", "_val"),
    "test": ("_test",),
}
"""Suffixes of array names in each split: x_train, x_test, …; x alone is training."""

WEIGHTS: ConfigPath = ("data", "weights")


@dataclass(frozen=True)
class ArrayRequest:
    """The arrays that a split needs: inputs and targets by name, each with its array's name without the suffix, and the
    array of weights, if there is one.

    `places` are the config paths of the names."""

    inputs: Mapping[str, str]
    targets: Mapping[str, str]
    places: Mapping[str, ConfigPath]
    weights: Mapping[str, str] = field(default_factory=dict)

    @property
    def arrays(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.inputs.values(), *self.targets.values(), *self.weights.values())))


def load_arrays(
    options: ArraysSource, place: ConfigPath, has_target: bool = True, weights: str | None = None
) -> SourceExamples:
    """Load the splits in the file. `place` is the config path of the source. Without a target, labels may be absent and
    are not read.

    Raises:
        DataError: every problem of the files.
        MachineError: an array does not fit in memory."""
    if options.path is None:
        return SourceExamples({"training": load_pair(options, (*place, "arrays"))})
    wanted = wanted_arrays(options, (*place, "arrays"), has_target)
    if weights is not None:
        places = {**wanted.places, weights: WEIGHTS}
        wanted = replace(wanted, places=places, weights={weights: weights})
    place = (*place, "arrays", "path")
    path = require(options.path, place)
    headers = npz_headers(path, str(path), place)
    endings: dict[PartName, str] = {}
    for part, possible in ENDINGS.items():
        # The first with which the file has at least one of the arrays.
        used = [end for end in possible if any(f"{name}{end}" in headers for name in wanted.arrays)]
        endings |= {part: used[0]} if used else {}
    if "training" not in endings:
        some, or_some = (" and ".join(f"{name}{ending}" for name in wanted.arrays) for ending in ENDINGS["training"])
        message = f"{path} has no {some}, nor {or_some}"
        raise DataError(Problem(place, message, f"it holds {', '.join(sorted(headers))}"))
    DataError.refuse(
        each for ending in endings.values() for each in missing_arrays(wanted, ending, headers, path, place)
    )
    names = [f"{name}{ending}" for ending in endings.values() for name in wanted.arrays]
    arrays = read_npz(path, names, headers, str(path), place)
    parts: dict[PartName, Examples] = {}
    problems: list[Problem] = []
    for part, ending in endings.items():
        with DataError.collected(problems):
            parts[part] = matched_part(arrays, wanted, ending)
    DataError.refuse(problems)
    return SourceExamples(parts)


def wanted_arrays(options: ArraysSource, place: ConfigPath, has_target: bool) -> ArrayRequest:
    inputs = options.x if isinstance(options.x, dict) else {ONE_INPUT: "x"}
    targets = options.y if isinstance(options.y, dict) else {ONE_TARGET: "y"}
    places: dict[str, ConfigPath] = {}
    for key, names in (("x", inputs), ("y", targets)):
        is_given = isinstance(getattr(options, key), dict)
        places |= {array: (*place, key, name) if is_given else (*place, "path") for name, array in names.items()}
    return ArrayRequest(inputs, targets if has_target else {}, places)


def missing_arrays(
    wanted: ArrayRequest, ending: str, present: Mapping[str, object], path: Path, place: ConfigPath
) -> Iterator[Problem]:
    have = next(f"{name}{ending}" for name in wanted.arrays if f"{name}{ending}" in present)
    for name in wanted.arrays:
        if f"{name}{ending}" not in present:
            hint = "" if wanted.places[name] == place else f"it holds {', '.join(sorted(present))}"
            yield Problem(wanted.places[name], f"{path} has {have} but no {name}{ending}", hint)


def load_pair(options: ArraysSource, place: ConfigPath) -> Examples:
    """Load x and y from an `.npy` file each."""
    places: dict[str, ConfigPath] = {name: (*place, name) for name in ("x", "y")}
    arrays: dict[str, np.ndarray] = {}
    problems: list[Problem] = []
    for name, where in places.items():
        with DataError.collected(problems):
            arrays[name] = read_npy(require(str(getattr(options, name)), where), name, where)
    DataError.refuse(problems)
    return matched_part(arrays, ArrayRequest({ONE_INPUT: "x"}, {ONE_TARGET: "y"}, places), "")


def matched_part(arrays: Mapping[str, np.ndarray], wanted: ArrayRequest, ending: str) -> Examples:
    """Return the arrays of one split, cleaned and of the same length."""
    problems: list[Problem] = []
    inputs: dict[str, np.ndarray] = {}
    labels: dict[str, np.ndarray] = {}
    weights: dict[str, np.ndarray] = {}
    sides = (
        (wanted.inputs, inputs, clean_inputs, "each example needs all inputs"),
        (wanted.targets, labels, clean_labels, "each example needs one label"),
        (wanted.weights, weights, clean_weights, "each example needs one weight"),
    )
    for names, found, clean, _ in sides:
        for name, array in names.items():
            with DataError.collected(problems):
                found[name] = clean(arrays[f"{array}{ending}"], f"{array}{ending}", wanted.places[array])
    DataError.refuse(problems)
    first = next(iter(wanted.inputs.values()))
    rows = len(next(iter(inputs.values())))
    for names, found, _, hint in sides:
        for name, array in names.items():
            if len(found[name]) != rows:
                message = f"{first}{ending} has {rows:,} rows, {array}{ending} has {len(found[name]):,}"
                problems.append(Problem(wanted.places[array], message, hint))
    DataError.refuse(problems)
    only = next(iter(weights.values()), None)
    return Examples(inputs, labels, f"{first}{ending}", wanted.places[first], weights=only)


def new_arrays(options: Any, facts: Facts, path: str) -> Examples:
    """Return the array of an `.npy`, or the inputs of an `.npz`, converted for the model."""
    named = options.x if isinstance(options, ArraysSource) and isinstance(options.x, dict) else {}
    names = {name: named.get(name, "x") for name in facts.inputs}
    file = require(path, ())
    if file.suffix.lower() == ".npy":
        if len(names) > 1:
            message = f"{path} is one array, and the model takes {len(names)}: {', '.join(names)}"
            raise DataError(Problem(None, message, "np.savez writes an .npz with all of them"))
        found = dict.fromkeys(names, clean_inputs(read_npy(file, path, ()), path, ()))
    else:
        headers = npz_headers(file, path, ())
        keys = {name: key if key in headers else f"{key}_test" for name, key in names.items()}
        DataError.refuse(
            Problem(None, f"{path} has neither {key} nor {key}_test", f"it holds {', '.join(sorted(headers))}")
            for name, key in names.items()
            if keys[name] not in headers
        )
        arrays = read_npz(file, list(dict.fromkeys(keys.values())), headers, path, ())
        found = {name: clean_inputs(arrays[key], f"{key} of {path}", ()) for name, key in keys.items()}
    return arrays_for(facts, found, path)


def arrays_for(facts: Facts, arrays: Mapping[str, np.ndarray], path: str) -> Examples:
    """Return the arrays in the form of the inputs. Raises DataError: they have different numbers of rows."""
    inputs = {name: like_input(array, facts.inputs[name]) for name, array in arrays.items()}
    rows = {len(array) for array in inputs.values()}
    if len(rows) > 1:
        sizes = ", ".join(f"{name} has {len(array):,} rows" for name, array in inputs.items())
        raise DataError(Problem(None, f"{path}: {sizes}", "each example needs all inputs"))
    return Examples(inputs, places=places_in(path, rows.pop()))


def like_input(array: np.ndarray, wanted: InputFacts) -> np.ndarray:
    """Return the array in the form of the input. Integers may be saved in any dtype."""
    if (*array.shape[1:], 1) == wanted.shape:
        array = array[..., np.newaxis]
    if wanted.dtype == "string" or array.dtype.kind not in "iuf":
        return array
    with np.errstate(invalid="ignore", over="ignore"):
        same = array.astype(wanted.dtype)
    return same if wanted.dtype == "float32" or np.array_equal(same, array) else array
