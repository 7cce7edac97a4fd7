import struct
import wave
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wav_files import PCM_GUID, chunk, sound, wav

from dltool.data.media.clip import BadClip
from dltool.data.media.wav import wav_header, wav_samples


def samples_of(content: bytes, most: int | None = None) -> np.ndarray:
    header = wav_header(content)
    assert header is not None
    return wav_samples(content, header, most)


def why_bad(content: bytes) -> str:
    with pytest.raises(BadClip) as error:
        samples_of(content)
    return str(error.value)


def packed(number: int, sample_bytes: int) -> bytes:
    return (number + 128 if sample_bytes == 1 else number).to_bytes(sample_bytes, "little", signed=sample_bytes > 1)


@pytest.mark.parametrize("sample_bytes", [1, 2, 3, 4])
def test_whole_numbers_lie_between_minus_one_and_one(sample_bytes):
    full = 2 ** (8 * sample_bytes - 1)
    content = wav(
        b"".join(packed(number, sample_bytes) for number in (-full, -full // 2, 0, full // 2)),
        sample_bytes=sample_bytes,
    )
    samples = samples_of(content)
    assert samples.dtype == np.float32
    assert samples.tolist() == [-1, -0.5, 0, 0.5]


@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_floats_are_cut_off_at_one(dtype):
    data = np.array([-2, -0.25, 0.5, 1.5], dtype)
    content = wav(data.tobytes(), sample_bytes=data.itemsize, codec=3)
    assert samples_of(content).tolist() == [-1, -0.25, 0.5, 1]


def test_floats_that_are_no_numbers_are_damage():
    assert "NaN" in why_bad(wav(np.array([np.nan], "<f4").tobytes(), sample_bytes=4, codec=3))


@pytest.mark.parametrize(
    ("codec", "samples"),
    [
        (7, {0x00: -32124, 0x7F: 0, 0x80: 32124, 0xFF: 0}),
        (6, {0x2A: -32256, 0xAA: 32256, 0x55: -8, 0xD5: 8, 0x80: 5504}),
    ],
)
def test_mu_law_and_a_law_are_those_of_the_standard(codec, samples):
    content = wav(bytes(samples), sample_bytes=1, codec=codec)
    assert (samples_of(content) * 2**15).tolist() == list(samples.values())


def test_several_channels_become_their_mean():
    data = np.array([[0.5, 0.25], [-0.5, 0.5]]) * 2**15
    assert samples_of(wav(data.astype("<i2").tobytes(), channels=2)).tolist() == [0.375, 0]


def test_an_extensible_header_names_the_codec_within():
    extension = struct.pack("<HHI", 22, 16, 0) + PCM_GUID
    assert samples_of(wav(b"\0\x40", codec=0xFFFE, extension=extension)).tolist() == [0.5]
    assert "codec is unknown" in why_bad(wav(b"\0\x40", codec=0xFFFE, extension=extension[:-1] + b"\0"))


def test_other_chunks_are_passed_over_also_odd_ones():
    before = chunk(b"LIST", b"abc") + chunk(b"bext", b"x" * 5000)
    assert samples_of(wav(b"\0\x40", before=before)).tolist() == [0.5]


@given(st.lists(st.integers(-(2**15), 2**15 - 1), min_size=1), st.integers(1, 3), st.sampled_from([8000, 44100]))
def test_what_python_writes_is_read(numbers, channels, rate):
    data = np.repeat(np.array(numbers, "<i2"), channels)
    file = BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(data.tobytes())
    content = file.getvalue()
    header = wav_header(content)
    assert header is not None
    assert (header.rate, header.channels, header.frames) == (rate, channels, len(numbers))
    np.testing.assert_allclose(wav_samples(content, header), np.array(numbers) / 2**15, atol=1e-7)


def test_the_beginning_of_a_file_tells_its_header():
    content = wav(b"\0\x40" * 5000)
    whole = wav_header(content)
    assert wav_header(content[:100], len(content)) == whole
    assert wav_header(content[:30], len(content)) is None
    late = wav(b"\0\x40", before=chunk(b"LIST", b"x" * 5000))
    assert wav_header(late[:100], len(late)) is None


def test_the_first_frames_are_the_beginning_of_all_of_them():
    content = sound([0.1, 0.2, 0.3])
    assert samples_of(content, 2).tolist() == samples_of(content)[:2].tolist()


def test_a_length_that_nobody_could_know_is_up_to_the_end():
    content = bytearray(wav(b"\0\x40" * 3))
    content[40:44] = b"\xff\xff\xff\xff"
    assert samples_of(bytes(content)).tolist() == [0.5] * 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a WAV file"),
        (b"ID3\x03 this is an mp3", "not a WAV file"),
        (b"RF64" + wav(b"\0\0")[4:], "an RF64 file"),
        (wav(b"\0\0" * 100)[:-20], "cut off: expected 200 bytes of sound, found 180"),
        (wav(b"\0\0" * 100)[:30], "does not say its format"),
        (wav(b"\0\0" * 100)[:40], "it has no samples"),
        (wav(b""), "it has no samples"),
        (wav(b"\0\0", codec=2), "its codec is ADPCM"),
        (wav(b"\0\0", codec=1234), "its codec is number 1234"),
        (wav(b"\0\0", rate=0), "damaged: 1 channels, 0 samples a second"),
        (wav(b"\0" * 5, sample_bytes=5), "samples of 40 bits in 5 bytes"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"fmt ", b"\1\0"), "its format is cut off"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"data", b"\1\0"), "samples before their format"),
    ],
)
def test_what_is_no_sound_says_why(content, message):
    assert message in why_bad(content)


@given(st.binary(max_size=80), st.integers(0, 60))
def test_a_damaged_file_is_read_or_refused(noise, place):
    content = sound([0.5] * 10)
    content = content[:place] + noise + content[place + len(noise) :]
    try:
        samples = samples_of(content)
    except BadClip:
        return
    assert np.abs(samples).max() <= 1
