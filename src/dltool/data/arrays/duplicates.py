"""Examples that stand in the training part, and there or in another part again."""

from collections.abc import Mapping
from math import prod

import numpy as np

from dltool.data.arrays.row_keys import row_keys_of
from dltool.data.arrays.rows import Coded, Rows
from dltool.data.split.at_random import Split

MOST_READ = 2**28
"""Bytes of pictures and sound that are read for nothing but this."""


def duplicate_warnings(
    inputs: Mapping[str, Rows],
    targets: Mapping[str, np.ndarray],
    split: Split,
    digests: Mapping[str, np.ndarray] | None = None,
) -> tuple[str, ...]:
    """A sentence for each part some of whose examples have the same inputs, all of them, as one of the training part.

    One for the training part itself, of examples that have the same target too. Where much would have to be read from
    files, their `digests`, (rows, 32) by the name of the input, are compared; without these, nothing is said.
    """
    if read_from_files(inputs) > MOST_READ:
        inputs = {**inputs, **(digests or {})}
    if read_from_files(inputs) > MOST_READ:
        return ()
    keys = row_keys_of(inputs)
    labelled = np.sort((keys + row_keys_of(targets) if targets else keys)[split.train])
    repeated = int((labelled[1:] == labelled[:-1]).sum())
    training = np.sort(keys[split.train])
    counts = {
        name: (found_in(training, np.sort(keys[rows])), len(rows))
        for name, rows in (("validation", split.validation), ("test", split.test))
    }
    within = (
        f"{repeated:,} of {len(training):,} training examples repeat an earlier one{', the target too' * bool(targets)}"
    )
    return (
        *([within] if repeated else []),
        *(
            f"{count:,} of {rows:,} {name} examples are also training examples"
            for name, (count, rows) in counts.items()
            if count
        ),
    )


def read_from_files(inputs: Mapping[str, Rows]) -> int:
    """Bytes, or values where they are numbers."""
    return sum(prod(rows.shape) for rows in inputs.values() if not isinstance(rows, np.ndarray | Coded))


def found_in(training: np.ndarray, keys: np.ndarray) -> int:
    """How many of `keys` are among `training`; both are sorted, which is several times as fast as np.isin."""
    if not len(training):
        return 0
    places = np.minimum(np.searchsorted(training, keys), len(training) - 1)
    return int((training[places] == keys).sum())
