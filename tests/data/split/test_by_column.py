import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltool.data.arrays.rows import coded
from dltool.data.split.by_column import column_named, is_missing, numbered, order_named
from dltool.errors import DataError, Problem

PLACE = ("data", "split", "group")
MISSING_DATE = np.iinfo(np.int64).min


def problem_of(columns, name) -> Problem:
    with pytest.raises(DataError) as error:
        column_named(columns, name, PLACE)
    (problem,) = error.value.problems
    assert problem.place == PLACE
    return problem


def test_an_unknown_column_names_its_neighbour():
    problem = problem_of({"household": np.arange(3.0), "age": np.arange(3.0)}, "houshold")
    assert problem.message == 'there is no column "houshold"'
    assert problem.hint == 'did you mean "household"?'


def test_an_unknown_column_with_no_neighbour_lists_the_columns():
    assert problem_of({"age": np.arange(3.0), "sex": np.arange(3.0)}, "place").hint == "the columns are age, sex"
    assert problem_of({}, "place").hint == "this source has no columns"


@pytest.mark.parametrize(
    "values",
    [np.array([1.0, np.nan]), np.array([5, MISSING_DATE]), np.array(["a", ""], dtype=object), coded(["a", ""])],
)
def test_rows_without_a_value_are_refused(values):
    problem = problem_of({"age": values}, "age")
    assert problem.message == '1 row has no value in the column "age"'
    assert problem.hint == "the first is row 1, counted from 0"


def test_small_whole_numbers_are_never_missing():
    assert not is_missing(np.array([0, 1], dtype=np.int32)).any()


def test_time_is_the_only_column_of_dates_where_no_column_has_that_name():
    dates = np.array([3, 1, 2])
    assert order_named({"day": dates}, ["day"], "time", PLACE) == ("day", dates)
    times = np.array([1.0])
    assert order_named({"day": dates, "time": times}, ["day"], "time", PLACE) == ("time", times)
    assert order_named({"age": dates}, [], "time", PLACE) is None


def test_time_with_several_columns_of_dates_is_refused():
    with pytest.raises(DataError, match='"time" may be any of the 2 columns of dates: "born", "died"'):
        order_named({"born": np.arange(2), "died": np.arange(2)}, ["born", "died"], "time", PLACE)


@given(st.lists(st.sampled_from(["b", "a", "", "ä", "zz"]), min_size=1))
def test_numbers_follow_the_order_of_the_values_whether_coded_or_not(texts):
    array = np.array(texts, dtype=object)
    for values in (array, coded([*texts, "unused"]).take(np.arange(len(texts)))):
        numbers, distinct = numbered(values)
        assert distinct.tolist() == sorted(set(texts))
        assert distinct[numbers].tolist() == texts
