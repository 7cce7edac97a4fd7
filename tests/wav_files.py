"""WAV files made by hand."""

import struct

import numpy as np

PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def wav(
    data: bytes,
    *,
    rate: int = 8000,
    channels: int = 1,
    sample_bytes: int = 2,
    codec: int = 1,
    before: bytes = b"",
    extension: bytes = b"",
) -> bytes:
    frame = channels * sample_bytes
    form = struct.pack("<HHIIHH", codec, channels, rate, rate * frame, frame, 8 * sample_bytes) + extension
    body = b"WAVE" + chunk(b"fmt ", form) + before + chunk(b"data", data)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def sound(samples: list[float] | np.ndarray, *, rate: int = 8000) -> bytes:
    """16-bit samples between -1 and 1, one channel."""
    return wav((np.asarray(samples) * 2**15).clip(-(2**15), 2**15 - 1).astype("<i2").tobytes(), rate=rate)
