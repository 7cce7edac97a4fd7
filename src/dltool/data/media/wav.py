"""Reads WAV files: their header, and their samples as float32 between -1 and 1.

The format is that of Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0" (1991), with
Microsoft's WAVE_FORMAT_EXTENSIBLE; mu-law and A-law are those of ITU-T G.711."""

import struct
from dataclasses import dataclass, replace

import numpy as np

from dltool.data.media.clip import BadClip, ClipHeader

PCM, FLOAT, A_LAW, MU_LAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
OTHER_CODECS = {2: "ADPCM", 0x11: "ADPCM", 0x31: "GSM", 0x50: "MPEG", 0x55: "MP3", 0xFF: "AAC"}
SAMPLE_BYTES = {PCM: (1, 2, 3, 4), FLOAT: (4, 8), A_LAW: (1,), MU_LAW: (1,)}
# The last 14 bytes of the identifiers of formats that have a number.
NUMBERED_FORMAT = bytes.fromhex("000000001000800000aa00389b71")
# A program that writes into a pipe cannot know the length and writes some such number.
UNKNOWN_LENGTH = 0x7FFFF000


@dataclass(frozen=True, kw_only=True)
class WavHeader(ClipHeader):
    """A frame has a sample of `sample_bytes` for each channel; the frames begin at byte `start`."""

    codec: int
    sample_bytes: int
    channels: int
    start: int


def wav_header(content: bytes, size: int | None = None) -> WavHeader | None:
    """Read the header of a file of `size` bytes that begins with `content`; None if more of it is needed. Raises
    BadClip: not a WAV file, an unsupported codec, no samples, or fewer bytes than it declares."""
    size = len(content) if size is None else size
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise BadClip("an RF64 file, not a WAV file" if content[:4] == b"RF64" else "not a WAV file")
    header: WavHeader | None = None
    position = 12
    while position + 8 <= len(content):
        name, length = struct.unpack_from("<4sI", content, position)
        position += 8
        if name == b"data":
            if header is None:
                raise BadClip("damaged: samples before their format")
            if position + length > size:
                if length < UNKNOWN_LENGTH:
                    raise BadClip(f"cut off: expected {length:,} bytes of sound, found {size - position:,}")
                length = size - position
            frames = length // (header.sample_bytes * header.channels)
            if not frames:
                raise BadClip("it has no samples")
            return replace(header, start=position, frames=frames)
        if name == b"fmt " and position + length <= len(content):
            header = sample_format(content[position : position + length])
        # Chunks begin at even bytes.
        position += length + length % 2
    if len(content) < size and position + 8 <= size:
        return None
    raise BadClip("damaged: it has no samples" if header else "damaged: it does not say its format")


def sample_format(chunk: bytes) -> WavHeader:
    """Return a header whose samples are still to be found."""
    if len(chunk) < 16:
        raise BadClip("damaged: its format is cut off")
    codec, channels, rate, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", chunk)
    if codec == EXTENSIBLE:
        if len(chunk) < 40 or chunk[26:40] != NUMBERED_FORMAT:
            raise BadClip("its codec is unknown")
        (codec,) = struct.unpack_from("<H", chunk, 24)
    if codec not in SAMPLE_BYTES:
        raise BadClip(f"its codec is {OTHER_CODECS.get(codec, f'number {codec}')}; only plain samples are read")
    if not rate or not channels or frame_bytes % channels:
        raise BadClip(f"damaged: {channels} channels, {rate} samples a second, {frame_bytes} bytes a frame")
    sample_bytes = frame_bytes // channels
    if sample_bytes not in SAMPLE_BYTES[codec] or bits > 8 * sample_bytes:
        raise BadClip(f"its samples of {bits} bits in {sample_bytes} bytes are not read")
    return WavHeader(codec=codec, sample_bytes=sample_bytes, channels=channels, rate=rate, start=0, frames=0)


def wav_samples(content: bytes, header: ClipHeader, most: int | None = None) -> np.ndarray:
    """Return the first `most` frames, or all: (frames,) of float32 between -1 and 1, the mean of the channels. Raises
    BadClip: fewer bytes than `header` says, or samples that are NaN or infinite."""
    assert isinstance(header, WavHeader)
    frames = header.frames if most is None else min(header.frames, most)
    count = frames * header.channels
    if len(content) < header.start + count * header.sample_bytes:
        raise BadClip("its size has changed")
    samples = as_floats(np.frombuffer(content, np.uint8, count * header.sample_bytes, header.start), header)
    if header.channels > 1:
        samples = samples.reshape(frames, header.channels).mean(axis=1, dtype=np.float32)
    return samples


def as_floats(raw: np.ndarray, header: WavHeader) -> np.ndarray:
    """Return bytes as samples of float32. The minimum is -1; the maximum is slightly less than 1."""
    if header.codec == FLOAT:
        numbers = raw.view("<f4" if header.sample_bytes == 4 else "<f8")
        if not np.isfinite(numbers).all():
            raise BadClip("damaged: it has samples that are NaN or infinite")
        return np.asarray(np.clip(numbers, -1, 1), dtype=np.float32)
    if header.codec in (MU_LAW, A_LAW):
        return np.asarray((mu_law() if header.codec == MU_LAW else a_law())[raw])
    if header.sample_bytes == 1:
        return (raw.astype(np.float32) - 128) / np.float32(128)
    if header.sample_bytes == 2:
        return raw.view("<i2").astype(np.float32) / np.float32(2**15)
    if header.sample_bytes == 3:
        widened = np.zeros((len(raw) // 3, 4), np.uint8)
        widened[:, 1:] = raw.reshape(-1, 3)
        raw = widened.ravel()
    return raw.view("<i4").astype(np.float32) / np.float32(2**31)


def mu_law() -> np.ndarray:
    """Return (256,) of float32: the sample of each byte."""
    codes = ~np.arange(256) & 0xFF
    sizes = (((codes & 0x0F) << 3) + 0x84 << (codes >> 4 & 7)) - 0x84
    return (np.where(codes & 0x80, -sizes, sizes) / 2**15).astype(np.float32)


def a_law() -> np.ndarray:
    """Return (256,) of float32: the sample of each byte."""
    codes = np.arange(256) ^ 0x55
    exponents, steps = codes >> 4 & 7, (codes & 0x0F) << 4
    sizes = np.where(exponents, steps + 0x108 << np.maximum(exponents - 1, 0), steps + 8)
    return (np.where(codes & 0x80, sizes, -sizes) / 2**15).astype(np.float32)
