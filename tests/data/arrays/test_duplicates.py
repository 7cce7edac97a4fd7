import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltool.data.arrays import row_keys
from dltool.data.arrays.row_keys import duplicate_warnings
from dltool.data.arrays.rows import Rows, Taken, coded
from dltool.data.examples import Examples
from dltool.data.split.at_random import Split


@given(st.lists(st.integers(0, 12), min_size=2, max_size=40), st.integers(1, 39), st.sampled_from([1, 3, 8]))
def test_every_repeated_example_is_counted(values, cut, width):
    cut = min(cut, len(values) - 1)
    inputs = np.repeat(np.array(values, np.uint8)[:, np.newaxis], width, axis=1)
    split = Split(np.arange(cut), np.arange(0), np.arange(cut, len(values)))
    count = sum(value in values[:cut] for value in values[cut:])
    expected = (f"{count} of {len(values) - cut} test examples are also training examples",) if count else ()
    assert duplicate_warnings(Examples({"input": inputs}, {"target": np.arange(len(values))}), split) == expected
    within = cut - len(set(values[:cut]))
    told = duplicate_warnings(Examples({"input": inputs}, {"target": np.zeros(len(values))}), split)[
        : 1 if within else 0
    ]
    assert told == ((f"{within} of {cut} training examples repeat an earlier one, the target too",) if within else ())


def test_a_row_is_a_duplicate_where_all_of_its_columns_are():
    inputs: dict[str, Rows] = {"age": np.array([1, 2, 1, 1], np.float32), "job": coded(["a", "b", "b", "a"])}
    split = Split(np.array([0, 1]), np.arange(0), np.array([2, 3]))
    assert duplicate_warnings(Examples(inputs, {"target": np.arange(4)}), split) == (
        "1 of 2 test examples are also training examples",
    )


def test_the_first_duplicates_are_named_with_the_training_rows_that_they_repeat():
    values = np.array([5, 6, 7, 8, 7, 5, 9, 8, 6, 7])
    split = Split(np.arange(4), np.arange(0), np.arange(4, 10))
    (told,) = duplicate_warnings(Examples({"input": values}, {"target": np.arange(10)}), split, "row {}".format)
    assert told == ("5 of 6 test examples are also training examples: row 4 is row 2, row 5 is row 0 and 3 more")


@pytest.mark.parametrize("inputs", [np.array([["a"], ["b"], ["a"]]), np.array([[0.5], [1.5], [0.5]], np.float32)])
def test_texts_and_floats_are_compared_too(inputs):
    split = Split(np.array([0, 1]), np.array([2]), np.arange(0))
    assert duplicate_warnings(Examples({"input": inputs}, {"target": np.arange(3)}), split) == (
        "1 of 1 validation examples are also training examples",
    )


def test_pictures_that_are_too_many_to_be_read_are_compared_by_their_files(monkeypatch):
    monkeypatch.setattr(row_keys, "MOST_READ", 0)
    pictures = Taken(np.array([[1], [2], [3]], np.uint8), np.arange(3))
    digests = np.array([[7] * 32, [8] * 32, [7] * 32], np.uint8)
    split = Split(np.array([0, 1]), np.arange(0), np.array([2]))
    assert duplicate_warnings(
        Examples({"image": pictures}, {"target": np.arange(3)}, digests={"image": digests}), split
    ) == ("1 of 1 test examples are also training examples",)
    assert duplicate_warnings(Examples({"image": pictures}, {"target": np.arange(3)}), split) == ()
