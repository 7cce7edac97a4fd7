import io
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features
from tests.data.pictures import encoded, pixels
from tests.many_examples import many_examples

from dltool.data.media.image_decode import BadImage, ImageForm, decode, size_of

AS_IT_IS = ImageForm(None, 3, "stretch")
COLOUR = pixels(12, 18)


def decoded(content: bytes, form: ImageForm = AS_IT_IS) -> np.ndarray:
    values, (height, width) = decode(content, form)
    return np.frombuffer(values, np.uint8).reshape(height, width, form.channels)


def in_channels(content: bytes, channels: int) -> np.ndarray:
    return decoded(content, ImageForm(None, channels, "stretch"))  # type: ignore[arg-type]


LOSSLESS = {"PNG": {}, "BMP": {}, "WEBP": {"lossless": True}}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_pictures_are_decoded_exactly(kind):
    np.testing.assert_array_equal(decoded(encoded(COLOUR, kind, **LOSSLESS[kind])), COLOUR)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_jpeg_is_decoded_as_pillow_does(options):
    content = encoded(COLOUR, "JPEG", quality=95, **options)
    np.testing.assert_array_equal(decoded(content), np.asarray(Image.open(io.BytesIO(content))))
    assert np.abs(decoded(content).astype(int) - COLOUR).max() < 16


def test_the_first_frame_of_an_animation_is_taken():
    frames = [Image.fromarray(np.full((6, 7, 3), value, np.uint8)) for value in (10, 200)]
    for kind in ("GIF", "WEBP", "PNG"):
        content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
        assert (decoded(content) == 10).all()


def test_grey_becomes_colour_and_colour_grey():
    grey = pixels(5, 6, 1)
    np.testing.assert_array_equal(in_channels(encoded(grey), 3), np.dstack([grey] * 3))
    np.testing.assert_array_equal(in_channels(encoded(grey), 1)[..., 0], grey)
    expected = np.asarray(Image.fromarray(COLOUR).convert("L"))
    np.testing.assert_array_equal(in_channels(encoded(COLOUR), 1)[..., 0], expected)


def test_16_bit_grey_is_scaled_to_8_bits():
    values = np.array([[0, 128, 129, 257, 32896, 65535]], np.uint16)
    np.testing.assert_array_equal(in_channels(encoded(values), 1).ravel(), [0, 0, 1, 1, 128, 255])
    assert in_channels(encoded(values), 3).shape == (1, 6, 3)


def test_a_palette_becomes_its_colours():
    picture = Image.fromarray(COLOUR).quantize(16)
    for kind in ("PNG", "GIF", "BMP"):
        np.testing.assert_array_equal(decoded(encoded(picture, kind)), np.asarray(picture.convert("RGB")))


def test_black_and_white_become_0_and_255():
    picture = Image.fromarray(np.array([[True, False]]))
    np.testing.assert_array_equal(in_channels(encoded(picture), 1).ravel(), [255, 0])


def test_what_is_transparent_lies_over_black():
    values = np.array([[[200, 100, 50, 255], [200, 100, 50, 0], [200, 100, 50, 128]]], np.uint8)
    np.testing.assert_array_equal(in_channels(encoded(values), 3)[0], [[200, 100, 50], [0, 0, 0], [100, 50, 25]])
    np.testing.assert_array_equal(in_channels(encoded(values), 4), values)


def test_a_transparent_colour_of_a_palette_lies_over_black():
    picture = Image.fromarray(np.array([[0, 1]], np.uint8), mode="P")
    picture.putpalette([255, 0, 0, 0, 255, 0])
    for kind in ("PNG", "GIF"):
        content = encoded(picture, kind, transparency=1)
        np.testing.assert_array_equal(in_channels(content, 3)[0], [[255, 0, 0], [0, 0, 0]])
        assert in_channels(content, 4)[0, 1, 3] == 0


