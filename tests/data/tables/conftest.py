from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dltool.config.choices import Choice
from dltool.config.columns import parse_column_type
from dltool.config.table_sources import CsvSource
from dltool.data.tables.read import read_table
from dltool.data.tables.typed_table import ColumnRequest, Table
from dltool.errors import DataError, Problem

SOURCE = ("data", "source")
PLACE = (*SOURCE, "csv", "path")

Read = Callable[..., Table]
Problems = Callable[..., list[Problem]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads text (or bytes) as a CSV file; `columns` declares types, and what Wanted takes may be given too."""

    def read_text(
        text: str | bytes, columns: dict[str, Any] | None = None, file: str = "table.csv", **options: Any
    ) -> Table:
        path = tmp_path / file
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        declared = {name: parse_column_type(value) for name, value in (columns or {}).items()}
        wanted = {key: options.pop(key) for key in ("like", "needed", "optional", "places") if key in options}
        return read_table(
            Choice("csv", CsvSource(path=str(path), **options)), SOURCE, ColumnRequest(declared=declared, **wanted)
        )

    return read_text


@pytest.fixture
def problems(read: Read, tmp_path: Path) -> Problems:
    """What is wrong with a CSV file; the folder is taken out of the messages."""

    def problems_of(*arguments: Any, **options: Any) -> list[str]:
        with pytest.raises(DataError) as error:
            read(*arguments, **options)
        assert all(problem.place == PLACE for problem in error.value.problems)
        return [problem.message.replace(f"{tmp_path}/", "") for problem in error.value.problems]

    return problems_of  # type: ignore[return-value]
