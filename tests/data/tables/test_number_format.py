"""Numbers with marks of thousands, currencies and units are read as what they are, or not at all."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltool.config.columns import NumberColumn
from dltool.data.tables.number_format import NumberFormat, Writing, format_of
from dltool.data.tables.typed_table import Table
from dltool.errors import DataError

AROUND = ["{}", "${}", "€ {}", "{} €", "{}%", "{} kg", "{} km/h", "US${}", "CHF {}", "({})"]


def grouped(value: float, decimal: str, thousands: str) -> str:
    """Write a number with two decimal places, by Python's own format."""
    return f"{value:,.2f}".translate({ord(","): thousands, ord("."): decimal})


marks = st.sampled_from([(".", ","), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "\u00a0"), (".", "_")])
cents = st.integers(-(10**9), 10**9).map(lambda number: number / 100)


@given(st.lists(cents, min_size=20, unique=True), marks, st.sampled_from(AROUND), st.sampled_from([".", ","]))
def test_the_format_of_a_column_is_found_and_gives_its_numbers(values, marks, around, of_file) -> None:
    if around == "({})":
        texts = [around.format(grouped(-x, *marks)) if x < 0 else grouped(x, *marks) for x in values]
    else:
        texts = [around.format(grouped(x, *marks)) for x in values]
    # One number of each size decides between marks of thousands and of decimals.
    texts += [around.format(grouped(1_234_567.25, *marks)), around.format(grouped(0.25, *marks))]
    options = format_of(texts, of_file)
    written = NumberFormat.of(NumberColumn.model_validate(options), of_file)
    expected = [abs(x) if around == "({})" and x == 0 else x for x in values] + [1_234_567.25, 0.25]
    if around == "({})":
        expected[-2:] = [-1_234_567.25, -0.25]
    np.testing.assert_array_equal([written.number(text) for text in texts], expected)


@pytest.mark.parametrize(
    "texts",
    [
        ["1", "2.5", "-3e4"],
        [f"A{number}" for number in range(20)],
        [f"area_{number}" for number in range(20)],
        [f"{number} kg" if number % 2 else f"{number} g" for number in range(20)],
        [f"${number}" if number % 2 else f"€{number}" for number in range(20)],
        [f"{number}%" if number % 2 else f"0.{number}" for number in range(20)],
        [f"192.168.{number}.1" for number in range(20)],
        [f"1.{number}.0" for number in range(20)],
        [f"2024-01-{number:02}" for number in range(1, 20)],
        [f"{number:02}.01.2024" for number in range(1, 20)],
        [f"{number}:30" for number in range(20)],
        [f"SKU {number}" for number in range(20)],
        [f"{number}/2" for number in range(20)],
        [f"{number}-{number + 10}" for number in range(20)],
        [f"{number}h {number}m" for number in range(20)],
        [f"{number} EUR" if number % 2 else f"{number} USD" for number in range(20)],
        [f"${number} USD" if number % 2 else f"€{number} EUR" for number in range(20)],
        ["1", "1-", "2", "2-", "3", "3-"],
        ["2 doors", "4 doors", "5 doors"],
        [],
    ],
    ids=lambda texts: str(texts[-1:]),
)
def test_plain_numbers_and_other_texts_have_no_format(texts) -> None:
    assert format_of(texts, ".") == {}


@pytest.mark.parametrize(
    ("options", "text", "number"),
    [
        ({"thousands": ","}, "1,234.5", 1234.5),
        ({"thousands": ","}, "12,34,567", 1_234_567),
        ({"thousands": ","}, "1,23", math.nan),
        ({"thousands": ","}, "1,2345", math.nan),
        ({"thousands": ","}, "0,123", math.nan),
        ({"thousands": ","}, "999", 999),
        ({"thousands": "."}, "1.234,5", 1234.5),
        ({"thousands": " "}, "1\u202f234", 1234),
        ({"thousands": "'"}, "1\u2019234.5", 1234.5),
        ({}, "\u22125", -5),
        ({}, "\uff11\uff12\uff0e\uff15", 12.5),
        ({}, "\u0661\u0662\u066b\u0665", 12.5),
        ({}, "\u200e12\u200b", 12),
        ({}, "5-", math.nan),
        ({"strip": "-"}, "5-", -5),
        ({"strip": "-"}, "-5", -5),
        ({"strip": "-"}, "-5-", math.nan),
        ({"strip": "$()"}, "$(5)", -5),
        ({"strip": "$()"}, "($5)", -5),
        ({"thousands": ".", "strip": "-"}, "1.234,5-", -1234.5),
        ({"strip": "$"}, "-$5", -5),
        ({"strip": "$"}, "$-5", -5),
        ({"strip": "$"}, "\u22125$", -5),
        ({"strip": "()"}, "(5)", -5),
        ({"strip": "$"}, "(5)", math.nan),
        ({"strip": "%"}, "5 %", 5),
        ({"strip": "m2"}, "12 m2", 12),
        ({"strip": "m2"}, "-22m2", -22),
        ({"strip": "m2", "thousands": " "}, "1 222 m2", 1222),
        ({"strip": "$/m2"}, "-$22/m2", -22),
        ({"strip": "m2()"}, "(22 m2)", -22),
        ({"strip": "m2"}, "m2", math.nan),
        ({"strip": "m2"}, "22", 22),
        ({"strip": "/5"}, "4.5/5", 4.5),
        ({"strip": "/5"}, "5/5", 5),
        ({"strip": "%"}, "five %", math.nan),
        ({"decimal": ","}, "1.5", math.nan),
    ],
)
def test_a_number_is_read_as_declared_or_not_at_all(options, text, number) -> None:
    assert NumberFormat.of(NumberColumn.model_validate(options), ".").number(text) == pytest.approx(number, nan_ok=True)


