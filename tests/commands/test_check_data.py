"""What `check --data` says of tables and of class folders."""

import io
import json

import pytest
from rich.console import Console
from tests.bad_configs import changed
from tests.bad_data import FOLDERS, PICTURES, SERIES, TABLE, table
from tests.data.hostile_archives import write_folder

from dltool.commands.check import check
from dltool.config.load import read_document
from dltool.console.table_layout import show_columns

HEADER = "id,age,\x1b[31mjob,born,member,notes,house,empty,label"
LINES = [
    f"{i},{20 + i * 7 % 30 if i % 9 else ''},{['[/foo]', 'clerk', 'farmer'][i % 3]},20{i % 20 + 10}-0{i % 9 + 1}-11,"
    f"{'yes' if i % 4 else 'no'},{['a few words of text', 'some other words', 'and more'][i % 3]} {i} x,h{i % 7},,"
    f"{'yes' if i % 2 else 'no'}"
    for i in range(60)
]
CONFIG = changed(("test: 0.2}", "test: 0.2, group: house}"), text=TABLE)
FILES = {"people.csv": table(LINES, HEADER)}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DLTOOL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write_folder(tmp_path / "here", {"example.yaml": CONFIG.encode(), **FILES})
    return tmp_path / "here"


@pytest.mark.parametrize("width", [80, 40])
def test_every_column_is_shown_with_its_type_and_why(width, folder, golden):
    file = io.StringIO()
    outcome = check(read_document(folder / "example.yaml"), read_data=True, build=False)
    show_columns(outcome.columns, Console(file=file, width=width))
    assert max(map(len, file.getvalue().splitlines())) <= width
    golden(f"check/columns-{width}", file.getvalue())


def test_the_columns_and_classes_of_a_table_are_printed_safely(dltool, golden):
    outcome = dltool("check", "example.yaml", "--data")
    assert "\x1b" not in outcome.stdout
    golden("check/table", outcome.stdout)


def test_json_holds_the_columns_and_the_examples_of_each_class(dltool):
    found = json.loads(dltool("check", "example.yaml", "--data", "--json").stdout)["data"]
    columns = {column["name"]: column for column in found["columns"]}
    assert columns["age"] == {
        "name": "age",
        "type": "number",
        "use": "input",
        "why": "integers, 30 distinct",
        "missing": 7,
        "distinct": 30,
        "low": "20",
        "high": "49",
    }
    assert columns["label"]["use"] == "target"
    assert columns["label"]["type"] == "category"
    assert columns["house"]["use"] == "split.group"
    assert columns["empty"]["use"] == ""
    counts = found["examples_of_classes"]
    assert set(counts) == {"yes", "no"}
    assert sum(counts["yes"].values()) == 30


def test_the_classes_of_folders_are_counted(dltool, folder, golden):
    write_folder(folder, {"example.yaml": PICTURES.encode(), **FOLDERS})
    golden("check/folders", dltool("check", "example.yaml", "--data").stdout)


def test_a_number_to_predict_has_no_classes(dltool, folder):
    text = changed(("  split", "  inputs: {place: ignore}\n  split"), text=SERIES)
    lines = [f"{i * i},{i * 7 % 11 / 2},north" for i in range(60)]
    write_folder(folder, {"example.yaml": text.encode(), "hours.csv": table(lines, "hour,level,place")})
    found = json.loads(dltool("check", "example.yaml", "--data", "--json").stdout)["data"]
    assert found["examples_of_classes"] == {}
    assert {column["name"]: column["use"] for column in found["columns"]} == {
        "hour": "input",
        "level": "target",
        "place": "",
    }


def test_labels_are_counted_each(dltool, folder):
    lines = [f"{i * 7 % 30},{['a|b', 'b', 'c'][i % 3]}" for i in range(30)]
    text = changed(
        ("target: label", "target: {label: {multi_label: '|'}}"),
        ("softmax", "sigmoid"),
        ("sparse_categorical", "binary"),
        text=TABLE,
    )
    write_folder(folder, {"example.yaml": text.encode(), "people.csv": table(lines, "age,label")})
    counts = json.loads(dltool("check", "example.yaml", "--data", "--json").stdout)["data"]["examples_of_classes"]
    assert {name: sum(count.values()) for name, count in counts.items()} == {"a": 10, "b": 20, "c": 10}
