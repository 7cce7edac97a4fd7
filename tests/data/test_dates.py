from datetime import datetime, timedelta
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltool.config.columns import DatePart
from dltool.data.dates import DATE_PARTS, day, elapsed, month, year

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001
MOMENTS = st.datetimes(datetime.min, datetime.max).map(lambda moment: moment.replace(microsecond=0))  # noqa: DTZ901


def seconds_of(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(seconds=1)


@given(st.lists(MOMENTS, min_size=1, max_size=30))
def test_every_part_is_what_python_says(moments):
    seconds = np.array([seconds_of(moment) for moment in moments])
    expected = {
        "year": [moment.year for moment in moments],
        "month": [moment.month for moment in moments],
        "day": [moment.day for moment in moments],
        "weekday": [moment.weekday() for moment in moments],
        "day_of_year": [moment.timetuple().tm_yday for moment in moments],
        "hour": [moment.hour for moment in moments],
        "minute": [moment.minute for moment in moments],
        "second": [moment.second for moment in moments],
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(DATE_PARTS[name](seconds), values, err_msg=name)
    days = [(moment - EPOCH) / timedelta(days=1) for moment in moments]
    np.testing.assert_allclose(elapsed(seconds), days, rtol=1e-15)


@pytest.mark.slow
def test_every_part_is_the_same_in_a_compiled_graph():
    tensorflow = pytest.importorskip("tensorflow")
    seconds = np.random.default_rng(0).integers(-(10**11), 10**11, 1000)
    for name, part in DATE_PARTS.items():
        compiled = tensorflow.function(part)(tensorflow.constant(seconds))
        np.testing.assert_array_equal(compiled.numpy(), part(seconds), err_msg=name)


@given(st.integers(-(2**62), 2**62))
def test_four_hundred_years_later_is_the_same_day_of_the_calendar(seconds):
    moments = np.array([seconds, seconds + 146_097 * 86_400])
    assert np.diff(year(moments)) == 400
    assert np.diff(month(moments)) == np.diff(day(moments)) == 0


@pytest.mark.parametrize("moment", [datetime(1, 1, 1), datetime(1900, 3, 1), datetime(2000, 2, 29)])  # noqa: DTZ001
def test_parts_keep_the_shape_and_are_whole_numbers(moment):
    seconds = np.full((2, 3), seconds_of(moment))
    for name, part in DATE_PARTS.items():
        assert part(seconds).shape == (2, 3)
        assert part(seconds).dtype == (np.float64 if name == "elapsed" else np.int64)


def test_elapsed_days_have_a_fraction():
    assert elapsed(np.array([-43_200, 129_600])).tolist() == [-0.5, 1.5]


def test_every_part_that_a_config_may_name_is_there():
    assert tuple(DATE_PARTS) == get_args(DatePart)