def test_declared_marks_hold_in_every_block_of_a_file(read: Callable[..., Table]) -> None:
    # Later blocks are parsed as numbers, where "1.234" would be a little more than one.
    values = [1_234 + number for number in range(30_000)]
    text = "a;b\n" + "".join(f"{value:,} €;{value}\n".replace(",", ".") for value in values)
    table = read(text, {"a": {"number": {"thousands": ".", "strip": "€"}}, "b": "number"}, delimiter=";")
    np.testing.assert_array_equal(table.columns["a"].values[:], table.columns["b"].values[:])


@pytest.mark.parametrize(
    ("cells", "message", "hint"),
    [
        (
            [f"${number},000" for number in range(1, 40)],
            'table.csv: a holds numbers that are not written plainly, such as "$1,000"',
            'write a: {number: {thousands: ",", strip: "$$"}}; or, for categories, a: category',
        ),
        (
            [*range(40), "1,234"],
            'table.csv, line 42: a is "1,234", which is no number',
            'say how its numbers are written: a: {number: {thousands: ","}}',
        ),
    ],
)
def test_an_undeclared_column_of_such_numbers_is_an_error_with_the_way_out(
    read, tmp_path, cells, message, hint
) -> None:
    with pytest.raises(DataError) as error:
        read("a;b\n" + "".join(f"{cell};{number % 7}.5\n" for number, cell in enumerate(cells)), delimiter=";")
    (problem,) = error.value.problems
    assert (problem.message.replace(f"{tmp_path}/", ""), problem.hint) == (message, hint)


def test_leading_zeros_make_a_code_of_a_number(read) -> None:
    codes = ["01067", "80331", "20095"] * 10
    table = read("zip,n\n" + "".join(f"{code},{number}.5\n" for number, code in enumerate(codes)))
    assert table.columns["zip"].kind == "category"
    assert {*table.columns["zip"].values[:]} == {*codes}


@pytest.mark.parametrize("first", [2**24, 999_999_990, 2**53 - 20])
def test_integers_of_a_target_or_group_are_exact(read, first) -> None:
    numbers = [first + number for number in range(10)]
    table = read("key,n\n" + "".join(f"{number},{number % 7}.5\n" for number in numbers * 3), needed=["key"])
    assert [int(value) for value in np.unique(table.columns["key"].values[:])] == numbers


def test_integers_that_float64_cannot_tell_apart_are_codes(read) -> None:
    ids = [1_234_567_890_123_456_789 + number for number in range(10)]
    table = read("id,n\n" + "".join(f"{number},{number % 7}.5\n" for number in ids * 3))
    assert table.columns["id"].kind == "category"
    assert {*table.columns["id"].values[:]} == {*map(str, ids)}


INDIAN = [f"Rs. {lakhs},{thousands:02},{100 + thousands}" for lakhs in range(1, 5) for thousands in range(10, 20)]


@pytest.mark.parametrize(
    ("texts", "options"),
    [
        (INDIAN, {"thousands": ",", "strip": "Rs."}),
        ([f"{number}.50-" if number % 2 else f"{number}.25" for number in range(20)], {"strip": "-"}),
        ([f"$({number}.5)" if number % 2 else f"${number}.5" for number in range(20)], {"strip": "$()"}),
        ([f"\u00a3{number}/mth" for number in range(20)], {"strip": "\u00a3/mth"}),
        ([f"{number} m2" for number in range(20)], {"strip": "m2"}),
        ([f"{number / 10}/5" for number in range(20)], {"strip": "/5"}),
        ([f"{number},5E+03" for number in range(1, 20)], {"decimal": ","}),
        ([f"1\u2019{number}.5" for number in range(100, 120)], {"thousands": "'"}),
    ],
    ids=lambda value: str(value)[:20],
)
def test_numbers_of_accounts_and_other_countries_have_a_format(texts, options) -> None:
    assert format_of(texts, ".") == options
    written = NumberFormat.of(NumberColumn.model_validate(options), ".")
    assert not np.isnan([written.number(text) for text in texts]).any()


def test_three_digits_behind_every_mark_may_be_thousands() -> None:
    def is_ambiguous(*texts: str) -> bool:
        writing = Writing(".")
        for text in texts:
            writing.add(text)
        return writing.is_ambiguous

    assert is_ambiguous("1.234", "2.000", "7")
    assert not is_ambiguous("1.234", "2.5")
    assert not is_ambiguous("0.234", "2.123")
    assert not is_ambiguous("1", "2")
