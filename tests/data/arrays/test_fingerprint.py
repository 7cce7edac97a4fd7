import numpy as np
import pytest

from dltool.data.arrays.fingerprint import contents_of, fingerprint_of, split_hash
from dltool.data.arrays.rows import Rows, coded, take
from dltool.data.split.at_random import Split

X = np.arange(12, dtype=np.int32).reshape(4, 3)
TARGET = np.arange(4, dtype=np.int32)


def fingerprint(rows: Rows, class_names: tuple[str, ...] = ("a", "b")) -> str:
    return fingerprint_of(
        contents_of({"input": rows}, {"target": TARGET[: len(rows)]}, {"training": (0, len(rows))}), class_names
    )


@pytest.mark.parametrize("other", [X[::-1], X.reshape(3, 4), X.astype(np.uint32), X + 1])
def test_order_shape_dtype_and_values_count(other):
    assert fingerprint(other) != fingerprint(X)


def test_class_names_count():
    assert fingerprint(X, ("b", "a")) != fingerprint(X)


def test_equal_contents_have_equal_fingerprints_however_they_lie_in_memory():
    assert fingerprint(np.asfortranarray(X)) == fingerprint(X)
    assert fingerprint(np.array(["é", "b"])) == fingerprint(np.array(["é", "b"]))
    assert fingerprint(take(X, np.arange(4))) == fingerprint(X)


def test_text_counts_by_its_words_however_they_are_numbered():
    words = np.array(["b", "a", "b", ""], dtype=object)
    again = coded(["a", *words]).take(np.arange(1, 5))
    assert again.codes[:].tolist() != coded(words).codes[:].tolist()
    assert fingerprint(again) == fingerprint(coded(words))
    assert fingerprint(coded(["b", "a", "b", "c"])) != fingerprint(coded(words))


def test_contents_are_told_apart_by_part_and_by_input():
    inputs, parts = {"a": X, "b": X[:, 0]}, {"training": (0, 3), "test": (3, 4)}
    changed = {**inputs, "b": np.array([0, 3, 6, 7], np.int32)}
    before, after = contents_of(inputs, {"target": TARGET}, parts), contents_of(changed, {"target": TARGET}, parts)
    assert (before["training"].rows, before["test"].rows) == (3, 1)
    assert before["training"] == after["training"]
    assert before["test"].inputs["a"] == after["test"].inputs["a"]
    assert before["test"].inputs["b"] != after["test"].inputs["b"]
    assert fingerprint_of(before, ()) != fingerprint_of(after, ())


def test_a_split_counts_by_which_rows_are_in_which_part():
    def hashed(*parts: list[int]) -> str:
        return split_hash(Split(*(np.array(rows, dtype=np.int64) for rows in parts)))

    assert hashed([0, 1], [2], []) == hashed([0, 1], [2], [])
    assert len({hashed([0, 1], [2], []), hashed([0], [1, 2], []), hashed([0, 1], [], [2])}) == 3
