"""Blocks of delimited text → cells, by pyarrow; lines → records, by Python's csv.

The latter is exact about quotes, comments and line numbers, and slow: for headers, rare dialects and error messages."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dltool.config.table_sources import WHITESPACE, CsvSource
from dltool.data.tables.cells import Cells, is_valid, texts_of, texts_of_dictionary, values_of
from dltool.data.tables.decompression import LONGEST_LINE, decoded
from dltool.data.tables.number_format import LARGEST
from dltool.data.tables.typed_table import RowBlock, Want

if TYPE_CHECKING:
    import pyarrow as pa

UNIT = "\x1f"
"""Replaces a delimiter of several characters, which neither csv nor pyarrow supports."""
RUN, ENDS = re.compile(rb"[ \t]+"), re.compile(rb"(?m)^[ \t]+|[ \t]+(?=\r?$)")


@dataclass(eq=False)
class Unreadable(Exception):
    """A record that cannot be parsed: its first line, counted from 1, and the error."""

    line: int
    what: str


class Misshapen(Exception):
    """Rows with too many or too few fields, or a text that pyarrow cannot parse."""


@dataclass(frozen=True)
class Dialect:
    """The format of fields. `comment` and `quote` may be absent; `several` is a delimiter of several bytes or runs of
    spaces and tabs, which pyarrow and csv do not support."""

    delimiter: str
    quote: str | None
    comment: bytes | None
    several: bytes | None
    escape: str | None = None

    def plain(self, data: bytes) -> bytes:
        """Return lines with `delimiter` instead of `several`."""
        if self.several is None:
            return data
        if self.several == WHITESPACE.encode():
            data, quote = ENDS.sub(b"", data), (self.quote or "").encode()
            if not quote or quote not in data:
                return RUN.sub(UNIT.encode(), data)
            return re.sub(rb"%b[^%b\n]*%b|[ \t]+" % ((re.escape(quote),) * 3), spaced_or_quoted, data)
        return data.replace(self.several, UNIT.encode())


def spaced_or_quoted(match: re.Match[bytes]) -> bytes:
    """Return a quoted field, or the delimiter that stands for a run of spaces."""
    return UNIT.encode() if match[0].isspace() else match[0]


def dialect_of(options: CsvSource) -> Dialect:
    comment = None if options.comment is None else options.comment.encode()
    if len(options.delimiter.encode()) > 1:
        quote = options.quote if options.delimiter == WHITESPACE else None
        return Dialect(UNIT, quote, comment, options.delimiter.encode())
    return Dialect(options.delimiter, options.quote, comment, None, options.escape)


def numbered_records(lines: Iterable[bytes], dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, fields) of `lines` (bytes in UTF-8), without comments and blank lines.

    `line` is the first line of the record, counted from 1. Spaces around fields are stripped.

    Raises:
        NotText: a line is not UTF-8, or has a zero byte.
        Unreadable: a quote that is never closed, or text after the end of a quoted field."""
    begins, at_start, is_blank = 1, True, False

    def texts() -> Iterator[str]:
        nonlocal begins, at_start, is_blank
        for number, line in enumerate(lines, 1):
            text = decoded(dialect.plain(line))
            if at_start and dialect.comment is not None and line.startswith(dialect.comment):
                continue
            if at_start:
                begins, is_blank = number, not text.strip()
            at_start = False
            yield text

    csv.field_size_limit(LONGEST_LINE)
    reader = csv.reader(
        texts(),
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        escapechar=dialect.escape,
        quoting=csv.QUOTE_NONE if dialect.quote is None else csv.QUOTE_MINIMAL,
        # Otherwise a space is a delimiter, and two of them enclose an empty field.
        skipinitialspace=dialect.delimiter != " ",
        strict=True,
    )
    try:
        for fields in reader:
            if not is_blank or len(fields) > 1:
                yield begins, [field.strip() for field in fields]
            at_start = True
    except csv.Error as error:
        is_open = "unexpected end" in str(error)
        what = "a quote that is never closed" if is_open else f"a field that cannot be read: {error}"
        raise Unreadable(begins, what) from None


