"""Columns of a table that name image or audio files."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dltool.config.image_size import ImageSize, refuse_giant
from dltool.config.section import Section

MOST_RATE = 1_000_000
"""Samples a second; the filter that resamples grows with the rate."""
Rate = Annotated[int, Field(ge=1, le=MOST_RATE)]


class ImageColumn(Section):
    """Paths of image files, relative to the table."""

    size: ImageSize
    """Height and width in pixels."""
    channels: Literal[1, 3, 4] = 3
    """1 is grey, 3 is colour, 4 is colour with transparency."""
    resize: Literal["stretch", "crop", "pad"] = "stretch"
    """How images of another aspect ratio are fitted: stretched, cropped, or padded with the background."""
    background: Literal["black", "white"] = "black"
    """The colour behind transparent pixels and of the padding."""
    bits: Annotated[int, Field(ge=8, le=16)] = 16
    """The bits of a value in grey images with more than 8: cameras and scanners may use 10, 12 or 14 of 16 bits."""
    folder: str = ""
    """The folder of the files, relative to the table, or a pattern of folders: "part_*". Default: that of the table."""
    ending: str = ""
    """The ending of the file names, such as ".jpg", if the column has none."""
    remove: str = ""
    """The beginning of the paths that is left out, such as the folders of another machine."""

    @model_validator(mode="after")
    def is_no_giant(self) -> Self:
        if self.is_known:
            refuse_giant(self.size, self.channels)
        return self


class AudioColumn(Section):
    """Paths of audio files (WAV, FLAC, Ogg or MP3), relative to the table."""

    seconds: Annotated[float, Field(gt=0)]
    """The length of a clip. Longer audio clips are cut, shorter ones padded with silence."""
    rate: Rate | None = None
    """The sample rate in Hz, to which files of other rates are resampled. Default: that of the first file."""
    folder: str = ""
    """The folder of the files, relative to the table, or a pattern of folders: "part_*". Default: that of the table."""
    ending: str = ""
    """The ending of the file names, such as ".wav", if the column has none."""
    remove: str = ""
    """The beginning of the paths that is left out, such as the folders of another machine."""


FileColumn = ImageColumn | AudioColumn
