import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from dltool.config.data_options import ByteSize
from dltool.config.folder_sources import AudioSource, ImagesSource, TextSource, file_pattern, pattern_mistakes


def test_the_path_is_enough():
    assert ImagesSource(path="pets").channels == 3
    assert AudioSource(path="digits").seconds is None
    assert TextSource(path="reviews").encoding == "utf-8"


@pytest.mark.parametrize(
    "options",
    [
        {"size": [32]},
        {"size": [0, 32]},
        {"channels": 2},
        {"resize": "shrink"},
        {"pattern": "{number}.jpg"},
        {"colour": True},
    ],
)
def test_other_options_are_refused(options):
    with pytest.raises(ValidationError):
        ImagesSource.model_validate({"path": "pets", **options})


def test_a_size_is_height_and_width():
    assert ImagesSource.model_validate({"path": "pets", "size": [32, 48]}).size == (32, 48)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{speaker}.wav", "the pattern has no {class}"),
        ("{class}/{speaker.wav", "unmatched brace"),
        ("{class}/{a b}.wav", 'invalid name "{a b}": use letters, digits and underscores'),
        ("{class}/{}.wav", 'invalid name "{}": use letters, digits and underscores'),
        ("{class}/{x}_{x}.wav", "duplicate name {x}"),
        ("{class}{speaker}.wav", "two names without a separator"),
        ("/home/{class}.wav", "the pattern is matched against the end of a path"),
    ],
)
def test_a_bad_pattern_says_what_is_wrong(pattern, message):
    assert [mistake for mistake, _ in pattern_mistakes(pattern)] == [message]
    with pytest.raises(ValueError, match=r"."):
        file_pattern(pattern)


NAMES = st.text("abc.+*()[]é ", min_size=1)


@given(folder=NAMES, label=NAMES, number=st.text("0123456789", min_size=1))
def test_a_pattern_finds_what_was_put_in(folder, label, number):
    match = file_pattern("{class}/(x)+{number}.wav")
    assert match(f"{folder}/{label}/(x)+{number}.wav") == {"class": label, "number": number}


BETWEEN = st.text("_-x/", min_size=1, max_size=2)


@given(st.lists(BETWEEN, min_size=3, max_size=3), st.text("_-x/q\n", max_size=12), st.text("_x", max_size=1))
def test_a_pattern_finds_what_a_regular_expression_finds(between, path, beginning):
    first, second, end = between
    pattern = f"{beginning}{{class}}{first}{{a}}{second}{{b}}{end}"
    try:
        match = file_pattern(pattern)
    except ValueError:
        return
    expression = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(pattern))
    expected = re.fullmatch(f"(?:.*/)?{expression}", path, re.DOTALL)
    assert match(path) == (expected and expected.groupdict())


def test_a_pattern_takes_little_time_on_a_name_of_nothing_but_separators():
    begun = time.process_time()
    match = file_pattern("{class}/{a}_{b}_{c}_{d}_{e}_{f}_{g}_{h}x.jpg")
    assert match(f"cat/{'_' * 5000}.jpg") is None
    assert match(f"cat/{'_' * 5000}x.jpg") is not None
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [("4 GB", 4 * 10**9), ("500MB", 5 * 10**8), ("1.5 TB", 15 * 10**11), ("off", 0), (4096, 4096), ("10 kb", 10_000)],
)
def test_amounts_of_bytes(text, bytes_):
    assert TypeAdapter(ByteSize).validate_python(text) == bytes_


@pytest.mark.parametrize("text", ["4", "GB", "-1 GB", "4 gigabytes", -1, True, None, "1e3 GB", 4, "4 B"])
def test_other_amounts_are_refused(text):
    with pytest.raises(ValidationError):
        TypeAdapter(ByteSize).validate_python(text)


def test_a_forgotten_unit_is_offered():
    with pytest.raises(ValidationError) as error:
        TypeAdapter(ByteSize).validate_python(4)
    (problem,) = error.value.errors()[0]["ctx"]["problems"]
    assert problem.hint == "write 4 GB, or off"
