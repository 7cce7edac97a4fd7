"""Decodes one image file to height × width × channels of uint8. Needs Pillow alone."""

import functools
import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import Literal

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError, features

from dltool.data.files.file_tree import UnreadableMember

FORMATS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    ".png": "PNG",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".webp": "WEBP",
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), "PPM"),
    **dict.fromkeys((".jp2", ".j2k", ".jpx") if features.check("jpg_2000") else (), "JPEG2000"),
    **dict.fromkeys((".avif",) if features.check("avif") else (), "AVIF"),
}
"""Pillow's formats by file extension. A new format needs one line here."""
EXTENSIONS = tuple(FORMATS)
PILLOW_FORMATS = tuple(dict.fromkeys(FORMATS.values()))
# Some 10,000 × 9,000. Pillow warns from this number on.
MOST_PIXELS = 89_478_485
USUAL_BITS = (8, 10, 12, 14)
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
GREY = frozenset({"1", "L", "I", "F", "I;16"})
WITH_ALPHA = {"RGBA", "LA", "PA", "RGBa", "La"}
# Exceptions that Pillow raises for damaged files, besides OSError.
DAMAGE = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError),
    *(struct.error, zlib.error, MemoryError, Image.DecompressionBombError),
)
# JPEG can be decoded at 1/2, 1/4 or 1/8 of its size. Twice the target size preserves the quality.
DRAFT = 2
PNG_START = b"\x89PNG\r\n\x1a\n"
ENDS = {b"\xff\xd8": b"\xff\xd9", b"GI": b";"}
"""The last bytes of JPEG and GIF files, by their first."""
PNG_CHUNK = struct.Struct(">I4s")


class BadImage(UnreadableMember):
    """An image cannot be decoded; the message gives the reason without the name."""


@dataclass(frozen=True)
class ImageForm:
    """The form of decoded images. `size` is (height, width); None keeps the size of each."""

    size: tuple[int, int] | None
    channels: Literal[1, 3, 4]
    resize: Literal["stretch", "crop", "pad"]
    background: Literal["black", "white"] = "black"
    bits: int = 16


def decode(content: bytes, form: ImageForm) -> tuple[bytes, tuple[int, int]]:
    """Return the pixels, row by row, and the (height, width).

    The first frame is used, rotated as EXIF says. Grey of more than 8 bits is scaled to 8 bits. Without transparency in
    `form`, transparent pixels are drawn over its background. Other sizes are resampled bilinearly with antialiasing.
    Raises BadImage: not an image, a damaged one, or one of more than `MOST_PIXELS`."""
    image = opened(content)
    try:
        if image.format == "PNG":
            check_png(content)
        draft(image, form)
        image.load()
        if orientation(image) != 1:
            image = ImageOps.exif_transpose(image)
        image = in_channels(image, form)
        if form.size is not None:
            image = fitted(image, *form.size, form.resize, background=form.background)
        return image.tobytes(), (image.height, image.width)
    except MemoryError:
        raise BadImage("damaged, or too large for the memory") from None
    except DAMAGE as error:
        raise BadImage(f"damaged: {error}") from None


def draft(image: Image.Image, form: ImageForm) -> None:
    """Decode a JPEG no larger than needed, and without colour if grey is wanted."""
    longer = DRAFT * max(form.size or image.size)
    is_large = min(image.size) >= 2 * longer
    if is_large or form.channels == 1:
        image.draft(MODES[form.channels], (longer, longer) if is_large else None)


def size_of(content: bytes) -> tuple[int, int]:
    """Return the (height, width) of an image after EXIF rotation, from its header alone; `content` may end after it.
    Raises BadImage as :func:`decode`."""
    image = opened(content)
    if orientation(image) in (5, 6, 7, 8):
        return image.width, image.height
    return image.height, image.width


def size_if_whole(content: bytes, form: ImageForm) -> tuple[int, int]:
    """Return the size as :func:`size_of`, and find truncated files.

    A file with an unusual end may still be complete, and is decoded to find out. Raises BadImage as :func:`decode`, but
    not for damage within the pixels."""
    size = size_of(content)
    if content.startswith(PNG_START):
        check_png(content)
    elif content[:2] not in ENDS or not content.endswith(ENDS[content[:2]]):
        decode(content, form)
    return size


