"""Audio codecs by file extension.

A codec is a module with two functions, one for the header and one for the samples. Images have one codec, Pillow:
:data:`dltool.data.media.image_decode.FORMATS` lists its formats."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from dltool.data.media import sound_file, wav
from dltool.data.media.clip import ClipHeader
from dltool.data.media.resample import input_needed, resampled


@dataclass(frozen=True)
class AudioCodec:
    """`header(content, size)` reads the header of a file of `size` bytes that begins with `content`; None if more of it
    is needed. `samples(content, header, most)` returns at most `most` frames: (frames,) of float32 between -1 and 1,
    the mean of the channels. Both raise BadClip."""

    header: Callable[[bytes, int | None], ClipHeader | None]
    samples: Callable[[bytes, ClipHeader, int | None], np.ndarray]


WAV = AudioCodec(wav.wav_header, wav.wav_samples)
SOUND_FILE = AudioCodec(sound_file.header, sound_file.samples)
CODECS: Mapping[str, AudioCodec] = {
    **dict.fromkeys((".wav", ".wave"), WAV),
    **dict.fromkeys((".flac", ".ogg", ".oga", ".opus", ".mp3"), SOUND_FILE),
}
EXTENSIONS = tuple(CODECS)


@dataclass(frozen=True)
class AudioForm:
    """The common form of all audio clips: `rate` samples a second, `samples` of them."""

    rate: int
    samples: int

    @property
    def seconds(self) -> float:
        """Return the length as an option that gives the same number of samples."""
        return self.samples / self.rate


def codec_of(name: str) -> AudioCodec:
    """Return the codec for a file by its name; WAV for other names, whose reader reports their format."""
    return CODECS.get(PurePath(name).suffix.lower(), WAV)


def clip_header(name: str, content: bytes, size: int | None = None) -> ClipHeader | None:
    """Return the header of the file `name`, see :class:`AudioCodec`. Raises BadClip."""
    return codec_of(name).header(content, size)


def decode_whole(name: str, content: bytes) -> np.ndarray:
    """Return all samples of the file `name`: (samples,) of float32 between -1 and 1. Raises BadClip."""
    header = clip_header(name, content)
    assert header is not None
    return codec_of(name).samples(content, header, None)


def decode_clip(name: str, content: bytes, form: AudioForm) -> np.ndarray:
    """Return at most `form.samples` samples of the file `name`: (samples,) of float32 between -1 and 1. Raises
    BadClip."""
    codec = codec_of(name)
    header = codec.header(content, None)
    assert header is not None
    if header.rate == form.rate:
        return codec.samples(content, header, form.samples)
    # Samples after the cut matter within the filter's length.
    samples = codec.samples(content, header, input_needed(header.rate, form.rate, form.samples))
    return np.asarray(np.clip(resampled(samples, header.rate, form.rate, form.samples), -1, 1))
