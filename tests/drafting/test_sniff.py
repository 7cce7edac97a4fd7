"""How a file of delimited text is written, found out from its content."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dltool.config.table_sources import CsvSource
from dltool.drafting.sniff import Sniffed, sniff_csv
from dltool.errors import DataError

Sniff = Callable[..., Sniffed]


@pytest.fixture
def sniff(tmp_path: Path) -> Sniff:
    def sniffed(text: str | bytes) -> Sniffed:
        path = tmp_path / "table.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return sniff_csv(path, ())

    return sniffed


def rows(line: str, header: str = "", count: int = 60) -> str:
    """Lines in which `{i}` is the number of the row and `{k}` one of three letters."""
    lines = [line.format(i=i, k="uvw"[i % 3]) for i in range(count)]
    return "\n".join([header, *lines] if header else lines) + "\n"


def given(sniffed: Sniffed) -> dict[str, Any]:
    return sniffed.options.model_dump(exclude_defaults=True, exclude={"path"})


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (rows("{i},{k}", "number,letter"), {}),
        (rows("{i},{k}", "# made today\n#\nnumber,letter"), {"comment": "#"}),
        (rows("{i} {i}.5 {k}", "! made today\n! by us\nx y  z"), {"delimiter": "whitespace", "comment": "!"}),
        (rows("{i},{k}", "% made today\nnumber,letter"), {"comment": "%"}),
        (rows("{i},{k}", "%number,letter"), {}),
        (rows("{i},{k}", "#number,letter"), {}),
        (rows("{i};{k}", "number;letter"), {"delimiter": ";"}),
        (rows("{i}\ta, b and c\t{k}", "number\ttext\tletter"), {"delimiter": "\t"}),
        (rows("{i}|{k}", "number|letter"), {"delimiter": "|"}),
        (rows("{i},5;{i},25;{k}", "a;b;c"), {"delimiter": ";", "decimal": ","}),
        (rows("{i},{k}"), {"header": False}),
        (rows("good film {i},{k}"), {"header": False}),
        (rows("good film {i},{k}", "review,letter"), {}),
        (rows("{i},{i}.5,{k}", "2019,2020,letter"), {"header": True}),
        (rows("{i},{i}.5,{k}", ",a,letter"), {"header": True, "names": ("index", "a", "letter")}),
        (rows("{k},text {i},,", "v1,v2,,"), {"header": True, "names": ("v1", "v2", "column_3", "column_4")}),
        (rows("{i},{i}.5,{k}", "a,b,a"), {"header": True, "names": ("a", "b", "a_3")}),
        (rows('{i}\t"so" he said\t{k}', "number\ttext\tletter"), {"delimiter": "\t", "quote": None}),
        (rows('{i},"a\nb, ""{i}""",{k}', "number,text,letter"), {}),
        ("sep=;\n" + rows("{i};{k}", "number;letter"), {"delimiter": ";", "skip_rows": 1}),
        ("Made today\n\n" + rows("{i},{k},x", "number,letter,c"), {"skip_rows": 2}),
        (rows("{i},{i}.5,{k}", "a,b,c\nkm,m/s,"), {"skip_rows": (2,)}),
        ("made\n" + rows("{i},{i}.5,{k}", "a,b,c\nkm,m/s,"), {"skip_rows": (1, 3)}),
        (rows("{i},{i}.5,{k},", "a,b,c"), {"header": True, "names": ("a", "b", "c", "column_4")}),
        (rows('"{i}" {i}.5 "a {k}"', '"a" "b"'), {"delimiter": " ", "header": True, "names": ("row", "a", "b")}),
        (rows('"{i}",{i}.5,{k}', '"a","b"'), {"header": True, "names": ("row", "a", "b")}),
        (rows("  {i}   {i}.5\t{k}", "a  b c"), {"delimiter": "whitespace"}),
        (rows('{k}\t"no number {i}', count=40), {"header": False, "delimiter": "\t", "quote": None}),
        (rows('{i}.0   {i}   {i}.5\t"{k} {k}"'), {"delimiter": "whitespace", "header": False}),
        (rows("{i},käse {k}", "number,käse").encode("cp1252"), {"encoding": "cp1252"}),
        *(
            (rows("{i},{k}", "number,letter").encode(encoding), {"encoding": encoding})
            for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32")
        ),
        (rows("{i},{i}.5,{k}", "a,b,c") + "Total,9,\n", {"skip_rows": (62,)}),
        (rows("{i},{i}.5,{k}", "a,b,c") + "\nSource: us\nno more\n", {"skip_rows": (63, 64)}),
        (rows("{i},{i}.5,{k}", "a,b,c") + ",,\n\x1a\n", {"skip_rows": (62, 63)}),
        (2 * rows("{i},{i}.5,{k}", "a,b,c"), {"skip_rows": (62,)}),
        ("From:,us,\nOn,2024,\n,,\n" + rows("{i},{i}.5,{k}", "a,b,c"), {"skip_rows": 3}),
        ("From:,us\nOn,2024\n\n" + rows("{i},{i}.5,{k}", "a,b,c"), {"skip_rows": 3}),
        ("size,,kind\n" + rows("{i},{i}.5,{k}", "a,b,c"), {"skip_rows": 1}),
        (
            rows("{i},{i}.5,{k}.5,{k}", ",p,p,q\n,a,b,c"),
            {"skip_rows": (2,), "header": True, "names": ("index", "p", "p_3", "q")},
        ),
        (rows("{i},'a, {k}',{k}", "a,b,c"), {"quote": "'"}),
        (rows("{i},it's,{k}", "a,b,c"), {}),
        (rows('{i},"so ""he"" said",{k}', "a,b,c"), {}),
        (rows('{i},"so \\"he, {k}\\" said",{k}', "a,b,c"), {"escape": "\\"}),
        (rows("{i},a\\, {k},{k}", "a,b,c"), {"escape": "\\"}),
        (rows("{i},C:\\dir\\,{k}", "a,b,c"), {}),
    ],
)
def test_the_form_is_found(sniff: Sniff, text: str | bytes, options: dict[str, Any]) -> None:
    assert given(sniff(text)) == options


