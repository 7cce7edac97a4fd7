import bz2
import csv
import gzip
import io
import lzma

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.many_examples import many_examples

from dltool.config.table_sources import CsvSource
from dltool.data.tables import csv_file, decompression
from dltool.data.tables.cells import Texts
from dltool.data.tables.csv_file import CsvFile
from dltool.errors import DataError

SMALL = "a,b\n1,x\n2,y\n"


def values(table, name):
    return list(table.columns[name].values[:])


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (SMALL, {}),
        ("\ufeff" + SMALL, {}),
        (SMALL.replace("\n", "\r\n"), {}),
        (SMALL.replace("\n", "\r"), {}),
        (SMALL[:-1], {}),
        ("\n\n" + SMALL.replace("\n", "\n  \n"), {}),
        (SMALL.replace(",", " , "), {}),
        ("1,x\n2,y\n", {"names": ["a", "b"]}),
        ("c,d\n1,x\n2,y\n", {"names": ["a", "b"], "header": True}),
        (SMALL.replace(",", ";"), {"delimiter": ";"}),
        (SMALL.replace(",", "::"), {"delimiter": "::"}),
        (SMALL.replace(",", "§"), {"delimiter": "§"}),
        (SMALL.replace(",", " "), {"delimiter": " "}),
        ("# made by hand\n" + SMALL.replace("2", "# not yet\n2"), {"comment": "#"}),
        ('# "made" by hand\n' + SMALL.replace("x", '"x"').replace("2", "# not yet\n2"), {"comment": "#"}),
        ("a,b\n1,'x'\n2,y\n", {"quote": "'"}),
        ('"a","b"\n"1","x"\n"2","y"\n', {}),
        ('a, b\n1, "x"\n2, "y"\n', {}),
    ],
)
def test_the_same_table_is_read_from_every_dialect(read, text, options):
    table = read(text, needed=["b"], **options)
    assert list(table.columns) == ["a", "b"]
    assert values(table, "a") == [1, 2]
    assert values(table, "b") == ["x", "y"]


@pytest.mark.parametrize(("encoding", "text"), [("latin-1", "é"), ("cp1252", "€"), ("utf-16", "π"), ("utf-8-sig", "π")])
def test_encodings(read, encoding, text):
    table = read(f"a,b\n1,{text}\n2,x\n".encode(encoding), encoding=encoding)
    assert values(table, "b") == [text, "x"]


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        ("gz", gzip.compress),
        ("bz2", bz2.compress),
        ("xz", lzma.compress),
        ("zst", lambda data: pa.compress(data, "zstd", asbytes=True)),
    ],
)
def test_packed_files(read, suffix, pack):
    table = read(pack(SMALL.encode()), file=f"table.csv.{suffix}")
    assert values(table, "b") == ["x", "y"]


