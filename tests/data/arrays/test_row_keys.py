import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dltool.data.arrays.row_keys import row_keys_of
from dltool.data.arrays.rows import Coded, coded

ROWS = st.lists(st.tuples(st.sampled_from([0.0, -0.0, 1.5, float("nan")]), st.sampled_from("ab")), min_size=1)


@given(ROWS)
def test_two_rows_of_a_table_have_the_same_key_exactly_if_they_are_equal(rows):
    keys = row_keys_of({"x": np.array([x for x, _ in rows], np.float32), "y": coded([y for _, y in rows])})
    # NaN is not itself, and 0 and -0 are shown differently.
    shown = [(repr(x + 0), y) for x, y in rows]
    assert [[a == b for b in keys] for a in keys] == [[a == b for b in shown] for a in shown]


def test_keys_depend_neither_on_the_codes_nor_on_the_order_of_columns():
    numbers = np.arange(3, dtype=np.float32)
    texts = coded(["a", "b", "a"])
    other = Coded(1 - texts.codes[:], texts.values[::-1])
    keys = row_keys_of({"x": numbers, "y": texts})
    np.testing.assert_array_equal(row_keys_of({"y": other, "x": numbers}), keys)
    np.testing.assert_array_equal(row_keys_of({"y": texts[:], "x": numbers}), keys)


def test_the_same_values_in_other_columns_are_another_row():
    a, b = np.zeros(1, np.float32), np.ones(1, np.float32)
    assert row_keys_of({"x": a, "y": b})[0] != row_keys_of({"x": b, "y": a})[0]


def test_signs_that_differ_do_not_cancel_out():
    rows = np.array([[[1], [2], [3], [4]], [[1], [-2], [3], [-4]], [[-1], [2], [3], [-4]]], np.float32)
    assert len(set(row_keys_of({"x": rows[:, :, 0]}))) == 3


def test_images_count_by_all_their_pixels():
    images = np.zeros((3, 4, 4, 1), np.uint8)
    images[2, 3, 3] = 1
    keys = row_keys_of({"image": images})
    assert keys[0] == keys[1] != keys[2]
