"""Values of new data that training has not seen."""

from typing import Any

import numpy as np
import pytest

from dltool.config.columns import COLUMN_TYPES, ColumnType
from dltool.data.arrays.rows import Taken, coded, take
from dltool.data.arrays.window_rows import Windowed
from dltool.model.columns import learn
from dltool.model.unusual_values import unusual_values

NO_DATE = np.iinfo(np.int64).min


def warned(kind: str, training: Any, new: Any, **options: Any) -> list[str]:
    column = ColumnType(kind, COLUMN_TYPES[kind].model_validate(options))
    return [*unusual_values({"x": new}, {"x": column}, {"x": learn(column, training)})]


def numbers(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_an_unknown_category_is_named_with_its_rows() -> None:
    training, new = coded(["a", "b", ""]), coded(["c", "a", "c", "", "d"])
    (warning,) = warned("category", training, new)
    assert '"x": 3 rows have none of the training categories: "c" in 2, "d" in 1' in warning
    assert "the model gets its unknown category" in warning
    assert warned("category", training, coded(["a", "", "b"])) == []
    assert warned("category", training, new, unknown="error") == []


def test_a_rare_category_is_unknown_too() -> None:
    (warning,) = warned("category", coded(["a", "a", "b"]), coded(["b"]), min_count=2)
    assert '1 row has none of the training categories: "b" in 1' in warning


@pytest.mark.parametrize(
    ("kind", "training", "new"),
    [
        ("number", numbers(1, 2), numbers(1, np.nan)),
        ("boolean", numbers(0, 1), numbers(np.nan, 1)),
        ("category", coded(["a", "b"]), coded(["a", ""])),
        ("date", np.array([0, 86400]), np.array([NO_DATE, 0])),
    ],
)
def test_a_missing_value_is_a_warning_if_no_training_row_lacks_one(kind, training, new) -> None:
    (warning,) = warned(kind, training, new)
    assert warning.startswith('"x": 1 row has no value, unlike all training rows; the model gets ')
    assert warned(kind, new, new) == []
    assert warned(kind, training, training) == []


def test_a_number_far_outside_the_training_range_is_named() -> None:
    training = numbers(20, 30)
    assert warned("number", training, numbers(10, 40)) == []
    (warning,) = warned("number", training, numbers(25, 300, 9, 300))
    assert warning.startswith('"x": 3 rows have a value far outside the training range, 20')
    assert "300" in warning
    assert warned("number", numbers(np.nan), numbers(5)) == []


def test_a_date_far_outside_those_of_training_is_named() -> None:
    training = np.array(["2025-01-01", "2025-12-31"], "datetime64[s]").astype(np.int64)
    near, far = (np.array([day, "NaT"], "datetime64[s]").astype(np.int64) for day in ("2026-06-01", "1900-05-06"))
    assert len(warned("date", np.append(training, NO_DATE), near)) == 0
    (warning,) = warned("date", np.append(training, NO_DATE), far)
    expected = "1 row has a value far outside the training range, 2025-01-01 to 2025-12-31: 1900-05-06"
    assert warning == f'"x": {expected}'


def test_a_row_of_many_windows_counts_once() -> None:
    series = coded(["a", "b", "c", "b"])
    order = np.arange(4)
    windows = Windowed(series.codes, order, np.arange(3), 2)
    (warning,) = warned("category", coded(["a", "b"]), type(series)(Taken(windows, np.arange(3)), series.values))
    assert '1 row has none of the training categories: "c" in 1' in warning
    assert take(series, order).shape == (4,)


def test_a_state_of_an_older_run_has_no_limits() -> None:
    column = ColumnType("number", COLUMN_TYPES["number"].model_validate({}))
    state = {"fill": 0.0, "center": 0.0, "spread": 1.0}
    assert [*unusual_values({"x": numbers(1e9, np.nan)}, {"x": column}, {"x": state})] == []
