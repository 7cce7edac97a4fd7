"""Several files are one table: a list, a pattern, a folder or a zip of files with the same columns."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from dltool.config.choices import Choice
from dltool.config.columns import parse_column_type
from dltool.config.table_sources import CsvSource, ParquetSource
from dltool.data.tables.read import read_table
from dltool.data.tables.typed_table import ColumnRequest, Table
from dltool.errors import DataError

Parts = Callable[..., Path]


def part(first: int, rows: int = 30) -> str:
    return "a,b\n" + "".join(f"{number},{'xy'[number % 2]}\n" for number in range(first, first + rows))


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A folder of two parts, and files of other kinds."""
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "part-2.csv").write_text(part(30))
    (folder / "part-10.csv").write_text(part(60))
    (folder / ".hidden.csv").write_text("c\n1\n")
    (folder / "README.md").write_text("about")
    with zipfile.ZipFile(tmp_path / "parts.zip", "w") as archive:
        for name in ("part-2.csv", "part-10.csv", "README.md"):
            archive.write(folder / name, f"data/{name}")
    return folder


def read(path: Any, **wanted: Any) -> Table:
    return read_table(Choice("csv", CsvSource(path=path)), ("data", "source"), ColumnRequest(**wanted))


def problem_of(path: Any, **wanted: Any) -> str:
    with pytest.raises(DataError) as error:
        read(path, **wanted)
    (problem,) = error.value.problems
    return problem.message


def test_a_folder_a_zip_a_pattern_and_a_list_are_one_table_in_natural_order(parts: Path) -> None:
    paths = [
        str(parts),
        str(parts.parent / "parts.zip"),
        str(parts / "part-*.csv"),
        [str(parts / "part-2.csv"), str(parts / "part-10.csv")],
        [str(parts / "part-2.csv"), str(parts.parent / "parts.zip" / "data" / "part-10.csv")],
    ]
    for path in paths:
        table = read(path, declared={"a": parse_column_type("number")})
        np.testing.assert_array_equal(table.columns["a"].values[:], np.arange(30, 90))
        assert table.names_of([0, 29, 30, 59]) == [
            "part-2.csv, line 2",
            "part-2.csv, line 31",
            "part-10.csv, line 2",
            "part-10.csv, line 31",
        ]


def test_a_cell_is_named_with_its_file(parts: Path) -> None:
    (parts / "part-10.csv").write_text(part(60) + "none,x\n")
    message = problem_of(str(parts))
    assert message == f'{parts}/part-10.csv, line 32: a is "none", which is no number'


def test_files_of_other_columns_are_no_part_of_the_table(parts: Path) -> None:
    (parts / "part-11.csv").write_text("b,a,c\nx,1,2\n")
    assert problem_of(str(parts)) == f"{parts}/part-11.csv has other columns than part-2.csv: c"
    (parts / "part-11.csv").write_text("b,a\nx,1.5\n")
    table = read(str(parts))
    assert table.rows == 61
    assert [table.columns[name].values[[60]].tolist() for name in "ab"] == [[1.5], ["x"]]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nothing-*.csv", "no file matches {}/nothing-*.csv"),
        ("parts.zip/data/part-3.csv", "{}/parts.zip has no file data/part-3.csv"),
        ("empty", "{}/empty holds no file that ends in .csv or .txt or .dat or .data or .tsv"),
    ],
)
def test_what_is_not_there_is_named(parts: Path, path: str, message: str) -> None:
    (parts.parent / "empty").mkdir()
    assert problem_of(f"{parts.parent}/{path}") == message.format(parts.parent)


def test_folders_that_name_a_value_give_a_column(tmp_path: Path) -> None:
    for year in (2020, 2021):
        folder = tmp_path / "t" / f"year={year}" / "town=Ulm"
        folder.mkdir(parents=True)
        parquet.write_table(pa.table({"x": np.arange(5.0) + year}), folder / "0.parquet")
    table = read_table(Choice("parquet", ParquetSource(path=str(tmp_path / "t"))), (), ColumnRequest())
    assert table.columns["year"].values[:].tolist() == [2020] * 5 + [2021] * 5
    assert table.columns["town"].why == "the same text in every row"
    assert table.names_of([7]) == ["0.parquet, row 3"]
