import numpy as np
import pytest

from dltool.config.choices import Choice
from dltool.config.table_sources import CsvSource
from dltool.data.arrays.rows import Coded
from dltool.data.tables import csv_file, stores
from dltool.data.tables.read import read_table
from dltool.data.tables.stores import FileRows
from dltool.data.tables.typed_table import ColumnRequest
from dltool.errors import DataError, MachineError

TEXT = "age,sex,born,ok,about\n39,m,2024-01-31,yes,a b\n,f,,no,c d\n17,,2024-02-01,,\n"
COLUMNS = {"age": "number", "sex": "category", "born": "date", "ok": "boolean", "about": "text"}


def test_columns_of_every_kind(read):
    table = read(TEXT, COLUMNS)
    assert table.rows == 3
    assert [(name, column.kind, column.why) for name, column in table.columns.items()] == [
        (name, kind, "declared") for name, kind in COLUMNS.items()
    ]
    age, sex, born, ok, about = (column.values for column in table.columns.values())
    assert (age.dtype, born.dtype, ok.dtype) == (np.float32, np.int64, np.float32)
    np.testing.assert_array_equal(age, [39, np.nan, 17])
    np.testing.assert_array_equal(born, [1706659200, np.iinfo(np.int64).min, 1706745600])
    np.testing.assert_array_equal(ok, [1, 0, np.nan])
    assert isinstance(sex, Coded)
    assert list(sex[:]) == ["m", "f", ""]
    assert list(about[:]) == ["a b", "c d", ""]


def test_numbers_that_float32_would_merge_are_float64_in_every_table(read):
    """Large integers, and fractions that differ little; a table read like another one follows it."""
    wide = "n,day,small\n1700000001,2458849.521,0.25\n1700000002,2458849.522,3.5\n,2458849.523,\n"
    for declared in ({}, {"n": "number", "day": "number", "small": "number"}):
        columns = read(wide, declared).columns
        assert [column.values.dtype for column in columns.values()] == [np.float64, np.float64, np.float32]
        np.testing.assert_array_equal(columns["n"].values, [1_700_000_001, 1_700_000_002, np.nan])
        np.testing.assert_array_equal(columns["day"].values, [2458849.521, 2458849.522, 2458849.523])
    other = read("n,day,small\n3,4.5,1700000001\n", like=read(wide))
    assert [column.values.dtype for column in other.columns.values()] == [np.float64, np.float64, np.float32]


def test_a_table_that_changes_while_it_is_read_is_refused(tmp_path, read, monkeypatch):
    """The number of rows, and even of bytes, stays the same."""
    blocks = csv_file.CsvFile.blocks

    def changing(self, wants):
        yield from blocks(self, wants)
        (tmp_path / "table.csv").write_text(TEXT.replace("39", "93"))

    monkeypatch.setattr(csv_file.CsvFile, "blocks", changing)
    with pytest.raises(DataError, match=r"table\.csv changed while it was read"):
        read(TEXT, COLUMNS)


def test_ignored_columns_take_no_memory(read):
    values = read(TEXT, COLUMNS | {"age": "ignore"}).columns["age"].values
    assert values.shape == (3,)
    assert values.strides == (0,)


def test_a_table_may_be_ignored_altogether(read):
    table = read(TEXT, dict.fromkeys(COLUMNS, "ignore"))
    assert table.rows == 3


def test_categories_are_stripped_and_replaced(read):
    table = read("c\n<=50K.\n<=50K\n m\nman\n.\n", {"c": {"category": {"strip": ".", "replace": {"m": "man"}}}})
    column = table.columns["c"]
    assert list(column.values[:]) == ["<=50K", "<=50K", "man", "man", ""]
    assert list(column.values.values) == ["<=50K", "man", ""]
    assert (column.missing, column.distinct) == (1, 2)


def test_numbers_as_categories_stay_as_written(read):
    assert list(read("c\n1\n01\n1.0\n", {"c": "category"}).columns["c"].values[:]) == ["1", "01", "1.0"]


