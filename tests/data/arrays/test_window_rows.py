import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltool.config.schema import Data, Windows
from dltool.data.arrays.rows import Coded, coded
from dltool.data.arrays.window_rows import make_windows
from dltool.data.sources.windows import load_window_examples
from dltool.data.split.at_random import TEST, TRAINING, VALIDATION, divide_in_order
from dltool.data.split.by_column import numbered, positions
from dltool.errors import DataError

HOUR = 3600


def options(length: int = 2, horizon: int = 1, stride: int = 1) -> Windows:
    return Windows(length=length, horizon=horizon, stride=stride, target="y")


def training(rows: int) -> np.ndarray:
    return np.full(rows, TRAINING)


def present(rows: int) -> np.ndarray:
    return np.ones(rows, dtype=bool)


def rows_of_windows(table) -> list[list[int]]:
    """The table's rows of each window, and last that of its target."""
    places = table.starts[:, np.newaxis] + np.arange(table.options.length)
    targets = np.stack([table.rows_after(step) for step in table.options.steps], axis=1)
    return np.concatenate([table.rows[places], targets], axis=1).tolist()


@given(
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 3),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.booleans()), min_size=1, max_size=60),
    st.randoms(use_true_random=False),
)
def test_windows_are_all_those_that_straddle_nothing_and_have_a_target(length, horizon, stride, cells, random):
    parts = np.array(sorted(part for part, _, _ in cells))
    keys = np.array([key for _, key, _ in cells], dtype=np.float32)
    has_target = np.array([has for _, _, has in cells])
    order = np.arange(len(cells), dtype=np.float32)
    shuffled = np.array(random.sample(range(len(cells)), len(cells)))
    expected = set()
    for key in (0, 1):
        for part in range(3):
            rows = [row for row in range(len(cells)) if keys[row] == key and parts[row] == part]
            for first in range(0, len(rows) - length - horizon + 1, stride):
                target = rows[first + length - 1 + horizon]
                if has_target[target]:
                    expected.add((part, *rows[first : first + length], target))
    arguments = (options(length, horizon, stride), parts[shuffled], has_target[shuffled], keys[shuffled])
    # As text, the order has no steps, so that nothing is a gap.
    times = np.array([f"{moment:03.0f}" for moment in order], dtype=object)[shuffled]
    if {part for part, *_ in expected} != set(parts.tolist()):
        with pytest.raises(DataError, match="begins a window"):
            make_windows(*arguments, ("time", times))
        return
    table = make_windows(*arguments, ("time", times))
    found = [
        (part, *shuffled[rows].tolist())
        for part, rows in zip(table.parts.tolist(), rows_of_windows(table), strict=True)
    ]
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_each_window_comes_before_its_target():
    table = make_windows(options(3, 2), training(7), present(7))
    assert rows_of_windows(table) == [[0, 1, 2, 4], [1, 2, 3, 5], [2, 3, 4, 6]]
    assert table.warnings == ()


def test_a_stride_begins_anew_in_every_part():
    parts = np.array([TRAINING] * 6 + [VALIDATION] * 4 + [TEST] * 3)
    table = make_windows(options(2, 1, 2), parts, present(13))
    assert [rows[0] for rows in rows_of_windows(table)] == [0, 2, 6, 10]
    assert [np.flatnonzero(table.parts == part).tolist() for part in (TRAINING, VALIDATION, TEST)] == [
        [0, 1],
        [2],
        [3],
    ]


def test_rows_of_no_part_have_no_windows():
    parts = np.array([TRAINING] * 4 + [-1] * 5)
    assert rows_of_windows(make_windows(options(), parts, present(9))) == [[0, 1, 2], [1, 2, 3]]


def test_windows_without_a_target_are_counted():
    has_target = np.array([True, True, True, False, True])
    table = make_windows(options(), training(5), has_target)
    assert [rows[-1] for rows in rows_of_windows(table)] == [2, 4]
    assert table.warnings == ('1 of 3 windows are left out: they have no target "y"',)


def test_no_window_goes_across_a_gap_in_regular_steps():
    order = np.arange(30) * HOUR
    order[20:] += 5 * HOUR
    table = make_windows(options(), training(30), present(30), None, ("time", order))
    assert len(table.starts) == 18 + 8
    assert not any(19 in rows and 20 in rows for rows in rows_of_windows(table))
    assert table.warnings == ('1 step is not 1 hour in "time": no window goes across',)


