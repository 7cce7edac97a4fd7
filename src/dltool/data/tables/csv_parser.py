"""One block of delimited text → cells, by pyarrow."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dltool.config.table_sources import CsvSource
from dltool.data.tables.cells import LARGEST, Cells, Texts, is_valid, texts_of, texts_of_dictionary, values_of
from dltool.data.tables.csv_records import dialect_of
from dltool.data.tables.decompression import NotText
from dltool.data.tables.typed_table import RowBlock, Want

if TYPE_CHECKING:
    import pyarrow as pa


class Misshapen(Exception):
    """Rows with too many or too few fields, or a text that pyarrow cannot parse."""


class BlockParser:
    """Parses one block by pyarrow. Stateless, so several threads may use it."""

    def __init__(self, names: Sequence[str], options: CsvSource) -> None:
        import pyarrow as pa
        from pyarrow import csv

        self.csv, self.invalid = csv, pa.ArrowInvalid
        self.float64, self.text = pa.float64(), pa.dictionary(pa.int32(), pa.string())
        self.buffer = pa.BufferReader
        self.names, self.dialect, self.decimal = list(names), dialect_of(options), options.decimal
        self.missing = frozenset(options.missing)
        comment = self.dialect.comment_bytes
        self.comments = (
            None if comment is None else re.compile(rb"^" + re.escape(comment) + rb"[^\n]*\n?", re.MULTILINE)
        )
        # A blank line is no row, even in a table of one column.
        self.blank_lines = re.compile(rb"^[ \t]+\r?$\n?", re.MULTILINE) if len(names) == 1 else None
        # Numbers may have leading spaces, missing markers may not.
        self.nulls = ["", *(space + marker for marker in options.missing for space in ("", " "))]

    def parse(self, data: bytes, wants: Mapping[str, Want]) -> RowBlock:
        data = self.plain(data)
        if not data or data.isspace():
            return RowBlock(0, {name: texts_of([]) for name in wants})
        try:
            table = self.table(data, wants)
            columns = {name: self.cells(table.column(name), want) for name, want in wants.items()}
        except self.invalid:
            # Some cell is no number; parsing it as text shows which one.
            return self.as_text(data, wants)
        if any(cells is None for cells in columns.values()):
            return self.as_text(data, wants)
        return RowBlock(table.num_rows, {name: cells for name, cells in columns.items() if cells is not None})

    def plain(self, data: bytes) -> bytes:
        """Return whether the text is UTF-8, without comments, and with a delimiter of one byte."""
        if not data.isascii():
            try:
                data.decode()
            except UnicodeDecodeError:
                raise NotText from None
        if 0 in data:
            raise NotText
        if self.comments is not None:
            data = self.comments.sub(b"", data)
        if self.blank_lines is not None:
            data = self.blank_lines.sub(b"", data)
        several = self.dialect.several
        return data if several is None else data.replace(several.encode(), self.dialect.delimiter.encode())

    def table(self, data: bytes, wants: Mapping[str, Want]) -> "pa.Table":
        wrong = []

        def invalid_row(row: Any) -> str:
            if row.actual_columns > 1 or row.text.strip():
                wrong.append(row.actual_columns)
            return "skip"

        csv, quote = self.csv, self.dialect.quote
        table = csv.read_csv(
            self.buffer(data),
            csv.ReadOptions(column_names=self.names, use_threads=False, block_size=len(data) + 1),
            csv.ParseOptions(
                delimiter=self.dialect.delimiter,
                quote_char=quote if quote is not None and quote.encode() in data else False,
                newlines_in_values=quote is not None and quote.encode() in data,
                invalid_row_handler=invalid_row,
            ),
            csv.ConvertOptions(
                check_utf8=False,
                column_types={name: self.float64 if want == "number" else self.text for name, want in wants.items()},
                include_columns=list(wants),
                null_values=self.nulls,
                strings_can_be_null=True,
                decimal_point=self.decimal,
            ),
        )
        if wrong:
            raise Misshapen
        return table

    def as_text(self, data: bytes, wants: Mapping[str, Want]) -> RowBlock:
        try:
            table = self.table(data, dict.fromkeys(wants, "text"))
        except self.invalid as error:
            raise Misshapen(str(error)) from None
        return RowBlock(table.num_rows, {name: self.texts(table.column(name).chunk(0)) for name in wants})

    def cells(self, column: "pa.ChunkedArray", want: Want) -> Cells | None:
        """Return the cells of a column; None if a number is not finite, or too large for float32."""
        (chunk,) = column.chunks
        if want == "text":
            return self.texts(chunk)
        values = values_of(chunk, np.float64, np.nan)
        numbers = values if not chunk.null_count else values[is_valid(chunk)]
        is_fine = not len(numbers) or (numbers.min() >= -LARGEST and numbers.max() <= LARGEST)
        return values if is_fine else None

    def texts(self, chunk: "pa.DictionaryArray") -> Texts:
        return texts_of_dictionary(chunk, self.missing.__contains__)