def test_missing_markers_are_found_among_numbers_and_texts_in_every_row(sniff: Sniff) -> None:
    text = rows("{i},{k},x{i}", "a,b,c", 2_000) + "NA,?,y\nnot measured,?,z\n"
    found = sniff(text)
    assert found.markers == {"NA": ["a"], "not measured": ["a"], "?": ["b"]}
    assert given(found) == {"missing": ("NA", "not measured", "?")}


def test_a_text_that_comes_as_often_as_the_numbers_is_no_missing_number(sniff: Sniff) -> None:
    found = sniff("children,x\n" + "1,5\n2,6\n3+,7\n" * 30)
    assert not found.markers
    assert found.columns["children"][0] == {"category": {"min_count": 5}}


@pytest.mark.parametrize(
    ("day", "written"),
    [("{d:02}.03.2020", "%d.%m.%Y"), ("3/{d}/2020 4:05", "%m/%d/%Y %H:%M"), ("2020-03-{d:02}", "")],
)
def test_formats_of_dates_other_than_iso_are_found(sniff: Sniff, day: str, written: str) -> None:
    found = sniff("day,x\n" + "".join(f"{day.format(d=d)},{d}\n" for d in range(1, 29)))
    assert [value for value, _ in found.columns.values()] == ([{"date": {"format": written}}] if written else [])


def test_a_ragged_row_far_below_is_named(sniff: Sniff) -> None:
    with pytest.raises(DataError, match="line 1,502: expected 2 fields, found 3"):
        sniff(rows("{i},{k}", "a,b", 1_500) + "1,2,3\n")


@pytest.mark.parametrize("text", [b"a,b\n1,\0\n", b"\0" * 9])
def test_what_is_no_text_is_said_to_be_none(sniff: Sniff, text: bytes) -> None:
    with pytest.raises(DataError, match="is zero, which no text has"):
        sniff(text)


def test_two_columns_of_one_name_get_two(sniff: Sniff) -> None:
    options = sniff(rows("{i},{i},{k}", "a,a,b")).options
    assert isinstance(options, CsvSource)
    assert options.names == ("a", "a_2", "b")


def test_numbers_that_are_not_written_plainly_are_declared_and_never_taken_for_missing(sniff: Sniff) -> None:
    lines = [f'"{1_000 + 37 * i:,}",${i}.50,{i} kg,{i},k{i}' for i in range(300)]
    found = sniff("\n".join(["people,price,weight,few,key", *lines, '"1,000,000",n/a,7 kg,"1,234",k']) + "\n")
    assert {name: declared for name, (declared, _) in found.columns.items()} == {
        "people": {"number": {"thousands": ","}},
        "price": {"number": {"strip": "$"}},
        "weight": {"number": {"strip": "kg"}},
        "few": {"number": {"thousands": ","}},
    }
    assert found.markers == {"n/a": ["price"]}


def test_codes_are_found_wherever_their_leading_zero_stands(sniff: Sniff) -> None:
    found = sniff("zip,n\n" + "".join(f"{10_000 + i},{i}.5\n" for i in range(20_000)) + "01067,2.5\n")
    assert found.columns == {"zip": ("category", "integers with leading zeros or very many digits are codes")}


