from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltool.config.columns import CategoryTarget, Target, TargetType, parse_target
from dltool.data.arrays.cleaning import clean_labels
from dltool.data.examples import Examples, SourceExamples
from dltool.data.labels import Labels, read_labels, spelling_warnings, with_positive
from dltool.errors import DataError

PLACE = ("data", "source")


def source(training: Examples, class_names: tuple[str, ...] = ()) -> SourceExamples:
    return SourceExamples({"training": training}, class_names)


def part(labels: Sequence[object] | np.ndarray, name: str = "x_train") -> Examples:
    labels = clean_labels(np.asarray(labels), name, PLACE)
    return Examples({"input": np.zeros((len(labels), 1), np.float32)}, {"target": labels}, name, PLACE)


def target_type(written: Any) -> TargetType:
    target = parse_target(written)
    assert isinstance(target, Target)
    assert target.type is not None
    return target.type


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2).filter(lambda labels: len(set(labels)) > 1))
def test_integers_become_indices_of_their_sorted_values(values):
    labels = read_labels(source(part(values)), None)
    targets = labels.encode(part(values))
    assert targets.dtype == np.int32
    assert labels.class_names == tuple(str(value) for value in sorted(set(values)))
    assert [labels.class_names[index] for index in targets] == [str(value) for value in values]


def test_text_and_booleans_are_classes():
    assert read_labels(source(part(["no", "yes", "no"])), None).class_names == ("no", "yes")
    assert read_labels(source(part([True, False])), None).class_names == ("False", "True")


def test_floats_are_numbers_unless_asked_for_as_classes():
    floats = part(np.array([1.5, 0.5, 1.5], np.float32))
    assert read_labels(source(floats), None).kind == "number"
    labels = read_labels(source(floats), target_type("category"))
    assert labels.class_names == ("0.5", "1.5")
    assert labels.encode(floats).tolist() == [1, 0, 1]


def test_integers_are_numbers_where_asked_for():
    labels = read_labels(source(part([3, 1])), target_type("number"))
    assert labels.encode(part([3, 1])).dtype == np.float32


def test_rows_of_several_values_are_numbers():
    one_hot = np.eye(3, dtype=np.int32)
    labels = read_labels(source(part(one_hot)), None)
    assert labels.kind == "number"
    assert labels.encode(part(one_hot)).shape == (3, 3)


def test_labels_of_any_width_are_matched_exactly():
    steam = [76561198000000001, 76561198000000002, 2**64 - 1, 76561198000000001]
    labels = read_labels(source(part(np.array(steam, np.uint64))), None)
    assert labels.class_names == ("76561198000000001", "76561198000000002", "18446744073709551615")
    assert labels.encode(part(np.array(steam[:2], np.int64))).tolist() == [0, 1]
    with pytest.raises(DataError, match='none of the 3 classes: "76561198000000003"'):
        labels.encode(part(np.array([76561198000000003, -1], np.int64)[:1]))


@pytest.mark.parametrize("channel", [(), (1,)])
def test_masks_are_classes_where_asked_for(channel):
    masks = np.array([[[0, 5], [9, 0]], [[5, 5], [0, 0]]], np.uint8).reshape(2, 2, 2, *channel)
    labels = read_labels(source(part(masks)), target_type("category"))
    assert labels.class_names == ("0", "5", "9")
    targets = labels.encode(part(masks))
    assert targets.dtype == np.int32
    assert targets.tolist() == [[[0, 1], [2, 0]], [[1, 1], [0, 0]]]
    with pytest.raises(DataError, match='"7"') as error:
        labels.encode(part(np.array([[[0, 5], [9, 0]], [[7, 7], [0, 0]]]).reshape(2, 2, 2, *channel)))
    assert error.value.problems[0].hint == "in 1 row, the first is row 1, counted from 0"


def test_class_names_of_the_source_are_kept_even_where_a_class_has_no_examples():
    labels = read_labels(source(part([0, 2]), class_names=("a", "b", "c")), None)
    assert labels.class_names == ("a", "b", "c")
    assert labels.encode(part([0, 2])).tolist() == [0, 2]


def test_a_single_class_is_refused():
    with pytest.raises(DataError, match='all 3 examples have the label "7"'):
        read_labels(source(part([7, 7, 7])), None)


def test_text_cannot_be_a_number():
    with pytest.raises(DataError, match="the labels are strings") as error:
        read_labels(source(part(["a", "b"])), target_type("number"))
    assert error.value.problems[0].place == ("data", "target")


def test_a_label_that_training_lacks_is_named():
    labels = read_labels(source(part([0, 1, 2])), None)
    with pytest.raises(DataError) as error:
        labels.encode(part([0, 7, 7, 1], "x_test"))
    (problem,) = error.value.problems
    assert problem.message == 'x_test has labels that are none of the 3 classes: "7"'
    assert problem.hint == "in 2 rows, the first is row 1, counted from 0"


def test_text_labels_do_not_match_numbers():
    labels = read_labels(source(part([0, 1])), None)
    with pytest.raises(DataError, match="the labels of x_test are text; those of the source are numbers"):
        labels.encode(part(["0", "1"], "x_test"))


