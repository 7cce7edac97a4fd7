"""The words and numbers of messages."""

import errno
import time

import pytest

from dltool.text import (
    and_more,
    counted,
    did_you_mean,
    joined,
    listed,
    near,
    os_words,
    plural,
    quoted,
    shortened,
    size_text,
)


def test_near_names_are_found_whatever_their_case_and_the_most_alike_comes_first():
    assert near("UNITS", ["unit", "units", "filters"], 2) == ["units", "unit"]
    assert near("relu6", ["Dense", "ReLU"], cutoff=0.8) == ["ReLU"]
    assert near("flatten", ["Dense", "Conv2D"]) == []


def test_of_names_that_differ_in_case_and_underscores_there_is_one():
    assert near("meansquarederror", ["MeanSquaredError", "mean_squared_error"], 3) == ["MeanSquaredError"]


def test_names_that_are_equally_alike_keep_their_order():
    assert near("float15", ["float32", "float64"], 2) == ["float32", "float64"]


def test_a_suggestion_quotes_names_and_is_empty_without_any():
    assert did_you_mean(["a", "b", "c"]) == 'did you mean "a", "b" or "c"?'
    assert did_you_mean([]) == ""


def test_words_are_joined_in_a_sentence():
    assert [joined(["a", "b", "c"][:count], "and") for count in range(4)] == ["", "a", "a and b", "a, b and c"]


def test_a_long_list_is_cut_off():
    words = ["a", "b", "c"]
    assert (listed(words, 3), listed(words, 2), listed(words, 1, "; ")) == ("a, b, c", "a, b, …", "a; …")
    assert (and_more(words, 3), and_more(words, 2), and_more(words, 1, "; ")) == (
        "a, b, c",
        "a, b and 1 more",
        "a; and 2 more",
    )


@pytest.mark.parametrize(
    ("count", "forms", "expected"),
    [
        (1, ("row",), "1 row"),
        (1_000, ("row",), "1,000 rows"),
        (2, ("class",), "2 classes"),
        (1, ("file is", "files are"), "1 file is"),
        (0, ("file is", "files are"), "0 files are"),
    ],
)
def test_counts_have_the_form_of_their_number(count, forms, expected):
    assert counted(count, *forms) == expected
    assert plural(count, *forms) == expected.partition(" ")[2]


def test_long_text_ends_in_an_ellipsis_within_its_length():
    assert (shortened("abcd", 4), shortened("abcde", 4)) == ("abcd", "abc…")
    assert quoted("x" * 61) == f'"{"x" * 59}…"'


def test_what_the_system_says_is_in_small_letters():
    assert os_words(OSError(errno.ENOENT, "No such file or directory")) == "no such file or directory"
    assert os_words(OSError("Some text alone")) == "some text alone"


def test_amounts_of_bytes_have_a_unit():
    assert [size_text(size) for size in (0, 512, 4_100_000, 12 * 10**9)] == ["0 B", "512 B", "4.1 MB", "12 GB"]


def test_a_very_long_name_resembles_none_and_takes_no_time():
    begun = time.process_time()
    assert near("Dense" * 20_000, ["Dense", "Dense" * 20_000] * 100) == []
    assert time.process_time() - begun < 0.1
