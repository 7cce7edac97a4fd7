"""New data for a finished model that is in memory: rows of a table, texts, or arrays as the run's source holds them."""

import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dltool.config.schema import Data
from dltool.config.sources import Source
from dltool.config.table_sources import CsvSource, JsonLinesSource
from dltool.data.arrays.cleaning import clean_inputs
from dltool.data.arrays.rows import coded
from dltool.data.facts import Facts
from dltool.data.new_data import IN_MEMORY, NewExamples, check_form, like_input, load_new, of_arrays
from dltool.errors import DataError, Problem


def load_rows(data: Data, facts: Facts, rows: Any) -> NewExamples:
    """The examples in `rows`: a pandas DataFrame or a list of mappings for tables, a list or an array of str for texts,
    else an array (examples, …) of raw inputs, or a mapping of one for each input. `data` and `facts` are the run's.

    Raises:
        DataError: with every problem of the rows.
    """
    if facts.has_columns:
        return load_records(data, facts, records_of(rows))
    if data.source.name == "text":
        texts = [str(text).strip() for text in np.ravel(np.asarray(rows, dtype=object))]
        if not texts or not all(texts):
            raise DataError(Problem(None, "there is no text" if not texts else "some of the texts are blank"))
        return NewExamples({"text": coded(texts)}, np.full(len(texts), IN_MEMORY, object), np.arange(1, len(texts) + 1))
    given = rows if isinstance(rows, Mapping) else dict.fromkeys(facts.inputs, rows)
    if missing := [name for name in facts.inputs if name not in given]:
        raise DataError(Problem(None, f"the model takes {', '.join(facts.inputs)}; {', '.join(missing)} is not given"))
    if len(facts.inputs) > 1 and not isinstance(rows, Mapping):
        names = ", ".join(facts.inputs)
        raise DataError(Problem(None, f"the model takes several arrays: {names}", "give a dict of them by name"))
    arrays = {name: as_array(given[name], name) for name in facts.inputs}
    found = of_arrays({name: like_input(array, facts.inputs[name]) for name, array in arrays.items()}, IN_MEMORY)
    check_form(data, facts, found)
    return found


def as_array(values: Any, name: str) -> np.ndarray:
    try:
        array = np.asarray(values)
    except ValueError:
        raise DataError(Problem(None, f"{name}: the examples have different shapes")) from None
    return clean_inputs(array.astype(str) if array.dtype == object else array, name, ())


def records_of(rows: Any) -> list[Mapping[str, Any]]:
    """A mapping for each row."""
    if hasattr(rows, "to_dict"):
        rows = rows.to_dict("records")
    records = list(rows)
    if not all(isinstance(record, Mapping) for record in records):
        message = "the model takes rows of a table, whose values have names"
        raise DataError(Problem(None, message, "give a pandas DataFrame or a list of dicts"))
    if not records:
        raise DataError(Problem(None, "there are no rows"))
    return records


def load_records(data: Data, facts: Facts, records: list[Mapping[str, Any]]) -> NewExamples:
    """As a file of JSON lines, read like any other table of new data."""
    options = data.source.options
    missing = frozenset(options.missing) if isinstance(options, CsvSource) else frozenset()
    lines = [
        json.dumps({str(key): plain_cell(value, missing) for key, value in record.items()}) + "\n" for record in records
    ]
    with tempfile.TemporaryDirectory(prefix="dltool-") as folder:
        file = Path(folder, IN_MEMORY)
        file.write_text("".join(lines), encoding="utf-8")
        source = Source("json_lines", JsonLinesSource(path=str(file)))
        try:
            return load_new(data.model_copy(update={"source": source}), facts, [str(file)])
        except DataError as error:
            raise DataError(
                Problem(None, problem.message.replace(f"{folder}{os.sep}", ""), problem.hint)
                for problem in error.problems
            ) from None


def plain_cell(value: Any, missing: frozenset[str]) -> Any:
    """What JSON can hold: NumPy's numbers as Python's, dates as ISO 8601 text, NaN, NaT and NA as null."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            return None if math.isnan(value) else str(value)
        # In pandas, whole numbers with a missing one among them are floats.
        return int(value) if value.is_integer() else value
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return None if text.strip() in missing or text in ("NaT", "<NA>") else text
