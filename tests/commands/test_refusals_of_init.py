"""Every refusal of `dltool init` names a way that works: what it says is done, and then a config is drafted."""

import contextlib
import io
import json
import pickle
import re
import shlex
import sqlite3
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data.pictures import class_folders

Content = str | bytes | Callable[[], bytes]
ROWS = [{"x": 7 * i % 29 / 2, "n": i % 7, "y": "ab"[i % 3 == 0]} for i in range(30)]
CELLS = [[row["x"], row["n"], row["y"]] for row in ROWS]
BASE = "x,n,y\n" + "".join(f"{row['x']},{row['n']},{row['y']}\n" for row in ROWS)
OPTION = re.compile(r"--(?:set|target) (?:'[^']*'|\S+)")
COMMAND = re.compile(r"(?:mv|mkdir|tar|tr|iconv|jq) [^;]*")


@dataclass(frozen=True)
class Refusal:
    """What `init` gets: the first of the files, by name, and arguments. `words` stand for the words in capitals in its
    hint; an empty `way` is what the hint says, else it is what a reader does who follows it."""

    files: Mapping[str, Content]
    arguments: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    way: tuple[str, ...] = ()


def table(text: str, *arguments: str, **how: Any) -> Refusal:
    return Refusal({"a.csv": text}, arguments, **how)


def option(name: str) -> tuple[str, str]:
    return "--set", name


def column(cell: str, *arguments: str, name: str = "d", **how: Any) -> Refusal:
    rows = [f"{cell.format(i=i, d=1 + i % 28, m=1 + i % 12)},{row['n']},{row['y']}" for i, row in enumerate(ROWS)]
    return table("\n".join([f"{name},n,y", *rows]) + "\n", *arguments, **how)


def packed(kind: str) -> bytes:
    content = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("a.csv", BASE)
    else:
        with tarfile.open(fileobj=content, mode="w:gz") as tar:
            member = tarfile.TarInfo("d/a.csv")
            member.size = len(BASE)
            tar.addfile(member, io.BytesIO(BASE.encode()))
    return content.getvalue()


def database(rows: Any = CELLS) -> bytes:
    with closing(sqlite3.connect(":memory:")) as opened:
        opened.execute("CREATE TABLE t (x REAL, n INTEGER, y TEXT)")
        opened.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        opened.commit()
        return opened.serialize()


def pickled() -> bytes:
    import pandas as pd

    return pickle.dumps(pd.DataFrame(ROWS))


def arrays() -> bytes:
    content = io.BytesIO()
    np.savez(content, x=np.zeros(9))
    return content.getvalue()