def test_a_rare_cell_that_is_no_date_is_missing(sniff: Sniff) -> None:
    found = sniff("day,x\n" + "".join(f"{1 + i % 28:02}/02/2020,{i}.5\n" for i in range(200)) + "00/00/0000,1.5\n")
    assert found.columns["day"][0] == {"date": {"format": "%d/%m/%Y"}}
    assert found.markers == {"00/00/0000": ["day"]}


@pytest.mark.parametrize(
    ("name", "first", "declared"),
    [
        ("timestamp", 1_700_000_000, {"date": {"format": "unix"}}),
        ("created_at", 1_700_000_000_000, {"date": {"format": "unix_ms"}}),
        ("date", 20210101, {"date": {"format": "%Y%m%d"}}),
        ("amount", 1_700_000_000, None),
        ("date", 20215000, None),
    ],
)
def test_integers_of_a_column_that_is_called_a_time_are_moments(sniff: Sniff, name: str, first: int, declared) -> None:
    found = sniff(f"{name},x\n" + "".join(f"{first + i},{i % 7}.5\n" for i in range(28)))
    assert dict(found.columns) == ({} if declared is None else {name: (declared, f'dates such as "{first}"')})


COUNTRIES = ("DE", "FR", "ZA", "BW", "NA")


@pytest.mark.parametrize(
    ("cells", "markers", "is_level"),
    [
        (COUNTRIES, [], True),
        (("Attached", "Detached", "None"), [], True),
        (("Schmidt", "Weber", "Null", "Nan"), [], True),
        (("low", "high", "none"), [], True),
        (("Male", "Female", "NA"), ["NA"], False),
        (("DE", "FR", "null"), ["null"], False),
        (("yes", "no", "?"), ["?"], False),
        (("RED", "GREEN", "YELLOW", "NA"), ["NA"], False),
    ],
)
def test_a_marker_that_is_written_like_the_other_values_is_one(sniff: Sniff, cells, markers, is_level) -> None:
    found = sniff("c,x\n" + "".join(f"{cell},{i}\n" for i, cell in enumerate(cells * 8)))
    assert list(found.markers) == markers
    assert any("is a value like the others" in remark for remark in found.remarks) == is_level


def test_a_value_that_marks_missing_numbers_elsewhere_is_said(sniff: Sniff) -> None:
    found = sniff("c,x\n" + "".join(f"{cell},{'NA' if i == 7 else i}\n" for i, cell in enumerate(COUNTRIES * 8)))
    assert list(found.markers) == ["NA"]
    assert found.remarks == ('"NA" in "c" is read as missing too',)


@pytest.mark.parametrize(
    ("name", "cell", "declared"),
    [
        ("v", "{i}.137", ("number", 'numbers such as "1.137"; thousands: "." reads three digits behind as thousands')),
        ("v", "{m}.2020", ({"date": {"format": "%m.%Y"}}, 'dates such as "1.2020"')),
        ("v", "202001{d}", ({"date": {"format": "%Y%m%d"}}, 'dates such as "20200101"')),
        ("when", "1700000{i}00.5", ({"date": {"format": "unix"}}, 'dates such as "1700000100.5"')),
        ("at", "17000000{d}000000000", ({"date": {"format": "unix_ns"}}, 'dates such as "1700000001000000000"')),
        ("v", "1700000{i}00.5", None),
        ("v", "1.234{i}", None),
    ],
)
def test_numbers_that_may_be_something_else_are_looked_at_again(sniff: Sniff, name, cell, declared) -> None:
    name = "created_at" if name == "when" else name
    cells = (cell.format(i=1 + i % 9, m=1 + i % 12, d=f"{1 + i % 28:02}") for i in range(60))
    found = sniff(f"{name};x\n" + "".join(f"{each};{i}\n" for i, each in enumerate(cells)))
    assert found.columns.get(name) == declared


def test_two_digit_years_are_said(sniff: Sniff) -> None:
    found = sniff("born,x\n" + "".join(f"{1 + i % 28}.12.{60 + i % 9},{i}\n" for i in range(60)))
    assert found.columns["born"][1].endswith("; a year of 69 is 1969, one of 68 is 2068")


def test_rare_texts_among_many_numbers_are_missing(sniff: Sniff) -> None:
    """They are no classes, as among few numbers."""
    found = sniff("v,x\n" + "".join(f"{'<0.5' if i % 5 == 0 else i / 7},{i}\n" for i in range(200)))
    assert found.markers == {"<0.5": ["v"]}
    found = sniff("v,x\n" + "".join(f"{'3+' if i % 5 == 0 else i % 3},{i}\n" for i in range(200)))
    assert found.columns["v"][0] == {"category": {"min_count": 5}}
