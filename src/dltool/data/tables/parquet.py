"""Parquet files."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from dltool.config.table_sources import ParquetSource
from dltool.data.files import require, unreadable
from dltool.data.tables.cells import LARGEST, NO_DATE, Cells, Texts, as_texts
from dltool.data.tables.source import Block, Want
from dltool.errors import ConfigPath, DataError, Problem

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_BLOCK = 1 << 15
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
SECONDS_PER_DAY = 86_400


class ParquetFile:
    """A Parquet file of single values: numbers, truth values, dates and texts."""

    row_word = "row"
    decimal = "."

    def __init__(self, options: ParquetSource, place: ConfigPath) -> None:
        """`place` is that of the path in the config.

        Raises:
            DataError: no such file, no Parquet, no rows, or columns of other types, all of them named.
        """
        self.place = place
        self.path = require(options.path, place)
        with self.opened() as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
        self.names = tuple(schema.names)
        problems = [
            Problem(
                place,
                f"{self.path}: {field.name} holds {field.type}; numbers, texts, dates or truth values are expected",
            )
            for field in schema
            if not is_single(field.type)
        ]
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        problems += [Problem(place, f'{self.path}: two columns are called "{name}"') for name in twice]
        problems += [Problem(place, f"{self.path}: a column has no name")] * ("" in self.names)
        if not problems and not (rows and self.names):
            problems.append(Problem(place, f"{self.path} has no rows"))
        if problems:
            raise DataError(problems)

    @contextmanager
    def opened(self) -> Iterator[Any]:
        import pyarrow as pa
        from pyarrow import parquet

        try:
            with parquet.ParquetFile(self.path) as file:
                yield file
        except pa.ArrowInvalid as error:
            raise DataError(Problem(self.place, f"{self.path} is no Parquet file, or is damaged: {error}")) from None
        except OSError as error:
            raise unreadable(self.path, self.place, error) from None

    def blocks(self, wants: Mapping[str, Want]) -> Iterator[Block]:
        """See :class:`dltool.data.tables.source.TableFile`."""
        with self.opened() as file:
            for batch in file.iter_batches(ROWS_PER_BLOCK, columns=list(wants)):
                yield Block(batch.num_rows, {name: cells_of(batch.column(name), want) for name, want in wants.items()})

    def numbers_of(self, rows: Sequence[int]) -> list[int]:
        return [row + 1 for row in rows]


def is_single(kind: "pa.DataType") -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    tests = (
        types.is_boolean,
        types.is_integer,
        types.is_floating,
        types.is_decimal,
        types.is_string,
        types.is_large_string,
        types.is_string_view,
        types.is_date,
        types.is_timestamp,
        types.is_null,
    )
    return any(test(kind) for test in tests)


def cells_of(array: "pa.Array", want: Want) -> Cells:
    """The cells of a block of one column. Whole numbers that are wanted as text keep all their digits."""
    import pyarrow as pa
    from pyarrow import types

    kind = array.type
    if types.is_dictionary(kind) and not types.is_string(kind.value_type):
        array = array.dictionary_decode()
        kind = array.type
    if types.is_null(kind):
        return Texts(np.full(len(array), -1, np.int32), [])
    if types.is_boolean(kind):
        codes = array.cast(pa.int8()).cast(pa.int32()).fill_null(-1).to_numpy(zero_copy_only=False)
        return Texts(codes, ["false", "true"])
    if types.is_date(kind) or types.is_timestamp(kind):
        return seconds_of(array)
    if types.is_integer(kind) and want == "text":
        return texts_from(array.cast(pa.string()))
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        values: np.ndarray = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return as_texts(values) if (np.abs(values) > LARGEST).any() else values
    return texts_from(array)


def texts_from(array: "pa.Array") -> Texts:
    import pyarrow as pa

    if not pa.types.is_dictionary(array.type):
        array = array.cast(pa.string()).dictionary_encode()
    codes = array.indices.cast(pa.int32()).fill_null(-1).to_numpy(zero_copy_only=False)
    values = ["" if value is None else value.strip() for value in array.dictionary.to_pylist()]
    if "" in values:
        blank = np.array([not value for value in values] + [True])
        codes = np.where(blank[codes], np.int32(-1), codes)
    return Texts(codes, values)


def seconds_of(array: "pa.Array") -> np.ndarray:
    """(rows,) of int64 seconds since 1970-01-01T00:00, rounded down; NO_DATE where missing."""
    import pyarrow as pa

    kind = array.type
    if pa.types.is_date32(kind):
        numbers, factor, divisor = array.cast(pa.int32()).cast(pa.int64()), SECONDS_PER_DAY, 1
    else:
        numbers, factor, divisor = array.cast(pa.int64()), 1, PER_SECOND.get(getattr(kind, "unit", "ms"), 1)
    seconds = numbers.fill_null(0).to_numpy(zero_copy_only=False) * factor // divisor
    present = array.is_valid().to_numpy(zero_copy_only=False)
    return np.where(present, seconds, NO_DATE)
