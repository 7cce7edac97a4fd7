"""Arrays as small embedded images: images, spectrograms of audio clips, and curves."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

SHOWN_SIDE = 128
"""Pixels of the longer side on the page, to which larger images are reduced."""
LARGEST_PIXEL = 16
FEW_PIXELS = 64 * 64
FRAME = 256
MOST_MOMENTS = 160
SMALLEST_POWER = 1e-8
MOST_POINTS = 80
CURVE_WIDTH, CURVE_HEIGHT = 100.0, 30.0


@dataclass(frozen=True)
class Thumbnail:
    """An image as a data URI with its size on the page. `is_small`: single pixels are visible."""

    uri: str
    width: int
    height: int
    is_small: bool


def thumbnail_of(values: np.ndarray, low: float, high: float, is_heat: bool = False) -> Thumbnail:
    """Return an image of (height, width) or (height, width, channels); `low` is black, `high` white.

    Other than 1, 3 or 4 channels are averaged. `is_heat` shows one channel as a heat map."""
    array = np.asarray(values, np.float32)
    if array.ndim == 3 and array.shape[-1] not in (3, 4):
        array = array.mean(axis=-1)
    scaled = np.clip((np.nan_to_num(array) - low) / max(high - low, 1e-12), 0, 1)
    if is_heat:
        from matplotlib import colormaps

        scaled = colormaps["magma"](scaled)[..., :3]
    image = Image.fromarray(np.rint(scaled * 255).astype(np.uint8))
    if max(image.size) > 2 * SHOWN_SIDE:
        image.thumbnail((2 * SHOWN_SIDE, 2 * SHOWN_SIDE))
    longer = max(image.size)
    factor = min(LARGEST_PIXEL, SHOWN_SIDE // longer) if longer <= SHOWN_SIDE else SHOWN_SIDE / longer
    shown = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    is_small = image.width * image.height <= FEW_PIXELS
    kind, options = ("png", {"optimize": True}) if is_small else ("webp", {"quality": 80})
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return Thumbnail(f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}", *shown, is_small)


def spectrogram(samples: np.ndarray) -> Thumbnail:
    """Return the log-power spectrogram of an audio clip (samples,), low frequencies at the bottom."""
    samples = np.asarray(samples, np.float32).ravel()
    samples = np.pad(samples, (0, max(0, FRAME - len(samples))))
    step = (len(samples) - FRAME) // MOST_MOMENTS + 1
    starts = np.arange(0, len(samples) - FRAME + 1, step)
    frames = samples[starts[:, None] + np.arange(FRAME)] * np.hanning(FRAME).astype(np.float32)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    decibels = 10 * np.log10(np.maximum(power, SMALLEST_POWER))
    # Sounds 80 dB below the loudest are inaudible.
    return thumbnail_of(decibels.T[::-1], float(decibels.max()) - 80, float(decibels.max()), is_heat=True)


def curve_points(values: np.ndarray) -> str:
    """Return the numbers as the points of an SVG polyline, 100 wide and 30 high."""
    values = np.asarray(values, np.float64).ravel()
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return ""
    # Missing values are interpolated.
    values = np.interp(np.arange(len(values)), known, values[known])
    if len(values) > MOST_POINTS:
        values = values[np.linspace(0, len(values) - 1, MOST_POINTS).round().astype(int)]
    spread = max(float(np.ptp(values)), 1e-12)
    across = np.linspace(1, CURVE_WIDTH - 1, max(2, len(values)))
    down = CURVE_HEIGHT - 2 - (values - values.min()) / spread * (CURVE_HEIGHT - 4)
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=False))
