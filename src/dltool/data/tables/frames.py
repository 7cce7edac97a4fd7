"""A pandas DataFrame as a Parquet file, for a run that is trained on it."""

import io
from typing import TYPE_CHECKING, Any

from dltool.errors import DataError, Problem

if TYPE_CHECKING:
    import pandas as pd


def parquet_of(frame: "pd.DataFrame") -> bytes:
    """Return the columns of a DataFrame as a Parquet file, without its index.

    Raises DataError: it is no DataFrame, or a column holds values of several types."""
    import pyarrow as pa
    from pyarrow import parquet

    if not (hasattr(frame, "columns") and hasattr(frame, "index")):
        raise DataError(f"data is {type(frame).__name__}; expected a pandas DataFrame")
    problems, columns = [], []
    for position, name in enumerate(frame.columns):
        series: Any = frame.iloc[:, position]
        try:
            column = pa.Array.from_pandas(series)
            # Parquet cannot hold every type, such as mappings without keys.
            parquet.write_table(pa.table({"": column[:0]}), io.BytesIO())
            columns.append(column)
        except (pa.ArrowException, TypeError, ValueError):
            kinds = sorted({type(value).__name__ for value in series})
            hint = f"convert it, as by frame[{name!r}].astype(str)"
            problems.append(Problem(None, f'the column "{name}" holds {", ".join(kinds)}; expected one type', hint))
    DataError.refuse(problems)
    file = io.BytesIO()
    parquet.write_table(pa.Table.from_arrays(columns, names=[str(name) for name in frame.columns]), file)
    return file.getvalue()
