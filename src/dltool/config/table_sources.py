"""Data sources that are tables: `csv: file.csv`, `tsv: …`, `json_lines: …`, `excel: …`, `parquet: …`, …."""

import re
from collections import Counter
from collections.abc import Collection
from itertools import combinations
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dltool.config.pydantic_errors import refuse
from dltool.config.section import Section
from dltool.errors import Problem
from dltool.text import quoted

Text = Annotated[str, Field(min_length=1)]
Character = Annotated[str, Field(min_length=1, max_length=1)]
Paths = str | Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
Line = Annotated[int, Field(ge=1, le=10**9)]
SkippedLines = Annotated[int, Field(ge=0, le=10_000)] | Annotated[tuple[Line, ...], Field(strict=False)]
Texts = Annotated[tuple[Text, ...], Field(strict=False)]


WHITESPACE = "whitespace"
SQLITE = "sqlite:///"
"""Begins the URL of a file of SQLite."""
QUOTED = re.compile(r"""--[^\n]*|/\*.*?\*/|'[^']*'|"[^"]*"|`[^`]*`""", re.DOTALL)
PARENTHESES = re.compile(r"\([^()]*\)")
ORDERED = re.compile(r"\border\s+by\b", re.IGNORECASE)


class RowsSource(Section):
    """Rows of cells, which the first of them may name."""

    path: Paths
    """The path of the file, or of a folder or zip of files with the same columns; a pattern such as `part-*.csv`; or a
    list of paths."""
    header: bool | None = None
    """Whether the first line contains the column names. Default: true unless `names` are given."""
    names: Texts = ()
    """The column names. With `header: true` they replace those in the file."""
    missing: Texts = ()
    """Strings that mark a missing value, besides the empty field."""
    skip_rows: SkippedLines = 0
    """The number of lines to skip at the beginning, or the lines themselves, counted from 1: `[2]` is a row of units
    below the names."""

    @property
    def skipped_lines(self) -> Collection[int]:
        """Return the lines to skip, counted from 1."""
        return range(1, self.skip_rows + 1) if isinstance(self.skip_rows, int) else frozenset(self.skip_rows)

    @property
    def has_header(self) -> bool:
        return not self.names if self.header is None else self.header

    @model_validator(mode="after")
    def has_distinct_names(self) -> Self:
        twice = sorted(name for name, count in Counter(self.names).items() if count > 1)
        refuse(*(Problem(("names",), f'duplicate column name "{name}"') for name in twice))
        return self


class CsvSource(RowsSource):
    """A text file with one row per line. Spaces around a field are ignored. Files compressed by gzip, bzip2, xz or zstd
    are decompressed."""

    delimiter: Text = ","
    """The string between two fields, or `whitespace`: any number of spaces and tabs. Fields cannot be quoted if it has
    several characters of another kind."""
    encoding: str = "utf-8"
    """The character encoding of the file, such as utf-8, latin-1, cp1252 or utf-16."""
    quote: Character | None = '"'
    """The quote character around fields that contain delimiters or line ends; null disables quoting."""
    escape: Character | None = None
    """The character, such as a backslash, before a quote or delimiter that is part of a field."""
    comment: Character | None = None
    """Lines that begin with this character are skipped."""
    decimal: Literal[".", ","] = "."
    """The decimal separator of numbers."""

    @model_validator(mode="after")
    def is_readable(self) -> Self:
        if self.is_known:
            refuse(*self.encoding_problems(), *self.character_problems())
        return self

    def encoding_problems(self) -> list[Problem]:
        try:
            "a".encode(self.encoding)
        except (LookupError, ValueError):
            hint = "for example utf-8, latin-1, cp1252 or utf-16"
            return [Problem(("encoding",), f"unknown encoding {quoted(self.encoding)}", hint)]
        return []

    def character_problems(self) -> list[Problem]:
        used = {"delimiter": self.delimiter, "quote": self.quote, "escape": self.escape, "comment": self.comment}
        problems = [
            Problem((key if key in self.model_fields_set else other,), f"{key} and {other} are the same")
            for other, key in combinations(used, 2)
            if used[key] is not None and used[key] == used[other]
        ]
        if self.decimal == self.delimiter:
            problems.append(Problem(("decimal",), "decimal and delimiter are the same", 'write delimiter: ";"'))
        # One of them may wait for the data.
        ending = [key for key, value in used.items() if isinstance(value, str) and ("\n" in value or "\r" in value)]
        return [*problems, *(Problem((key,), f"{key} cannot contain a line end") for key in ending)]


class TsvSource(CsvSource):
    """A text file with one row per line and tabs between the fields; otherwise like `csv`."""

    delimiter: Text = "\t"
    """The string between two fields."""


class ExcelSource(RowsSource):
    """A sheet of an Excel workbook, `.xlsx` or `.xlsm`. Formulas count by their stored results; errors such as `#N/A`
    are missing values. Empty rows and columns are ignored."""

    sheet: Text | None = None
    """The name of the sheet. Default: the first that is not empty."""


class JsonLinesSource(Section):
    """A UTF-8 text file with one JSON object per line, or one array of objects. Files compressed by gzip, bzip2, xz or
    zstd are decompressed."""

    path: Paths
    """The path of the file, folder or pattern, or a list of paths, as of `csv`."""


class ArrowSource(Section):
    path: Paths
    """The path of the file, folder or pattern, or a list of paths, as of `csv`."""


class ParquetSource(ArrowSource):
    """A Parquet file."""


class FeatherSource(ArrowSource):
    """A Feather file, which is one of Arrow's IPC format."""


class OrcSource(ArrowSource):
    """An ORC file."""


class SqlSource(Section):
    """The rows of a query of a database."""

    url: Text
    """The URL of the database as SQLAlchemy writes it: `sqlite:///file.sqlite`; for one with a password
    `$(env.DATABASE)`."""
    query: Text
    """The query in SQL. Its ORDER BY has to decide the order of all rows, on which the split depends."""
    missing: Texts = ()
    """Strings that mark a missing value, besides NULL and the empty text."""

    @model_validator(mode="after")
    def has_an_order(self) -> Self:
        if self.is_known and not is_ordered(self.query):
            message = (
                "the query has no ORDER BY: its rows may come in another order each time, on which the split depends"
            )
            hint = "end it with ORDER BY and the columns that identify a row, such as the primary key"
            refuse(Problem(("query",), message, hint))
        return self


def is_ordered(query: str) -> bool:
    """Return whether the query itself has an ORDER BY, and not only one in parentheses."""
    above, below = "", QUOTED.sub(" ", query)
    while above != below:
        above, below = below, PARENTHESES.sub(" ", below)
    return ORDERED.search(below) is not None


TableOptions = CsvSource | ExcelSource | JsonLinesSource | ArrowSource | SqlSource
