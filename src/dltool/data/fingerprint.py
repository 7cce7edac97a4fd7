"""A fingerprint of the data, so that a run can tell whether its data has changed since."""

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np


def fingerprint_of(columns: Iterable[Mapping[str, np.ndarray]], class_names: Iterable[str]) -> str:
    """ "sha256:…" over names, dtypes, shapes and contents in row order, and the class names."""
    digest = hashlib.sha256(repr(tuple(class_names)).encode())
    for arrays in columns:
        for name, array in sorted(arrays.items()):
            digest.update(repr((name, array.dtype.str, array.shape)).encode())
            # Text has no buffer that hashlib takes; its bytes do.
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return f"sha256:{digest.hexdigest()}"