def test_pictures_without_transparency_are_opaque():
    assert (in_channels(encoded(COLOUR), 4)[..., 3] == 255).all()
    assert (in_channels(encoded(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"), 4)[..., 3] == 255).all()


def test_cmyk_becomes_colour():
    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert np.abs(decoded(encoded(red, "JPEG", quality=100)).astype(int) - (255, 0, 0)).max() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(orientation):
    turned = {
        1: COLOUR,
        2: COLOUR[:, ::-1],
        3: COLOUR[::-1, ::-1],
        4: COLOUR[::-1],
        5: COLOUR.swapaxes(0, 1),
        6: np.rot90(COLOUR, 1),
        7: COLOUR[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(COLOUR, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(np.ascontiguousarray(turned), "PNG", exif=exif)
    np.testing.assert_array_equal(decoded(content), COLOUR)
    jpeg = encoded(np.ascontiguousarray(turned), "JPEG", exif=exif)
    assert size_of(jpeg) == COLOUR.shape[:2]


def test_damaged_metadata_do_not_spoil_a_picture():
    content = encoded(COLOUR, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert decoded(content).shape == COLOUR.shape


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(4, 4), (30, 7), (1, 50), (12, 18)])
def test_every_way_to_resize_gives_the_size(resize, size):
    for source in (COLOUR, pixels(1, 300), pixels(300, 1)):
        assert decoded(encoded(source), ImageForm(size, 3, resize)).shape == (*size, 3)


def test_stretching_is_pillows_bilinear_resampling_with_antialiasing():
    expected = Image.fromarray(COLOUR).resize((5, 4), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(decoded(encoded(COLOUR), ImageForm((4, 5), 3, "stretch")), np.asarray(expected))


def test_cropping_keeps_the_middle():
    columns = np.repeat(np.arange(12, dtype=np.uint8)[None] * 10, 4, axis=0)
    result = decoded(encoded(columns), ImageForm((4, 4), 1, "crop"))
    np.testing.assert_array_equal(result[..., 0], columns[:, 4:8])


def test_padding_adds_a_black_border():
    white = np.full((4, 8, 3), 255, np.uint8)
    result = decoded(encoded(white), ImageForm((8, 8), 3, "pad"))
    assert (result[2:6] == 255).all()
    assert not result[:2].any()
    assert not result[6:].any()


def test_a_large_jpeg_is_about_the_same_decoded_smaller():
    large = pixels(480, 640)
    form = ImageForm((24, 32), 3, "stretch")
    jpeg, png = (decoded(encoded(large, kind), form).astype(int) for kind in ("JPEG", "PNG"))
    assert np.abs(jpeg - png).max() < 16


def message_of(content: bytes) -> str:
    with pytest.raises(BadImage) as error:
        decode(content, AS_IT_IS)
    return str(error.value)


def test_what_is_no_picture_is_told():
    assert message_of(b"") == "the file is empty"
    assert (
        message_of(b"not an image")
        == "no JPEG, PNG, GIF, BMP, WebP, AVIF, TIFF, PPM or JPEG 2000 image, or a damaged header"
    )
    assert message_of(encoded(COLOUR, "ICO")).startswith("no JPEG")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_picture_is_damaged(kind, share):
    content = encoded(pixels(64, 64), kind)
    assert "damaged" in message_of(content[: int(len(content) * share)])


def test_a_changed_byte_of_a_png_is_found():
    content = bytearray(encoded(COLOUR))
    content[content.index(b"IDAT") + 20] ^= 1
    assert message_of(bytes(content)) == "damaged: a checksum is wrong"


def png_header(height: int, width: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + b"\0\0\1\0IDAT"


@pytest.mark.parametrize("side", [10_000, 100_000])
def test_a_bomb_is_refused_by_its_header(side):
    for read in (size_of, lambda content: decode(content, AS_IT_IS)):
        with pytest.raises(BadImage, match="its header declares"):
            read(png_header(side, side) + bytes(100))


@many_examples(300)
@given(st.sampled_from(["JPEG", "PNG", "GIF", "BMP", "WEBP"]), st.integers(0, 10_000), st.integers(1, 255))
def test_no_damage_gets_past_bad_image(kind, position, change):
    content = bytearray(encoded(COLOUR, kind))
    content[position % len(content)] ^= change
    for read in (size_of, lambda changed: decode(changed, ImageForm((4, 4), 3, "pad"))):
        with suppress(BadImage):
            read(bytes(content))


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000"])
def test_newer_formats_are_read_as_pillow_does(kind):
    if not features.check({"AVIF": "avif", "JPEG2000": "jpg_2000"}[kind]):
        pytest.skip("this Pillow cannot write it")
    content = encoded(COLOUR, kind)
    np.testing.assert_array_equal(decoded(content), np.asarray(Image.open(io.BytesIO(content))))


def test_fewer_bits_than_16_are_scaled_by_their_number():
    values = np.array([[0, 1000, 2048, 4095]], np.uint16)
    form = ImageForm(None, 1, "stretch", bits=12)
    assert decoded(encoded(values), form)[0, :, 0].tolist() == [round(each / 4095 * 255) for each in values[0].tolist()]
    with pytest.raises(BadImage, match="it has the value 4,096, and 12 bits are at most 4,095"):
        decode(encoded(values + np.uint16(1)), form)


@pytest.mark.parametrize("channels", [1, 3])
def test_transparency_and_padding_may_be_white(channels):
    clear = encoded(np.zeros((4, 8, 4), np.uint8))
    assert (decoded(clear, ImageForm((8, 8), channels, "pad", "white")) == 255).all()
    assert (decoded(clear, ImageForm((8, 8), channels, "pad")) == 0).all()
