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
