"""The source `audio`, and columns of audio files: audio clips as rows of float32 samples.

They are decoded once, into memory, or on every access if they do not fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, ClassVar

import numpy as np

from dltool.data.files.digests import file_digests
from dltool.data.files.file_tree import Members, UnreadableMember
from dltool.data.files.listing import printable
from dltool.data.media.clip import ClipHeader
from dltool.data.media.codecs import EXTENSIONS, AudioForm, clip_header, decode_clip, decode_whole
from dltool.data.media.load import DecodedFiles, Medium
from dltool.data.media.rows import DecodedRows, unusable
from dltool.data.media.worker import Fault
from dltool.errors import DataError, Problem

BUDGET = 2**30
"""Bytes of samples that are kept in memory."""
MOST_SAMPLES = 100_000_000
MOST_SECONDS = 60
"""Without `seconds`, clips are padded to the longest: one very long clip would lengthen all of them."""
ENOUGH_FOR_A_HEADER = 64 * 1024
NOUN = "audio clip"


@dataclass(frozen=True)
class DecodedClips(DecodedRows):
    """Audio clips of one rate, cut or padded to one length: (clips, samples) of float32."""

    form: AudioForm
    noun: ClassVar[str] = NOUN
    dtype: ClassVar[Any] = np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.files.members), self.form.samples

    def decode_into(self, row: np.ndarray, content: bytes, name: str) -> None:
        clip = decode_clip(name, content, self.form)
        row[: len(clip)] = clip


def decode_clips(files: Members, options: Any, training: int, cache: int, digests: bool) -> DecodedFiles:
    """Decode `files` in their order, into memory if `BUDGET` allows; rows in memory have no digests. The default rate
    is that of the first training clip, the default length that of the longest."""
    headers = headers_of(files)[:training]
    form = audio_form(options.rate or headers[0].rate, options.seconds, headers, files)
    clips = DecodedClips(files, form)
    inferred = {"rate": form.rate, "seconds": form.seconds}
    if len(clips) * form.samples * 4 <= BUDGET:
        return DecodedFiles(clips[:], inferred)
    found = file_digests(files, use_cache=cache > 0) if digests else None
    return DecodedFiles(clips, inferred, found)


CLIPS = Medium("audio", "audio", NOUN, EXTENSIONS, decode_clips, decode_whole)


def headers_of(files: Members) -> list[ClipHeader]:
    """Return the header of each clip, from the beginning of the file if that is enough. Raises DataError naming all
    clips that cannot be read."""
    headers: list[Any] = []
    faults: list[Fault] = []
    for row, member in enumerate(files.members):
        try:
            header = clip_header(member.name, files.reader.read_start(member, ENOUGH_FOR_A_HEADER), member.size)
            headers.append(header or clip_header(member.name, files.reader.read(member)))
        except UnreadableMember as error:
            faults.append(Fault(row, member.name, str(error)))
    DataError.refuse(unusable(NOUN, faults, files))
    return headers


def audio_form(rate: int, seconds: float | None, headers: Sequence[ClipHeader], files: Members) -> AudioForm:
    """Return the form of all clips. Raises DataError: less than one sample, implausibly many, or a very long clip
    without `seconds`."""
    if seconds is None:
        lengths = np.array([ceil(header.frames * rate / header.rate) for header in headers])
        longest = int(np.argmax(lengths))
        if lengths[longest] > MOST_SECONDS * rate:
            median = max(float(np.median(lengths)) / rate, 0.1)
            message = f"{printable(files.members[longest].name)} has {lengths[longest] / rate:,.1f} seconds"
            hint = f"set the length of the audio clips, such as seconds: {median:.2g} (half of them are longer)"
            raise DataError(Problem(files.place, message, hint))
        form = AudioForm(rate, int(lengths[longest]))
    else:
        form = AudioForm(rate, round(seconds * rate))
        if not form.samples:
            message = f"{seconds:g} seconds at {rate:,} samples a second are not one sample"
            raise DataError(Problem(files.place, message))
    if form.samples > MOST_SAMPLES:
        length = f"{form.seconds:,g} seconds at {rate:,} samples a second"
        message = f"{length} are {form.samples:,} samples an audio clip; expected at most {MOST_SAMPLES:,}"
        raise DataError(Problem(files.place, message))
    return form
