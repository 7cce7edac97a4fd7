"""Shared by all audio codecs: the header of a clip, and the error of an unreadable one."""

from dataclasses import dataclass

from dltool.config.file_columns import MOST_RATE
from dltool.data.files.file_tree import UnreadableMember


class BadClip(UnreadableMember):
    """An audio clip cannot be decoded; the message gives the reason without the name."""


@dataclass(frozen=True, kw_only=True)
class ClipHeader:
    """`rate` is in samples a second; each channel has `frames` samples."""

    rate: int
    frames: int

    def __post_init__(self) -> None:
        if self.rate > MOST_RATE:
            raise BadClip(f"damaged: its header declares {self.rate:,} samples a second; {MOST_RATE:,} are the most")
