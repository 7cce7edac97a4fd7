"""Files of every audio codec and image format, each read by its ending."""

import io

import numpy as np
import pytest
import soundfile
from PIL import Image
from tests.wav_files import sound

from dltool.config.folder_sources import AudioSource, ImagesSource
from dltool.data.media.audio import CLIPS
from dltool.data.media.clip import BadClip
from dltool.data.media.codecs import AudioForm, clip_header, decode_clip
from dltool.data.media.image_decode import BadImage, ImageForm, decode, size_if_whole
from dltool.data.media.images import IMAGES
from dltool.data.media.load import load_class_folders
from dltool.errors import DataError

TONE = (np.sin(np.arange(8000) * 0.2) * 0.5).astype(np.float32)
LOSSY = {".ogg": {"format": "OGG", "subtype": "VORBIS"}, ".mp3": {"format": "MP3"}}
FORM = AudioForm(8000, 8000)


def encoded(ending: str, samples: np.ndarray = TONE) -> bytes:
    file = io.BytesIO()
    options = LOSSY.get(ending, {"format": "FLAC", "subtype": "PCM_16"})
    soundfile.write(file, samples, 8000, **options)
    return file.getvalue()


def test_flac_gives_the_samples_of_the_same_wav_file():
    as_wav = decode_clip("a.wav", sound(TONE), FORM)
    as_flac = decode_clip("a.FLAC", encoded(".flac", as_wav), FORM)
    np.testing.assert_array_equal(as_flac, as_wav)


@pytest.mark.parametrize("ending", LOSSY)
def test_lossy_codecs_give_nearly_the_same_samples(ending):
    found = decode_clip(f"a{ending}", encoded(ending), FORM)
    assert found.dtype == np.float32
    assert abs(len(found) - len(TONE)) <= 2400
    assert np.corrcoef(found[1000:5000], TONE[1000:5000])[0, 1] > 0.95


def test_the_channels_of_a_flac_file_are_averaged():
    stereo = np.stack([TONE, -TONE], axis=1)
    assert np.abs(decode_clip("a.flac", encoded(".flac", stereo), FORM)).max() < 1e-4


@pytest.mark.parametrize("ending", [".flac", ".ogg", ".mp3"])
@pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.6, 0.95])
def test_a_file_that_was_cut_off_is_never_read_as_a_shorter_one(ending, kept):
    whole = encoded(ending)
    cut = whole[: int(len(whole) * kept)]
    with pytest.raises(BadClip):
        decode_clip(f"a{ending}", cut, FORM)


def test_an_absurd_sample_rate_is_damage():
    with pytest.raises(BadClip, match="declares 16,785,216 samples a second"):
        clip_header("a.wav", sound(TONE, rate=16_785_216))


@pytest.mark.parametrize("ending", [".flac", ".ogg", ".mp3"])
def test_a_file_of_another_kind_is_refused(ending):
    with pytest.raises(BadClip, match="no FLAC, Ogg or MP3 file, or a damaged one"):
        clip_header(f"a{ending}", b"hello" * 99)


def test_a_folder_may_mix_codecs_and_names_what_is_damaged(tmp_path):
    for name, content in {
        "a/1.wav": sound(TONE),
        "a/2.flac": encoded(".flac"),
        "b/1.ogg": encoded(".ogg"),
        "b/2.mp3": encoded(".mp3"),
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    loaded = load_class_folders(CLIPS, AudioSource(path=str(tmp_path), seconds=0.5), ("data", "source"), 10**9)
    assert loaded.training.inputs["audio"].shape == (4, 4000)
    assert loaded.training.places["file"].tolist() == ["a/1.wav", "a/2.flac", "b/1.ogg", "b/2.mp3"]
    (tmp_path / "a/2.flac").write_bytes(encoded(".flac")[:-300])
    with pytest.raises(DataError, match=r"1 audio clip in .* cannot be used: a/2\.flac \("):
        load_class_folders(CLIPS, AudioSource(path=str(tmp_path), seconds=1.0), ("data", "source"), 10**9)


PIXELS = np.arange(60, dtype=np.uint8).reshape(4, 5, 3) * 4
IMAGE_FORM = ImageForm(None, 3, "stretch")
LOSSLESS = {".tif": "TIFF", ".ppm": "PPM", ".webp": "WEBP", ".png": "PNG", ".bmp": "BMP"}


def pixels(ending: str, values: np.ndarray = PIXELS) -> bytes:
    file = io.BytesIO()
    options = {"lossless": True} if ending == ".webp" else {}
    Image.fromarray(values).save(file, LOSSLESS[ending], **options)
    return file.getvalue()


@pytest.mark.parametrize("ending", LOSSLESS)
def test_lossless_formats_give_the_same_pixels(ending):
    found, size = decode(pixels(ending), IMAGE_FORM)
    assert size == (4, 5)
    np.testing.assert_array_equal(np.frombuffer(found, np.uint8).reshape(PIXELS.shape), PIXELS)


@pytest.mark.parametrize("ending", [".tif", ".ppm", ".webp"])
@pytest.mark.parametrize("kept", [0.0, 0.2, 0.9])
def test_an_image_that_was_cut_off_is_refused(ending, kept):
    whole = pixels(ending)
    with pytest.raises(BadImage):
        size_if_whole(whole[: int(len(whole) * kept)], IMAGE_FORM)


def test_a_tiff_of_16_bits_is_scaled_to_8():
    values = np.linspace(0, 65535, 20).astype(np.uint16).reshape(4, 5)
    found, _ = decode(pixels(".tif", values), ImageForm(None, 1, "stretch"))
    expected = np.round(values / 65535 * 255).astype(np.uint8)
    np.testing.assert_array_equal(np.frombuffer(found, np.uint8).reshape(4, 5), expected)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.full((4, 5), 0.5, np.float32), "its pixels are floating-point numbers"),
        (np.full((4, 5), 70_000, np.int32), "its pixels have more than 16 bits"),
    ],
)
def test_pixels_that_8_bits_cannot_hold_are_refused(values, reason):
    with pytest.raises(BadImage, match=reason):
        decode(pixels(".tif", values), ImageForm(None, 1, "stretch"))


def test_a_folder_of_tiff_and_ppm_files_is_read(cache, tmp_path):
    for name in ("a/1.tif", "a/2.TIFF", "b/1.ppm", "b/2.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(pixels({".tiff": ".tif"}.get(name[3:].lower(), name[3:])))
    rows = load_class_folders(IMAGES, ImagesSource(path=str(tmp_path)), ("data", "source"), 10**9).training.inputs[
        "image"
    ]
    np.testing.assert_array_equal(rows[:], np.stack([PIXELS] * 4))
