"""Delimited text, parsed by pyarrow in blocks on several threads, or by Python's csv if a file requires it."""

import io
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np

from dltool.config.table_sources import CsvSource
from dltool.data.tables.cells import texts_of
from dltool.data.tables.csv_parser import BlockParser, Dialect, Misshapen, Unreadable, dialect_of, numbered_records
from dltool.data.tables.decompression import (
    BUFFER,
    LONGEST_LINE,
    Joined,
    LineTooLong,
    lines_of,
    open_text,
    stored_bytes,
)
from dltool.data.tables.number_format import PLAIN
from dltool.data.tables.several_files import table_path
from dltool.data.tables.typed_table import NoRows, RowBlock, TableFile, Want, lines_at
from dltool.errors import ConfigPath, DataError, Problem
from dltool.machine import usable_cores

RECORDS_PER_BLOCK = 10_000
MOST_SHOWN = 10
MOST_THREADS = 4
OTHER_DELIMITERS = ";\t|,"
YEAR = re.compile(r"[12]\d{3}", re.ASCII)
BLOCK_BYTES = 1 << 20
FIRST_BYTES = 1 << 16
"""The first block is small: it is parsed as text, to suggest kinds of columns."""


class CsvFile(TableFile):
    """A file of delimited text. `names` are those of the options, else those of the file's first line, else `fallback`
    if it fits, else column_1, …"""

    def __init__(self, options: CsvSource, place: ConfigPath, fallback: Sequence[Sequence[str]] = ()) -> None:
        """Open the file; `place` is the config path of its path. Raises DataError: no such file, no rows, empty or
        duplicate names, or text in another encoding."""
        self.set_up(options, place, table_path(options.path, place), fallback)

    def set_up(self, options: CsvSource, place: ConfigPath, path: Path, fallback: Sequence[Sequence[str]]) -> None:
        self.options, self.place, self.path = options, place, path
        self.dialect = dialect_of(options)
        self.decimal = options.decimal
        self.missing = frozenset(options.missing)
        self.names = self.find_names(fallback)

    def find_names(self, fallback: Sequence[Sequence[str]]) -> tuple[str, ...]:
        try:
            with self.opened() as stream:
                first = [fields for _, fields in islice(numbered_records(lines_of(stream), self.dialect), 2)]
        except Unreadable as error:
            raise DataError(self.problem_of(error)) from None
        if not first:
            raise NoRows(Problem(self.place, f"{self.path} has no rows: it is empty"))
        if self.options.has_header and len(first) == 1:
            raise NoRows(Problem(self.place, f"{self.path} has no rows: there is nothing after its first line"))
        given = self.options.names
        # Names may be given because those of the file are too few.
        width = len(first[-1 if given else 0])
        if self.options.has_header and not given:
            self.check_names(first[0])
            return tuple(first[0])
        # The names of the training table, then those without optional columns.
        candidates = (given, *fallback[1:]) if given else fallback
        fitting = next((names for names in candidates if len(names) == width), None)
        if fitting is not None:
            return tuple(fitting)
        if given:
            message = f"{self.path} has {width} columns, names has {len(given)}"
            raise DataError(Problem((*self.place[:-1], "names"), message))
        if fallback:
            expected = " or ".join(str(count) for count in sorted({len(names) for names in fallback}))
            message = f"{self.path} has {width} columns; expected {expected}, as in the training table"
            raise DataError(Problem(self.place, message))
        return tuple(f"column_{number}" for number in range(1, width + 1))

    def check_names(self, names: Sequence[str]) -> None:
        # Years are common column names, other numbers are not.
        numbers = [name for name in names if not np.isnan(PLAIN.number(name)) and not YEAR.fullmatch(name)]
        if numbers and self.options.header is None:
            message = f'{self.path}: its first line should have the names of the columns, "{numbers[0]}" is a number'
            hint = "write header: false if that line is a row, or header: true if these are names"
            raise DataError(Problem(self.place, message, hint))
        other = next((character for character in OTHER_DELIMITERS if len(names) == 1 and character in names[0]), None)
        if other is not None:
            message = f'{self.path} has one column only, called "{names[0][:60]}"'
            raise DataError(Problem(self.place, message, f"write delimiter: {json.dumps(other)}"))
        places: dict[str, list[str]] = {}
        for number, name in enumerate(names, 1):
            places.setdefault(name, []).append(str(number))
        hint = "write one into the file, or name all columns: {names: […], header: true}"
        unnamed = [f"{self.path}: column {number} of {len(names)} has no name" for number in places.pop("", ())]
        problems = [Problem(self.place, message, hint) for message in unnamed]
        for name, found in places.items():
            if len(found) > 1:
                message = f'{self.path}: the columns {" and ".join(found)} are both called "{name}"'
                problems.append(Problem(self.place, message, "write names: […] and header: true to rename them"))
        DataError.refuse(problems)

    def text(self) -> AbstractContextManager[io.BufferedReader]:
        return open_text(self.path, self.place, self.options.encoding)

    def stored_bytes(self) -> int:
        return stored_bytes(self.path)

    @contextmanager
    def opened(self) -> Iterator[io.BufferedReader]:
        """Open the text, with blank lines instead of those to skip, so that the others keep their numbers."""
        skipped = self.options.skipped_lines
        with self.text() as stream:
            first = enumerate(islice(lines_of(stream), max(skipped, default=0)), 1)
            lines = (b"\n" if number in skipped else line for number, line in first)
            yield io.BufferedReader(cast("Any", Joined(lines, stream)), BUFFER) if skipped else stream

    def blocks(self, wants: Mapping[str, Want]) -> Iterator[RowBlock]:
        """Yield the columns. Raises DataError: rows with too many or too few fields, all of them counted; quotes that
        are never closed; bytes that are not text; a damaged file."""
        try:
            with self.opened() as stream:
                if self.options.has_header:
                    next(numbered_records(lines_of(stream), self.dialect))
                yield from self.fast_blocks(stream, wants)
        except (Misshapen, Unreadable) as error:
            raise self.misshapen(error) from None

    def fast_blocks(self, stream: io.BufferedReader, wants: Mapping[str, Want]) -> Iterator[RowBlock]:
        """Yield blocks that several threads parse; the rest of an irregular file field by field."""
        parser, pieces = BlockParser(self.names, self.options), whole_records(stream, self.dialect)
        waiting: deque[Future[RowBlock]] = deque()
        rest: Iterable[RowBlock] = ()
        threads = min(usable_cores(), MOST_THREADS)
        pool = ThreadPoolExecutor(threads, "dltool-csv")
        try:
            try:
                # The first block suggests the kinds by which the others are parsed.
                for first in islice(pieces, 1):
                    block = parser.parse(first, dict(wants))
                    yield replace(block, expected=block.rows * int(1.05 * self.stored_bytes()) // len(first))
                for piece in pieces:
                    waiting.append(pool.submit(parser.parse, piece, dict(wants)))
                    if len(waiting) > threads:
                        yield waiting.popleft().result()
            except Irregular as found:
                rest = self.careful_blocks(lines_of(stream, found.rest), wants)
            while waiting:
                yield waiting.popleft().result()
            yield from rest
        finally:
            pool.shutdown(cancel_futures=True)

    def careful_blocks(self, lines: Iterator[bytes], wants: Mapping[str, Want]) -> Iterator[RowBlock]:
        records = numbered_records(lines, self.dialect)
        while rows := [fields for _, fields in islice(records, RECORDS_PER_BLOCK)]:
            if any(len(fields) != len(self.names) for fields in rows):
                raise Misshapen
            columns = dict(zip(self.names, zip(*rows, strict=True), strict=True))
            cells = {name: [None if cell in self.missing else cell for cell in columns[name]] for name in wants}
            yield RowBlock(len(rows), {name: texts_of(column) for name, column in cells.items()})

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (line, fields) of every row, from the beginning of the file."""
        with self.opened() as stream:
            records = numbered_records(lines_of(stream), self.dialect)
            if self.options.has_header:
                next(records)
            yield from records

    def numbers_of(self, rows: Sequence[int]) -> list[int]:
        return lines_at(self.records(), rows)

    def misshapen(self, error: Misshapen | Unreadable) -> DataError:
        """Describe the malformed rows of the file, which is read again from its beginning."""
        problems: list[Problem] = []
        count, width, widths, wrong = 0, len(self.names), set[int](), list[int]()
        try:
            for line, fields in self.records():
                count += len(fields) != width
                widths.add(len(fields))
                if len(fields) != width and count <= MOST_SHOWN:
                    message = f"{self.path}, line {line:,}: expected {width} fields, found {len(fields)}"
                    problems.append(Problem(self.place, message))
                    wrong.append(line)
        except Unreadable as found:
            problems.append(self.problem_of(found))
        if widths == {width + 1}:
            message = f"{self.path}: its first line has {width} fields, its rows have {width + 1}"
            hint = "name all columns: {names: […], header: true}"
            return DataError(Problem(self.place, message, hint))
        if count > MOST_SHOWN:
            message = f"{self.path}: {count:,} lines in all have another number of fields than {width}"
            problems.append(Problem(self.place, message, "is the delimiter right?"))
        elif wrong:
            lines = sorted({*self.options.skipped_lines, *wrong})
            problems[-1] = replace(problems[-1], hint=f"correct what is wrong, or leave it out: skip_rows: {lines}")
        if not problems:
            problems.append(Problem(self.place, f"{self.path} cannot be read as a table: {error}"))
        return DataError(problems)

    def problem_of(self, error: Unreadable) -> Problem:
        hint = "if quotes have no meaning in this file, write quote: null"
        return Problem(self.place, f"{self.path}, line {error.line:,}: {error.what}", hint)


@dataclass(eq=False)
class Irregular(Exception):
    """Quotes that are not around whole fields. `rest` was read and not yielded."""

    rest: bytes


def whole_records(stream: io.BufferedReader, dialect: Dialect) -> Iterator[bytes]:
    """Yield blocks of the stream that end at the end of a record.

    Raises:
        Irregular: from here on, only a parser that reads field by field finds the ends of records.
        LineTooLong: no record ends for a long time."""
    quote = None if dialect.quote is None else dialect.quote.encode()
    if quote is not None and len(quote) > 1:
        raise Irregular(b"")
    rest, size = b"", FIRST_BYTES
    while piece := stream.read(size):
        size, block = BLOCK_BYTES, rest + piece
        if dialect.escape is not None and dialect.escape.encode() in block:
            raise Irregular(block)
        end = block.rfind(b"\n") + 1
        if quote is not None and quote in block:
            end = end_of_quoted(block, quote, dialect.delimiter.encode())
            has_comment = dialect.comment is not None and b"\n" + dialect.comment in b"\n" + block
            if end < 0 or has_comment:
                raise Irregular(block)
        if end:
            yield block[:end]
        rest = block[end:]
        if len(rest) > LONGEST_LINE:
            raise LineTooLong
    if quote is not None and quote in rest:
        # The last line has no end: the exact parser checks whether its quotes are closed.
        raise Irregular(rest)
    if rest:
        yield rest


def end_of_quoted(block: bytes, quote: bytes, delimiter: bytes) -> int:
    """Return the end of the last whole record (0: none), or -1 if some quote neither opens nor closes a whole field.

    `block` begins with a record. Every other quote opens a field: it must follow a delimiter, a line end or the quote
    that closed the field just before, for two quotes inside a field are one. The others close it."""
    data = np.frombuffer(block, np.uint8)
    quotes = np.flatnonzero(data == quote[0])
    openers, closers = quotes[::2], quotes[1::2]
    before, after = data[openers[openers > 0] - 1], data[closers[closers < len(data) - 1] + 1]
    is_end = np.zeros(256, bool)
    is_end[[ord("\n"), quote[0], *delimiter]] = True
    if not is_end[before].all():
        return -1
    is_end[ord("\r")] = True
    if not is_end[after].all():
        return -1
    end = block.rfind(b"\n")
    while end >= 0 and (quotes_before := int(np.searchsorted(quotes, end))) % 2:
        # It is within the field that the quote before it opened.
        end = block.rfind(b"\n", 0, int(quotes[quotes_before - 1]))
    return end + 1
