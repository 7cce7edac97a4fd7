"""Records of delimited text by Python's csv: exact about quotes, comments and line numbers, and slow.

:mod:`dltool.data.tables.csv_file` reads most files faster; it uses this for headers, rare dialects and error messages.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dltool.config.table_sources import CsvSource
from dltool.data.tables.decompression import LONGEST_LINE, decoded

UNIT = "\x1f"
"""Replaces a delimiter of several characters, which neither csv nor pyarrow supports."""


class Unreadable(Exception):
    """A record that cannot be parsed: its first line, counted from 1, and the error."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(line, what)
        self.line, self.what = line, what


@dataclass(frozen=True)
class Dialect:
    """The format of fields. `comment` and `quote` may be absent; `several` is a delimiter of several bytes, which
    pyarrow and csv do not support."""

    delimiter: str
    quote: str | None
    comment: bytes | None
    several: str | None


def dialect_of(options: CsvSource) -> Dialect:
    comment = None if options.comment is None else options.comment.encode()
    if len(options.delimiter.encode()) > 1:
        return Dialect(UNIT, None, comment, options.delimiter)
    return Dialect(options.delimiter, options.quote, comment, None)


class Records:
    """Iterates over (line, fields) of `lines` (bytes in UTF-8), without comments and blank lines.

    `line` is the first line of the record, counted from 1. Spaces around fields are stripped.

    Raises:
        NotText: a line is not UTF-8, or has a zero byte.
        Unreadable: a quote that is never closed, or text after the end of a quoted field."""

    def __init__(self, lines: Iterable[bytes], dialect: Dialect) -> None:
        self.lines, self.dialect = lines, dialect
        self.begins, self.at_start, self.is_blank = 1, True, False
        csv.field_size_limit(LONGEST_LINE)
        quote = dialect.quote
        self.reader = csv.reader(
            self.texts(),
            delimiter=dialect.delimiter,
            quotechar=quote,
            quoting=csv.QUOTE_NONE if quote is None else csv.QUOTE_MINIMAL,
            # Otherwise a space is a delimiter, and two of them enclose an empty field.
            skipinitialspace=dialect.delimiter != " ",
            strict=True,
        )

    def texts(self) -> Iterator[str]:
        comment, several = self.dialect.comment, self.dialect.several
        for number, line in enumerate(self.lines, 1):
            text = decoded(line)
            if self.at_start and comment is not None and line.startswith(comment):
                continue
            if self.at_start:
                self.begins, self.is_blank = number, not text.strip()
            self.at_start = False
            yield text.replace(several, UNIT) if several is not None else text

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        try:
            for fields in self.reader:
                if not self.is_blank or len(fields) > 1:
                    yield self.begins, [field.strip() for field in fields]
                self.at_start = True
        except csv.Error as error:
            is_open = "unexpected end" in str(error)
            what = "a quote that is never closed" if is_open else f"a field that cannot be read: {error}"
            raise Unreadable(self.begins, what) from None