@pytest.mark.parametrize(
    ("cell", "written", "seconds"),
    [
        ("1970-01-02", None, 86_400),
        ("1969-12-31T23:59:59.5", None, -1),
        ("1970-01-01 02:00+02:00", None, 0),
        ("1970-01-01T00:00:01Z", None, 1),
        ("02.01.1970", "%d.%m.%Y", 86_400),
        ("1.1.1970 1 PM", "%d.%m.%Y %I %p", 13 * 3600),
        ("1970-01-01 01:00 +0100", "%Y-%m-%d %H:%M %z", 0),
    ],
)
def test_dates(read, cell, written, seconds):
    declared = {"d": {"date": {"format": written}} if written else "date"}
    assert list(read(f"d\n{cell}\n", declared).columns["d"].values) == [seconds]


@pytest.mark.parametrize(
    ("cell", "declared", "message"),
    [
        ("x", "number", "no number"),
        ("x", "boolean", "neither true nor false"),
        ("31.01.2024", "date", "no date"),
        ("2024-02-30", "date", "no date"),
        ("2024-01-31", {"date": {"format": "%d.%m.%Y"}}, 'no date written as "%d.%m.%Y"'),
        ("1e39", "number", "too large for float32"),
    ],
)
def test_a_cell_that_is_not_of_the_declared_kind_is_an_error(problems, cell, declared, message):
    assert problems(f"c\n\n{cell}\n", {"c": declared}) == [f'table.csv, line 3: c is "{cell}", which is {message}']


def test_the_declaration_is_named_too(read):
    place = ("data", "inputs", "c")
    with pytest.raises(DataError) as error:
        read("c\nx\n", {"c": "number"}, places={"c": place})
    assert error.value.problems[0].related == ((place, "declared here"),)


def test_declared_and_needed_columns_must_be_there(read):
    place = ("data", "inputs", "agee")
    with pytest.raises(DataError) as error:
        read(TEXT, {"agee": "number"}, needed=["label"], places={"agee": place})
    first, second = error.value.problems
    assert (first.place, first.hint) == (place, 'did you mean "age"?')
    assert first.message.endswith('table.csv has no column "agee"')
    assert second.message.endswith('table.csv has no column "label"')


class TestLikeAnotherTable:
    def test_it_gets_the_same_kinds(self, read):
        train = read("n,c,d,e,f\n1,x,02.01.1970,7,w\n2,y,03.01.1970,7,v\n", {"d": {"date": {"format": "%d.%m.%Y"}}})
        test = read("f,d,more,c,n\nw,04.01.1970,,3,3\n", like=train)
        assert {name: column.kind for name, column in test.columns.items()} == {
            "f": "category",
            "d": "date",
            "c": "category",
            "n": "number",
        }
        assert list(test.columns["c"].values[:]) == ["3"]
        assert test.columns["n"].why == "as in table.csv"

    def test_it_gets_the_same_names(self, read):
        train = read("1,x\n2,y\n", names=["n", "c"])
        assert list(read("3,z\n", header=False, like=train).columns) == ["n", "c"]

    def test_a_target_may_be_absent(self, read):
        train = read("1,x,0\n2,y,1\n", names=["n", "c", "t"], needed=["t"])
        assert list(read("3,z\n", header=False, like=train, optional=["t"]).columns) == ["n", "c"]
        assert list(read("c,n\nz,3\n", like=train, optional=["t"]).columns) == ["c", "n"]

    def test_columns_that_are_absent_are_named(self, read, problems):
        train = read("n,c\n1,x\n2,y\n")
        assert problems("N,c\n1,x\n", like=train) == ['table.csv has no column "n", which table.csv has']

    def test_a_first_row_in_place_of_names_is_guessed(self, read, tmp_path):
        train = read("n,c\n1,x\n2,y\n")
        with pytest.raises(DataError) as error:
            read("y,x\n2,y\n", like=train)
        (problem,) = error.value.problems
        assert problem.message.endswith("table.csv: none of the columns of table.csv is there")
        assert problem.hint == "if its first line is a row and no names, write header: false"

    def test_another_number_of_columns_is_an_error(self, read, problems):
        train = read("1,x\n2,y\n", names=["n", "c"])
        message = "table.csv has 3 columns; expected 2, as in the training table"
        assert problems("3,z,4\n", header=False, like=train) == [message]

    def test_cells_of_another_kind_are_an_error(self, read, problems):
        train = read("n,c\n1,x\n2,y\n")
        assert problems("n,c\nz,x\n", like=train) == ['table.csv, line 2: n is "z", which is no number']


