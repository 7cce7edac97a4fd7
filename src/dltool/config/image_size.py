"""The size of images in a config, and the largest one."""

import math
from typing import Annotated, Any

from pydantic import Field

from dltool.config.pydantic_errors import refusal
from dltool.errors import Problem

Count = Annotated[int, Field(ge=1)]
ImageSize = Annotated[tuple[Count, ...], Field(strict=False, min_length=2, max_length=2)]
MOST_PIXEL_VALUES = 100_000_000
"""The most values of one image, of one byte each."""


def refuse_giant(size: tuple[int, ...], channels: Any) -> None:
    """Raise PydanticCustomError if an image of that size has more than `MOST_PIXEL_VALUES` values."""
    # A number of channels may wait for the data.
    values = math.prod(size) * (channels if isinstance(channels, int) else 1)
    if values > MOST_PIXEL_VALUES:
        sizes = " × ".join(f"{length:,}" for length in (*size, channels))
        message = f"expected at most {MOST_PIXEL_VALUES:,} values per image, got {sizes} = {values:,}"
        raise refusal(Problem(("size",), message, "size is the height and width in pixels"))
