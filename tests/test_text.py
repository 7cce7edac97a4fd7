"""The words and numbers of messages."""

import errno
import socket
import time

import pytest

from dltool.text import (
    and_more,
    counted,
    data_number,
    did_you_mean,
    joined,
    listed,
    near,
    number,
    numbers,
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
    assert os_words(socket.gaierror(-2, "Name or service not known")) == "name or service not known"


def test_amounts_of_bytes_have_a_unit():
    assert [size_text(size) for size in (0, 512, 4_100_000, 12 * 10**9)] == ["0 B", "512 B", "4.1 MB", "12 GB"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (447.247, "447"),
        (1150.0, "1,150"),
        (245_540_688.4, "245,500,000"),
        (-98.126, "-98.13"),
        (9.5, "9.5000"),
        (0.0, "0.0000"),
        (0.00123, "0.0012"),
        (0.000123456, "0.000123"),
        (354_500_000_000.0, "3.545e+11"),
        (1234567, "1,234,567"),
        (float("nan"), "nan"),
    ],
)
def test_results_have_few_figures(value, written):
    assert number(value) == written


def test_results_that_stand_together_have_the_same_decimals():
    assert numbers([101.2, 98.12, 0.4567]) == ["101", "98", "0.457"]
    assert numbers([4.5, 0.0, float("nan")]) == ["4.5000", "0.0000", "nan"]


def test_numbers_of_the_data_are_not_rounded():
    values = [250_000.0, 1_234_567.0, 0.1, -2.5, float("inf")]
    assert list(map(data_number, values)) == ["250,000", "1,234,567", "0.1", "-2.5", "inf"]
    assert [data_number(value, 4) for value in (107_600.5, 0.123456)] == ["107,600", "0.1235"]


def test_a_very_long_name_resembles_none_and_takes_no_time():
    begun = time.process_time()
    assert near("Dense" * 20_000, ["Dense", "Dense" * 20_000] * 100) == []
    assert time.process_time() - begun < 0.1