def test_irregular_steps_have_no_gaps():
    months = np.cumsum([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) * 24 * HOUR
    table = make_windows(options(), training(12), present(12), None, ("time", months))
    assert (len(table.starts), table.warnings) == (10, ())


def test_several_series_may_be_mixed_in_the_table():
    keys = coded(["a", "b"] * 4)
    table = make_windows(options(), training(8), present(8), keys, ("time", np.repeat(np.arange(4.0), 2)))
    assert rows_of_windows(table) == [[0, 2, 4], [2, 4, 6], [1, 3, 5], [3, 5, 7]]


def test_two_rows_at_one_moment_are_refused():
    with pytest.raises(DataError) as error:
        make_windows(options(), training(4), present(4), None, ("time", np.array([1.0, 1, 2, 2])))
    (problem,) = error.value.problems
    assert problem.message == '2 rows have the same "time" as the row before in the series'
    assert problem.hint == "if there are several series, name the column: key"
    assert problem.place == ("data", "windows", "order")


def test_a_part_without_a_window_is_refused():
    parts = np.array([TRAINING] * 10 + [VALIDATION] * 2 + [TEST] * 2)
    with pytest.raises(DataError) as error:
        make_windows(options(), parts, present(14))
    assert [problem.message.split(" begins")[0] for problem in error.value.problems] == [
        "none of the 2 rows for validation",
        "none of the 2 rows for test",
    ]


@given(st.integers(5, 40), st.integers(1, 4), st.data())
def test_windows_are_the_values_of_their_rows(rows, length, data):
    base = np.arange(rows * 2, dtype=np.float32).reshape(rows, 2)
    order = np.array(data.draw(st.permutations(range(rows))), dtype=np.float32)
    table = make_windows(options(length), training(rows), present(rows), None, ("time", order))
    windows = table.input_of("x", base)
    expected = [[base[row] for row in chosen[:-1]] for chosen in rows_of_windows(table)]
    assert windows.shape == (len(expected), length, 2)
    assert windows.dtype == np.float32
    np.testing.assert_array_equal(windows[:], expected)
    np.testing.assert_array_equal(np.asarray(windows), expected)
    some = data.draw(st.lists(st.integers(0, len(expected) - 1)))
    np.testing.assert_array_equal(windows[np.array(some, dtype=int)], np.array(expected)[some])


def test_windows_over_text_stay_coded():
    wind = coded(["N", "S", "S", "W"])
    windows = make_windows(options(), training(4), present(4)).input_of("x", wind)
    assert isinstance(windows, Coded)
    assert windows.shape == (2, 2)
    assert windows[:].tolist() == [["N", "S"], ["S", "S"]]
    assert np.asarray(windows.codes).tolist() == [[0, 1], [1, 1]]
    assert windows.take(np.array([1]))[:].tolist() == [["S", "S"]]


def test_windows_take_the_memory_of_their_starts():
    table = make_windows(options(1000), training(100_000), present(100_000))
    assert table.input_of("x", np.zeros((100_000, 100), dtype=np.float32)).shape == (99_000, 1000, 100)


def test_series_of_rows_without_a_time_are_divided_by_position():
    keys = coded(["a"] * 10 + ["b"] * 10)
    places = positions(numbered(keys)[0])
    assert places.tolist() == list(range(10)) * 2
    split = divide_in_order(places, 0, 6, "row", ())
    assert split.test.tolist() == [7, 8, 9, 17, 18, 19]


@pytest.mark.parametrize(
    ("days", "series", "windows", "warned"),
    [
        ((1, 2, 3, 4, 5, 6), "aaaaaa", {}, False),
        ((1, 3, 2, 4, 6, 5), "aaaaaa", {}, True),
        ((1, 3, 2, 4, 6, 5), "aaaaaa", {"order": "day"}, False),
        ((4, 5, 6, 1, 2, 3), "aaabbb", {"key": "k"}, False),
    ],
)
def test_rows_of_a_file_that_are_not_in_the_order_of_time_are_warned_of(tmp_path, days, series, windows, warned):
    lines = [f"2020-01-0{day},{key},{day / 2}" for day, key in zip(days, series, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(["day,k,y", *lines]))
    data = Data.model_validate(
        {"source": {"csv": str(tmp_path / "a.csv")}, "windows": {"length": 1, "target": "y", **windows}}
    )
    expected = ('2 rows are earlier in "day" than the row before: windows: {order: day} sorts them',)
    assert load_window_examples(data).warnings == (expected if warned else ())


def test_a_column_that_is_no_input_orders_windows_all_the_same(tmp_path):
    lines = [f"2020-01-0{day},{day}" for day in (1, 3, 2, 4, 6, 5)]
    (tmp_path / "a.csv").write_text("\n".join(["day,y", *lines]))
    source = {"source": {"csv": str(tmp_path / "a.csv")}, "inputs": {"day": "ignore"}}
    windows = {"length": 2, "target": "y", "order": "day"}
    examples = load_window_examples(Data.model_validate({**source, "windows": windows}))
    assert list(examples.types) == ["y"]
    assert np.asarray(examples.training.inputs["y"][:]).reshape(-1, 2)[0].tolist() == [1, 2]
    assert examples.inferred["inputs"]["day"].name == "ignore"
