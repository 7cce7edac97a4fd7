"""Files whose columns pyarrow reads: Parquet, Feather (Arrow IPC) and ORC."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dltool.config.table_sources import ArrowSource, FeatherSource, OrcSource, ParquetSource
from dltool.data.tables.cells import (
    FIRST_DATE,
    LAST_DATE,
    NO_DATE,
    Cells,
    Texts,
    as_texts,
    texts_of_dictionary,
    values_of,
)
from dltool.data.tables.decompression import opener_of, reading, unpacked, zip_of
from dltool.data.tables.number_format import LARGEST
from dltool.data.tables.several_files import table_path
from dltool.data.tables.typed_table import NoRows, RowBlock, TableFile, Want
from dltool.errors import ConfigPath, DataError, Problem

if TYPE_CHECKING:
    import pyarrow as pa

INDEX = re.compile(r"__index_level_\d+__")
ROWS_PER_BLOCK = 1 << 15
MAGIC = b"ARROW1"
"""Begins a file of Arrow's IPC format that has a footer."""
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
TEXTS = ("string", "large_string", "string_view")
SINGLE = (*TEXTS, "boolean", "integer", "floating", "decimal", "date", "timestamp", "null")
"""Arrow's types of single values."""


@dataclass(frozen=True)
class OpenFile:
    """An open file: its columns, its rows, and a function that reads the columns of these names in blocks; of a Parquet
    file, which has `groups` of so many rows, those of one group."""

    schema: "pa.Schema"
    rows: int
    batches: "Callable[[Sequence[str]], Iterator[pa.RecordBatch]]"
    groups: Sequence[int] = ()


@contextmanager
def open_parquet(stream: "pa.NativeFile", group: int | None = None) -> Iterator[OpenFile]:
    from pyarrow import parquet

    with parquet.ParquetFile(stream) as file:
        found = file.metadata
        groups = [found.row_group(number).num_rows for number in range(found.num_row_groups)]
        read = range(len(groups)) if group is None else [group]
        yield OpenFile(
            file.schema_arrow,
            found.num_rows,
            lambda names: file.iter_batches(ROWS_PER_BLOCK, row_groups=read, columns=names),
            groups,
        )


@contextmanager
def open_feather(stream: "pa.NativeFile") -> Iterator[OpenFile]:
    """Open a file of Arrow's IPC format, with or without the footer that lists its blocks."""
    from pyarrow import ipc

    has_footer = stream.read(len(MAGIC)) == MAGIC
    stream.seek(0)
    schema = (ipc.open_file if has_footer else ipc.open_stream)(stream).schema

    def batches(names: Sequence[str]) -> "Iterator[pa.RecordBatch]":
        options = ipc.IpcReadOptions(included_fields=[schema.names.index(name) for name in names])
        stream.seek(0)
        if has_footer:
            file = ipc.open_file(stream, options=options)
            return map(file.get_batch, range(file.num_record_batches))
        return iter(ipc.open_stream(stream, options=options))

    yield OpenFile(schema, sum(batch.num_rows for batch in batches(schema.names[:1])), batches)


@contextmanager
def open_orc(stream: "pa.NativeFile") -> Iterator[OpenFile]:
    from pyarrow import orc

    file = orc.ORCFile(stream)
    yield OpenFile(
        file.schema, file.nrows, lambda names: (file.read_stripe(each, names) for each in range(file.nstripes))
    )


OPENERS = {
    ParquetSource: ("Parquet", open_parquet),
    FeatherSource: ("Feather", open_feather),
    OrcSource: ("ORC", open_orc),
}
"""By the options of a source: the name of the format, and what opens a file of it."""


