import numpy as np
import pytest

from dltool.data.arrays.cleaning import clean_inputs, clean_labels
from dltool.errors import DataError

PLACE = ("data", "source", "arrays", "path")


def message(error: pytest.ExceptionInfo[DataError]) -> tuple[str, str]:
    (problem,) = error.value.problems
    assert problem.place == PLACE
    return problem.message, problem.hint


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.zeros((3, 4), bool), "uint8"),
        (np.zeros((3, 4), np.uint8), "uint8"),
        (np.zeros((3, 4), np.int8), "int32"),
        (np.zeros((3, 4), np.int64), "int32"),
        (np.zeros((3, 4), ">f8"), "float32"),
        (np.zeros((3, 4), np.float16), "float32"),
    ],
)
def test_inputs_take_a_small_dtype(given, expected):
    assert clean_inputs(given, "x", PLACE).dtype == np.dtype(expected)


def test_grey_images_get_a_channel_axis_and_single_values_a_column():
    assert clean_inputs(np.zeros((3, 5, 4), np.uint8), "x", PLACE).shape == (3, 5, 4, 1)
    assert clean_inputs(np.zeros((3, 5, 4), np.float32), "x", PLACE).shape == (3, 5, 4)
    assert clean_inputs(np.array(["a text", "another"]), "x", PLACE).shape == (2, 1)


def test_bytes_become_text():
    assert clean_labels(np.array([b"caf\xc3\xa9"]), "y", PLACE).tolist() == ["café"]


def test_rows_with_nan_are_counted():
    array = np.zeros((9, 2))
    array[[4, 7], 1] = np.nan, np.inf
    with pytest.raises(DataError) as error:
        clean_inputs(array, "x_train", PLACE)
    assert message(error) == (
        "2 rows of x_train hold NaN, infinity or a number too large for float32",
        "the first is row 4, counted from 0",
    )


def test_a_double_beyond_float32_is_refused():
    with pytest.raises(DataError, match="1 row of y hold"):
        clean_labels(np.array([1.0, 1e300]), "y", PLACE)


def test_integers_beyond_32_bits_are_refused():
    with pytest.raises(DataError, match=r"integers beyond 32 bits \(3,000,000,000\)"):
        clean_inputs(np.array([[3_000_000_000]]), "x", PLACE)


def test_blank_labels_are_counted():
    with pytest.raises(DataError) as error:
        clean_labels(np.array(["a", " ", ""]), "y", PLACE)
    assert message(error) == ("2 rows of y have a blank label", "the first is row 1, counted from 0")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((0, 4)), "no rows"),
        (np.zeros((4, 0)), "no values"),
        (np.array(3.0), "a single value"),
        (np.zeros((2, 2), complex), "the dtype complex128"),
        (np.array(["2020-01-01"], "datetime64[D]"), "the dtype datetime64"),
        (np.array([b"\xff"]), "text that is not UTF-8"),
    ],
)
def test_what_is_of_no_use_is_refused(array, words):
    with pytest.raises(DataError, match=words):
        clean_inputs(array, "x", PLACE)
