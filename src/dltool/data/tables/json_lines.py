"""JSON: one object a line, or an array of objects; single values are read."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from dltool.config.table_sources import JsonLinesSource
from dltool.data.tables.cells import texts_of
from dltool.data.tables.decompression import decoded, lines_of, open_text
from dltool.data.tables.several_files import table_path
from dltool.data.tables.typed_table import RowBlock, TableFile, Want, lines_at
from dltool.errors import ConfigPath, DataError, Problem

RECORDS_PER_BLOCK = 10_000
MOST_SHOWN = 10
ONE_OBJECT = ' is one JSON object; a table has one for each row, which is orient="records" in pandas'
OTHER_ITEMS = (
    ' is an array of other values than objects; a table has one for each row, which is orient="records" in pandas'
)
NO_OBJECT = "expected an object: {…}"
TO_CSV = '.to_csv("data.csv", index=False)'
NESTED = "lists or objects"
PEEKED = 1 << 16


class JsonLinesFile(TableFile):
    """A file of JSON lines, or an array of objects. Its columns are all keys that occur; an absent key is a missing
    value.

    Single values are read as text: a number and a string of the same digits are equal."""

    def __init__(self, options: JsonLinesSource, place: ConfigPath) -> None:
        """Open the file; `place` is the config path of its path. Raises DataError: no such file, no rows, lines that
        are not JSON objects, nested values; all of them counted."""
        self.place = place
        self.path = table_path(options.path, place)
        self.unusable: dict[str, str] = {}
        self.items = self.items_of_array()
        self.row_word = "line" if self.items is None else "row"
        self.names = self.find_names()

    def find_names(self) -> tuple[str, ...]:
        names: dict[str, None] = {}
        record: dict[str, Any] = {}
        wrong: list[tuple[int, str]] = []
        rows = 0
        for line, text in self.texts():
            try:
                record = parsed(text)
            except ValueError as error:
                wrong.append((line, str(error)))
                continue
            rows += 1
            names |= dict.fromkeys(record)
            self.unusable |= {name: NESTED for name, value in record.items() if isinstance(value, list | dict)}
        if wrong and not rows:
            message = f"{self.path} is no JSON with an object a line: line {wrong[0][0]:,}: {wrong[0][1]}"
            rewritten = f"write one object a line: jq -c . {shlex.quote(self.path.name)} > new.jsonl"
            made = f'pandas.DataFrame(map(json.loads, open("{self.path.name}")))'
            of_lists = f"in Python: import json, pandas; {made}{TO_CSV}"
            raise DataError(Problem(self.place, message, of_lists if wrong[0][1] == NO_OBJECT else rewritten))
        faults = [f", {self.row_word} {line:,}: {what}" for line, what in wrong[:MOST_SHOWN]]
        if len(wrong) > MOST_SHOWN:
            faults.append(f": {len(wrong):,} {self.row_word}s in all are no objects")
        if "" in names:
            faults.append(": a key is empty")
        if not faults and not names:
            faults.append(f" has no rows: {'its objects are' if rows else 'it is'} empty")
        if rows == 1 and not faults and names.keys() <= self.unusable.keys():
            raise DataError(Problem(self.place, f"{self.path}{ONE_OBJECT}", conversion(record, self.path.name)))
        DataError.refuse(Problem(self.place, f"{self.path}{fault}") for fault in faults)
        return tuple(names)

    def texts(self) -> Iterator[tuple[int, str]]:
        """Yield (line, text) of the lines that are not blank; of an array, (row, text) of its items."""
        if self.items is not None:
            yield from enumerate(self.items, 1)
            return
        with open_text(self.path, self.place) as stream:
            for number, line in enumerate(lines_of(stream), 1):
                if text := decoded(line).strip():
                    yield number, text

    def items_of_array(self) -> list[str] | None:
        """Return the text of each item, if the file is an array. Raises DataError: it is another value, or no JSON."""
        with open_text(self.path, self.place) as stream:
            beginning = stream.peek(PEEKED)[:PEEKED].lstrip()
            is_object = beginning[:1] == b"{" and not beginning.partition(b"\n")[0].rstrip().endswith(b"}")
            if beginning[:1] != b"[" and not is_object:
                return None
            text = decoded(stream.read())
        try:
            value = json.loads(text, object_pairs_hook=without_repeats)
        except (ValueError, RecursionError) as error:
            if is_object or "Extra data" in str(error):
                return None
            what = "nested too deeply" if isinstance(error, RecursionError) else f"no JSON: {error}"
            raise DataError(Problem(self.place, f"{self.path}: {what}")) from None
        if isinstance(value, dict) or not all(isinstance(item, dict) for item in value[:1]):
            what = ONE_OBJECT if isinstance(value, dict) else OTHER_ITEMS
            raise DataError(Problem(self.place, f"{self.path}{what}", conversion(value, self.path.name)))
        return [json.dumps(item, ensure_ascii=False) for item in value]

    def blocks(self, wants: Mapping[str, Want]) -> Iterator[RowBlock]:
        return blocks_of((parsed(text) for _, text in self.texts()), wants)

    def numbers_of(self, rows: Sequence[int]) -> list[int]:
        return lines_at(self.texts(), rows)


class MemoryRecords(TableFile):
    """Mappings in memory, read like such a file: single values by name. The `path` is its name in messages. Raises
    DataError as :class:`JsonLinesFile`."""

    def __init__(self, records: Sequence[Mapping[str, Any]], path: Path) -> None:
        self.records, self.path = records, path
        self.names = tuple(dict.fromkeys(name for record in records for name in record))
        if not self.names:
            raise DataError(Problem((), f"{path} has no rows: its objects are empty"))
        if "" in self.names:
            raise DataError(Problem((), f"{path}: a key is empty"))

    def blocks(self, wants: Mapping[str, Want]) -> Iterator[RowBlock]:
        return blocks_of(iter(self.records), wants)


def blocks_of(records: Iterator[Mapping[str, Any]], wants: Mapping[str, Want]) -> Iterator[RowBlock]:
    while rows := list(islice(records, RECORDS_PER_BLOCK)):
        yield RowBlock(len(rows), {name: texts_of([as_text(row.get(name)) for row in rows]) for name in wants})


def parsed(text: str) -> dict[str, Any]:
    """Parse one object. Raises ValueError: the text is not a JSON object, or has a duplicate key."""
    try:
        record = json.loads(text, object_pairs_hook=without_repeats)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(record, dict):
        raise ValueError(NO_OBJECT)
    return record


def conversion(value: Mapping[str, Any] | Sequence[Any], name: str) -> str:
    """Return a line of Python that makes a table of JSON of another form: that of pandas, or with rows below a key."""
    made = f'pandas.DataFrame(json.load(open("{name}")))'
    if isinstance(value, Mapping):
        lists = {key: rows[0] for key, rows in value.items() if isinstance(rows, list) and rows}
        key = next((key for key, row in lists.items() if isinstance(row, dict)), None)
        first = next(iter(value.values()), None)
        if key is not None:
            made = f'pandas.DataFrame(json.load(open("{name}"))[{json.dumps(key)}])'
        elif isinstance(lists.get("data"), list):
            made = f'pandas.read_json("{name}", orient="split")'
        elif isinstance(first, Mapping) and not all(map(str.isdecimal, first)):
            made = f'pandas.read_json("{name}", orient="index")'
    return f"in Python: import json, pandas; {made}{TO_CSV}"


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        name = next(name for name, _ in pairs if sum(other == name for other, _ in pairs) > 1)
        raise ValueError(f'duplicate key "{name}"')
    return record


def as_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value).strip()
