import gzip
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, orc, parquet

from dltool.config.choices import Choice
from dltool.config.columns import parse_column_type
from dltool.config.sources import SOURCES
from dltool.config.table_sources import ParquetSource
from dltool.data.tables import arrow_file as reader
from dltool.data.tables.read import read_table
from dltool.data.tables.typed_table import ColumnRequest
from dltool.errors import DataError

NO_DATE = np.iinfo(np.int64).min


@pytest.fixture
def written(tmp_path):
    def write(columns):
        parquet.write_table(pa.table(columns), tmp_path / "table.parquet")
        return Choice("parquet", ParquetSource(path=str(tmp_path / "table.parquet")))

    return write


def problems_of(source, wanted=None):
    with pytest.raises(DataError) as error:
        read_table(source, (), wanted)
    return [problem.message[problem.message.index("table.parquet") :] for problem in error.value.problems]


@pytest.mark.parametrize("rows_per_block", [1, 1 << 15])
@pytest.mark.parametrize(
    ("array", "kind", "expected"),
    [
        (pa.array([1, None, 3]), "number", [1, np.nan, 3]),
        (pa.array([1.5, None, np.nan]), "number", [1.5, np.nan, np.nan]),
        (pa.array([1, 2, 2], pa.uint8()), "number", [1, 2, 2]),
        (pa.array([1.5, 2, None], pa.float16()), "number", [1.5, 2, np.nan]),
        (pa.array([Decimal("1.5"), Decimal(2), None]), "number", [1.5, 2, np.nan]),
        (pa.array([True, None, False]), "boolean", [1, np.nan, 0]),
        (pa.array(["x ", None, "y"]), "category", ["x", "", "y"]),
        (pa.array(["x", "", "y"], pa.large_string()), "category", ["x", "", "y"]),
        (pa.array(["x", None, "y"]).dictionary_encode(), "category", ["x", "", "y"]),
        (pa.array(["x", "y", "y"]).cast(pa.dictionary(pa.int8(), pa.string())), "category", ["x", "y", "y"]),
        (pa.array([5, 6, 6]).dictionary_encode(), "number", [5, 6, 6]),
        (pa.array([date(1970, 1, 2), None, date(1969, 12, 31)]), "date", [86_400, NO_DATE, -86_400]),
        (pa.array([86_400_000, None, 0], pa.date64()), "date", [86_400, NO_DATE, 0]),
        (pa.array([1_500_000_000, None, -1], pa.timestamp("ns")), "date", [1, NO_DATE, -1]),
        (pa.array([datetime(1970, 1, 1, 1, tzinfo=UTC), None, None]), "date", [3600, NO_DATE, NO_DATE]),
        (pa.array(["1.5", None, "2"]), "number", [1.5, np.nan, 2]),
        (pa.nulls(3), "ignore", [np.nan] * 3),
    ],
)
def test_single_values_of_every_type(written, monkeypatch, array, kind, expected, rows_per_block):
    monkeypatch.setattr(reader, "ROWS_PER_BLOCK", rows_per_block)
    column = read_table(written({"a": array}), ()).columns["a"]
    assert column.kind == kind
    np.testing.assert_array_equal(column.values[:], expected)


def test_whole_numbers_as_categories_keep_all_their_digits(written):
    wanted = ColumnRequest({"a": parse_column_type("category"), "b": parse_column_type("category")})
    table = read_table(written({"a": [2**60 + 1, 5, None], "b": [1.0, 2.5, None]}), (), wanted)
    assert list(table.columns["a"].values[:]) == [str(2**60 + 1), "5", ""]
    assert list(table.columns["b"].values[:]) == ["1", "2.5", ""]


def test_values_that_are_not_single_and_the_index_are_ignored_unless_they_are_used(written):
    source = written(
        {
            "a": [[1], [2]],
            "b": [{"c": 1}, None],
            "d": [b"x", b"y"],
            "e": [1.5, 2],
            "__index_level_0__": [7, 3],
        }
    )
    table = read_table(source, ())
    assert [name for name, column in table.columns.items() if column.kind != "ignore"] == ["e"]
    assert table.columns["a"].why == "holds values of the type list<element: int64>"
    assert problems_of(source, ColumnRequest(needed=["d"])) == ["table.parquet: d holds values of the type binary"]


def test_infinity_and_what_float32_cannot_hold_are_errors(written):
    rows = [0.5] * 100
    assert problems_of(written({"a": [*rows, np.inf], "b": [*rows, 1e300]})) == [
        'table.parquet, row 101: a is "inf", which is no number',
        'table.parquet, row 101: b is "1e+300", which is too large for float32',
    ]