def large_table(path, rows=3000):
    lines = (f"{n % 97 / 4},{'xyz'[n % 3]},{1 + n % 9},2024-01-{n % 28 + 1:02},{'yn'[n % 2]}\n" for n in range(rows))
    path.write_text("a,b,c,d,e\n" + "".join(lines))
    return Choice("csv", CsvSource(path=str(path)))


def test_past_its_budget_a_table_is_in_files_and_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_file, "FIRST_BYTES", 500)
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 2000)
    source = large_table(tmp_path / "table.csv")
    memory = read_table(source, ())
    spilled = read_table(source, (), budget=10_000, spill=tmp_path / "spill")
    for name, column in memory.columns.items():
        other = spilled.columns[name].values
        assert isinstance(getattr(other, "codes", other), FileRows)
        np.testing.assert_array_equal(other[:], column.values[:])
    # Nothing is left behind, whatever happens to this process.
    assert list((tmp_path / "spill").iterdir()) == []


def test_rows_of_a_file_are_those_of_its_array(tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "ROWS_AT_ONCE", 7)
    store = stores.Stores(0, tmp_path, ()).new(np.int64)
    values = np.arange(100)
    store.append(values)
    rows = store.finish()
    assert isinstance(rows, FileRows)
    assert (rows.shape, rows.dtype, len(rows)) == ((100,), np.int64, 100)
    for index in (slice(None), slice(5, 2), slice(3, 90, 4), np.array([99, 0, 0, -1, 50] * 4), np.array([], int)):
        np.testing.assert_array_equal(rows[index], values[index])
    np.testing.assert_array_equal(np.asarray(rows), values)


def test_within_its_budget_a_table_writes_no_files(tmp_path):
    table = read_table(large_table(tmp_path / "table.csv"), (), budget=10**6, spill=tmp_path / "spill")
    assert not (tmp_path / "spill").exists()
    assert type(table.columns["a"].values) is np.ndarray


def test_a_folder_that_cannot_be_written_is_the_machines_fault(tmp_path):
    (tmp_path / "spill").write_text("")
    with pytest.raises(MachineError):
        read_table(large_table(tmp_path / "table.csv"), (), budget=100, spill=tmp_path / "spill")


@pytest.mark.parametrize("name", ["csv", "tsv", "json_lines", "parquet"])
def test_folders_pipes_and_devices_are_refused(tmp_path, name):
    import os

    from dltool.config.table_sources import JsonLinesSource, ParquetSource, TsvSource

    sections = {"csv": CsvSource, "tsv": TsvSource, "json_lines": JsonLinesSource, "parquet": ParquetSource}
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "folder", tmp_path / "pipe", "/dev/zero", tmp_path / "absent"):
        with pytest.raises(DataError) as error:
            read_table(Choice(name, sections[name](path=str(path))), ("source",), ColumnRequest())
        assert error.value.problems[0].place == ("source", name, "path")


def test_values_that_differ_in_case_are_merged_on_request(read):
    declared = {"a": {"category": {"case": "lower", "replace": {"katze": "cat"}}}}
    table = read("a,b\nCat,1.5\n CAT,2\nKatze,3\ndog,4\n", declared)
    assert table.columns["a"].values[:].tolist() == ["cat", "cat", "cat", "dog"]
