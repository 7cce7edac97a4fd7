"""Resamples audio. SciPy's `resample_poly` gives the same result, but takes longer to import than most data to load."""

from functools import cache
from math import ceil, gcd

import numpy as np

REACH = 10
"""Length of the filter on both sides, in samples of the lower of the two rates."""


def resampled(samples: np.ndarray, rate: int, wanted: int, most: int) -> np.ndarray:
    """Resample (n,) `samples` from `rate` to `wanted`: the first `most` of n · wanted / rate, rounded up; float32.

    A polyphase filter: each output needs only those taps of a low-pass filter at the higher rate that meet a sample (R.
    E. Crochiere and L. R. Rabiner, Multirate Digital Signal Processing, 1983). Both ends are padded with silence."""
    divisor = gcd(rate, wanted)
    up, down = wanted // divisor, rate // divisor
    phases = polyphase(up, down)
    taps = phases.shape[1]
    count = min(ceil(len(samples) * up / down), most)
    # In steps of the common multiple of both rates, output m lies at m · down, and a sample at each multiple of `up`.
    half = REACH * max(up, down)
    last = ((count - 1) * down + half) // up if count else 0
    padded = np.zeros(last + taps, np.float32)
    inside = samples[: last + 1]
    padded[taps - 1 : taps - 1 + len(inside)] = inside
    windows = np.lib.stride_tricks.sliding_window_view(padded, taps)
    result = np.empty(count, np.float32)
    for first in range(min(up, count)):
        start, phase = divmod(first * down + half, up)
        # The outputs `up` further on meet the samples `down` further on at the same taps.
        outputs = result[first::up]
        outputs[:] = windows[start::down][: len(outputs)] @ phases[phase]
    return result


def input_needed(rate: int, wanted: int, most: int) -> int:
    """Return the number of samples at `rate` that determine the first `most` at `wanted`."""
    return ceil(most * rate / wanted) + ceil(REACH * max(1, rate / wanted)) + 1


@cache
def polyphase(up: int, down: int) -> np.ndarray:
    """Return a low-pass filter, (up, taps) of float32: the taps of each phase in reverse order. A sinc at the lower of
    two rates, in a Kaiser window with beta 5, that keeps a constant unchanged."""
    factor = max(up, down)
    places = np.arange(-REACH * factor, REACH * factor + 1)
    taps = np.sinc(places / factor) * np.kaiser(len(places), 5.0)
    padded = np.zeros(ceil(len(taps) / up) * up)
    padded[: len(taps)] = taps * (up / taps.sum())
    return np.ascontiguousarray(padded.reshape(-1, up).T[:, ::-1], dtype=np.float32)