def test_no_rows(written):
    assert problems_of(written({"a": pa.array([], pa.int64())})) == ["table.parquet has no rows"]


def test_what_is_no_parquet_file(tmp_path):
    (tmp_path / "table.parquet").write_text("a,b\n1,2\n")
    source = Choice("parquet", ParquetSource(path=str(tmp_path / "table.parquet")))
    (message,) = problems_of(source)
    assert message.startswith("table.parquet is no Parquet file, or is damaged: ")


def test_a_date_outside_the_calendar_is_damage(written):
    source = written({"born": pa.array([0, 2**40], pa.timestamp("s")), "a": pa.array([1, 2])})
    (message,) = problems_of(source)
    assert message.endswith("is damaged: a date is outside the years 1 to 9999")


def test_text_that_is_not_utf_8_is_damage(written):
    texts = pa.Array.from_buffers(pa.string(), 2, pa.array([b"a", b"\x80"]).buffers())
    source = written({"a": texts})
    (message,) = problems_of(source)
    assert "is no Parquet file, or is damaged" in message


def write_stream(table, path):
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


DAMAGED = r"file, or is damaged: |cannot be read: "
WRITERS = {
    "table.feather": feather.write_feather,
    "table.arrow": write_stream,
    "table.orc": orc.write_table,
}
COLUMNS = {
    "whole": pa.array([2**60 + 1, None, 3, 2**60 + 1]),
    "real": pa.array([1.5, None, np.nan, 2]),
    "truth": pa.array([True, None, False, True]),
    "word": pa.array(["x ", None, "y", "x"]),
    "born": pa.array([date(1970, 1, 2), None, date(1969, 12, 31), None]),
    "seen": pa.array([86_400 * 10**9, None, -1, None], pa.timestamp("ns")),
    "price": pa.array([Decimal("1.5"), Decimal(2), None, None]),
    "list": pa.array([[1], [2], None, [3]]),
    "a.b": pa.array([1, 2, 3, 5]),
}


def read_as(name, path):
    kind = {".feather": "feather", ".arrow": "feather", ".orc": "orc"}[name[name.index(".") :]]
    wanted = ColumnRequest({"whole": parse_column_type("category")})
    return read_table(Choice(kind, SOURCES[kind].model_validate({"path": str(path / name)})), (), wanted)


@pytest.mark.parametrize("name", WRITERS)
def test_feather_and_orc_files_hold_the_same_as_parquet_files(tmp_path, written, name):
    WRITERS[name](pa.table(COLUMNS), str(tmp_path / name))
    expected = read_table(written(COLUMNS), (), ColumnRequest({"whole": parse_column_type("category")}))
    table = read_as(name, tmp_path)
    assert (table.rows, list(table.columns)) == (4, list(COLUMNS))
    for column, other in zip(table.columns.values(), expected.columns.values(), strict=True):
        assert column.kind == other.kind
        np.testing.assert_array_equal(column.values[:], other.values[:])
    assert list(table.columns["whole"].values[:]) == [str(2**60 + 1), "", "3", str(2**60 + 1)]


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"ARROW1\0\0" + bytes(40), b"ORC" + bytes(40)])
def test_damaged_feather_and_orc_files_are_no_such_files(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=DAMAGED):
        read_as(name, tmp_path)
    WRITERS[name](pa.table(COLUMNS), str(tmp_path / name))
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-60])
    with pytest.raises(DataError, match=DAMAGED):
        read_as(name, tmp_path)


def test_parts_in_a_zip_and_compressed_files_are_read(tmp_path):
    for number in range(2):
        feather.write_feather(pa.table({"a": [number + 0.5, 7]}), str(tmp_path / f"{number}.feather"))
    with zipfile.ZipFile(tmp_path / "table.zip", "w") as archive:
        for number in range(2):
            archive.write(tmp_path / f"{number}.feather", f"{number}.feather")
    (tmp_path / "table.feather.gz").write_bytes(gzip.compress((tmp_path / "1.feather").read_bytes()))
    for path, expected in {"table.zip": [0.5, 7, 1.5, 7], "table.feather.gz": [1.5, 7]}.items():
        table = read_table(Choice("feather", SOURCES["feather"].model_validate({"path": str(tmp_path / path)})), ())
        np.testing.assert_array_equal(table.columns["a"].values[:], expected)


def test_integers_that_float64_cannot_tell_apart_are_codes(written):
    ids = [2**60 + number for number in range(10)] * 3
    table = read_table(written({"id": ids, "n": [0.5 * number for number in range(30)]}), ())
    assert table.columns["id"].values[:].tolist() == [str(number) for number in ids]
