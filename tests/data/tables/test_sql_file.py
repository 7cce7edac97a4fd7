"""Results of queries: the same columns as a CSV file would have, in an order that is always the same."""

import sqlite3
from contextlib import closing
from importlib.util import find_spec

import numpy as np
import pytest

from dltool.config.choices import Choice
from dltool.config.columns import parse_column_type
from dltool.config.load import build_config, read_document
from dltool.config.table_sources import SqlSource, is_ordered
from dltool.config.text.dump import dump_yaml
from dltool.data.tables import sql_file
from dltool.data.tables.read import read_table
from dltool.data.tables.typed_table import ColumnRequest
from dltool.errors import ConfigError, DataError, MachineError

ROWS = [
    (1, 2**60 + 1, 1.5, "x ", "2020-01-01", None),
    (2, 2**60 + 2, None, 'a "b",\nc', "2020-01-02 10:00:00", "NA"),
    (3, None, -2.0, "x ", None, "z"),
]
CONFIG = """\
name: rows
data:
  source: {sql: {url: "%s", query: SELECT * FROM t ORDER BY id}}
  target: word
model: {layers: [{Dense: 8}, {Dense: {units: 2, activation: softmax}}]}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, epochs: 1}
"""


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "data.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, big INTEGER, real REAL, word TEXT, day TEXT, note TEXT)"
        )
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", ROWS)
        connection.commit()
    return path


@pytest.fixture(params=["sqlite:///", "sqlite+pysqlite:///"])
def url(database, request):
    """The URL that Python's own module reads, and one for SQLAlchemy."""
    if "+" in request.param:
        pytest.importorskip("sqlalchemy")
    return f"{request.param}{database}"


def read(url, query, wanted=None, **options):
    source = SqlSource(url=url, query=query, **options)
    return read_table(Choice("sql", source), ("source",), wanted or ColumnRequest())


def problem_of(url, query, kind=DataError):
    with pytest.raises(kind) as error:
        read(url, query)
    (problem,) = error.value.problems
    return problem.place, problem.message, problem.hint


def test_rows_come_in_the_order_of_the_query_with_exact_integers_and_null_missing(url):
    wanted = ColumnRequest({"big": parse_column_type("category")}, needed=["word"])
    table = read(url, "SELECT * FROM t ORDER BY id DESC", wanted, missing=["NA"])
    no_date = np.iinfo(np.int64).min
    expected = {
        "id": [3, 2, 1],
        "big": ["", str(2**60 + 2), str(2**60 + 1)],
        "real": [-2, np.nan, 1.5],
        "word": ["x", 'a "b", c', "x"],
        "day": [no_date, 1_577_959_200, 1_577_836_800],
        "note": ["z", "", ""],
    }
    assert (table.rows, list(table.columns)) == (3, list(expected))
    for name, values in expected.items():
        if table.columns[name].kind != "ignore":
            np.testing.assert_array_equal(table.columns[name].values[:], values)
    assert {table.columns[name].kind for name in ("big", "real", "day")} == {"category", "number", "date"}


def test_the_result_is_fetched_once(database):
    table = read(f"sqlite:///{database}", "SELECT id, real FROM t ORDER BY id")
    database.unlink()
    assert table.names_of([2]) == ["data.sqlite, row 3"]


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("SELECT * FROM u ORDER BY 1", "no such table: u"),
        ("SELECT id, id FROM t ORDER BY 1", "have no name, or one in common: id, id"),
        ("SELECT id, x'00' AS photo FROM t ORDER BY 1", "row 1 of the query: photo is a value of the type bytes"),
        ("SELECT id FROM t WHERE id > 9 ORDER BY 1", "has no rows"),
    ],
)
def test_a_query_without_a_table_is_refused_at_the_query(url, query, what):
    place, message, _ = problem_of(url, query)
    assert (place, what in message) == (("source", "sql", "query"), True)


def test_no_query_changes_a_file(database):
    assert "readonly" in problem_of(f"sqlite:///{database}", "INSERT INTO t (id) SELECT 9 ORDER BY 1")[1]


