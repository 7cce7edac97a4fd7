"""Records of workbooks and databases, written as lines of CSV once, and then read like any such file."""

import csv
import io
import math
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, cast

from dltool.config.table_sources import CsvSource
from dltool.data.tables.csv_file import CsvFile
from dltool.data.tables.decompression import BUFFER
from dltool.durable_files import disk_errors
from dltool.errors import ConfigPath

SPACES = str.maketrans("\0\r\n", "   ")
"""Line ends become spaces, so that the lines have the numbers of the records."""


class RecordsFile(CsvFile):
    """Records of single values, in an unnamed file. An empty one is a blank line, which is no row."""

    row_word = "row"

    def __init__(
        self,
        records: Iterable[Sequence[Any]],
        options: CsvSource,
        place: ConfigPath,
        path: Path,
        fallback: Sequence[Sequence[str]] = (),
    ) -> None:
        """Write the records. Raises as :class:`CsvFile`, and MachineError: the disk is full."""
        with disk_errors(Path(tempfile.gettempdir())):
            self.file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (closed with this object)
            text = io.TextIOWrapper(io.BufferedWriter(self.file, BUFFER), "utf-8", "replace", newline="")
            lines = csv.writer(text, lineterminator="\n")
            for record in records:
                cells = [text_of(value) for value in record]
                lines.writerow(cells if any(cells) or options.names else [])
            self.bytes = text.tell()
            text.detach().detach()
        self.set_up(options, place, path, fallback)

    @contextmanager
    def text(self) -> Iterator[io.BufferedReader]:
        self.file.seek(0)
        stream = io.BufferedReader(cast("Any", self.file), BUFFER)
        try:
            yield stream
        finally:
            stream.detach()

    def stored_bytes(self) -> int:
        return self.bytes

    def identity(self) -> None:
        """Return None: nothing can change the records."""


def text_of(value: Any) -> str:
    """Return a single value as text: integers without a point, moments in ISO 8601, in UTC if they have a zone."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        is_whole = value.is_integer() and abs(value) < 1e15
        return str(int(value)) if is_whole else "" if math.isnan(value) else repr(value)
    if isinstance(value, datetime):
        moment = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return moment.date().isoformat() if moment.time() == time() else moment.isoformat(" ")
    if isinstance(value, date | time):
        return value.isoformat()
    return "" if value is None else str(value).translate(SPACES)