@pytest.mark.parametrize(
    ("names", "alike", "way"),
    [
        (("CAT", "Cat", "cat", "dog"), '"CAT", "Cat", "cat"', "case: lower"),
        (("No", "Y", "no", "yes"), '"No", "no"; "Y", "yes"', 'replace: {"No": "no", "Y": "yes"}'),
        (("a b", "a  b", "x"), '"a b", "a  b"', 'replace: {"a b": "a  b"}'),
        (("ham", "ham\u200b", "spam"), '"ham", "ham\\u200b"', 'replace: {"ham": "ham\\u200b"}'),
        (("caf\u00e9", "cafe\u0301", "x"), '"café", "cafe\u0301"', 'replace: {"café": "cafe\u0301"}'),
        (("0", "0.0", "01", "1", "2.50"), '"0", "0.0"', 'replace: {"0": "0.0"}'),
    ],
)
def test_classes_that_differ_in_spelling_alone_are_warned_of(names: tuple[str, ...], alike: str, way: str) -> None:
    (warning,) = spelling_warnings([Labels("category", "target", np.asarray, names)])
    assert warning == f"classes of the target that may be the same: {alike}; {way} in its type merges them"


@pytest.mark.parametrize("names", [("1", "2", "yes"), ("cat", "cats"), ("no", "yes"), ()])
def test_other_classes_are_not(names: tuple[str, ...]) -> None:
    assert spelling_warnings([Labels("category", "target", np.asarray, names)]) == ()


def with_class_1(values, positive: str, columns: tuple[str, ...] = ()):
    options = TargetType("category", CategoryTarget(positive=positive))
    return with_positive(read_labels(source(part(values)), options), Target(columns, options))


def test_the_positive_class_is_class_1():
    labels = with_class_1(["no", "yes", "no"], "no")
    assert labels.class_names == ("yes", "no")
    found = labels.encode(part(["no", "yes"]))
    assert found.tolist() == [1, 0]
    assert found.dtype == np.int32
    assert with_class_1(["no", "yes"], "yes").class_names == ("no", "yes")
    assert with_class_1([0, 1], "0").encode(part([0, 1])).tolist() == [1, 0]


def test_a_positive_class_is_one_of_two_at_its_line():
    with pytest.raises(DataError, match=r'no class is called "maybe"') as caught:
        with_class_1(["no", "yes"], "maybe", ("bought",))
    assert caught.value.problems[0].place == ("data", "target", "bought", "category", "positive")
    with pytest.raises(DataError, match="one of two, and the data has 3 classes") as caught:
        with_class_1([0, 1, 2], "1")
    assert caught.value.problems[0].place == ("data", "target", "category", "positive")


@pytest.mark.parametrize("labels", [[7, 2, 7, 4], [[7, 2], [4, 7]], [[[7], [2]], [[4], [7]]], [7.0, 2.0, 4.0]])
def test_an_index_is_the_integer_itself(labels):
    found = read_labels(source(part(labels)), target_type({"index": 10}))
    encoded = found.encode(part(labels))
    assert encoded.dtype == np.int32
    np.testing.assert_array_equal(encoded, np.reshape(labels, encoded.shape))
    assert found.class_names == tuple("0123456789")


@pytest.mark.parametrize(
    ("labels", "shown", "hint"),
    [
        ([0, 12, 3], "12", "write index: 13, or correct the labels; category would number the classes anew"),
        ([0, -1, 3], "-1", "correct the labels; category would number the classes anew"),
        ([0.0, 1.5, 3.0], "1.5", "correct the labels; category would number the classes anew"),
    ],
)
def test_labels_that_are_no_index_are_named_with_their_row(labels, shown, hint):
    found = read_labels(source(part([0, 1])), target_type({"index": 10}))
    with pytest.raises(DataError) as error:
        found.encode(part(labels, "x_test"))
    (problem,) = error.value.problems
    message = f"expected integers from 0 to 9, got {shown} in 1 label, the first in row 1 of x_test, counted from 0"
    assert (problem.message, problem.hint) == (message, hint)


def test_text_is_no_index():
    with pytest.raises(DataError, match="are text; those of the source are numbers"):
        read_labels(source(part(["a", "b"])), target_type({"index": 3})).encode(part(["a", "b"]))


LISTS = ["['a b', 'c']", '["c"]', "[]", "[d, 'a b' ,]", """["it's", 'say "x"', "\\u00e9"]"""]


def test_labels_in_lists_are_those_of_python_and_json():
    labels = read_labels(source(part(LISTS)), target_type("multi_label"))
    assert labels.class_names == ("a b", "c", "d", "it's", 'say "x"', "é")
    rows = labels.encode(part(LISTS)).astype(int).tolist()
    assert rows == [[1, 1, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0], [0] * 6, [1, 0, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]]


@pytest.mark.parametrize("odd", ["a, b", "['a' 'b']", "['a', ['b']]", "['a', 'b'"])
def test_labels_are_all_in_lists_or_none(odd):
    with pytest.raises(DataError) as error:
        read_labels(source(part(["['a', 'b']", odd])), target_type("multi_label"))
    (problem,) = error.value.problems
    assert problem.message == f"""some labels are lists such as ['a', 'b'], and this is none: "{odd}\""""
    assert problem.hint == "write all as lists, or all with a separator: a,b"
