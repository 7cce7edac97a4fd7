"""Reads FLAC, Ogg (Vorbis and Opus) and MP3 files with libsndfile, through the package soundfile."""

import io
from typing import Any

import numpy as np

from dltool.data.media.clip import BadClip, ClipHeader

OGG_PAGE, LAST_PAGE = b"OggS", 0x04
"""A page of an Ogg file, and the flag of its last one (RFC 3533)."""


def header(content: bytes, size: int | None = None) -> ClipHeader | None:
    """Return the header of a file of `size` bytes that begins with `content`; None unless that is all of it. Raises
    BadClip: another format, damaged, truncated, or without samples."""
    if size is not None and len(content) < size:
        return None
    if content[:4] == OGG_PAGE:
        last = content.rindex(OGG_PAGE)
        if len(content) < last + 6 or not content[last + 5] & LAST_PAGE:
            raise BadClip("cut off: its last page is missing")
    with opened(content) as file:
        if not file.frames:
            raise BadClip("it has no samples")
        return ClipHeader(rate=file.samplerate, frames=file.frames)


def samples(content: bytes, header: ClipHeader, most: int | None = None) -> np.ndarray:
    """Return the first `most` frames, or all: (frames,) of float32 between -1 and 1, the mean of the channels. Raises
    BadClip: fewer samples than the header declares."""
    import soundfile

    frames = header.frames if most is None else min(header.frames, most)
    with opened(content) as file:
        try:
            found = file.read(frames, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise BadClip(f"damaged: {error.error_string.rstrip('.')}") from None
    if len(found) < frames:
        raise BadClip(f"cut off: expected {frames:,} samples, found {len(found):,}")
    # Lossy codecs overshoot a little.
    return np.asarray(np.clip(found.mean(axis=1, dtype=np.float32), -1, 1))


def opened(content: bytes) -> Any:
    """Return a soundfile.SoundFile. Raises BadClip."""
    import soundfile

    try:
        return soundfile.SoundFile(io.BytesIO(content))
    except soundfile.LibsndfileError as error:
        raise BadClip(f"no FLAC, Ogg or MP3 file, or a damaged one: {error.error_string.rstrip('.')}") from None
