import numpy as np
import pytest

from dltool.data.fingerprint import fingerprint_of

X = np.arange(12, dtype=np.int32).reshape(4, 3)


def fingerprint(array: np.ndarray, class_names: tuple[str, ...] = ("a", "b")) -> str:
    return fingerprint_of([{"input": array}], class_names)


@pytest.mark.parametrize("other", [X[::-1], X.reshape(3, 4), X.astype(np.uint32), X + 1])
def test_order_shape_dtype_and_values_count(other):
    assert fingerprint(other) != fingerprint(X)


def test_class_names_count():
    assert fingerprint(X, ("b", "a")) != fingerprint(X)


def test_equal_contents_have_equal_fingerprints_however_they_lie_in_memory():
    assert fingerprint(np.asfortranarray(X)) == fingerprint(X)
    assert fingerprint(np.array(["é", "b"])) == fingerprint(np.array(["é", "b"]))
