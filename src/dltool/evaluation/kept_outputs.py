"""What a model gave for its test examples, kept in the run until all folds or seeds are put together."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from dltool.data.arrays.npz import read_npz
from dltool.data.arrays.npz_header import header_of_npz
from dltool.errors import DataError, RunError
from dltool.evaluation.measure import Measurement
from dltool.runs.files import Run

OUTPUTS = "outputs.npz"
LIMIT = 2**30
VALUE, OUTPUT = "value ", "output "
"""Beginnings of the names of arrays."""


@dataclass(frozen=True)
class KeptOutputs:
    """`rows` (examples,) of the data, the `values` (examples,) of each metric that is a mean, the `outputs` (kept, …)
    of the examples `kept`, and the losses of training examples `beyond` these; as in
    :class:`~dltool.evaluation.measure.Measurement`."""

    rows: np.ndarray
    kept: np.ndarray
    values: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    beyond: np.ndarray


def pack_outputs(rows: np.ndarray, measured: Measurement) -> bytes:
    """Return the file of a measurement."""
    arrays = {f"{VALUE}{name}": each for name, each in measured.values.items()}
    arrays |= {f"{OUTPUT}{name}": each for name, each in measured.outputs.items()}
    arrays |= {"rows": rows.astype(np.int64), "kept": measured.kept.astype(np.int64), "beyond": measured.beyond}
    named: dict[str, Any] = arrays
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **named)
    return buffer.getvalue()


def read_outputs(run: Run) -> KeptOutputs:
    """Read the outputs of a fold or seed. Raises RunError: missing or damaged."""
    content = io.BytesIO(run.read(run.outputs, LIMIT))
    headers = header_of_npz(content)
    if sum(header.data_bytes for header in headers.values()) > LIMIT:
        raise RunError(f"{run.outputs} has more than {LIMIT:,} bytes")
    try:
        found = read_npz(content, tuple(headers), headers, str(run.outputs), ())
    except DataError as error:
        raise RunError(f"{run.outputs} is damaged: {error}") from None
    values = {name.removeprefix(VALUE): each for name, each in found.items() if name.startswith(VALUE)}
    outputs = {name.removeprefix(OUTPUT): each for name, each in found.items() if name.startswith(OUTPUT)}
    rows, kept, beyond = (found.get(name, np.empty(0)) for name in ("rows", "kept", "beyond"))
    is_whole = rows.dtype == kept.dtype == np.int64 and "loss" in values and rows.ndim == kept.ndim == beyond.ndim == 1
    lengths = [(values, len(rows)), (outputs, len(kept))]
    if not is_whole or any(each.shape[:1] != (length,) for part, length in lengths for each in part.values()):
        raise RunError(f"{run.outputs} does not hold the outputs of examples")
    return KeptOutputs(rows, kept, values, outputs, beyond)
