"""Delimited text cut into blocks that can be parsed side by side."""

import io
from collections.abc import Iterator

import numpy as np

from dltool.data.tables.decompression import LONGEST_LINE, LineTooLong
from dltool.data.tables.records import Dialect

BLOCK_BYTES = 1 << 20
FIRST_BYTES = 1 << 16
"""The first block is small: it is parsed as text, to see what the columns may hold."""
NEWLINE = ord("\n")


class Irregular(Exception):
    """Quotes that are not around whole fields. `rest` is what was read and not given out."""

    def __init__(self, rest: bytes) -> None:
        super().__init__()
        self.rest = rest


def whole_records(stream: io.BufferedReader, dialect: Dialect) -> Iterator[bytes]:
    """Blocks of the stream that end where a record does.

    Raises:
        Irregular: from here on, only a parser that reads field by field can tell where a record ends.
        LineTooLong: no record ends for a long time.
    """
    quote = None if dialect.quote is None else dialect.quote.encode()
    comment = dialect.comment_bytes
    if quote is not None and len(quote) > 1:
        raise Irregular(b"")
    rest, size = b"", FIRST_BYTES
    while piece := stream.read(size):
        size = BLOCK_BYTES
        if quote is None or (quote not in piece and quote not in rest):
            end = piece.rfind(b"\n") + 1
            if end:
                yield b"".join((rest, memoryview(piece)[:end]))
                rest = piece[end:]
            else:
                rest += piece
        else:
            block = rest + piece
            end = end_of_quoted(block, quote, dialect.delimiter.encode())
            if end < 0 or (comment is not None and has_comment(block, comment)):
                raise Irregular(block)
            if end:
                yield block[:end]
            rest = block[end:]
        if len(rest) > LONGEST_LINE:
            raise LineTooLong
    if quote is not None and quote in rest:
        # The last line has no end: let the careful parser see whether its quotes are closed.
        raise Irregular(rest)
    if rest:
        yield rest


def has_comment(block: bytes, comment: bytes) -> bool:
    return block.startswith(comment) or b"\n" + comment in block


def end_of_quoted(block: bytes, quote: bytes, delimiter: bytes) -> int:
    """Where the last whole record ends (0: none does), or -1 if some quote neither opens nor closes a whole field.

    `block` begins with a record. Every other quote opens a field: it must follow a delimiter, a line end or the quote
    that closed the field just before, for two quotes inside a field are one. The others close it.
    """
    data = np.frombuffer(block, np.uint8)
    quotes = np.flatnonzero(data == quote[0])
    openers, closers = quotes[::2], quotes[1::2]
    before, after = data[openers[openers > 0] - 1], data[closers[closers < len(data) - 1] + 1]
    is_end = np.zeros(256, bool)
    is_end[[NEWLINE, quote[0], *delimiter]] = True
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
