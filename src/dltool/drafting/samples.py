"""The first and the last lines of delimited text: encoding, delimiter, quotes and the decimal separator."""

import codecs
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from dltool.config.table_sources import WHITESPACE, CsvSource
from dltool.data.tables.csv_parser import Unreadable, dialect_of, numbered_records
from dltool.data.tables.decompression import BUFFER, NotText, open_text, reading, unpacked, wide_encoding
from dltool.data.tables.number_format import NumberFormat
from dltool.drafting.header import Records, is_text
from dltool.errors import ConfigPath

SAMPLE = 500
"""Records that decide on delimiter, quotes and header; the encoding and missing markers are looked for in all."""
LAST_BYTES = 1 << 15
# The likelier ones last: commas stand in texts and decimals too.
DELIMITERS = (",", "|", ";", "\t")
RARE_DELIMITERS = (":", "~", "^", "\x01")
SINGLE_QUOTED = re.compile(rb"(?:^|[,;\t|])\s*'")
ESCAPED = re.compile(rb"""\\["',;\t|]""")


def encoding_of(path: Path, place: ConfigPath) -> str:
    """UTF-8 if all of the file is, else UTF-16 or UTF-32, else that of Windows, which knows nearly every byte."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with reading(path, place), unpacked(path) as raw:
        piece = raw.read(BUFFER)
        if wide := wide_encoding(piece):
            return wide
        if b"\0" in piece:
            raise NotText
        try:
            while piece:
                decoder.decode(piece)
                piece = raw.read(BUFFER)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252" if not {*piece} & {0x81, 0x8D, 0x8F, 0x90, 0x9D} else "latin-1"
    return "utf-8"


def dialect_in(lines: Sequence[bytes], given: Mapping[str, Any]) -> tuple[CsvSource, Records]:
    """Return the delimiter, quotes, escapes and comments that make the first lines of a file most regular, and their
    records. `given` options stay."""
    # Where the first line may also be the names, it has to be a comment to make the rows alike.
    comments = (lines[0][:1].decode(), None) if lines and lines[0].startswith((b"#", b"%", b"!")) else (None,)
    quotes = ("'", None, '"') if any(map(SINGLE_QUOTED.search, lines)) else (None, '"')
    escapes = (None, "\\") if any(map(ESCAPED.search, lines)) else (None,)
    usual = [
        CsvSource(path="", delimiter=delimiter, quote=quote, comment=comment, escape=escape)
        for escape, comment, quote, delimiter in product(escapes, comments, quotes, DELIMITERS)
    ]
    rare = [CsvSource(path="", delimiter=each) for each in RARE_DELIMITERS]
    # As R writes tables, or with aligned columns.
    spaced = [
        CsvSource(path="", delimiter=delimiter, comment=comment)
        for comment, delimiter in product(comments, (" ", WHITESPACE))
    ]
    candidates = [options.model_copy(update=given) for options in (*usual, *rare, *spaced)]
    samples = [records_of(lines, options) for options in candidates]
    best = max(range(len(usual)), key=lambda index: (regularity(samples[index]), index))
    numeric = [index for index in range(len(usual) + len(rare), len(samples)) if holds_numbers(samples[index])]
    # Aligned columns, the last of them after a tab.
    are_spaces = candidates[best].delimiter == "\t" and all("  " in fields[0] for _, fields in samples[best])
    if (regularity(samples[best]) < 1 or are_spaces) and numeric:
        best = numeric[0]
        by_runs = samples[best + 1] if candidates[best].delimiter == " " and best + 1 in numeric else []
        # A run of spaces makes empty names.
        best += bool(by_runs) and len(by_runs[0][1]) != len(samples[best][0][1])
    elif not regularity(samples[best]):
        others = range(len(usual), len(usual) + len(rare))
        one_column = len(usual) - len(DELIMITERS)
        best = next((index for index in others if regularity(samples[index]) == 1), one_column)
    return candidates[best], samples[best]


def records_of(lines: Sequence[bytes], options: CsvSource) -> list[tuple[int, list[str]]]:
    """Return the records of some lines with the line of each, without a last one that goes on after them; none if these
    are no records."""
    records: list[tuple[int, list[str]]] = []
    try:
        records.extend(numbered_records(iter(lines), dialect_of(options)))
    except Unreadable as error:
        if len(lines) < SAMPLE or "never closed" not in error.what:
            return []
    return records


def last_records(path: Path, place: ConfigPath, options: CsvSource) -> Records:
    """Return the last records of a file with the line of each; none if these are no records."""
    last, count, size = b"", 0, 0
    with open_text(path, place, options.encoding) as text:
        for piece in iter(lambda: text.read(BUFFER), b""):
            last, count, size = (last + piece)[-LAST_BYTES:], count + piece.count(b"\n"), size + len(piece)
    lines = last.splitlines(keepends=True)[int(size > len(last)) :]
    first = count - b"".join(lines).count(b"\n")
    return [(first + line, fields) for line, fields in records_of(lines, options)]


def regularity(rows: Records) -> float:
    """Return the share of rows with the most frequent number of fields; 0 if that is one."""
    if not rows:
        return 0.0
    width, count = Counter(len(fields) for _, fields in rows).most_common(1)[0]
    return count / len(rows) if width > 1 else 0.0


def holds_numbers(rows: Records) -> bool:
    """Return whether all records have as many fields, the names perhaps one less, and some column holds numbers: texts
    with spaces do not."""
    width, *others = [len(fields) for _, fields in rows] or [0]
    is_regular = len({*others}) == 1 and others[0] > 1 and others[0] - 1 <= width <= others[0]
    return is_regular and any(
        all(not is_text(fields[index], ".") for _, fields in rows[1:]) for index in range(others[0])
    )


def decimal_of(rows: Sequence[Sequence[str]]) -> str:
    """Return the decimal separator that more cells have."""
    cells = [cell for row in rows for cell in row]
    by_comma, by_point = (
        sum(mark in cell and not np.isnan(NumberFormat(mark).number(cell)) for cell in cells) for mark in (",", ".")
    )
    return "," if by_comma > by_point else "."