class ArrowFile(TableFile):
    """A Parquet, Feather or ORC file. Numbers, booleans, dates and texts are read; lists, bytes and the like are
    unusable."""

    row_word = "row"

    def __init__(self, options: ArrowSource, place: ConfigPath) -> None:
        """Open the file; `place` is the config path of its path. Raises DataError: no such file, of another format, no
        rows, or columns without a name of their own."""
        self.place = place
        self.format, self.opener = OPENERS[type(options)]
        self.path = table_path(options.path, place)
        with self.opened() as file:
            schema, rows, self.groups = file.schema, file.rows, file.groups
        self.names = tuple(schema.names)
        self.unusable = {
            field.name: f"values of the type {field.type}" for field in schema if not is_single(field.type)
        }
        # pandas writes the index of a frame so.
        self.unusable |= {name: "the index of a data frame" for name in self.names if INDEX.fullmatch(name)}
        faults = []
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        faults += [f': two columns are called "{name}"' for name in twice]
        faults += [": a column has no name"] * ("" in self.names)
        DataError.refuse(Problem(place, f"{self.path}{fault}") for fault in faults)
        if not (rows and self.names):
            raise NoRows(Problem(place, f"{self.path} has no rows"))

    @property
    def is_packed(self) -> bool:
        """Return whether the file is compressed as a whole, or in a zip."""
        return zip_of(self.path) is not None or opener_of(self.path) is not None

    @contextmanager
    def opened(self, *group: int) -> Iterator[OpenFile]:
        import pyarrow as pa

        with reading(self.path, self.place):
            stream = pa.BufferReader(unpacked(self.path).read()) if self.is_packed else pa.OSFile(str(self.path))
            try:
                with stream, self.opener(stream, *group) as file:
                    yield file
            except (pa.ArrowException, ValueError, OSError) as error:
                if isinstance(error, OSError) and not group:
                    raise
                what = [f", row group {number + 1} of {len(self.groups)}" for number in group]
                message = f"{self.path}{''.join(what) or f' is no {self.format} file, or'} is damaged: {error}"
                raise DataError(Problem(self.place, message)) from None

    def blocks(self, wants: Mapping[str, Want], *group: int) -> Iterator[RowBlock]:
        """Yield blocks as every table; of a Parquet file those of one `group` of rows, if it is given."""
        with self.opened(*group) as file:
            for batch in file.batches(list(wants)):
                # Codes and UTF-8 of a damaged file may be wrong.
                batch.validate(full=True)
                cells = {name: cells_of(batch.column(name), want) for name, want in wants.items()}
                yield RowBlock(batch.num_rows, cells, file.rows)


def is_single(kind: "pa.DataType") -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    return any(getattr(types, f"is_{single}")(kind) for single in SINGLE)


def cells_of(array: "pa.Array", want: Want) -> Cells:
    """Return the cells of a block of one column. Integers read as text keep all their digits."""
    import pyarrow as pa
    from pyarrow import types

    kind = array.type
    if types.is_dictionary(kind) and not types.is_string(kind.value_type):
        array = array.dictionary_decode()
        kind = array.type
    if types.is_null(kind):
        return Texts(np.full(len(array), -1, np.int32), [])
    if types.is_boolean(kind):
        return Texts(values_of(array.cast(pa.int8()).cast(pa.int32()), np.int32, -1), ["false", "true"])
    if types.is_date(kind) or types.is_timestamp(kind):
        return seconds_of(array)
    is_integer = types.is_integer(kind) and want == "number"
    if types.is_floating(kind) or types.is_decimal(kind) or is_integer:
        values = values_of(array.cast(pa.float64(), safe=False), np.float64, np.nan)
        sizes = np.abs(values)
        # Only as text do larger integers keep all digits.
        if not (is_integer and (sizes > 2**53).any()):
            return as_texts(values) if (sizes > LARGEST).any() else values
    if not types.is_dictionary(kind):
        array = array.cast(pa.string()).dictionary_encode()
    elif array.type.index_type != pa.int32():
        array = array.cast(pa.dictionary(pa.int32(), pa.string()))
    return texts_of_dictionary(array, is_missing=lambda text: False)


def seconds_of(array: "pa.Array") -> np.ndarray:
    """Return (rows,) of int64 seconds since 1970-01-01T00:00, rounded down; NO_DATE if missing."""
    import pyarrow as pa

    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("ms"))
    numbers = values_of(array, np.int64, NO_DATE)
    seconds = np.where(numbers == NO_DATE, NO_DATE, numbers // PER_SECOND[array.type.unit])
    if ((seconds != NO_DATE) & ((seconds < FIRST_DATE) | (seconds > LAST_DATE))).any():
        raise ValueError("a date is outside the years 1 to 9999")
    return seconds