def test_a_damaged_packed_file(problems):
    data = gzip.compress(np.random.default_rng(0).bytes(1000).hex().encode())
    (message,) = problems(data[:-20], file="table.csv.gz")
    assert message.startswith("table.csv.gz is damaged: ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a,b\n1,"x, y"\n2,"say ""hi"""\n', ["x, y", 'say "hi"']),
        ('a,b\n1,"x\ny"\n2,z\n', ["x\ny", "z"]),
        ('a,b\n1,5" pipe\n2,"z"\n', ['5" pipe', "z"]),
        ('a,b\n1,5"\n2,"z, z"\n', ['5"', "z, z"]),
        ('a,b\n1, "x, y"\n2,"z"\n', ["x, y", "z"]),
        ('a,b\n1,""\n2,"z"', ["", "z"]),
    ],
)
def test_quotes(read, text, expected):
    assert values(read(text, {"b": "text"}), "b") == expected


def test_no_quotes_at_all(read):
    assert values(read('a,b\n1,"x\n2,y"\n', {"b": "text"}, quote=None), "b") == ['"x', 'y"']


def test_a_table_of_one_column_has_no_blank_rows(read):
    assert values(read("a\n1.5\n\n  \n2\n"), "a") == [1.5, 2]


def test_columns_without_names_are_numbered(read):
    assert list(read("1.5,x\n2,y\n", header=False).columns) == ["column_1", "column_2"]


def test_decimal_commas(read):
    table = read("a;b\n1,5;1.5\n-2;x1\n", delimiter=";", decimal=",")
    assert values(table, "a") == [1.5, -2]
    assert table.columns["b"].kind == "category"


def test_missing_markers(read):
    table = read("a,b\n1,x\n ?,NA\n,?\n3,\n", missing=["?", "NA"])
    np.testing.assert_array_equal(values(table, "a"), [1, np.nan, np.nan, 3])
    assert values(table, "b") == ["x", "", "", ""]
    assert (table.columns["a"].missing, table.columns["b"].missing) == (2, 3)


FIELD = st.text(st.sampled_from('a1 ,"\n.;é-'), max_size=5)


@settings(many_examples(300), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(FIELD, min_size=width, max_size=width), min_size=1)),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.integers(3, 40),
)
def test_what_python_writes_is_read_back_however_the_blocks_fall(tmp_path, monkeypatch, rows, quoting, block):
    if len(rows[0]) == 1:
        quoting = csv.QUOTE_ALL  # else a row of spaces would be a blank line, which is no row
    text = io.StringIO()
    csv.writer(text, quoting=quoting, lineterminator="\n").writerows([[f"c{i}" for i in range(len(rows[0]))], *rows])
    (tmp_path / "table.csv").write_text(text.getvalue(), encoding="utf-8", newline="")
    with monkeypatch.context() as patch:
        patch.setattr(csv_file, "BLOCK_BYTES", block)
        patch.setattr(csv_file, "FIRST_BYTES", block)
        file = CsvFile(CsvSource(path=str(tmp_path / "table.csv")), ())
        found: dict[str, list[str]] = {name: [] for name in file.names}
        for part in file.blocks(dict.fromkeys(file.names, "text")):
            for name, cells in part.columns.items():
                assert isinstance(cells, Texts)
                found[name] += [cells.values[code] if code >= 0 else "" for code in cells.codes]
    expected = [[cell.strip() for cell in row] for row in rows]
    assert [list(row) for row in zip(*found.values(), strict=True)] == expected


@pytest.mark.parametrize("block", [10, 1 << 16])
def test_rows_with_too_many_or_too_few_fields_are_all_named(problems, monkeypatch, block):
    monkeypatch.setattr(csv_file, "FIRST_BYTES", block)
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", block)
    assert problems('a,b\n1,x\n\n2\n3,"x\ny"\n4,x,y\n') == [
        "table.csv, line 4: expected 2 fields, found 1",
        "table.csv, line 7: expected 2 fields, found 3",
    ]


def test_many_ragged_rows_are_counted(problems):
    messages = problems("a,b\n" + "1,2,3\n" * 24 + "1\n")
    assert len(messages) == 11
    assert messages[-1] == "table.csv: 25 lines in all have another number of fields than 2"


def test_rows_that_all_have_a_field_more_than_the_names_are_one_problem(problems):
    assert problems("a,b\n" + "1,2,\n" * 25) == ["table.csv: its first line has 2 fields, its rows have 3"]


def test_lines_are_skipped_and_the_others_keep_their_numbers(read, problems):
    text = "sep=,\nmade today\n\na,b\nkm,h\n1,2\n3,4\n"
    table = read(text, {"a": "number", "b": "number"}, skip_rows=[1, 2, 5])
    assert table.columns["a"].values[:].tolist() == [1, 3]
    assert table.names_of([1]) == ["table.csv, line 7"]
    assert problems(text.replace("3", "x"), {"a": "number"}, skip_rows=(1, 2, 5))[0].startswith(
        "table.csv, line 7: a is"
    )


def test_names_may_be_given_where_the_first_line_has_too_few(read):
    table = read("a b\nx 1 2\ny 3 4\n", delimiter=" ", header=True, names=["row", "a", "b"])
    assert table.columns["b"].values[:].tolist() == [2, 4]


def test_runs_of_spaces_and_tabs_separate_fields(read):
    lines = [f"  {number:6}   {number}.5\t \tx{number % 2} " for number in range(40_000)]
    table = read("\n".join(["a  b c", *lines]), {"a": "number"}, delimiter="whitespace")
    np.testing.assert_array_equal(table.columns["a"].values[:], np.arange(40_000))
    assert table.columns["c"].values[39_999] == "x1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "table.csv has no rows: it is empty"),
        ("\n\n", "table.csv has no rows: it is empty"),
        ("a,b\n", "table.csv has no rows: there is nothing after its first line"),
        ('a,b\n1,x\n2,"y\n3,z\n', "table.csv, line 3: a quote that is never closed"),
        ('a,b\n1,x\n2,"y"z\n', "table.csv, line 3: a field that cannot be read: ',' expected after '\"'"),
        ("a,b\n1,x\n2,é\n".encode("latin-1"), "table.csv, line 3: byte 10 (0xe9) is not UTF-8"),
        (b"a,b\n1,x\n2,\0\n", "table.csv, line 3: byte 10 is zero, which no text has"),
        ("a,a,b\n1,2,3\n", 'table.csv: the columns 1 and 2 are both called "a"'),
        (",a\n1,2\n", "table.csv: column 1 of 2 has no name"),
        ("a;b\n1;2\n", 'table.csv has one column only, called "a;b"'),
        (
            "39,x\n40,y\n",
            'table.csv: its first line should have the names of the columns, "39" is a number',
        ),
    ],
)
def test_what_is_no_table_is_refused(problems, text, message):
    assert problems(text) == [message]


def test_bytes_of_another_encoding_are_found_in_any_block(problems, monkeypatch):
    monkeypatch.setattr(decompression, "BUFFER", 7)
    text = "a,b\n" + "1,xy\n" * 40_000
    (message,) = problems(text.encode() + b"2,\xe9\n")
    assert message == "table.csv, line 40,002: byte 200,006 (0xe9) is not UTF-8"


def test_undecodable_bytes_of_a_named_encoding(problems):
    (message,) = problems(b"a,b\n1,x\n2,\x81\n", encoding="cp1252")
    assert message == "table.csv, line 3: byte 10 (0x81) is not cp1252"


def test_a_file_in_utf_16_is_recognised(read, tmp_path):
    with pytest.raises(DataError) as error:
        read("a,b\n1,x\n".encode("utf-16"))
    assert error.value.problems[0].hint.endswith("encoding: utf-16")


def test_years_are_names(read):
    assert list(read("country,1990,1991\na,1.5,2\nb,2.5,3\n").columns) == ["country", "1990", "1991"]


def test_names_must_fit_the_file(read):
    with pytest.raises(DataError) as error:
        read("1,2\n3,4\n", names=["a"])
    (problem,) = error.value.problems
    assert problem.place == ("data", "source", "csv", "names")
    assert problem.message.endswith("table.csv has 2 columns, names has 1")


def test_the_line_of_a_row_counts_headers_comments_blank_lines_and_long_fields(read):
    table = read('# top\na,b\n\n1,"x\ny"\n# more\n2,"z"\n3,w\n', comment="#")
    assert table.names_of([2, 0, 1]) == ["table.csv, line 8", "table.csv, line 4", "table.csv, line 7"]
    assert table.names_of([1]) == ["table.csv, line 7"]
