"""Sheets of Excel workbooks."""

import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile

from dltool.config.table_sources import CsvSource, ExcelSource
from dltool.data.tables.decompression import reading, unpacked
from dltool.data.tables.records_file import RecordsFile
from dltool.data.tables.several_files import table_path
from dltool.errors import ConfigPath, DataError, MachineError, Problem
from dltool.installation import install_extra
from dltool.text import did_you_mean, listed, near, quoted

SAVE_AS = "open it in a spreadsheet program and save it as .xlsx or .csv"
DAMAGED = (BadZipFile, ParseError, KeyError, ValueError, TypeError, IndexError, AttributeError)
"""What openpyxl raises for a file that is no workbook."""
MOST_SHOWN = 5


@dataclass(frozen=True)
class Sheet:
    """The values of a sheet by row and column, without empty columns; `others` are the other sheets with values."""

    name: str
    rows: Sequence[Sequence[Any]]
    others: Sequence[str]


class ExcelFile(RecordsFile):
    """One sheet of a workbook."""

    def __init__(self, options: ExcelSource, place: ConfigPath, fallback: Sequence[Sequence[str]] = ()) -> None:
        """Read the sheet; `place` is the config path of its path. Raises DataError: as :func:`read_sheet`, or no rows,
        or empty or duplicate names; MachineError: openpyxl is not installed."""
        path = table_path(options.path, place)
        text = CsvSource.model_validate(options.model_dump(exclude={"sheet"}, exclude_unset=True))
        super().__init__(read_sheet(path, options.sheet, place).rows, text, place, path, fallback)


def read_sheet(path: Path, name: str | None, place: ConfigPath) -> Sheet:
    """Read the sheet of that name, or the first with values.

    Raises DataError: no such sheet, no values, formulas without results, or no workbook; MachineError: openpyxl is not
    installed."""
    if find_spec("openpyxl") is None:
        raise MachineError(f"{path}: reading workbooks needs a package that is not installed", install_extra("excel"))
    with reading(path, place), unpacked(path) as stream, warnings.catch_warnings():
        # Of validations, styles and drawings that openpyxl does not know.
        warnings.simplefilter("ignore")
        try:
            return sheet_of(io.BytesIO(stream.read()), path, name, place)
        except DAMAGED as error:
            message = f"{path} is no workbook of the kind .xlsx, or is damaged: {error}"
            raise DataError(Problem(place, message, SAVE_AS)) from None


def sheet_of(content: io.BytesIO, path: Path, name: str | None, place: ConfigPath) -> Sheet:
    """Read a sheet of the workbook with this `content`; raises as :func:`read_sheet`."""
    from openpyxl import load_workbook

    sheets = {sheet.title: sheet for sheet in load_workbook(content, read_only=True, data_only=True).worksheets}
    if name is not None and name not in sheets:
        hint = did_you_mean(near(name, sheets)) or f"it has {listed([*sheets], MOST_SHOWN)}"
        raise DataError(Problem((*place[:-1], "sheet"), f"{path} has no sheet {quoted(name)}", hint))
    full = [title for title, sheet in sheets.items() if any(value_of(cell) for row in rows_of(sheet) for cell in row)]
    chosen = name or next(iter(full), "")
    if chosen not in full:
        where = f"the sheet {quoted(chosen)}" if chosen else "it"
        raise DataError(Problem(place, f"{path} has no rows: {where} is empty"))
    cells = [*rows_of(sheets[chosen])]
    values = [[value_of(cell) for cell in row] for row in cells]
    columns = sorted({index for row in values for index, value in enumerate(row) if value is not None})
    rows = [[row[index] if index < len(row) else None for index in columns] for row in values]
    # A formula without a result has no type either; that of an empty text has.
    blank = {cell.coordinate for row in cells for cell in row if is_blank(cell)}
    formulas = rows_of(load_workbook(content, read_only=True)[chosen]) if blank else ()
    unknown = [
        each.coordinate for row in formulas for each in row if each.data_type == "f" and each.coordinate in blank
    ]
    if unknown:
        message = f"{path}, sheet {quoted(chosen)}: formulas without results in {listed(unknown, MOST_SHOWN)}"
        raise DataError(Problem(place, message, "open and save it in a spreadsheet program, which computes them"))
    return Sheet(chosen, rows, [title for title in full if title != chosen])


def rows_of(sheet: Any) -> Iterator[Sequence[Any]]:
    """Yield the cells of each row. The size that a file states for its sheet may be wrong."""
    sheet.reset_dimensions()
    yield from sheet.iter_rows()


def value_of(cell: Any) -> Any:
    """Return the value of a cell; None if it is empty or an error such as #N/A."""
    return None if cell.data_type == "e" or cell.value == "" else cell.value


def is_blank(cell: Any) -> bool:
    return cell.value is None and cell.data_type == "n" and hasattr(cell, "coordinate")
