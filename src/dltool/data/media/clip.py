"""What all audio codecs share: the header of a clip, and the error of one that cannot be read."""

from dataclasses import dataclass

from dltool.data.files.file_tree import UnreadableMember


class BadClip(UnreadableMember):
    """An audio clip cannot be decoded; the message says why and does not name it."""


@dataclass(frozen=True, kw_only=True)
class ClipHeader:
    """`rate` is in samples a second; `frames` samples of each channel."""

    rate: int
    frames: int
