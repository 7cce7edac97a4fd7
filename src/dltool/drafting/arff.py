"""ARFF files, which are CSV below a header of attributes."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from dltool.config.table_sources import CsvSource
from dltool.data.tables.decompression import lines_of, open_text
from dltool.drafting.header import distinct_names, is_text
from dltool.drafting.samples import SAMPLE, SINGLE_QUOTED, encoding_of
from dltool.drafting.sniff import Sniffed, surveyed
from dltool.errors import ConfigPath, DataError, Problem

ATTRIBUTE = re.compile(r"""@attribute\s+(?:'([^']*)'|"([^"]*)"|([^\s{]+))\s*(.*)""", re.IGNORECASE)


def sniff_arff(path: Path, place: ConfigPath, whole: Path) -> Sniffed | None:
    """Return how the file is written, None if it has no header of ARFF. Raises DataError: it is sparse, or as
    :func:`dltool.drafting.sniff.surveyed`."""
    encoding = encoding_of(path, place)
    with open_text(path, place, encoding) as text:
        lines = lines_of(text)
        header = header_in(lines)
        if header is None:
            return None
        rows = [line for line in islice(lines, SAMPLE) if line.strip() and not line.startswith(b"%")]
    last, attributes = header
    if any(row.lstrip().startswith(b"{") for row in rows):
        message = f"{path} is an ARFF file with sparse rows, {{INDEX VALUE, …}}, which are not read"
        raise DataError(Problem(place, message, "save it as CSV"))
    options = CsvSource(
        path=str(whole),
        names=distinct_names([*attributes]),
        skip_rows=last,
        comment="%",
        encoding=encoding,
        delimiter="\t" if rows and all(b"\t" in row and b"," not in row for row in rows) else ",",
        quote="'" if any(map(SINGLE_QUOTED.search, rows)) else '"',
        escape="\\" if any(b"\\" in row for row in rows) else None,
    )
    sniffed = surveyed("csv", options, place)
    nominal = {name: ("category", "nominal in the ARFF file") for name, kind in attributes.items() if are_numbers(kind)}
    return replace(
        sniffed, columns={**sniffed.columns, **nominal}, remarks=(f"an ARFF file: rows from line {last + 1}",)
    )


def header_in(lines: Iterable[bytes]) -> tuple[int, Mapping[str, str]] | None:
    """Return the line of @data, counted from 1, and the types of the attributes by name; None if there are none."""
    attributes: dict[str, str] = {}
    begun = False
    for number, line in enumerate(lines, 1):
        text = line.decode("utf-8", "replace").strip()
        word = text.partition(" ")[0].lower()
        if text and not text.startswith("%"):
            attribute = ATTRIBUTE.match(text)
            if begun and attribute is not None:
                attributes[next(filter(None, attribute.groups()))] = attribute[4]
            elif begun and word == "@data":
                return number, attributes
            elif word != "@relation":
                return None
            begun = True
    return None


def are_numbers(kind: str) -> bool:
    """Return whether an attribute has a list of values, {1,2,3}, that would be read as numbers."""
    values = kind.strip("{}").split(",")
    return kind.startswith("{") and not any(is_text(value.strip(" '\""), ".") for value in values)
