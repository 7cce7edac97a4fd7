"""The usual step between the rows of a time series, against pandas' calendars."""

import numpy as np
import pandas as pd
import pytest

from dltool.data.arrays.rows import coded
from dltool.data.arrays.time_steps import moments_of, steps_of


def seconds(dates: pd.DatetimeIndex) -> np.ndarray:
    return dates.to_numpy().astype("datetime64[s]").astype(np.int64)


def one_series(moments: np.ndarray):
    return steps_of(moments, np.zeros(len(moments) - 1, dtype=bool))


@pytest.mark.parametrize(
    ("frequency", "name", "season"),
    [
        ("s", "1 second", 86_400),
        ("15min", "15 minutes", 96),
        ("h", "1 hour", 24),
        ("7h", "7 hours", None),
        ("D", "1 day", 7),
        ("2D", "2 days", None),
        ("W", "7 days", 52),
        ("B", "1 business day", 5),
        ("MS", "1 month", 12),
        ("ME", "1 month", 12),
        ("BME", "1 month", 12),
        ("2MS", "2 months", 6),
        ("QS", "1 quarter", 4),
        ("QE", "1 quarter", 4),
        ("YS", "1 year", None),
    ],
)
@pytest.mark.parametrize("start", ["1951-03-01", "2019-12-31"])
def test_the_steps_of_calendars_are_regular(frequency, name, season, start) -> None:
    step, gaps = one_series(seconds(pd.date_range(start, periods=60, freq=frequency)))
    assert (step.name, step.season) == (name, season)
    assert not gaps.any()


@pytest.mark.parametrize("frequency", ["h", "D", "W", "MS", "QE", "YS"])
def test_a_missing_row_is_a_gap(frequency) -> None:
    moments = np.delete(seconds(pd.date_range("2001-01-01", periods=60, freq=frequency)), 30)
    assert np.flatnonzero(one_series(moments)[1]).tolist() == [29]


def test_holidays_are_no_gap_among_business_days_but_a_missing_week_is() -> None:
    days = pd.date_range("2001-01-01", periods=500, freq="B")
    moments = np.delete(seconds(days), [40, 101, 102, 200, 201, 202, 203])
    step, gaps = one_series(moments)
    assert step.name == "1 business day"
    assert not gaps.any()
    assert np.flatnonzero(one_series(np.delete(seconds(days), range(300, 305)))[1]).tolist() == [299]


def test_moments_without_a_rule_have_no_step() -> None:
    moments = np.cumsum(np.random.default_rng(0).integers(1, 10**6, 100))
    step, gaps = one_series(moments)
    assert step is None
    assert not gaps.any()


def test_numbers_that_are_no_dates_have_steps_too() -> None:
    step, gaps = one_series(np.array([1800.0, *range(1802, 1860)]))
    assert (step.name, step.season, np.flatnonzero(gaps).tolist()) == ("1", None, [0])


def test_steps_between_series_do_not_count() -> None:
    months = seconds(pd.date_range("2001-01-01", periods=30, freq="MS"))
    is_new = np.zeros(59, dtype=bool)
    is_new[29] = True
    step, gaps = steps_of(np.concatenate([months, months]), is_new)
    assert step is not None
    assert step.name == "1 month"
    assert not gaps.any()


def test_a_time_in_several_columns_is_that_of_pandas() -> None:
    hours = pd.date_range("1968-02-28 20:00", periods=60, freq="h")
    parts = {name: np.asarray(getattr(hours, name.lower()), np.float64) for name in ("hour", "Year", "month", "day")}
    np.testing.assert_array_equal(moments_of(parts), seconds(hours))
    months = {"Year": parts["Year"], "month": parts["month"]}
    np.testing.assert_array_equal(moments_of(months), seconds(hours.to_period("M").to_timestamp()))
    days = {"date": seconds(hours.normalize()), "hr": parts["hour"]}
    np.testing.assert_array_equal(moments_of(days), seconds(hours))
    for written in ("%H:%M", "%H.%M.%S", "%I:%M %p"):
        clock = coded(hours.strftime(written).tolist())
        np.testing.assert_array_equal(moments_of({"Date": seconds(hours.normalize()), "Time": clock}), seconds(hours))


@pytest.mark.parametrize(
    "columns",
    [
        {"year": [2020.0], "day": [1.0]},
        {"hour": [1.0], "minute": [1.0]},
        {"year": [2020.0], "month": [13.0]},
        {"year": [2020.0], "month": [1.5]},
        {"year": [2020.0], "sales": [1.0]},
        {"date": [0], "month": [1.0]},
        {"date": [0], "other": [0]},
        {"hr": [1.0], "date": [0], "hour": [1.0]},
        {"year": [2020.0]},
        {"date": [0], "time": ["18:30h"]},
        {"date": [0], "time": ["18:30"], "other": ["18:31"]},
        {"date": [0], "time": ["18:30"], "hour": [1.0]},
        {"hour": [1.0], "time": ["18:30"]},
        {"time": ["18:30"]},
    ],
)
def test_columns_that_are_no_time_together_are_none(columns) -> None:
    given = {
        name: coded(values) if isinstance(values[0], str) else np.array(values) for name, values in columns.items()
    }
    assert moments_of(given) is None
