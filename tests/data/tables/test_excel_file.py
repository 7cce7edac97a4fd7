"""Sheets of workbooks: the same columns as a CSV file would have, and nothing lost in silence."""

import zipfile
from datetime import date, datetime

import numpy as np
import pytest

from dltool.config.choices import Choice
from dltool.config.columns import parse_column_type
from dltool.config.table_sources import ExcelSource
from dltool.data.tables import excel_file
from dltool.data.tables.read import read_table
from dltool.data.tables.typed_table import ColumnRequest
from dltool.errors import DataError, MachineError

openpyxl = pytest.importorskip("openpyxl")
CELLS = [
    ["word", "born", "seen", "amount", "open", "note", "id"],
    ["x ", date(1970, 1, 2), datetime.fromisoformat("1970-01-01T01:00"), 1.25, True, "#N/A", 2**53],
    ["a\nb", None, None, None, None, "n", 7],
    ["x ", date(1969, 12, 31), datetime.fromisoformat("1970-01-01T00:00:05"), -2, False, "m", 2**53 - 1],
]


@pytest.fixture
def book(tmp_path):
    """A function that writes sheets, each with its cells from a row and a column on."""

    def write(row=1, column=1, **sheets):
        workbook = openpyxl.Workbook()
        workbook.remove(workbook.active)
        for name, cells in sheets.items():
            sheet = workbook.create_sheet(name)
            for down, values in enumerate(cells):
                for right, value in enumerate(values):
                    sheet.cell(row + down, column + right, value)
        workbook.save(tmp_path / "book.xlsx")
        return tmp_path / "book.xlsx"

    return write


def read(path, wanted=None, **options):
    return read_table(Choice("excel", ExcelSource(path=str(path), **options)), ("source",), wanted or ColumnRequest())


def problem_of(path, **options):
    with pytest.raises(DataError) as error:
        read(path, **options)
    (problem,) = error.value.problems
    return problem.place, problem.message.replace(str(path), path.name), problem.hint


@pytest.mark.parametrize(("row", "column"), [(1, 1), (4, 3)])
def test_cells_are_typed_wherever_the_table_begins(book, row, column):
    path = book(row, column, Data=CELLS)
    table = read(path, ColumnRequest({"id": parse_column_type("category")}))
    assert table.rows == 3
    no_date = np.iinfo(np.int64).min
    expected = {
        "word": ("category", ["x", "a b", "x"]),
        "born": ("date", [86_400, no_date, -86_400]),
        "seen": ("date", [3600, no_date, 5]),
        "amount": ("number", [1.25, np.nan, -2]),
        "open": ("boolean", [1, np.nan, 0]),
        "note": ("category", ["", "n", "m"]),
        "id": ("category", [str(2**53), "7", str(2**53 - 1)]),
    }
    assert {name: each.kind for name, each in table.columns.items()} == {
        key: kind for key, (kind, _) in expected.items()
    }
    for name, (_, values) in expected.items():
        np.testing.assert_array_equal(table.columns[name].values[:], values)
    assert table.names_of([2]) == [f"book.xlsx, row {row + 3}"]


def test_columns_and_rows_without_cells_are_ignored(book):
    path = book(Data=[["a", None, "b"], [], [1.5, None, 2], [None, None, None], [2.5, None, 3]])
    table = read(path)
    assert {name: list(column.values[:]) for name, column in table.columns.items()} == {"a": [1.5, 2.5], "b": [2, 3]}


def test_the_first_sheet_with_values_is_read_or_the_one_that_is_named(book):
    path = book(Empty=[], First=[["a"], [1], [2]], Second=[["b"], [3], [4]])
    assert list(read(path).columns) == ["a"]
    assert list(read(path, sheet="Second").columns) == ["b"]
    place, message, hint = problem_of(path, sheet="Frist")
    assert (place, message) == (("source", "excel", "sheet"), 'book.xlsx has no sheet "Frist"')
    assert hint == 'did you mean "First"?'
    assert problem_of(path, sheet="Sales")[2] == "it has Empty, First, Second"
    assert problem_of(path, sheet="Empty")[1] == 'book.xlsx has no rows: the sheet "Empty" is empty'
    assert problem_of(book(Empty=[]))[1] == "book.xlsx has no rows: it is empty"


def test_the_size_that_a_file_states_for_its_sheet_may_be_wrong(book, tmp_path):
    with zipfile.ZipFile(book(Data=CELLS)) as source, zipfile.ZipFile(tmp_path / "other.xlsx", "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b'<dimension ref="A1:G4"', b'<dimension ref="A1"'))
    assert read(tmp_path / "other.xlsx").rows == 3


def with_results(path, results):
    """Store the results of formulas, as programs that compute them do."""
    with zipfile.ZipFile(path) as book:
        members = {name: book.read(name) for name in book.namelist()}
    sheet = members["xl/worksheets/sheet1.xml"].decode()
    for cell, (kind, value) in results.items():
        sheet = sheet.replace(f'<c r="{cell}">', f'<c r="{cell}" t="{kind}">')
        before, after = sheet.split(f'<c r="{cell}"')
        sheet = (
            f'{before}<c r="{cell}"{after.replace("<v />", f"<v>{value}</v>", 1).replace("<v/>", f"<v>{value}</v>", 1)}'
        )
    members["xl/worksheets/sheet1.xml"] = sheet.encode()
    with zipfile.ZipFile(path, "w") as book:
        for name, content in members.items():
            book.writestr(name, content)


def test_a_formula_counts_by_its_result_and_is_refused_without_one(book):
    path = book(Data=[["a", "b"], [1, "=A2*2"], [2, '=""'], [3, "=1/0"]])
    place, message, hint = problem_of(path)
    assert (place, message) == (
        ("source", "excel", "path"),
        'book.xlsx, sheet "Data": formulas without results in B2, B3, B4',
    )
    assert hint == "open and save it in a spreadsheet program, which computes them"
    with_results(path, {"B2": ("n", 2.5), "B3": ("str", ""), "B4": ("e", "#DIV/0!")})
    np.testing.assert_array_equal(read(path).columns["b"].values[:], [2.5, np.nan, np.nan])


def test_what_is_no_workbook_is_said_with_the_way_out(tmp_path):
    for name, content in {"a.xlsx": b"a,b\n1,2\n", "b.xlsx": b"\xd0\xcf\x11\xe0" + bytes(600)}.items():
        (tmp_path / name).write_bytes(content)
        _, message, hint = problem_of(tmp_path / name)
        assert message.startswith(f"{name} is no workbook of the kind .xlsx, or is damaged: ")
        assert hint == "open it in a spreadsheet program and save it as .xlsx or .csv"
    with zipfile.ZipFile(tmp_path / "c.xlsx", "w") as archive:
        archive.writestr("content.xml", "<a/>")
    assert "is no workbook" in problem_of(tmp_path / "c.xlsx")[1]


def test_the_package_that_is_missing_is_named(book, monkeypatch):
    path = book(Data=CELLS)
    monkeypatch.setattr(excel_file, "find_spec", lambda name: None)
    with pytest.raises(MachineError, match="reading workbooks needs a package that is not installed"):
        read(path)
