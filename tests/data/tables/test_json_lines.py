import json

import pytest

from dltool.config.choices import Choice
from dltool.config.columns import parse_column_type
from dltool.config.table_sources import JsonLinesSource
from dltool.data.tables.read import read_table
from dltool.data.tables.typed_table import ColumnRequest
from dltool.errors import DataError

ONE_OBJECT = 'table.jsonl is one JSON object; a table has one for each row, which is orient="records" in pandas'


@pytest.fixture
def source(tmp_path):
    def written(text):
        (tmp_path / "table.jsonl").write_bytes(text if isinstance(text, bytes) else text.encode())
        return Choice("json_lines", JsonLinesSource(path=str(tmp_path / "table.jsonl")))

    return written


def problems_of(source, wanted=None):
    with pytest.raises(DataError) as error:
        read_table(source, (), wanted)
    return [problem.message[problem.message.index("table.jsonl") :] for problem in error.value.problems]


def test_keys_are_columns_and_absent_keys_are_missing(source):
    text = '{"a": 1.5, "b": "x", "c": true}\n\n{"b": "y y", "a": null}\n{"d": "2024-01-31", "a": 2, "c": false}\n'
    table = read_table(source(text), ())
    assert {name: (column.kind, column.missing) for name, column in table.columns.items()} == {
        "a": ("number", 1),
        "b": ("category", 1),
        "c": ("boolean", 1),
        "d": ("date", 2),
    }
    assert list(table.columns["b"].values[:]) == ["x", "y y", ""]
    assert table.names_of([1]) == ["table.jsonl, line 3"]


def test_texts_and_numbers_of_the_same_digits_are_the_same(source):
    text = '{"a": 1, "b": 2}\n{"a": "1", "b": 3}\n{"a": "2", "b": 4}\n'
    assert list(read_table(source(text), ()).columns["a"].values[:]) == [1, 1, 2]


def test_a_text_among_numbers_is_named_with_its_line(source):
    text = "".join(f'{{"a": {n}.5}}\n' for n in range(100)) + '{"a": "N/A"}\n'
    assert problems_of(source(text)) == ['table.jsonl, line 101: a is "N/A", which is no number']


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_of_objects_is_a_table(source, indent):
    records = [{"a": number, "b": "xy"[number % 2]} for number in range(30)]
    table = read_table(source(json.dumps(records, indent=indent)), ())
    assert table.columns["b"].values[:].tolist() == [record["b"] for record in records]
    assert table.names_of([1]) == ["table.jsonl, row 2"]


def test_nested_values_are_ignored_unless_they_are_used(source):
    given = source('{"a": 1.5, "b": 1}\n{"a": 2.5, "b": {"c": 1}}\n{"a": 3, "b": []}\n')
    column = read_table(given, ()).columns["b"]
    assert (column.kind, column.why) == ("ignore", "holds lists or objects")
    for used in (ColumnRequest(needed=["b"]), ColumnRequest(declared={"b": parse_column_type("text")})):
        assert problems_of(given, used) == ["table.jsonl: b holds lists or objects"]
    ignored = ColumnRequest(declared={"b": parse_column_type("ignore")})
    assert read_table(given, (), ignored).columns["b"].kind == "ignore"


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("", ["table.jsonl has no rows: it is empty"]),
        ("{}\n", ["table.jsonl has no rows: its objects are empty"]),
        (
            '{"a": 1}\n[1]\n{"a": \n{"a": 1, "a": 2}\n',
            [
                "table.jsonl, line 2: expected an object: {…}",
                "table.jsonl, line 3: no JSON: Expecting value at column 6",
                'table.jsonl, line 4: duplicate key "a"',
            ],
        ),
        ('{"": 1}\n', ["table.jsonl: a key is empty"]),
        ("[" * 100_000, ["table.jsonl: nested too deeply"]),
        ('{"a": [1, 2], "b": [3, 4]}', [ONE_OBJECT]),
        ('{\n  "a": {"0": 1}\n}', [ONE_OBJECT]),
        (b'{"a": 1}\n{"a": "\xe9"}\n', ["table.jsonl, line 2: byte 16 (0xe9) is not UTF-8"]),
        ('{"a": 1}\n{"a": NaN}\n{"a": 2.5}\n', ['table.jsonl, line 2: a is "nan", which is no number']),
    ],
)
def test_what_is_no_table_is_refused(source, text, messages):
    assert problems_of(source(text)) == messages


def test_a_file_without_any_object_is_one_problem(source):
    for text, found in (
        ("x\n" * 30, "no JSON: Expecting value at column 1"),
        ("[1]\n[2]\n", "expected an object: {…}"),
    ):
        message = f"table.jsonl is no JSON with an object a line: line 1: {found}"
        assert problems_of(source(text)) == [message]


def test_many_wrong_lines_are_counted(source):
    messages = problems_of(source('{"a": 1}\n' + "x\n" * 30))
    assert len(messages) == 11
    assert messages[-1] == "table.jsonl: 30 lines in all are no objects"
