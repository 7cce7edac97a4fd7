"""The format of a column of dates is found from all of its cells, and gives the dates that were written."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltool.data.tables.cells import NO_DATE
from dltool.data.tables.date_format import date_formats, date_of
from dltool.errors import DataError

FORMATS = [
    *("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%d-%b-%Y", "%d %B %Y", "%B %d, %Y", "%b %d %Y"),
    *("%A, %d %B %Y", "%a %b %d %Y", "%Y.%m.%d", "%d.%m.%Y %H:%M", "%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p"),
    *("%d/%m/%Y %H:%M:%S", "%d %b %Y %H:%M:%S.%f", "%d %b %Y %H:%M:%S UTC", "%d/%m/%Y %H:%M:%S %z", "%d.%m.%y"),
    *("%Y%m%dT%H%M%S", "%Y%m%d_%H%M%S", "%Y%m%d %H:%M:%S", "%Y-%j", "%Y:%m:%d %H:%M:%S", "%d/%b/%Y:%H:%M:%S %z"),
    *("%d%b%Y:%H:%M:%S", "%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S %z %Y", "[%d/%b/%Y:%H:%M:%S +0000]"),
    *("%a, %d %b %Y %H:%M:%S GMT", "%H:%M %d/%m/%Y", "%H:%M:%S %Y-%m-%d", "%B %d, %Y at %I:%M %p", "%d of %B %Y"),
    *("%d/%m/%Y %Hh%M", "%d.%m.%Y %H.%M", "%d-%b-%y %I.%M.%S %p", "%m/%d/%Y %I%p", "%Y\u5e74%m\u6708%d\u65e5"),
]
FIRST = datetime(2001, 1, 1, tzinfo=UTC)
START = datetime(1970, 1, 1, tzinfo=UTC)
moments = st.integers(0, 20 * 365 * 86_400).map(lambda seconds: FIRST + timedelta(seconds=seconds))


@given(st.lists(moments, min_size=30, max_size=30, unique=True), st.sampled_from(FORMATS))
def test_the_format_of_a_column_is_found_and_gives_its_dates(times: list[datetime], written: str) -> None:
    # A day and a two-digit year that no other order reads.
    times = [*times, datetime(1999, 1, 31, tzinfo=UTC), datetime(2001, 12, 29, tzinfo=UTC)]
    texts = [time.strftime(written) for time in times]
    (found,) = date_formats(texts)
    expected = [datetime.strptime(text, written).replace(tzinfo=UTC) for text in texts]
    assert [date_of(text, found) for text in texts] == [(time - START) // timedelta(seconds=1) for time in expected]


@pytest.mark.parametrize(
    ("texts", "formats"),
    [
        (["05/01/2021", "06/02/2021"], ["%m/%d/%Y", "%d/%m/%Y"]),
        (["05.01.2021", "06.02.2021"], ["%d.%m.%Y", "%m.%d.%Y"]),
        (["05/01/2021", "06/02/2021", "13/02/2021"], ["%d/%m/%Y"]),
        (["27/09/21", "13/02/20", "30/01/21"], ["%d/%m/%y", "%y/%m/%d"]),
        (["21-06-18", "21-07-30", "20-09-11"], ["%y-%m-%d", "%d-%m-%y"]),
        (["05/01/21", "06/02/20"], ["%m/%d/%y", "%d/%m/%y", "%y/%m/%d"]),
        (["Jan-49", "Feb-49"], ["%b-%y"]),
        (["01/1949", "12/1949"], ["%m/%Y"]),
        (["1949Q1", "1950Q4"], ["%YQ%q"]),
        (["Q1 1949", "Q4 1950"], ["Q%q %Y"]),
        (["Q4 '20", "Q1 '22"], ["Q%q '%y"]),
        (["4Q20", "1Q22"], ["%qQ%y"]),
        (["2021Q4", "2022Q1"], ["%YQ%q"]),
        (["2020M12", "2021M01"], ["%YM%m"]),
        (["December 12th, 2020", "May 1st, 2021"], ["%B %d, %Y"]),
        (["Sept 12, 2020", "Oct 1, 2021"], ["%b %d, %Y"]),
        (["05/13/2020 4:22 p.m.", "06/01/2020 10:00 a.m."], ["%m/%d/%Y %I:%M %p"]),
        (["12/25", "01/31"], []),
        (["12-Dec", "13-Dec"], []),
        (["May 05, 2021", "June 06, 2021"], ["%B %d, %Y"]),
        (["2021-01-05", "2021-01"], []),
        (["10.0.0.1", "10.0.0.2"], []),
        (["A-1", "B-2"], []),
        (["12:30", "12:40"], []),
        (["1/2", "2/2"], []),
        ([], []),
    ],
    ids=str,
)
def test_formats_that_read_all_cells_are_named_the_likelier_first(texts: list[str], formats: list[str]) -> None:
    assert date_formats(texts) == formats


@pytest.mark.parametrize(
    ("text", "written", "date"),
    [
        ("1949-02", None, "1949-02-01"),
        ("2021-W05", None, "2021-02-01"),
        ("1949Q3", "%YQ%q", "1949-07-01"),
        ("Q5 1949", "Q%q %Y", None),
        ("1700000000", "unix", "2023-11-14T22:13:20"),
        ("1700000000999", "unix_ms", "2023-11-14T22:13:20"),
        ("1700000000999999", "unix_us", "2023-11-14T22:13:20"),
        ("1700000000999999999", "unix_ns", "2023-11-14T22:13:20"),
        ("2021W05", None, "2021-02-01"),
        ("2021-02-01 13", None, "2021-02-01T13:00:00"),
        ("May 3rd, 2021", "%B %d, %Y", "2021-05-03"),
        ("soon", "unix", None),
        ("1e300", "unix", None),
        ("2021-13", None, None),
    ],
)
def test_months_quarters_weeks_and_seconds_are_dates(text: str, written: str | None, date: str | None) -> None:
    moment = None if date is None else datetime.fromisoformat(date).replace(tzinfo=UTC)
    assert date_of(text, written) == (NO_DATE if moment is None else int(moment.timestamp()))


def test_undeclared_dates_in_another_format_are_an_error_that_names_it(read, tmp_path) -> None:
    with pytest.raises(DataError) as error:
        read("a,b\n" + "".join(f"{day:02}/0{1 + day % 3}/2021,{day}.5\n" for day in range(1, 13)))
    (problem,) = error.value.problems
    assert problem.message == f'{tmp_path}/table.csv: a holds dates that are not in ISO 8601, such as "01/02/2021"'
    assert problem.hint == (
        'write a: {date: {format: "%m/%d/%Y"}} or a: {date: {format: "%d/%m/%Y"}}; or, for categories, a: category'
    )
