"""How a file of delimited text is written, inferred from its content: :func:`sniff_csv`."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from dltool.config.choices import Choice
from dltool.config.table_sources import CsvSource, ExcelSource, SqlSource, TableOptions
from dltool.data.tables.builders import is_code
from dltool.data.tables.cells import Cells, Texts, as_texts
from dltool.data.tables.csv_file import CsvFile
from dltool.data.tables.date_format import DateWriting, formats_of
from dltool.data.tables.decompression import BUFFER, lines_of, open_text
from dltool.data.tables.excel_file import read_sheet
from dltool.data.tables.number_format import NumberFormat, Writing, number_in
from dltool.data.tables.read import open_table
from dltool.data.tables.records_file import text_of
from dltool.data.tables.several_files import SeveralFiles
from dltool.data.tables.typed_table import ColumnRequest, TableFile, Want
from dltool.drafting.draft import FEWEST
from dltool.drafting.header import MARKERS, MARKERS_AMONG_NUMBERS, footers_of, options_of, usual_width
from dltool.drafting.samples import SAMPLE, decimal_of, dialect_in, encoding_of, last_records
from dltool.errors import ConfigPath, DataError

MOST_TEXTS = 1_000
MOST_ODD_TEXTS = 10
RARE = 0.05
"""Other texts are predicted as missing numbers where they make up no more of a column."""
MOMENT = re.compile(r"(?i:.*(time|date|stamp|epoch|day|month|period|yyyymm)|(.*[_ ])?(at|ts|on|dt))|.*[a-z](At|On)")
MOMENTS = {6: "%Y%m", 9: "unix", 10: "unix", 12: "unix_ms", 13: "unix_ms", 15: "unix_us", 16: "unix_us", 19: "unix_ns"}
"""Formats of numbers in columns of such names, by the digits of the largest."""
CALENDAR = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
"""Formats of integers in any column, which no other integers of so many digits have in all rows."""
FIRST_YEAR, LAST_YEAR = -2_208_988_800, 4_102_444_800
"""Seconds from 1970 to 1900 and 2100: numbers are dates between them only."""
DOUBTFUL = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}|\d\d?[.,](19|20)\d\d", re.ASCII)
"""Numbers that may have a mark of thousands, or be months."""
WORD_MARKERS = {"na", "nan", "null", "none", "nil"}
MANY_VALUES = 30
CODE = 3
"""The most letters of a code such as that of a country."""
CODES = "category", "integers with leading zeros or very many digits are codes"
LEADING_ZERO = re.compile(rb"(?<![\w.:/-])0\d")
"""In no number, date or time of day behind its first digit. A block of a file may begin within one."""


@dataclass
class Seen:
    """The cells of a column: how many are numbers, some of these, the other texts, and whether it `has_more` of
    them than are kept. `doubtful` says whether each number with a mark may be read in another way."""

    name: str
    numbers: int = 0
    values: set[float] = field(default_factory=set)
    largest: float = 0.0
    is_whole: bool = True
    texts: Counter[str] = field(default_factory=Counter)
    has_more: bool = False
    doubtful: set[bool] = field(default_factory=set)

    def note(self, numbers: np.ndarray) -> None:
        self.numbers += len(numbers)
        self.values.update(numbers[: MANY_VALUES + 1].tolist() if len(self.values) <= MANY_VALUES else ())
        self.largest = max(self.largest, float(numbers.max(initial=0)))
        self.is_whole = self.is_whole and bool((numbers == np.trunc(numbers)).all())

    def add(self, texts: Texts, decimal: str) -> None:
        plain = NumberFormat(decimal)
        for text, count in counted_texts(texts):
            if not np.isnan(number := plain.number(text)):
                self.note(np.full(count, number))
                self.doubtful |= {bool(DOUBTFUL.fullmatch(text))} if {".", ","} & {*text} else set()
            elif text in self.texts or len(self.texts) < MOST_TEXTS:
                self.texts[text] += count
            else:
                self.has_more = True

    @property
    def may_be_written(self) -> bool:
        """Return whether some of the texts may be numbers or dates that are not written plainly."""
        return (
            self.doubtful == {True}
            or bool(self.moments)
            or any(number_in(text) or any(formats_of(text)) for text in islice(self.texts, SAMPLE))
        )

    @property
    def moments(self) -> Sequence[str]:
        """Return the formats in which the numbers may be moments, those since 1970 if the column is called so."""
        digits = len(str(int(self.largest)))
        calendar = CALENDAR.get(digits) if self.is_whole else None
        return [each for each in (calendar, MOMENTS.get(digits) if MOMENT.fullmatch(self.name) else None) if each]

    @property
    def is_mostly_numbers(self) -> bool:
        return self.numbers >= max(1, self.texts.total()) and not self.has_more


@dataclass(frozen=True)
class Sniffed:
    """A source's kind and options, and the columns that are not what they seem: by name, how to declare them and why.

    `markers` are the missing markers with the columns in which they are; `remarks` are on the first lines."""

    kind: str
    options: TableOptions
    columns: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    markers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def sniff_csv(
    path: Path, place: ConfigPath, whole: Path | None = None, given: Mapping[str, Any] | None = None
) -> Sniffed:
    """Delimiter, decimal point, quotes, comments, encoding, names of columns, missing markers, formats of dates.

    `path` may be one of the files of the folder or zip `whole`, all of which are read for what is in the cells.
    `given` options are not looked for.

    Raises DataError: the file cannot be read as a table, with every problem."""
    given = given or {}
    encoding = given.get("encoding") or encoding_of(path, place)
    with open_text(path, place, encoding) as text:
        lines = list(islice(lines_of(text), SAMPLE))
        options, rows = dialect_in(lines, {"encoding": encoding, **given})
    decimal = decimal_of([fields for _, fields in rows]) if options.delimiter != "," else "."
    found, remarks = options_of(rows, decimal)
    options = options.model_copy(update={"decimal": decimal, **found, **given, "path": str(whole or path)})
    kind = "tsv" if options.delimiter == "\t" else "csv"
    if encoding in ("cp1252", "latin-1") and "encoding" not in given:
        remarks = (*remarks, f"not UTF-8: if words look wrong, {encoding} is not its encoding")
    if whole in (None, path) and "skip_rows" not in given:
        footers = footers_of(last_records(path, place, options), usual_width([fields for _, fields in rows]))
        options, remarks = without(options, footers), (*remarks, *(f"line {line:,} is no row" for line in footers))
    try:
        sniffed = surveyed(kind, options, place)
    except DataError:
        # A quote far below that is never closed.
        if options.quote is None:
            raise
        with suppress(DataError):
            return surveyed(kind, options.model_copy(update={"quote": None}), place)
        raise
    return replace(sniffed, remarks=(*remarks, *sniffed.remarks))


def without(options: CsvSource | ExcelSource, lines: Sequence[int]) -> Any:
    """Return the options that skip further lines."""
    skipped = tuple(sorted({*options.skipped_lines, *lines}))
    return options.model_copy(update={"skip_rows": skipped}) if lines else options


def sniff_sheet(path: Path, place: ConfigPath, whole: Path, given: Mapping[str, Any]) -> Sniffed:
    """Find the sheet, the names of columns, missing markers and formats of dates. Raises as :func:`sniff_csv`."""
    sheet = read_sheet(path, given.get("sheet"), place)
    if "sheet" not in given and len(sheet.rows) < FEWEST:
        # Rather a title page or notes.
        sheet = max(
            (sheet, *(read_sheet(path, other, place) for other in sheet.others)), key=lambda each: len(each.rows)
        )
    rows = [(number, [text_of(value) for value in row]) for number, row in enumerate(sheet.rows, 1)]
    found, remarks = options_of([row for row in rows if any(row[1])][:SAMPLE], ".")
    if sheet.others:
        found["sheet"] = sheet.name
        remarks = (f"other sheets are {', '.join(sheet.others)}", *remarks)
    options = ExcelSource.model_validate({"path": str(whole), **found, **given})
    if "skip_rows" not in given:
        last = [row for row in rows if any(row[1])][-SAMPLE:]
        footers = footers_of(last, len(rows[0][1]))
        options, remarks = without(options, footers), (*remarks, *(f"row {row:,} is no row" for row in footers))
    sniffed = surveyed("excel", options, place)
    return replace(sniffed, remarks=(*remarks, *sniffed.remarks))


def surveyed(kind: str, options: CsvSource | ExcelSource | SqlSource, place: ConfigPath) -> Sniffed:
    """Read all cells, for missing markers and for columns that need to be declared."""
    file = open_table(Choice(kind, options), place, ColumnRequest())
    seen = seen_in(file)
    if again := repeated_names(file, seen):
        assert not isinstance(options, SqlSource)
        sniffed = surveyed(kind, without(options, again), place)
        return replace(sniffed, remarks=(f"line {again[0]:,} has the names again", *sniffed.remarks))
    markers: dict[str, list[str]] = {}
    columns: dict[str, tuple[Any, str]] = {}
    found = declared_in(file, seen)
    kept: set[tuple[str, str]] = set()
    for name, column in seen.items():
        declared, absent = found[name] if name in found else declaration_of(column)
        columns |= {} if declared is None else {name: declared}
        kept |= {(text, name) for text in levels_of(column)} if declared is None else set()
        for text in sorted(absent):
            markers.setdefault(text, []).append(name)
    remarks = tuple(
        f'"{text}" in "{name}" is ' + ("read as missing too" if text in markers else "a value like the others")
        for text, name in sorted(kept)
    )
    return Sniffed(kind, options.model_copy(update={"missing": tuple(markers)}), columns, markers, remarks)


def repeated_names(file: TableFile, seen: Mapping[str, Seen]) -> list[int]:
    """Return the lines that have the names of the columns again, as in files that were put together."""
    is_likely = any(column.is_mostly_numbers and name in column.texts for name, column in seen.items())
    records = file.records() if is_likely and isinstance(file, CsvFile) else ()
    return [line for line, row in records if 2 * sum(map(str.__eq__, row, file.names)) > len(row)]


def seen_in(file: TableFile) -> dict[str, Seen]:
    """Read all cells once."""
    seen = {name: Seen(name) for name in file.names}
    # The first block is small, and shows how the numbers are written.
    wants: dict[str, Want] = dict.fromkeys(file.names, "text")
    for block in file.blocks(wants):
        for name, cells in block.columns.items():
            if not isinstance(cells, Texts):
                seen[name].note(cells[~np.isnan(cells)])
                continue
            seen[name].add(cells, file.decimal)
            wants[name] = "number" if seen[name].is_mostly_numbers else "text"
    return seen


def declaration_of(column: Seen) -> tuple[tuple[Any, str] | None, Iterable[str]]:
    """Return how to declare a column and why, if that is needed, and the texts that mark a missing value."""
    known = MARKERS_AMONG_NUMBERS if column.is_mostly_numbers else MARKERS
    found = {text for text in column.texts if text.lower() in known}
    found -= levels_of(column)
    odd = {text: count for text, count in column.texts.items() if text not in found}
    if column.numbers >= max(1, sum(odd.values())) and odd:
        are_rare = sum(odd.values()) <= RARE * column.numbers or len(column.values) > MANY_VALUES
        if not column.has_more and len(odd) <= MOST_ODD_TEXTS and are_rare:
            return None, found | odd.keys()
        shown = ", ".join(f'"{text[:20]}"' for text in list(odd)[:3])
        are_few = not column.has_more and len(odd) <= MOST_TEXTS // 10 and len(column.values) <= MANY_VALUES
        declared = {"category": {"min_count": 5}} if are_few else "ignore"
        return (declared, f"numbers mixed with strings: {shown}"), found
    return None, found


def levels_of(column: Seen) -> set[str]:
    """Return the missing markers that are rather values of a column of texts: words such as None or NA that are written
    like most of the others."""
    if column.numbers:
        return set()
    forms = [form_of(text) for text in column.texts if text.lower() not in MARKERS]
    words = (text for text in column.texts if text.lower() in WORD_MARKERS)
    return {text for text in words if 2 * forms.count(form_of(text)) >= len(forms) > 1}


def form_of(text: str) -> tuple[bool, bool, bool]:
    """Return what tells codes of two or three letters, names and words apart."""
    return text.isupper(), text[:1].isupper(), text.isupper() and len(text) > CODE


def declared_in(file: TableFile, seen: Mapping[str, Seen]) -> dict[str, tuple[tuple[Any, str], Iterable[str]]]:
    """Return how to declare the columns whose numbers or dates are not written plainly, as all of their cells show, and
    the texts that mark a missing value; and columns of codes: integers with leading zeros, or of very many digits."""
    columns = {name: column for name, column in seen.items() if column.may_be_written}
    whole = [name for name, column in seen.items() if column.numbers and not column.texts]
    are_large = any(seen[name].largest >= 2**53 for name in whole)
    coded = whole if whole and (are_large or has_leading_zeros(file)) else []
    writings = {name: (Writing(file.decimal), DateWriting(*column.moments)) for name, column in columns.items()}
    markers: dict[str, set[str]] = {name: set() for name in columns}
    codes: set[str] = set()
    for block in file.blocks(dict.fromkeys((*columns, *coded), "text")) if columns or coded else ():
        codes |= {name for name in coded if any(is_code(text) for text in as_texts(block.columns[name]).values)}
        for name, both in writings.items():
            for text, count in counted_texts(block.columns[name]):
                if text.lower() in MARKERS:
                    markers[name].add(text)
                    continue
                for writing in both:
                    writing.add(text, count)
    found: dict[str, tuple[tuple[Any, str], Iterable[str]]] = dict.fromkeys(codes, (CODES, ()))
    for name, (numbers, dates) in writings.items():
        is_plain = numbers.cells == numbers.read[NumberFormat(file.decimal)]
        is_dated = not is_plain or (dates.earliest >= FIRST_YEAR and dates.latest < LAST_YEAR)
        if len(numbers.odd) <= MOST_ODD_TEXTS and (options := numbers.options()):
            found[name] = (
                ({"number": options}, f'numbers such as "{numbers.example}"'),
                markers[name] | numbers.odd.keys(),
            )
        elif is_dated and (formats := dates.formats()) and (formats != [None] or dates.odd or markers[name]):
            other = f'; "{formats[1]}" would read them too' if len(formats) > 1 else ""
            other += "; a year of 69 is 1969, one of 68 is 2068" if "%y" in (formats[0] or "") else ""
            declared = "date" if formats[0] is None else {"date": {"format": formats[0]}}
            found[name] = (declared, f'dates such as "{dates.example}"{other}'), markers[name] | dates.odd.keys()
        elif numbers.is_ambiguous:
            shown = f'numbers such as "{numbers.example}"'
            found[name] = ("number", f'{shown}; thousands: "{file.decimal}" reads three digits behind as thousands'), ()
    return found


def has_leading_zeros(file: TableFile) -> bool:
    if isinstance(file, SeveralFiles):
        return any(map(has_leading_zeros, file.files))
    assert isinstance(file, CsvFile)
    with file.opened() as stream:
        return any(LEADING_ZERO.search(piece) for piece in iter(lambda: stream.read(BUFFER), b""))


def counted_texts(cells: Cells) -> Iterator[tuple[str, int]]:
    """Yield each text with the number of its cells."""
    texts = as_texts(cells)
    counts = np.bincount(texts.codes[texts.codes >= 0], minlength=len(texts.values)).tolist()
    yield from ((text, count) for text, count in zip(texts.values, counts, strict=True) if count)