class BlockParser:
    """Parses one block by pyarrow. Stateless, so several threads may use it."""

    def __init__(self, names: Sequence[str], options: CsvSource) -> None:
        self.names, self.dialect, self.decimal = list(names), dialect_of(options), options.decimal
        self.missing = frozenset(options.missing)
        comment = self.dialect.comment
        comments = None if comment is None else rb"^" + re.escape(comment) + rb"[^\n]*\n?"
        # A blank line is no row, even in a table of one column.
        blank_lines = rb"^[ \t]+\r?$\n?" if len(names) == 1 else None
        self.removed = [re.compile(each, re.MULTILINE) for each in (comments, blank_lines) if each is not None]
        # Numbers may have leading spaces, missing markers may not.
        self.nulls = ["", *(space + marker for marker in options.missing for space in ("", " "))]

    def parse(self, data: bytes, wants: Mapping[str, Want]) -> RowBlock:
        import pyarrow as pa

        data = self.plain(data)
        if not data or data.isspace():
            return RowBlock(0, {name: texts_of([]) for name in wants})
        try:
            return self.block(data, wants)
        except pa.ArrowInvalid:
            # Some cell is no number; parsing it as text shows which one.
            try:
                return self.block(data, dict.fromkeys(wants, "text"))
            except pa.ArrowInvalid as error:
                raise Misshapen(str(error)) from None

    def plain(self, data: bytes) -> bytes:
        """Return the text without comments, and with a delimiter of one byte. Raises NotText: it is not UTF-8."""
        decoded(data)
        for pattern in self.removed:
            data = pattern.sub(b"", data)
        return self.dialect.plain(data)

    def block(self, data: bytes, wants: Mapping[str, Want]) -> RowBlock:
        """Parse text as :meth:`plain` returns it. Raises ArrowInvalid: a column wanted as numbers has other cells."""
        import pyarrow as pa
        from pyarrow import csv as arrow

        wrong = []

        def invalid_row(row: Any) -> str:
            if row.actual_columns > 1 or row.text.strip():
                wrong.append(row.actual_columns)
            return "skip"

        types = {"number": pa.float64(), "text": pa.dictionary(pa.int32(), pa.string())}
        quote = self.dialect.quote
        has_quotes = quote is not None and quote.encode() in data
        table = arrow.read_csv(
            pa.BufferReader(data),
            arrow.ReadOptions(column_names=self.names, use_threads=False, block_size=len(data) + 1),
            arrow.ParseOptions(
                delimiter=self.dialect.delimiter,
                quote_char=quote if has_quotes else False,
                newlines_in_values=has_quotes,
                invalid_row_handler=invalid_row,
            ),
            arrow.ConvertOptions(
                check_utf8=False,
                column_types={name: types[want] for name, want in wants.items()},
                include_columns=list(wants),
                null_values=self.nulls,
                strings_can_be_null=True,
                decimal_point=self.decimal,
            ),
        )
        if wrong:
            raise Misshapen
        return RowBlock(table.num_rows, {name: self.cells(table.column(name).chunk(0)) for name in wants})

    def cells(self, chunk: "pa.Array") -> Cells:
        """Return the cells of a column. Raises ArrowInvalid: a number is not finite, or too large for float32."""
        import pyarrow as pa

        if pa.types.is_dictionary(chunk.type):
            return texts_of_dictionary(chunk, self.missing.__contains__)
        values = values_of(chunk, np.float64, np.nan)
        numbers = values[is_valid(chunk)] if chunk.null_count else values
        if len(numbers) and not (numbers.min() >= -LARGEST and numbers.max() <= LARGEST):
            raise pa.ArrowInvalid("a number out of range")
        return values