DATES = option("data.inputs.d=date")
NUMBERS = option("data.inputs.d=number")
QUERY = "data.source.sql.query=SELECT * FROM t"
REFUSALS: Mapping[str, Refusal] = {
    "a longer row": table(BASE + "1,2,3,4\n"),
    "several longer rows": table(BASE + "1,2,3,4\n" * 3),
    "another delimiter": table(BASE, *option("data.source.csv.delimiter=;")),
    "another encoding": Refusal(
        {"a.csv": BASE.replace("x", "é").encode("cp1252")}, option("data.source.csv.encoding=utf-8")
    ),
    "an encoding of two bytes": table(BASE, *option("data.source.csv.encoding=utf-16")),
    "zero bytes": table(BASE + "1,2,a\0\n"),
    "dates": column("{d:02}.{m:02}.2020", *DATES),
    "dates in a column of another name": column(
        "{d:02}.{m:02}.2020", *option('data.inputs={"when: or": date}'), name='"when: or"'
    ),
    "numbers": column('"1,{i:03}"', *NUMBERS),
    "no numbers": column("{i} or so", *option("data.inputs.d={number: {strip: k}}")),
    "neither true nor false": column("{i}", *option("data.inputs.d=boolean")),
    "names of another number": table(BASE, *option("data.source.csv.names=[a]")),
    "all lines skipped": table(BASE, *option("data.source.csv.skip_rows=31")),
    "a quote that is the delimiter": table(BASE, *option('data.source.csv.quote=","')),
    "no such column of --set": table(BASE, *option("data.inputs.q=number"), way=option("data.inputs.x=number")),
    "a setting of something else": table(BASE, *option("training.epochs=3"), way=option("data.inputs.x=number")),
    "an unknown type": table(BASE, *option("data.inputs.x=numbr"), way=option("data.inputs.x=number")),
    "another kind": table(BASE, *option("data.source.excel.sheet=A"), way=option("data.source.csv.quote=null")),
    "no such target": table(BASE, "--target", "z"),
    "a target of identifiers": table(BASE.replace("x,", "x y,").replace(".5,", ".5 q,"), "--target", "x y"),
    "no target": table(
        "t,u\n" + "".join(f"k{i},u{i}\n" for i in range(30)), words={"COLUMN=TYPE": "t={number: {strip: k}}"}
    ),
    "no inputs": table(BASE, *option("data.inputs={x: ignore, n: ignore}"), way=option("data.inputs={n: ignore}")),
    "one column": table(BASE.replace(",", "/"), words={"CHARACTER": "/"}),
    "parts with another delimiter": Refusal({"p/a.csv": BASE, "p/b.csv": BASE.replace(",", ";")}, way=("p/a.csv",)),
    "parts with other columns": Refusal({"p/a.csv": BASE, "p/b.csv": "k,l\n1,2\n"}, way=("p/a.csv",)),
    "tables of several kinds": Refusal(
        {"p/a.csv": BASE, "p/b.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS)}, words={"FILE": "p/b.jsonl"}
    ),
    "a zip under another name": Refusal({"a.csv": lambda: packed("zip")}),
    "a tar of tables": Refusal({"a.tar.gz": lambda: packed("tar")}),
    "JSON in UTF-16": Refusal({"a.json": json.dumps(ROWS).encode("utf-16")}),
    "JSON of columns": Refusal({"a.json": json.dumps({key: [row[key] for row in ROWS] for key in ROWS[0]})}),
    "JSON of columns by row": Refusal(
        {"a.json": json.dumps({key: {i: row[key] for i, row in enumerate(ROWS)} for key in ROWS[0]})}
    ),
    "JSON of rows by name": Refusal({"a.json": json.dumps(dict(enumerate(ROWS)))}),
    "JSON of pandas, split": Refusal({"a.json": json.dumps({"columns": ["x", "n", "y"], "data": CELLS})}),
    "JSON of pandas, table": Refusal({"a.json": json.dumps({"schema": {}, "data": ROWS})}),
    "JSON of rows below a key": Refusal({"a.json": json.dumps({"from": "us", "rows": ROWS})}),
    "JSON of lists": Refusal({"a.json": json.dumps(CELLS)}),
    "JSON lines of lists": Refusal({"a.json": "".join(json.dumps(row) + "\n" for row in CELLS)}),
    "a pickle": Refusal({"a.pkl": pickled}),
    "svmlight": Refusal({"a.txt": "".join(f"{i % 2} 1:{row['x']} 3:{row['n']}\n" for i, row in enumerate(ROWS))}),
    "arrays": Refusal({"a.npz": arrays}),
    "a query without an order": Refusal({"a.db": database}, option(QUERY), way=option(f"{QUERY} ORDER BY rowid")),
    "a query of no table": Refusal({"a.db": database}, option(f"{QUERY[:-1]}q ORDER BY 1")),
    "images without classes": Refusal(
        {f"im/{name.replace('/', '')}": content for name, content in class_folders(1, 20).items()}
        | {"names.csv": "id,y\n" + "".join(f"im/a{i}.png,{'ab'[i % 2]}\n" for i in range(20))},
    ),
    "a target of images": Refusal(class_folders(2, 10, top="im/"), ("--target", "y"), way=("im",)),
    "no template": Refusal({"unused": ""}, way=("digits",)),
    "a target of a template": Refusal({"digits": ""}, ("--target", "y"), way=("digits",)),
    "a setting of a template": Refusal({"digits": ""}, option("seed=1"), way=("digits",)),
}
OUTSIDE: Mapping[str, Mapping[str, Content]] = {
    "a web page": {"a.xls": "<html><table>"},
    "XML": {"a.xml": "<rows>"},
    "PDF": {"a.pdf": "%PDF-1.4\n"},
    "an old workbook": {"a.xls": b"\xd0\xcf\x11\xe0\xa1\xb1"},
    "another workbook": {"a.ods": b"PK\x03\x04"},
    "HDF5": {"a.h5": b"\x89HDF\r\n\x1a\n"},
    "one array": {"a.npy": b"\x93NUMPY\x01\0"},
    "MATLAB": {"a.mat": b"MATLAB 5.0 MAT-file, Platform"},
    "SPSS": {"a.sav": b"$FL2@(#) SPSS DATA FILE"},
    "Stata": {"a.dta": b"<stata_dta><header>"},
    "old Stata": {"a.dta": b"\x72\x02\x01\0"},
    "SAS": {"a.sas7bdat": b"\0" * 12 + b"\xc2\xea\x81\x60"},
    "SAS transport": {"a.xpt": b"HEADER RECORD*******LIBRARY HEADER RECORD"},
    "R": {"a.rds": b"X\n\0\0\0\2\0"},
    "R objects": {"a.RData": b"RDX2\nX\n"},
    "7-Zip": {"a.7z": b"7z\xbc\xaf\x27\x1c"},
    "an image": {"a.png": b"\x89PNG\r\n\x1a\n"},
    "ARFF of sparse rows": {"a.arff": "@relation r\n@attribute x numeric\n@data\n{0 1}\n"},
    "an empty file": {"a.csv": ""},
    "an empty folder": {"p/.hidden": "x"},
    "a header only": {"a.csv": "x,y\n"},
    "few rows": {"a.csv": "x,y\n1.5,a\n2,b\n1,a\n4,b\n"},
    "an empty database": {"a.db": lambda: database([])},
    "nothing but lists": {"a.json": json.dumps([{"m": [i], "y": "ab"[i % 2]} for i in range(30)])},
    "damaged images": {**class_folders(2, 10, top="im/"), **{f"im/a/{n}.png": b"no image" for n in range(6)}},
}
"""What something else than `init` has to change."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def written(files: Mapping[str, Content]) -> str:
    """Write the files, and return what `init` gets: the first, or its folder."""
    for name, content in files.items():
        made = content() if callable(content) else content
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(made.encode() if isinstance(made, str) else made)
    return next(iter(files)).partition("/")[0]


def followed(refusal: Refusal, given: str, hint: str) -> list[str]:
    """Do what the hint says, and return the arguments of the next `init`."""
    for word, meaning in refusal.words.items():
        hint = hint.replace(f"{word}", f"'{meaning}'" if word == "COLUMN=TYPE" else meaning)
    hint = hint.replace("data.inputs.'", "'data.inputs.")
    if refusal.way:
        return list(refusal.way) if not refusal.way[0].startswith("--") else [given, *refusal.way]
    if code := re.search(r"in Python: (import [^…]*)$", hint):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code[1], {})
        return ["data.csv"]
    for command in COMMAND.findall(hint):
        subprocess.run(command, shell=True, check=True)
    if command := re.search(r"`?dltool init ([^`\s]+)", hint):
        return [command[1]]
    if made := re.search(r"> (new\.\w+)", hint):
        return [made[1]]
    if hint.startswith("without --set"):
        return [given]
    return [given, *refusal.arguments, *shlex.split(OPTION.findall(hint)[0].rstrip(",;"))]


def hint_of(stderr: str) -> str:
    return " ".join(" ".join(line.strip() for line in stderr.splitlines() if line.startswith("  ")).split())


# It imports scikit-learn and SciPy.
SLOW = {"svmlight"}


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in REFUSALS])
def test_what_a_refusal_says_is_a_way_that_works(dltool, monkeypatch, name: str) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    refusal = REFUSALS[name]
    given = written(refusal.files)
    outcome = dltool("init", "digitz" if given == "unused" else given, *refusal.arguments)
    assert (outcome.code in (2, 3), outcome.stdout) == (True, "")
    again = dltool("init", *followed(refusal, given, hint_of(outcome.stderr)))
    assert again.code == 0, (outcome.stderr, again.stderr)


def test_refusals_read_like_this(dltool, golden, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    texts = []
    cases = [*REFUSALS.items(), *((name, Refusal(files)) for name, files in OUTSIDE.items())]
    for number, (name, refusal) in enumerate(cases):
        (tmp_path / str(number)).mkdir()
        monkeypatch.chdir(tmp_path / str(number))
        given = written(refusal.files)
        outcome = dltool("init", "digitz" if given == "unused" else given, *refusal.arguments)
        assert (outcome.code in (2, 3), outcome.stdout) == (True, ""), name
        texts.append(f"# {name}\n{outcome.stderr.replace(str(tmp_path / str(number)), 'HERE')}")
    golden("init/refusals", "\n".join(texts))