def test_files_and_drivers_that_are_missing_are_named(database, monkeypatch):
    place, message, hint = problem_of(f"sqlite:///{database.with_name('date.sqlite')}", "SELECT 1 ORDER BY 1")
    assert (place, "no such file" in message, "data.sqlite" in hint) == (("source", "sql", "url"), True, True)
    assert "expected a URL such as" in problem_of("data.sqlite", "SELECT 1 ORDER BY 1")[1]
    monkeypatch.setattr(sql_file, "find_spec", lambda name: None)
    _, message, _ = problem_of("postgresql://localhost/x", "SELECT 1 ORDER BY 1", MachineError)
    assert message == "reading databases needs a package that is not installed"


def test_a_driver_that_is_not_installed_is_named():
    pytest.importorskip("sqlalchemy")
    if find_spec("pymysql") is not None:
        pytest.skip("the driver is installed")
    _, message, hint = problem_of("mysql+pymysql://localhost/x", "SELECT 1 ORDER BY 1", MachineError)
    assert message == "the driver of the database is not installed: pymysql"
    assert "postgresql+psycopg" in hint


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT * FROM t", False),
        ("SELECT * FROM t ORDER BY id", True),
        ("SELECT * FROM t\norder  by id LIMIT 5", True),
        ("SELECT * FROM (SELECT * FROM t ORDER BY (id))", False),
        ("SELECT row_number() OVER (ORDER BY id) FROM t", False),
        ("SELECT 'order by' FROM t -- ORDER BY id", False),
        ("SELECT * FROM t /* ORDER BY id */", False),
        ('SELECT "(" FROM t ORDER BY id', True),
    ],
)
def test_only_an_order_of_the_query_itself_counts(query, expected):
    assert is_ordered(query) == expected


def test_a_query_without_an_order_is_refused_before_it_is_run(tmp_path):
    (tmp_path / "c.yaml").write_text((CONFIG % "sqlite:///absent").replace(" ORDER BY id", ""), encoding="utf-8")
    with pytest.raises(ConfigError, match="the query has no ORDER BY") as error:
        build_config(read_document(tmp_path / "c.yaml"))
    assert error.value.problems[0].place == ("data", "source", "sql", "query")


def config(path, url, settings=()):
    path.write_text(CONFIG % url, encoding="utf-8")
    return build_config(read_document(path, settings))


@pytest.mark.parametrize(
    "url", ["postgresql://me:secret@localhost/x", "postgresql://localhost/x?user=me&password=secret"]
)
def test_a_password_is_taken_from_the_environment_alone_and_recorded_as_its_expression(tmp_path, monkeypatch, url):
    with pytest.raises(ConfigError) as error:
        config(tmp_path / "c.yaml", url)
    assert [problem.place for problem in error.value.problems] == [("data", "source", "sql", "url")]
    assert "the password in the URL would be written into the run" in str(error.value)
    monkeypatch.setenv("DATABASE", url)
    built = config(tmp_path / "c.yaml", "$(env.DATABASE)")
    assert built.data.source.options.url == url
    text = dump_yaml(built)
    assert ("url: $(env.DATABASE)" in text, "secret" in text) == (True, False)


def test_the_path_of_a_file_begins_at_the_config(tmp_path, monkeypatch):
    monkeypatch.setenv("STEM", "data")
    for url in ("sqlite:///data.sqlite", "sqlite:///$(env.STEM).sqlite"):
        built = config(tmp_path / "c.yaml", url)
        assert built.data.source.options.url == f"sqlite:///{tmp_path}/data.sqlite"
    assert f"url: sqlite:///{tmp_path}/$(env.STEM).sqlite" in dump_yaml(built)
    monkeypatch.setenv("WHOLE", "sqlite:///data.sqlite")
    url = config(tmp_path / "c.yaml", "$(env.WHOLE)").data.source.options.url
    assert "relative path" in problem_of(url, "SELECT 1 ORDER BY 1")[1]


def test_a_damaged_file_is_said_to_be_damaged(database):
    content = database.read_bytes()
    for damaged in (
        content[:4096] + bytes(len(content) - 4096),
        content[:3000],
        content[:16] + b"\xff" * 500,
        b"a,b\n1,2\n",
    ):
        database.write_bytes(damaged)
        assert problem_of(f"sqlite:///{database}", "SELECT * FROM t ORDER BY id")[0] == ("source", "sql", "query")
