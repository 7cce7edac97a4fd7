"""The source `audio`, and columns of audio files: audio clips as rows of float32 samples.

They are decoded once, into memory, or on every access if they do not fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import ClassVar

import numpy as np

from dltool.config.columns import AudioColumn
from dltool.config.folder_sources import AudioSource
from dltool.data.examples import SourceExamples
from dltool.data.files.digests import file_digests
from dltool.data.files.file_tree import Access, Reader, UnreadableMember
from dltool.data.files.listing import Member, printable
from dltool.data.media.clip import ClipHeader
from dltool.data.media.codecs import EXTENSIONS, AudioForm, clip_header, decode_clip
from dltool.data.media.load import DecodedFiles, files_named, load_class_folders
from dltool.data.media.rows import DecodedRows, Decoder, unusable
from dltool.data.media.worker import Fault
from dltool.errors import ConfigPath, DataError, Problem

DEFAULT_BUDGET = 2**30
MOST_SAMPLES = 100_000_000
MOST_SECONDS = 60
"""Without `seconds`, clips are padded to the longest: one very long clip would lengthen all of them."""
ENOUGH_FOR_A_HEADER = 64 * 1024
NOUN = "audio clip"


@dataclass(frozen=True)
class ClipDecoder(Decoder):
    """Decodes audio clips to one rate, cut or padded to one length: (samples,) of float32."""

    form: AudioForm
    noun: ClassVar[str] = NOUN
    dtype: ClassVar[type] = np.float32

    @property
    def row_shape(self) -> tuple[int, ...]:
        return (self.form.samples,)

    def decode_into(self, row: np.ndarray, content: bytes, name: str) -> None:
        clip = decode_clip(name, content, self.form)
        row[: len(clip)] = clip


def load_audio(
    options: AudioSource, place: ConfigPath, budget: int = DEFAULT_BUDGET, *, use_cache: bool = True
) -> SourceExamples:
    """Load the clips of class folders, with the input "audio". See :func:`dltool.data.media.load.load_class_folders`.

    The default rate is that of the first training clip, the default length that of the longest. At most `budget` bytes
    of samples are kept in memory. `use_cache`: see :func:`dltool.data.files.digests.file_digests`."""

    def decoded(access: Access, members: Sequence[Member], place: ConfigPath, training: int) -> DecodedFiles:
        return decode_clips(access, members, place, (options.rate, options.seconds), training, budget, use_cache)

    return load_class_folders(options, place, ("audio", "audio", NOUN), EXTENSIONS, decoded)


def load_audio_files(
    paths: np.ndarray,
    folder: Path,
    options: AudioColumn,
    place: ConfigPath,
    budget: int = DEFAULT_BUDGET,
    *,
    use_cache: bool = True,
) -> DecodedFiles:
    """Load the clips that a column of a table names: `paths` (rows,) of text, relative to `folder` or absolute. Raises
    DataError: all rows without a path or a file, and all clips that cannot be decoded."""
    members, access = files_named(paths, folder, place, NOUN), Access(str(folder), "folder")
    return decode_clips(access, members, place, (options.rate, options.seconds), len(members), budget, use_cache)


def rate_of(path: str, folder: Path, place: ConfigPath) -> int:
    """Return the sampling rate of one clip. Raises DataError: it cannot be read."""
    members = files_named(np.array([path]), folder, place, NOUN)
    (header,) = headers_of(Reader(Access(str(folder), "folder"), place), members, place)
    return header.rate


def decode_clips(
    access: Access,
    members: Sequence[Member],
    place: ConfigPath,
    asked: tuple[int | None, float | None],
    training: int,
    budget: int,
    use_cache: bool | None,
) -> DecodedFiles:
    """Decode `members` in their order, into memory if `budget` allows. `asked` are the rate and the seconds; the first
    `training` members determine missing ones. Rows in memory have no digests, and none have without `use_cache`."""
    reader = Reader(access, place)
    form = audio_form(asked, headers_of(reader, members, place)[:training], members, place)
    decoder = ClipDecoder(reader, access.path, place, form)
    settled = {"rate": form.rate, "seconds": form.seconds}
    if len(members) * form.samples * 4 <= budget:
        return DecodedFiles(decoder.rows(members), settled)
    digests = None if use_cache is None else file_digests(access, members, place, use_cache=use_cache)
    return DecodedFiles(DecodedRows(decoder, tuple(members)), settled, digests)


def headers_of(reader: Reader, members: Sequence[Member], place: ConfigPath) -> list[ClipHeader]:
    """Return the header of each clip. Raises DataError naming all clips that cannot be read."""
    found = [header_of(reader, row, member) for row, member in enumerate(members)]
    faults = [header for header in found if isinstance(header, Fault)]
    if faults:
        raise DataError(unusable(NOUN, faults, members, reader.access.path, place))
    return [header for header in found if isinstance(header, ClipHeader)]


def header_of(reader: Reader, row: int, member: Member) -> ClipHeader | Fault:
    """Read a header, from the beginning of the file if that is enough."""
    try:
        header = clip_header(member.name, reader.read_start(member, ENOUGH_FOR_A_HEADER), member.size)
        return header or clip_header(member.name, reader.read(member)) or Fault(row, "damaged")
    except UnreadableMember as error:
        return Fault(row, str(error))


def audio_form(
    asked: tuple[int | None, float | None], headers: Sequence[ClipHeader], members: Sequence[Member], place: ConfigPath
) -> AudioForm:
    """Return the form of all clips. Raises DataError: less than one sample, or a very long clip without `seconds`."""
    rate, seconds = asked
    rate = rate or headers[0].rate
    if seconds is not None:
        samples = round(seconds * rate)
        if not samples:
            raise DataError(Problem(place, f"{seconds:g} seconds at {rate:,} samples a second are not one sample"))
        return moderate(AudioForm(rate, samples), place)
    lengths = np.array([ceil(header.frames * rate / header.rate) for header in headers])
    longest = int(np.argmax(lengths))
    if lengths[longest] > MOST_SECONDS * rate:
        median = float(np.median(lengths)) / rate
        message = f"{printable(members[longest].name)} has {lengths[longest] / rate:,.1f} seconds"
        hint = f"set the length of the audio clips, such as seconds: {max(median, 0.1):.2g} (half of them are longer)"
        raise DataError(Problem(place, message, hint))
    return moderate(AudioForm(rate, int(lengths[longest])), place)


def moderate(form: AudioForm, place: ConfigPath) -> AudioForm:
    """Return the form. Raises DataError: implausibly many samples."""
    if form.samples > MOST_SAMPLES:
        message = (
            f"{form.seconds:,g} seconds at {form.rate:,} samples a second are {form.samples:,} samples an audio clip"
        )
        raise DataError(Problem(place, f"{message}; expected at most {MOST_SAMPLES:,}"))
    return form
