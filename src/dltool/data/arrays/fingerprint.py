"""Fingerprints of the data, by which a run can tell whether and where its data has changed."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dltool.data.arrays.rows import Coded, Rows
from dltool.data.split.at_random import Split

BLOCK_BYTES = 2**26


@dataclass(frozen=True)
class PartDigests:
    """The contents of a split: `rows`, and for each input and target a hexadecimal sha256 over dtype, shape and
    contents in row order."""

    rows: int
    inputs: Mapping[str, str]
    targets: Mapping[str, str]


def contents_of(
    inputs: Mapping[str, Rows], targets: Mapping[str, np.ndarray], parts: Mapping[str, tuple[int, int]]
) -> dict[str, PartDigests]:
    """Return the contents of each split, whose rows are `first` to `stop`. Digests of files, (rows, 32) of uint8,
    replace the rows of `inputs` that have them."""
    hashed = {name: comparable(rows) for name, rows in inputs.items()}
    return {
        part: PartDigests(
            stop - first,
            {name: hash_of(rows, first, stop) for name, rows in hashed.items()},
            {name: hash_of(values, first, stop) for name, values in targets.items()},
        )
        for part, (first, stop) in parts.items()
    }


def fingerprint_of(contents: Mapping[str, PartDigests], class_names: Iterable[str]) -> str:
    """Return "sha256:…" over the contents of all splits, and the class names."""
    listed = [[part, found.rows, [*found.inputs.items()], [*found.targets.items()]] for part, found in contents.items()]
    return f"sha256:{hashlib.sha256(json.dumps([list(class_names), listed]).encode()).hexdigest()}"


def split_hash(split: Split) -> str:
    """Return a hexadecimal sha256 of the assignment of rows to splits."""
    digest = hashlib.sha256()
    for rows in (split.train, split.validation, split.test):
        digest.update(len(rows).to_bytes(8, "little") + np.ascontiguousarray(rows, "<i8").tobytes())
    return digest.hexdigest()


def comparable(rows: Rows) -> Rows:
    """Return text as digests of its words, which do not depend on other words of the table."""
    if not isinstance(rows, Coded):
        return rows
    words = b"".join(hashlib.sha256(str(text).encode("utf-8", "surrogatepass")).digest() for text in rows.values)
    return Coded(rows.codes, np.frombuffer(words, np.uint8).reshape(-1, 32))


def hash_of(rows: Rows, first: int, stop: int) -> str:
    digest = hashlib.sha256(repr((np.dtype(rows.dtype).str, rows.shape[1:])).encode())
    size = max(1, BLOCK_BYTES // max(1, rows[:1].nbytes))
    for start in range(first, stop, size):
        block: Any = np.ascontiguousarray(rows[start : min(start + size, stop)])
        # hashlib takes bytes, not text.
        digest.update(block.view(np.uint8).data)
    return digest.hexdigest()
