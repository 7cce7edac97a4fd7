"""Files are what they contain, whatever their names are and whatever lies beside them."""

import bz2
import gzip
import io
import json
import lzma
import sqlite3
import zipfile
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from pyarrow import feather, parquet

from dltool.commands.init import config_for
from dltool.config.sources import parse_source
from dltool.data.tables.read import read_table
from dltool.errors import DataError

ROWS = [(7 * i % 29 / 2, "ab"[i % 3 == 0]) for i in range(30)]
BASE = ("x,y\n" + "".join(f"{x},{y}\n" for x, y in ROWS)).encode()
EMPTY = b"x,y\n"
Files = Mapping[str, bytes]


def saved(write: Callable[[Any, Any], Any]) -> bytes:
    content = io.BytesIO()
    write(pa.table({"x": [x for x, _ in ROWS], "y": [y for _, y in ROWS]}), content)
    return content.getvalue()


def zipped(files: Files) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def database() -> bytes:
    with closing(sqlite3.connect(":memory:")) as opened:
        opened.execute("CREATE TABLE t (rowid TEXT, x REAL, y TEXT)")
        opened.executemany("INSERT INTO t VALUES ('r', ?, ?)", ROWS)
        opened.commit()
        return opened.serialize()


HIVE = {f"p/k={value}/1.csv": BASE for value in ("a%20b", "__HIVE_DEFAULT_PARTITION__")}
CASES: Mapping[str, tuple[Files, str]] = {
    "gzip": ({"a.csv": gzip.compress(BASE)}, "csv: a.csv"),
    "bzip2": ({"a.csv": bz2.compress(BASE)}, "csv: a.csv"),
    "xz": ({"a.gz": lzma.compress(BASE)}, "csv: a.gz"),
    "zstd": ({"a.txt": pa.compress(BASE, codec="zstd", asbytes=True)}, "csv: a.txt"),
    "not compressed": ({"a.csv.gz": BASE}, "csv: a.csv.gz"),
    "a table of text called a workbook": ({"a.xls": BASE.replace(b",", b"\t")}, "tsv: a.xls"),
    "Parquet": ({"a.csv": saved(parquet.write_table)}, "parquet: a.csv"),
    "Feather": ({"a.ipc": saved(feather.write_feather)}, "feather: a.ipc"),
    "JSON lines": (
        {"a.txt": "".join(json.dumps({"x": x, "y": y}) + "\n" for x, y in ROWS).encode()},
        "json_lines: a.txt",
    ),
    "compressed in a zip": ({"a.zip": zipped({"d/a.csv.gz": gzip.compress(BASE)})}, "csv: a.zip/d/a.csv.gz"),
    "one table in a zip": (
        {"a.zip": zipped({"b/full.csv": BASE, "b/full-names.txt": b"x: a, b", "b/Index": b""})},
        "csv: a.zip/b/full.csv",
    ),
    "a table beside its description": (
        {"p/iris.data": BASE, "p/iris.names": b"by us", "p/README.md": b""},
        "csv: p/iris.data",
    ),
    "parts as Spark writes them": (
        {
            "p/part-00000": BASE,
            "p/part-00001": EMPTY,
            "p/part-00002": b"",
            "p/_SUCCESS": b"",
            "p/.part-00000.crc": b"x",
        },
        "csv: p",
    ),
    "parts and a description": ({"p/a.csv": BASE, "p/b.csv": EMPTY, "p/README.txt": b"by us"}, "csv: p"),
    "a column called rowid": (
        {"a.db": database()},
        'sql: {url: "sqlite:///a.db", query: "SELECT * FROM `t` ORDER BY oid"}',
    ),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def drafted(files: Files) -> dict[str, Any]:
    for name, content in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content)
    data: dict[str, Any] = yaml.safe_load(config_for(next(iter(files)).partition("/")[0], "y", None).text)["data"]
    return data


@pytest.mark.parametrize("name", CASES)
def test_the_content_decides_how_a_file_is_read(name: str) -> None:
    files, source = CASES[name]
    assert parse_source(drafted(files)["source"]) == parse_source(yaml.safe_load(source))
    written = source.replace("sqlite:///", f"sqlite:///{Path.cwd()}/")
    values = read_table(parse_source(yaml.safe_load(written)), ()).columns["x"].values[:]
    assert values.tolist() == [x for x, _ in ROWS]


@pytest.mark.parametrize(
    ("names", "sources"),
    [
        (("d/train/1.csv", "d/train/2.csv", "d/test/1.csv", "d/test/2.csv"), ("d/train", "d/test", None)),
        (
            ("d/s/train-0-of-2.csv", "d/s/train-1-of-2.csv", "d/s/dev-0-of-1.csv"),
            ("d/s/train-*.csv", None, "d/s/dev-0-of-1.csv"),
        ),
        (("d/train.csv", "d/test.csv", "d/other.csv"), ("d/train.csv", "d/test.csv", None)),
        (("d/latest.csv", "d/greatest.csv"), ("d", None, None)),
    ],
)
def test_files_of_the_splits_are_splits(names: tuple[str, ...], sources: tuple[str | None, ...]) -> None:
    data = drafted(dict.fromkeys(names, BASE))
    assert (
        tuple(data[role]["csv"]["path"] if role in data else None for role in ("source", "test", "validation"))
        == sources
    )


@pytest.mark.parametrize(
    "names",
    [("d/train_a.csv", "d/b_train.csv", "d/test.csv"), ("d/[a]/train1.csv", "d/[a]/train2.csv", "d/[a]/test.csv")],
)
def test_files_of_a_split_that_no_pattern_names_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="d holds several tables for one split: "):
        drafted(dict.fromkeys(names, BASE))


def test_folders_name_values_as_hive_writes_them() -> None:
    assert drafted(HIVE)["inputs"]["k"] == "category"
    assert [*read_table(parse_source({"csv": "p"}), ()).columns["k"].values[:]] == [""] * 30 + ["a b"] * 30


def test_folders_whose_names_no_column_has_are_said(dltool: Callable[..., Any]) -> None:
    for name in ("p/run/1.csv", "p/walk/1.csv", "q/1.csv"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(BASE)
    said = "no column has the names of the folders run, walk: rename each, such as run to class=run, to have one"
    assert said in dltool("init", "p").stderr
    assert "folders" not in dltool("init", "q").stderr
    for name in ("run", "walk"):
        Path(f"p/{name}").rename(f"p/class={name}")
    assert "folders" not in dltool("init", "p").stderr


def test_the_rows_of_a_view_are_drafted_if_there_is_no_table() -> None:
    rows = " UNION ALL ".join(f"SELECT {x} AS x, '{y}' AS y" for x, y in ROWS)
    with closing(sqlite3.connect("a.db")) as opened:
        opened.execute(f"CREATE VIEW v AS {rows}")
    assert (
        drafted({"a.db": Path("a.db").read_bytes()})["source"]["sql"]["query"] == "SELECT * FROM `v` ORDER BY `x`, `y`"
    )
