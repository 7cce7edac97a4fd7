"""Records of delimited text by Python's csv: exact about quotes, comments and line numbers, and slow.

:mod:`dltool.data.tables.csv_file` reads most files faster; it uses this for headers, rare dialects and error messages.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dltool.config.table_sources import CsvSource
from dltool.data.tables.decompression import LONGEST_LINE, NotText

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
    comment: str | None
    several: str | None

    @property
    def comment_bytes(self) -> bytes | None:
        return None if self.comment is None else self.comment.encode()


def dialect_of(options: CsvSource) -> Dialect:
    if len(options.delimiter.encode()) > 1:
        return Dialect(UNIT, None, options.comment, options.delimiter)
    return Dialect(options.delimiter, options.quote, options.comment, None)


class Records:
    """Iterates over (line, fields) of `lines` (bytes in UTF-8), without comments and blank lines.

    `line` is the first line of the record, counted from 1. Spaces around fields are stripped.

    Raises:
        NotText: a line is not UTF-8, or has a zero byte.
        Unreadable: a quote that is never closed, or text after the end of a quoted field."""

    def __init__(self, lines: Iterable[bytes], dialect: Dialect) -> None:
        self.lines, self.dialect = iter(lines), dialect
        self.line, self.begins = 0, 1
        self.at_start, self.is_blank = True, False
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
        comment, several = self.dialect.comment_bytes, self.dialect.several
        for line in self.lines:
            self.line += 1
            try:
                text = line.decode()
            except UnicodeDecodeError:
                raise NotText from None
            if "\0" in text:
                raise NotText
            if self.at_start and comment is not None and line.startswith(comment):
                continue
            if self.at_start:
                self.begins, self.is_blank = self.line, not text.strip()
            self.at_start = False
            yield text.replace(several, UNIT) if several is not None else text

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        while True:
            self.at_start = True
            try:
                fields = next(self.reader)
            except StopIteration:
                return
            except csv.Error as error:
                if "unexpected end" in str(error):
                    raise Unreadable(self.begins, "a quote that is never closed") from None
                raise Unreadable(self.begins, f"a field that cannot be read: {error}") from None
            fields = [field.strip() for field in fields]
            if not self.is_blank or len(fields) > 1:
                yield self.begins, fields
