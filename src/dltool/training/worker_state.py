"""The state of a training on several workers: what each has of its own, by rank, beside what all have alike."""

import hashlib
from typing import Any

import numpy as np

from dltool.training.state import BEST, TrainingState

WORKERS = "workers/"
"""The prefix of the arrays (workers, …) of what each worker has of its own."""


def is_own(name: str) -> bool:
    """Return whether each worker has its own values of a variable: sums of metrics, and states of random layers."""
    is_best = name.startswith(BEST)
    return name.startswith(("metrics/", "random/")) or (name.endswith("seed_generator_state") and not is_best)


def mixed_seed(state: np.ndarray, rank: int) -> np.ndarray:
    """Return the state (seed, draws) of a random layer on the worker `rank`."""
    seed = hashlib.sha256(f"{int(state[0])}/{rank}".encode()).digest()
    return np.array([int.from_bytes(seed[:4], "little") >> 1, state[1]], state.dtype)


def state_of_worker(state: TrainingState, rank: int, size: int) -> TrainingState:
    """Return the state of one of `size` workers. If the state is of another number of them, the chief has all sums of
    metrics, and the other workers draw anew."""
    of_all = {name.removeprefix(WORKERS): array for name, array in state.arrays if name.startswith(WORKERS)}
    arrays = []
    for name, array in state.arrays:
        own = of_all.get(name)
        if name.startswith(WORKERS):
            continue
        if not is_own(name) or (own is None and size == 1):
            arrays.append((name, array))
        elif own is not None and len(own) == size:
            arrays.append((name, own[rank]))
        elif name.startswith("metrics/"):
            sums = array if own is None else own.sum(0, dtype=array.dtype)
            arrays.append((name, np.zeros_like(array) if rank else np.asarray(sums)))
        else:
            arrays.append((name, mixed_seed(array, rank) if rank else array))
    return TrainingState(arrays, state.state)


def packed(state: TrainingState) -> tuple[Any, bytes]:
    """Return a state as a JSON value and bytes."""
    described = [[name, list(array.shape), str(array.dtype)] for name, array in state.arrays]
    return [described, state.state], b"".join(array.tobytes() for _, array in state.arrays)


def unpacked(value: Any, data: bytes) -> TrainingState:
    arrays, first = [], 0
    for name, shape, dtype in value[0]:
        size = int(np.prod(shape))
        arrays.append((name, np.frombuffer(data, dtype, size, first).reshape(shape)))
        first += arrays[-1][1].nbytes
    return TrainingState(arrays, value[1])
