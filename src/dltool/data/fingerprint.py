"""A fingerprint of the data, so that a run can tell whether its data has changed since."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from dltool.data.rows import Coded, Rows

BLOCK_BYTES = 2**26


def fingerprint_of(columns: Iterable[Mapping[str, Rows]], class_names: Iterable[str]) -> str:
    """ "sha256:…" over names, dtypes, shapes and contents in row order, and the class names."""
    digest = hashlib.sha256(repr(tuple(class_names)).encode())
    for arrays in columns:
        for name, rows in sorted(arrays.items()):
            digest.update(repr((name, np.dtype(rows.dtype).str, rows.shape)).encode())
            add_contents(digest, rows)
    return f"sha256:{digest.hexdigest()}"


def add_contents(digest: Any, rows: Rows) -> None:
    """Rows that know what they are say so by an `identity`; the contents of others are read in blocks."""
    identity = getattr(rows, "identity", None)
    if isinstance(identity, str):
        digest.update(identity.encode())
    elif isinstance(rows, Coded):
        for text in rows.values:
            content = str(text).encode("utf-8", "surrogatepass")
            digest.update(len(content).to_bytes(8, "little") + content)
        add_contents(digest, rows.codes)
    else:
        size = max(1, BLOCK_BYTES // max(1, rows[:1].nbytes))
        for first in range(0, len(rows), size):
            # Text has no buffer that hashlib takes; its bytes do.
            digest.update(np.ascontiguousarray(rows[first : first + size]).view(np.uint8).data)
