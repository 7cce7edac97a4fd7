"""The order of training examples in an epoch."""

import numpy as np


def epoch_order(seed: int, epoch: int, examples: int) -> np.ndarray:
    """Return a permutation of 0…examples-1 as int32, a pure function of its arguments (0 ≤ seed, epoch < 2**63).

    Philox is counter-based: (seed, epoch) is its key, so epochs are independent of each other."""
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, epoch], dtype=np.uint64)))
    return generator.permutation(np.arange(examples, dtype=np.int32))
