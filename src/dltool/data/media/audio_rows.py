"""Recordings row by row: decoded, brought to one rate, and cut or padded to one length."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import Any

import numpy as np

from dltool.data.files.file_tree import Reader, UnreadableMember
from dltool.data.files.listing import SHOWN, Member, printable
from dltool.data.media.resample import input_needed, resampled
from dltool.data.media.wav import BadWav, WavHeader, wav_header, wav_samples
from dltool.errors import ConfigPath, DataError, Problem
from dltool.machine import usable_cores

ENOUGH_FOR_A_HEADER = 64 * 1024


@dataclass(frozen=True)
class AudioForm:
    """What all recordings are brought to: `rate` samples a second, `samples` of them."""

    rate: int
    samples: int

    @property
    def seconds(self) -> float:
        """As an option it gives these samples again."""
        return self.samples / self.rate


@dataclass(frozen=True)
class ClipFault:
    """What is wrong with a recording, by its position."""

    row: int
    message: str


@dataclass(frozen=True)
class Recordings:
    """How recordings are read in this process. `path` and `place` are for messages."""

    reader: Reader
    path: str
    place: ConfigPath

    @cached_property
    def threads(self) -> ThreadPoolExecutor:
        # Reading and NumPy mostly let go of the interpreter.
        return ThreadPoolExecutor(usable_cores(), "recordings")

    def headers(self, members: Sequence[Member]) -> list[WavHeader]:
        """Raises: DataError: naming all recordings that cannot be read."""
        found = [self.header(row, member) for row, member in enumerate(members)]
        faults = [header for header in found if isinstance(header, ClipFault)]
        if faults:
            raise self.error(faults, members)
        return [header for header in found if isinstance(header, WavHeader)]

    def header(self, row: int, member: Member) -> WavHeader | ClipFault:
        """From the beginning of the file where that is enough."""
        try:
            header = wav_header(self.reader.read_start(member, ENOUGH_FOR_A_HEADER), member.size)
            return header or wav_header(self.reader.read(member)) or ClipFault(row, "damaged")
        except (BadWav, UnreadableMember) as error:
            return ClipFault(row, str(error))

    def samples(self, members: Sequence[Member], form: AudioForm) -> np.ndarray:
        """(members, samples) of float32. Raises: DataError: naming all recordings that cannot be read."""
        result = np.zeros((len(members), form.samples), np.float32)
        pieces = usable_cores() * 4
        firsts = [len(members) * piece // pieces for piece in range(pieces)]
        parts = [members[first:stop] for first, stop in zip(firsts, [*firsts[1:], len(members)], strict=True)]
        filled = self.threads.map(self.fill, repeat(result), firsts, parts, repeat(form))
        faults = [fault for found in filled for fault in found]
        if faults:
            raise self.error(faults, members)
        return result

    def fill(self, result: np.ndarray, first: int, members: Sequence[Member], form: AudioForm) -> list[ClipFault]:
        """Decode members into rows of `result`, from `first` on."""
        faults = []
        for row, member in enumerate(members, first):
            try:
                sound = decoded(self.reader.read(member), form)
            except (BadWav, UnreadableMember) as error:
                faults.append(ClipFault(row, str(error)))
                continue
            result[row, : len(sound)] = sound
        return faults

    def error(self, faults: Sequence[ClipFault], members: Sequence[Member]) -> DataError:
        shown = "; ".join(f"{printable(members[fault.row].name)} ({fault.message})" for fault in faults[:SHOWN])
        more = f"; and {len(faults) - SHOWN:,} more" if len(faults) > SHOWN else ""
        counted = "1 recording" if len(faults) == 1 else f"{len(faults):,} recordings"
        return DataError(Problem(self.place, f"{counted} in {self.path} cannot be used: {shown}{more}"))


def decoded(content: bytes, form: AudioForm) -> np.ndarray:
    """At most `form.samples` samples of a WAV file, (samples,) of float32 between -1 and 1.

    Raises:
        BadWav: it cannot be read.
    """
    header = wav_header(content)
    if header is None:
        raise BadWav("damaged")
    if header.rate == form.rate:
        return wav_samples(content, header, form.samples)
    # What comes after the cut counts a little, as far as the filter reaches.
    samples = wav_samples(content, header, input_needed(header.rate, form.rate, form.samples))
    return np.asarray(np.clip(resampled(samples, header.rate, form.rate, form.samples), -1, 1))


@dataclass(frozen=True)
class DecodedSounds:
    """Recordings that are decoded, in several threads, as they are asked for: (rows, samples) of float32.

    Asking for a damaged one raises a DataError that names it.
    """

    recordings: Recordings
    members: tuple[Member, ...]
    form: AudioForm

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), self.form.samples)

    @property
    def dtype(self) -> Any:
        return np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self.recordings.samples([self.members[row] for row in np.arange(len(self))[rows]], self.form)

    def part(self, first: int, stop: int) -> "DecodedSounds":
        return DecodedSounds(self.recordings, self.members[first:stop], self.form)
