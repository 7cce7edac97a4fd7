import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dltool.data.media.resample import input_needed, resampled

RATES = st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000])


def noise(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, count).astype(np.float32)


@settings(deadline=None)  # the first import of SciPy takes seconds
@given(st.integers(1, 700), RATES, RATES, st.integers(0, 99))
def test_it_is_what_scipy_gives(count, rate, wanted, seed):
    signal = pytest.importorskip("scipy.signal")
    samples = noise(count, seed)
    expected = signal.resample_poly(samples, wanted, rate)
    np.testing.assert_allclose(resampled(samples, rate, wanted, 10**6), expected, atol=1e-5)


@given(st.integers(1, 700), RATES, RATES, st.integers(1, 300))
def test_what_comes_after_the_samples_needed_changes_nothing(count, rate, wanted, most):
    samples = noise(count, 1)
    needed = samples[: input_needed(rate, wanted, most)]
    expected = resampled(samples, rate, wanted, 10**6)[:most]
    # Sums of another length may be rounded in another order.
    np.testing.assert_allclose(resampled(needed, rate, wanted, most), expected, atol=1e-6)


def test_a_tone_stays_the_same_tone():
    seconds = np.arange(8000) / 8000
    tone = np.sin(2 * np.pi * 440 * seconds).astype(np.float32)
    expected = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    np.testing.assert_allclose(resampled(tone, 8000, 16000, 16000)[200:-200], expected[200:-200], atol=2e-3)
