"""Hash keys of rows of several columns, and duplicate examples."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from math import prod

import numpy as np

from dltool.data.arrays.rows import Coded, Rows, coded
from dltool.data.examples import Examples
from dltool.data.split.at_random import Split

BYTES_AT_ONCE = 1 << 18
MOST_READ = 2**28
"""Bytes of images and audio that are read for this purpose alone."""
MOST_PAIRS = 2
"""Duplicates named by their places."""


def row_keys_of(columns: Mapping[str, Rows]) -> np.ndarray:
    """Return (rows,) of uint64 over one or several columns, (rows, …) each: equal rows have equal keys, others almost
    never.

    The order of the columns and of coded texts has no effect, so rows of two tables can be compared. Missing numbers
    are equal to each other, and so are 0 and -0. Reads some rows at a time."""
    rows = len(next(iter(columns.values())))
    keys = np.zeros(rows, np.uint64)
    names = text_keys(columns)
    for name, (column, values) in zip(names, columns.items(), strict=True):
        assert len(values) == rows, column
        if isinstance(values, Coded):
            values = Coded(values.codes, text_keys(values.values))  # noqa: PLW2901
        at_once = max(1, BYTES_AT_ONCE // max(8, np.dtype(values.dtype).itemsize * prod(values.shape[1:])))
        for first in range(0, rows, at_once):
            block = slice(first, first + at_once)
            keys[block] += mixed(one_word(words_of(values[block])) + name)
    return keys


def words_of(values: np.ndarray) -> np.ndarray:
    """Return integers of the same shape that have equal bytes if and only if the values are equal."""
    if values.dtype.kind in "OU":
        texts = coded(values)
        return np.asarray(text_keys(texts.values)[texts.codes[:]])
    if values.dtype.kind != "f":
        return values
    return np.asarray(np.where(np.isnan(values), np.array(np.nan, values.dtype), values + np.array(0, values.dtype)))


def one_word(words: np.ndarray) -> np.ndarray:
    """Reduce (rows, …) of any numbers to (rows,) of uint64."""
    words = np.ascontiguousarray(words)
    if words.ndim == 1:
        numbers: np.ndarray = words.view(f"u{words.itemsize}")
        return numbers.astype(np.uint64)
    values = words.reshape(len(words), -1).view(np.uint8)
    width = next(size for size in (8, 4, 2, 1) if values.shape[1] % size == 0)
    several = values.view(f"u{width}").astype(np.uint64)
    factors = np.random.Generator(np.random.Philox(key=0)).integers(0, 2**64, several.shape[1], dtype=np.uint64)
    # Without mixing, two differing signs would cancel out.
    return np.asarray(mixed(several) @ factors)


def mixed(words: np.ndarray) -> np.ndarray:
    """Mix one to one, so that every bit depends on all bits. Source: G. L. Steele and others, Fast Splittable
    Pseudorandom Number Generators, 2014 (the end of SplitMix64)."""
    words = words ^ (words >> np.uint64(30))
    words *= np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(27)
    words *= np.uint64(0x94D049BB133111EB)
    words ^= words >> np.uint64(31)
    return words


def text_keys(texts: Iterable[str]) -> np.ndarray:
    """Return (texts,) of uint64, the same in every process."""
    digests = b"".join(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, np.uint64)


# --- duplicates ---


def duplicate_warnings(
    examples: Examples, split: Split, place_of: Callable[[int], str] | None = None
) -> tuple[str, ...]:
    """Return a warning for each split some of whose examples have all inputs equal to those of a training example, with
    the first of them by their places.

    The warning of the training split counts examples with equal targets too. Instead of large files their digests are
    compared; without digests there is no warning."""
    inputs, targets = examples.inputs, examples.targets
    if read_from_files(inputs) > MOST_READ:
        inputs = {**inputs, **examples.digests}
    if read_from_files(inputs) > MOST_READ:
        return ()
    keys = row_keys_of(inputs)
    labelled = np.sort((keys + row_keys_of(targets) if targets else keys)[split.train])
    training = np.sort(keys[split.train])
    warnings = []
    if repeated := int((labelled[1:] == labelled[:-1]).sum()):
        target_too = ", the target too" if targets else ""
        warnings.append(f"{repeated:,} of {len(training):,} training examples repeat an earlier one{target_too}")
    for name, rows in (("validation", split.validation), ("test", split.test)):
        if count := found_in(training, np.sort(keys[rows])):
            text = f"{count:,} of {len(rows):,} {name} examples are also training examples"
            warnings.append(text + ("" if place_of is None else f": {pairs_text(keys, split.train, rows, place_of)}"))
    return tuple(warnings)


def pairs_text(keys: np.ndarray, training: np.ndarray, rows: np.ndarray, place_of: Callable[[int], str]) -> str:
    """Return the places of `rows` whose keys are among `training`, with those of the training rows."""
    also = rows[np.isin(keys[rows], keys[training])]
    pairs = [
        f"{place_of(int(row))} is {place_of(int(training[(keys[training] == keys[row]).argmax()]))}"
        for row in also[:MOST_PAIRS]
    ]
    rest = f" and {len(also) - MOST_PAIRS:,} more" if len(also) > MOST_PAIRS else ""
    return ", ".join(pairs) + rest


def read_from_files(inputs: Mapping[str, Rows]) -> int:
    """Return the number of bytes, or of values if they are numbers."""
    return sum(prod(rows.shape) for rows in inputs.values() if not isinstance(rows, np.ndarray | Coded))


def found_in(training: np.ndarray, keys: np.ndarray) -> int:
    """Count the `keys` that are among `training`; both are sorted, which is several times as fast as np.isin."""
    if not len(training):
        return 0
    places = np.minimum(np.searchsorted(training, keys), len(training) - 1)
    return int((training[places] == keys).sum())