def opened(content: bytes) -> Image.Image:
    """Open an image and read its header alone."""
    quiet_pillow()
    if not content:
        raise BadImage("the file is empty")
    try:
        image = Image.open(io.BytesIO(content), formats=PILLOW_FORMATS)
    except UnidentifiedImageError:
        raise BadImage(
            "no JPEG, PNG, GIF, BMP, WebP, AVIF, TIFF, PPM or JPEG 2000 image, or a damaged header"
        ) from None
    except Image.DecompressionBombError:
        raise BadImage(f"its header declares more than {2 * MOST_PIXELS:,} pixels") from None
    except MemoryError:
        raise BadImage("a damaged header, or too large for the memory") from None
    except DAMAGE as error:
        raise BadImage(f"damaged header: {error}") from None
    if image.width * image.height > MOST_PIXELS:
        message = f"its header declares {image.width:,} × {image.height:,} pixels; {MOST_PIXELS:,} are the most"
        raise BadImage(message)
    return image


@functools.cache
def quiet_pillow() -> None:
    """Silence Pillow's warnings about metadata, of which there may be thousands."""
    warnings.filterwarnings("ignore", module=r"PIL\.")


def check_png(content: bytes) -> None:
    """Verify the checksums of the pixels, which Pillow ignores. Raises BadImage."""
    view = memoryview(content)
    position = len(PNG_START)
    while position + PNG_CHUNK.size + 4 <= len(content):
        length, kind = PNG_CHUNK.unpack_from(content, position)
        end = position + PNG_CHUNK.size + length
        if zlib.crc32(view[position + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            raise BadImage("damaged: a checksum is wrong")
        if kind == b"IEND":
            return
        position = end + 4
    raise BadImage("damaged: the file ends too early")


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1…8. Damaged metadata are ignored."""
    if not any(key in image.info for key in ("exif", "xmp", "Raw profile type exif")):
        return 1
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except DAMAGE:
        return 1


def in_channels(image: Image.Image, form: ImageForm) -> Image.Image:
    channels = form.channels
    if image.mode == "F":
        raise BadImage("its pixels are floating-point numbers; integers of 8 or 16 bits are read")
    if image.mode.startswith("I"):
        image = in_8_bits(image, form.bits)
    if image.mode == MODES[channels] and (channels == 4 or "transparency" not in image.info):
        return image
    if channels == 4:
        # Pillow cannot convert CMYK to RGBA directly.
        return (image.convert("RGB") if image.mode == "CMYK" else image).convert("RGBA")
    if has_transparency(image):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, form.background), image)
    return image.convert("RGB").convert(MODES[channels])


def has_transparency(image: Image.Image) -> bool:
    return image.mode in WITH_ALPHA or "transparency" in image.info


def used_bits(image: Image.Image) -> int:
    """Return the least usual number of bits for the values of a grey image of more than 8 bits; 0 for other images."""
    import numpy as np

    if not image.mode.startswith("I"):
        return 0
    bits = int(np.asarray(image).max()).bit_length()
    return next((usual for usual in USUAL_BITS if bits <= usual), 16)


def in_8_bits(image: Image.Image, bits: int) -> Image.Image:
    """Scale 0…2^bits - 1 to 0…255. Pillow's own conversion would clip at 255."""
    import numpy as np

    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise BadImage("its pixels have more than 16 bits; integers of 8 or 16 bits are read")
    most = 2**bits - 1
    if values.max() > most:
        raise BadImage(f"it has the value {values.max():,}, and {bits} bits are at most {most:,}")
    return Image.fromarray(((values * 255 + most // 2) // most).astype(np.uint8))


def fitted(
    image: Image.Image,
    height: int,
    width: int,
    resize: str,
    how: Image.Resampling = Image.Resampling.BILINEAR,
    background: str = "black",
) -> Image.Image:
    if image.size == (width, height):
        return image
    if resize == "stretch":
        return image.resize((width, height), how)
    if resize == "crop":
        scale = min(image.width / width, image.height / height)
        left, top = (image.width - scale * width) / 2, (image.height - scale * height) / 2
        return image.resize((width, height), how, (left, top, image.width - left, image.height - top))
    scale = min(width / image.width, height / image.height)
    inner = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    canvas = Image.new(image.mode, (width, height), 0 if background == "black" else background)
    canvas.paste(image.resize(inner, how), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return canvas
