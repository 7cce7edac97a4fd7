"""The scales of numbers: what to subtract and to divide by, fitted to the training rows."""

import numpy as np

LEAST_SPREAD = 1e-12


def signed_log(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)))


def scale_of(scale: str, values: np.ndarray) -> tuple[float, float]:
    """Return the number to subtract and the number to divide by; the latter is 1 if all values are equal."""
    if scale == "log":
        values = signed_log(values)
    if scale in ("standard", "log"):
        center, spread = np.mean(values), np.std(values)
    elif scale == "min_max":
        center, spread = np.min(values), np.max(values) - np.min(values)
    elif scale == "robust":
        center = np.median(values)
        spread = np.subtract(*np.percentile(values, [75, 25]))
    else:
        return 0.0, 1.0
    return spread_or_one(float(center), float(spread))


def spread_or_one(center: float, spread: float) -> tuple[float, float]:
    """Return both, with 1 for a spread of equal values."""
    # If all values are equal, the mean may still differ from them in its last bits.
    is_spread = spread > max(LEAST_SPREAD * abs(center), float(np.finfo(np.float32).tiny))
    return center, spread if is_spread else 1.0
