"""The source `audio`, and columns of recordings: WAV files as rows of float32 samples.

They are decoded once, into memory; where there are too many for that, each time that they are asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import ceil
from pathlib import Path

import numpy as np

from dltool.config.columns import AudioColumn
from dltool.config.folder_sources import AudioSource
from dltool.data.examples import Examples, SourceExamples, examples_of_items
from dltool.data.files.class_folders import PartName, labelled
from dltool.data.files.digests import file_digests
from dltool.data.files.file_tree import Access, Reader, open_members
from dltool.data.files.listing import Member, printable
from dltool.data.media.audio_rows import AudioForm, DecodedSounds, Recordings
from dltool.data.media.images import files_named
from dltool.data.media.wav import WavHeader
from dltool.errors import ConfigPath, DataError, Problem

EXTENSIONS = (".wav", ".wave")
DEFAULT_BUDGET = 2**30
MOST_SAMPLES = 100_000_000
MOST_SECONDS = 60
"""Without `seconds`, recordings are padded to the longest: one very long one would make all of them so."""


@dataclass(frozen=True)
class Sounds:
    """`rows` (recordings, samples) of float32 between -1 and 1. `digests` (recordings, 32), of rows that are not in
    memory and where they were asked for, are those of the files.
    """

    rows: np.ndarray | DecodedSounds
    form: AudioForm
    digests: np.ndarray | None = None

    def part(self, first: int, stop: int) -> np.ndarray | DecodedSounds:
        return self.rows.part(first, stop) if isinstance(self.rows, DecodedSounds) else self.rows[first:stop]


@dataclass(frozen=True)
class AudioExamples:
    """What a folder of recordings gives. Another source is like it with `rate: form.rate, seconds: form.seconds`."""

    examples: SourceExamples
    form: AudioForm


def load_audio(
    options: AudioSource, place: ConfigPath, budget: int = DEFAULT_BUDGET, *, use_cache: bool = True
) -> AudioExamples:
    """The recordings of class folders, with the input "audio". `place` is that of the source in the config.

    The rate is that of the first training recording and the length that of the longest one, unless given. `budget` is
    how many bytes of samples may be in memory. `use_cache`: see :func:`dltool.data.files.digests.file_digests`.

    Raises:
        DataError: with all the files that are refused, have no class, or cannot be decoded.
    """
    place = (*place, "audio")
    members = open_members(options.path, (*place, "path"))
    found = labelled(members, EXTENSIONS, options.pattern, place, "recording")
    # The training part first: it alone decides the form.
    parts = sorted(found.parts.items(), key=lambda part: part[0] != "training")
    chosen = [item.member for item in chain.from_iterable(items for _, items in parts)]
    recordings = Recordings(Reader(members.access, place), members.path, (*place, "path"))
    training = len(found.parts["training"])
    sounds = load_sounds(recordings, chosen, (options.rate, options.seconds), budget, training)
    sounds = with_digests(sounds, members.access, chosen, (*place, "path"), use_cache)
    loaded: dict[PartName, Examples] = {}
    first = 0
    for name, items in parts:
        inputs = {"audio": sounds.part(first, first + len(items))}
        part = examples_of_items(inputs, items, (*place, "path"), f"the {name} part of {Path(members.path).name}")
        if sounds.digests is not None:
            part = replace(part, digests={"audio": sounds.digests[first : first + len(items)]})
        loaded[name] = part
        first += len(items)
    return AudioExamples(SourceExamples(loaded, warnings=found.warnings), sounds.form)


def load_audio_files(
    paths: np.ndarray,
    folder: Path,
    options: AudioColumn,
    place: ConfigPath,
    budget: int = DEFAULT_BUDGET,
    *,
    use_cache: bool = True,
) -> Sounds:
    """The recordings that a column of a table names: `paths` (rows,) of text, relative to `folder` or absolute. With
    digests where they are not in memory.

    Raises:
        DataError: with all the rows without a path or a file, and all the recordings that cannot be decoded.
    """
    members, access = files_named(paths, folder, place, "recording"), Access(str(folder), "folder")
    recordings = Recordings(Reader(access, place), str(folder), place)
    sounds = load_sounds(recordings, members, (options.rate, options.seconds), budget, len(members))
    return with_digests(sounds, access, members, place, use_cache)


def with_digests(
    sounds: Sounds, access: Access, members: Sequence[Member], place: ConfigPath, use_cache: bool
) -> Sounds:
    """Recordings in memory are compared themselves."""
    if isinstance(sounds.rows, np.ndarray):
        return sounds
    return replace(sounds, digests=file_digests(access, members, place, use_cache=use_cache))


def rate_of(path: str, folder: Path, place: ConfigPath) -> int:
    """Samples a second of one recording. Raises: DataError: it cannot be read."""
    members = files_named(np.array([path]), folder, place, "recording")
    (header,) = Recordings(Reader(Access(str(folder), "folder"), place), str(folder), place).headers(members)
    return header.rate


def load_sounds(
    recordings: Recordings,
    members: Sequence[Member],
    asked: tuple[int | None, float | None],
    budget: int,
    training: int,
) -> Sounds:
    """`asked` are the rate and the seconds; the first `training` members decide what is not asked for."""
    headers = recordings.headers(members)
    form = audio_form(asked, headers[:training], members, recordings.place)
    if len(members) * form.samples * 4 > budget:
        return Sounds(DecodedSounds(recordings, tuple(members), form), form)
    return Sounds(recordings.samples(members, form), form)


def audio_form(
    asked: tuple[int | None, float | None], headers: Sequence[WavHeader], members: Sequence[Member], place: ConfigPath
) -> AudioForm:
    """Raises: DataError: `seconds` is not given and one recording is very long, or it is not even one sample."""
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
        hint = f"say how long recordings shall be, such as seconds: {max(median, 0.1):.2g} (half of them are longer)"
        raise DataError(Problem(place, message, hint))
    return moderate(AudioForm(rate, int(lengths[longest])), place)


def moderate(form: AudioForm, place: ConfigPath) -> AudioForm:
    """Raises: DataError: more samples than can be meant."""
    if form.samples > MOST_SAMPLES:
        message = (
            f"{form.seconds:,g} seconds at {form.rate:,} samples a second are {form.samples:,} samples a recording"
        )
        raise DataError(Problem(place, f"{message}, and at most {MOST_SAMPLES:,} can be meant"))
    return form
