"""Files as people have them: what to write in a config, and what is read.

`test_awkward_cases.py` writes each file and reads it, and `scripts/reference.py` makes a page of the documentation of
them: "My file does not fit"."""

import gzip
import io
import json
import sqlite3
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

ROWS = 24
X, Y = [7 * i % 29 for i in range(ROWS)], ["uvw"[i % 3] for i in range(ROWS)]
NAN = float("nan")
Content = str | bytes | Callable[[], bytes]
Where = Literal["options", "source", "data", "type", "target"]


@dataclass(frozen=True)
class Case:
    """What the page says of a file and what to `write`, as it stands there, and the `files` by name: their content, or
    what makes it. `init` gets the first of them, or what is `given`, and drafts just that if it `is_found`.

    `reads` are the values of columns, or the classes and the shape of the input. A file without `reads` has `X` in its
    column x, and `Y` in y."""

    file: str
    write: str
    files: Mapping[str, Content] = field(default_factory=dict)
    reads: Mapping[str, Sequence[Any]] = field(default_factory=lambda: {"x": X, "y": Y})
    is_found: bool = True
    given: str = ""
    target: str = "y"


@dataclass(frozen=True)
class Group:
    """Cases with a heading. `where` says what a case writes: options of the source `csv`, a source, keys of `data`, the
    type of the column x, or that of the target."""

    title: str
    where: Where
    intro: str
    cases: Sequence[Case]


def lines(line: str, *header: str) -> str:
    """A file with `{i}` the number of the row, `{x}` another number, and `{k}` one of three letters."""
    return "\n".join([*header, *(line.format(i=i, x=X[i], k=Y[i]) for i in range(ROWS))]) + "\n"


def shape(file: str, write: str, text: str | bytes, is_found: bool = True, **reads: Sequence[Any]) -> Case:
    return Case(file, write, {"data.csv": text}, reads or {"x": X, "y": Y}, is_found)


def cells(file: str, write: str, cell: Callable[[int], tuple[str, Any]], is_found: bool = True) -> Case:
    """A case of the column x, whose cells and values follow from the number of the row. The target is y."""
    rows = [f"{cell(i)[0]};{'ab'[i % 2]};{(7 * i) % 11}" for i in range(ROWS)]
    values = [cell(i)[1] for i in range(ROWS)]
    return Case(file, write, {"data.csv": "\n".join(["x;y;z", *rows]) + "\n"}, {"x": values}, is_found)


def aims(file: str, write: str, cell: Callable[[int], tuple[str, Any]], is_found: bool = True) -> Case:
    """A case of the target, whose value is None in rows that are left out."""
    rows = [f"{(7 * i) % 11};{cell(i)[0]}" for i in range(ROWS)]
    values = [cell(i)[1] for i in range(ROWS) if cell(i)[1] is not None]
    return Case(file, write, {"data.csv": "\n".join(["x;y", *rows]) + "\n"}, {"y": values}, is_found)


def table() -> Any:
    import pyarrow as pa

    return pa.table({"x": X, "y": Y})


def arrow(kind: str) -> bytes:
    from pyarrow import feather, orc, parquet

    write = {"parquet": parquet.write_table, "feather": feather.write_feather, "orc": orc.write_table}[kind]
    content = io.BytesIO()
    write(table(), content)
    return content.getvalue()


def workbook(*sheets: str) -> bytes:
    """Sheets of these names; only the last has a table."""
    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = sheets[0]
    book.active["A1"] = "See the other sheet"
    sheet = book[sheets[0]] if len(sheets) == 1 else book.create_sheet(sheets[1])
    for number, row in enumerate([("x", "y"), *zip(X, Y, strict=True)], 1):
        for column, value in enumerate(row, 1):
            sheet.cell(number, column, value)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def database() -> bytes:
    with closing(sqlite3.connect(":memory:")) as opened:
        opened.execute("CREATE TABLE t (x INTEGER, y TEXT)")
        opened.executemany("INSERT INTO t VALUES (?, ?)", zip(X, Y, strict=True))
        opened.commit()
        return opened.serialize()


def zipped(files: Mapping[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


def image(number: int, mode: str = "RGB", size: int = 8) -> Callable[[], bytes]:
    def drawn() -> bytes:
        import numpy as np
        from PIL import Image

        if mode == "I;16":
            picture = Image.fromarray(np.full((size, size), 4095 - number, np.uint16))
        else:
            picture = Image.new(mode, (size, size), (9 * number, 90, 0, 7 * number)[: len(mode)])
        content = io.BytesIO()
        picture.save(content, "PNG")
        return content.getvalue()

    return drawn


def images(name: str, each: int = 12, **how: Any) -> dict[str, Content]:
    """Images of two classes; `name` has the class as {k} and the number as {i}."""
    return {
        name.format(k=kind, i=i): image(2 * i + (kind == "cat"), **how) for kind in ("cat", "dog") for i in range(each)
    }


def clips() -> dict[str, Content]:
    import numpy as np
    from tests.wav_files import sound

    times = np.arange(800) / 8000
    return {
        f"clips/{kind}_{i}.wav": sound(0.3 * np.sin(times * (tone + i)))
        for kind, tone in (("high", 3000), ("low", 500))
        for i in range(12)
    }


BASE = lines("{x},{k}", "x,y")
SHAPES = [
    shape("fields separated by semicolons or bars", 'delimiter: ";"', lines("{x};{k}", "x;y")),
    shape("fields separated by any number of spaces", "delimiter: whitespace", lines("{x}   {k}", "x  y")),
    shape("a title or notes above the table", "skip_rows: 2", "Report\nof today\n" + lines("{x},{k},q", "x,y,z")),
    shape("`sep=;` above the table", 'skip_rows: 1, delimiter: ";"', "sep=;\n" + lines("{x};{k}", "x;y")),
    shape("a row of units below the names", "skip_rows: [2]", lines("{x},{k}", "x,y", "km,")),
    shape(
        "several lines of names, the last for the index, as pandas writes them",
        "header: true, names: [x, y], skip_rows: [2, 3]",
        lines("{x},{k}", "level,y", "km,kg", "x,"),
    ),
    shape("a total or notes below the table", "skip_rows: [26]", lines("{x},{k},q", "x,y,z") + "Total: 24 rows\n"),
    shape("no names", "header: false", lines("{x},{k}"), column_1=X, column_2=Y),
    shape("no names, and you know them", "names: [x, y]", lines("{x},{k}"), is_found=False),
    shape(
        "names that are missing or double",
        "header: true, names: [x, x_2, column_3, y]",
        lines("{x},{x}5,1,{k}", "x,x,,y"),
    ),
    shape(
        "a name for each row, without a name of its own",
        "header: true, names: [row, x, y]",
        lines('"{i}",{x},{k}', '"x","y"'),
    ),
    shape("a delimiter at the end of each row", "header: true, names: [x, y, column_3]", lines("{x},{k},", "x,y")),
    shape("an older encoding", "encoding: cp1252", lines("{x},{k}ä", "x,y").encode("cp1252"), y=[f"{k}ä" for k in Y]),
    shape("UTF-16", "encoding: utf-16", BASE.encode("utf-16")),
    shape(
        "quotes without a meaning",
        "quote: null",
        lines('{x}\t"so" {k}', "x\ty").replace("\t", ",").replace('"so" u', '"so u', 1),
        y=[('"so u' if i == 0 else f'"so" {k}') for i, k in enumerate(Y)],
    ),
    shape("other quotes", 'quote: "\'"', lines("{x},'{k}, w'", "x,y"), y=[f"{k}, w" for k in Y]),
    shape(
        "a backslash before quotes or delimiters",
        'escape: "\\\\"',
        lines('{x},"{k}\\"s, w"', "x,y"),
        y=[f'{k}"s, w' for k in Y],
    ),
    shape("lines of comments", 'comment: "#"', "# made today\n" + BASE),
    shape(
        "`NA`, `-` or `#DIV/0!` for what is missing",
        'missing: ["-"]',
        BASE.replace("\n7,", "\n-,"),
        x=[NAN if x == 7 else x for x in X],
        y=Y,
    ),
    shape(
        "`-999` for what is missing; `init` only remarks on it",
        'missing: ["-999"]',
        BASE.replace("\n7,", "\n-999,"),
        is_found=False,
        x=[NAN if x == 7 else x for x in X],
    ),
    shape(
        "`82,4` in the whole file", 'delimiter: ";", decimal: ","', lines("{x},5;{k}", "x;y"), x=[x + 0.5 for x in X]
    ),
]
KINDS = [
    Case("tabs between the fields", "tsv: data.txt", {"data.txt": lines("{x}\t{k}", "x\ty")}),
    Case("a workbook", "excel: book.xlsx", {"book.xlsx": lambda: workbook("Sales")}),
    Case(
        "a workbook of several sheets",
        "excel: {path: book.xlsx, sheet: Sales}",
        {"book.xlsx": lambda: workbook("Notes", "Sales")},
    ),
    Case(
        "a file of SQLite",
        'sql: {url: "sqlite:///data.sqlite", query: "SELECT * FROM `t` ORDER BY rowid"}',
        {"data.sqlite": database},
    ),
    Case(
        "another database, whose URL no run records",
        "sql: {url: $(env.DATABASE), query: SELECT * FROM t ORDER BY rowid}",
        {"data.sqlite": database},
        is_found=False,
    ),
    *(
        Case(kind.capitalize(), f"{kind}: data.{kind}", {f"data.{kind}": partial(arrow, kind)})
        for kind in ("parquet", "feather")
    ),
    Case("ORC", "orc: data.orc", {"data.orc": lambda: arrow("orc")}),
    Case(
        "JSON, one object a line",
        "json_lines: data.jsonl",
        {"data.jsonl": lines('{{"x": {x}, "y": "{k}"}}')},
    ),
    Case(
        "JSON, an array of objects",
        "json_lines: data.json",
        {"data.json": json.dumps([{"x": x, "y": y} for x, y in zip(X, Y, strict=True)])},
    ),
    Case(
        "ARFF",
        'csv: {path: data.arff, names: [x, y], skip_rows: 4, comment: "%"}',
        {"data.arff": "@relation r\n@attribute x numeric\n@attribute y {u,v,w}\n@data\n" + lines("{x},{k}")},
    ),
    Case("Parquet under another name", "parquet: data.csv", {"data.csv": partial(arrow, "parquet")}),
    Case(
        "compressed by gzip, bzip2, xz or zstd",
        "csv: data.csv.gz",
        {"data.csv.gz": lambda: gzip.compress(BASE.encode())},
    ),
]
EMPTY = "x,y\n"
PARTS = {"parts/1.csv": BASE, "parts/2.csv": lines("{k},{x}", "y,x")}
TWICE: Mapping[str, Sequence[Any]] = {"x": [*X, *X], "y": [*Y, *Y]}
SEVERAL = [
    Case("parts of one table in a folder", "source: {csv: parts}", PARTS, TWICE, given="parts"),
    Case(
        "parts of one table in a zip",
        "source: {csv: parts.zip}",
        {"parts.zip": lambda: zipped(PARTS)},
        TWICE,
    ),
    Case("files that match a pattern", 'source: {csv: "parts/*.csv"}', PARTS, TWICE, is_found=False),
    Case("a list of files", "source: {csv: [parts/1.csv, parts/2.csv]}", PARTS, TWICE, is_found=False),
    Case(
        "folders that name a value of the column `size`",
        "source: {csv: parts}",
        {f"parts/size={size}/1.csv": BASE for size in (3, 5)} | {"parts/_SUCCESS": "", "parts/README.txt": "sizes"},
        {**TWICE, "size": [3] * ROWS + [5] * ROWS},
        given="parts",
    ),
    Case(
        "`train.csv` and `test.csv` beside each other",
        "source: {csv: train.csv}, test: {csv: test.csv}",
        {"train.csv": BASE, "test.csv": BASE},
        TWICE,
    ),
    Case(
        "several files of each split",
        'source: {csv: "parts/train-*.csv"}, test: {csv: parts/test-0.csv}',
        {"parts/train-0.csv": BASE, "parts/train-1.csv": EMPTY, "parts/test-0.csv": BASE},
        TWICE,
        given="parts",
    ),
]
NUMBERS = [
    cells("`1,234.5`", '{number: {thousands: ","}}', lambda i: (f"{1000 + 37 * i:,}.5", 1000.5 + 37 * i)),
    cells(
        "`1.234,5`",
        '{number: {thousands: "."}}',
        lambda i: (f"{1000 + 37 * i:,}".replace(",", ".") + ",5", 1000.5 + 37 * i),
    ),
    cells(
        "`1 234,5`",
        '{number: {thousands: " ", decimal: ","}}',
        lambda i: (f"{1000 + 37 * i:,}".replace(",", " ") + ",5", 1000.5 + 37 * i),
        is_found=False,
    ),
    cells("`$5`; a dollar is written twice", '{number: {strip: "$$"}}', lambda i: (f"${i}", i)),
    cells("`5 €`, `7 %`, `60 kg`", '{number: {strip: "kg"}}', lambda i: (f"{i} kg", i)),
    cells("`(5)` for `-5`", '{number: {strip: "()"}}', lambda i: (f"({i})" if i % 2 else f"{i}", -i if i % 2 else i)),
    cells("`5-` for `-5`", '{number: {strip: "-"}}', lambda i: (f"{i * i % 31}-", -(i * i % 31)), False),
    cells(
        "`\u22125`, `\uff11\uff12`: signs and digits of typesetters and other scripts",
        "number",
        lambda i: (f"\u2212{i * i % 31}", -(i * i % 31)),
    ),
    cells("`01067`, a code", "category", lambda i: (f"0{i % 4}067", f"0{i % 4}067")),
    cells(
        "missing in some rows",
        "{number: {missing: median, indicator: true}}",
        lambda i: ("" if i % 4 == 1 else f"{i}.5", NAN if i % 4 == 1 else i + 0.5),
        is_found=False,
    ),
    cells("most small, some large", "{number: {scale: log}}", lambda i: (f"{10 ** (i % 7)}", 10 ** (i % 7))),
]


def day(i: int, text: str) -> tuple[str, str]:
    """A cell written like `text`, where {d}, {m} are day and month, and its date."""
    return text.format(d=1 + i, m=1 + i % 12), f"2024-{1 + i % 12:02}-{1 + i:02}"


DATES = [
    cells("`2024-01-31`, `2024-01-31T10:00Z`, `2024-01`", "date", lambda i: day(i, "2024-{m:02}-{d:02}")),
    cells("`31.01.2024`", '{date: {format: "%d.%m.%Y"}}', lambda i: day(i, "{d:02}.{m:02}.2024")),
    cells("`1/31/2024`", '{date: {format: "%m/%d/%Y"}}', lambda i: day(i, "{m}/{d}/2024")),
    cells("`31 Jan 2024`", '{date: {format: "%d %b %Y"}}', lambda i: (f"{1 + i} Jan 2024", f"2024-01-{1 + i:02}")),
    cells(
        "`January 1st, 2024`",
        '{date: {format: "%B %d, %Y"}}',
        lambda i: (
            f"January {5 * i % 31 + 1}{'st' if 5 * i % 31 in (0, 20, 30) else 'th'}, 2024",
            f"2024-01-{5 * i % 31 + 1:02}",
        ),
        is_found=False,
    ),
    cells(
        "`20240131`",
        '{date: {format: "%Y%m%d"}}',
        lambda i: (f"202401{5 * i % 31 + 1:02}", f"2024-01-{5 * i % 31 + 1:02}"),
    ),
    cells(
        "`31.12.60`, which is 2060: 69 to 99 are of the last century",
        '{date: {format: "%d.%m.%y"}}',
        lambda i: (f"{5 * i % 31 + 1:02}.12.60", f"2060-12-{5 * i % 31 + 1:02}"),
    ),
    cells(
        "`2024M01`",
        '{date: {format: "%YM%m"}}',
        lambda i: (f"{2000 + 5 * i % 9}M{1 + i % 12:02}", f"{2000 + 5 * i % 9}-{1 + i % 12:02}-01"),
    ),
    cells(
        "`2024Q1`",
        '{date: {format: "%YQ%q"}}',
        lambda i: (f"{2000 + (5 * i % 9)}Q{1 + i % 4}", f"{2000 + (5 * i % 9)}-{1 + 3 * (i % 4):02}-01"),
    ),
    cells(
        "seconds since 1970; `unix_ms`, `unix_us`, `unix_ns` for smaller units",
        "{date: {format: unix}}",
        lambda i: (f"{1704067200 + 86400 * (5 * i % 29)}", f"2024-01-{1 + 5 * i % 29:02}"),
        is_found=False,
    ),
    cells(
        "both `05/01/2024` and no day above 12: `init` takes the month first",
        '{date: {format: "%m/%d/%Y"}}',
        lambda i: (f"{1 + i % 12:02}/{1 + 5 * i % 12:02}/2024", f"2024-{1 + i % 12:02}-{1 + 5 * i % 12:02}"),
    ),
    cells(
        "missing in some rows",
        "{date: {missing: median}}",
        lambda i: ("", "NaT") if i == 3 else day(i, "2024-{m:02}-{d:02}"),
        is_found=False,
    ),
]
CLASSES = [
    cells("`cat`, `Cat`, `CAT`", "{category: {case: lower}}", lambda i: (("cat", "Cat", "CAT")[i % 3], "cat"), False),
    cells(
        "`m` and `male`",
        "{category: {replace: {m: male}}}",
        lambda i: (("m", "male", "female")[i % 3], ("male", "male", "female")[i % 3]),
        False,
    ),
    cells("`[a]`", '{category: {strip: "[]"}}', lambda i: (f"[{'uvw'[i % 3]}]", "uvw"[i % 3]), False),
    cells(
        "numbers of which each is a name",
        "category",
        lambda i: (f"{i % 3}", f"{i % 3}"),
        False,
    ),
    cells(
        "many values, most of them rare",
        "{category: {min_count: 5, missing: most_frequent}}",
        lambda i: (f"c{i % 5}", f"c{i % 5}"),
        False,
    ),
    cells("`yes`, `no`, `t`, `f`, `1`, `0`", "boolean", lambda i: ("yes" if i % 3 else "no", 1 if i % 3 else 0)),
    cells(
        "`yes`, `no` and nothing",
        "{boolean: {missing: most_frequent, indicator: true}}",
        lambda i: (("yes", "no", "")[i % 3], (1, 0, NAN)[i % 3]),
        False,
    ),
    cells(
        "Chinese, Japanese, Thai: texts without spaces",
        "{text: {split: character}}",
        lambda i: (f"{'很好看的电影' if i % 2 else '太差了没意思'}{chr(0x4E00 + i)}",) * 2,
    ),
    cells("a column of no use", "ignore", lambda i: (f"id-{i}", None), False),
]
TARGETS = [
    aims(
        "missing in some rows: these are left out",
        "{category: {missing: drop}}",
        lambda i: ("", None) if i == 4 else (Y[i], Y[i]),
    ),
    aims(
        "`cat`, `Cat`; `m` and `male`; `[a]`",
        '{category: {case: lower, strip: "[]", replace: {m: male}}}',
        lambda i: (("m", "[Male]", "b")[i % 3], ("male", "male", "b")[i % 3]),
        False,
    ),
    aims(
        "numbers, missing in some rows",
        "{number: {missing: drop, scale: standard}}",
        lambda i: ("", None) if i == 4 else (f"{i * i % 17}.5", i * i % 17 + 0.5),
    ),
    aims(
        "large or skewed numbers: restored inside the model",
        "{number: {scale: log}}",
        lambda i: (f"{10 ** (i % 7)}.5", 10 ** (i % 7) + 0.5),
    ),
    aims(
        "`$1,234.5`",
        '{number: {thousands: ",", strip: "$$"}}',
        lambda i: (f"${1000 + 37 * (5 * i % 24):,}.5", 1000.5 + 37 * (5 * i % 24)),
    ),
    aims(
        "`action|drama`",
        '{multi_label: "|"}',
        lambda i: (("a|b", "b", "a")[i % 3], ((1, 1), (0, 1), (1, 0))[i % 3]),
    ),
    aims(
        "`['a', 'b']`",
        '{multi_label: "|"}',
        lambda i: (("['a', 'b']", "['b']", "['a']")[i % 3], ((1, 1), (0, 1), (1, 0))[i % 3]),
        False,
    ),
    aims("token ids, labels of CTC: integers that keep their meaning", "{index: 20000}", lambda i: (f"{i}", i), False),
]
PETS = {"shape": (24, 8, 8, 3), "classes": ("cat", "dog")}
LABELS = "id,y\n" + "".join(f"{i:02},{'cat' if i % 2 else 'dog'}\n" for i in range(24))
FOLDERS = [
    Case("`train/cat/1.png`, `cat/train/1.png`", "source: {images: pets}", images("pets/train/{k}/{i}.png"), PETS),
    Case(
        "the class in the name",
        'source: {images: {path: pets, pattern: "{class}.{number}.png"}}',
        images("pets/{k}.{i}.png"),
        PETS,
    ),
    Case(
        "images of several sizes",
        "source: {images: {path: pets, size: [4, 4], resize: pad, background: white, channels: 1}}",
        images("pets/{k}/{i}.png", 6) | images("pets/{k}/1{i}.png", 6, size=10),
        {"shape": (24, 4, 4, 1)},
        is_found=False,
    ),
    Case(
        "transparent images on white, else on black",
        "source: {images: {path: pets, background: white}}",
        images("pets/{k}/{i}.png", mode="RGBA"),
        PETS,
        is_found=False,
    ),
    Case(
        "12 bits in files of 16",
        "source: {images: {path: pets, channels: 1, bits: 12}}",
        images("pets/{k}/{i}.png", mode="I;16"),
        {"shape": (24, 8, 8, 1)},
    ),
    Case(
        "some damaged files: left out, and listed in the run",
        "source: {images: {path: pets, on_error: skip}}",
        {**images("pets/{k}/{i}.png"), "pets/cat/13.png": b"no image"},
        PETS,
    ),
    Case(
        "images and masks of the same names",
        "source: {images: {path: cells, masks: masks}}",
        {f"cells/images/{i}.png": image(i) for i in range(12)}
        | {f"cells/masks/{i}.png": image(i % 2, "L") for i in range(12)},
        {"shape": (12, 8, 8, 3)},
        given="cells",
    ),
    Case(
        "`7.png` and `7_mask.png` in one folder",
        'source: {images: {path: cells, masks: "{image}_mask"}}',
        {f"cells/{i}.png": image(i) for i in range(12)} | {f"cells/{i}_mask.png": image(i % 2, "L") for i in range(12)},
        {"shape": (12, 8, 8, 3)},
        given="cells",
    ),
    Case(
        "a table of paths of another machine, the files in several folders",
        'source: {csv: labels.csv}, inputs: {id: {image: {folder: "*", remove: "C:/all/", size: [8, 8]}}}, target: "y"',
        {"labels.csv": "id,y\n" + "".join(f"C:\\all\\{i}.png,{'cat' if i % 2 else 'dog'}\n" for i in range(24))}
        | {f"part_{i % 3}/{i}.png": image(i) for i in range(24)},
        {"shape": (24, 8, 8, 3)},
    ),
    Case(
        "a table of names without ending",
        'source: {csv: labels.csv}, inputs: {id: {image: {folder: train, ending: .png, size: [8, 8]}}}, target: "y"',
        {"labels.csv": LABELS} | {f"train/{i:02}.png": image(i) for i in range(24)},
        {"shape": (24, 8, 8, 3)},
    ),
    Case(
        "a table of audio clips",
        "source: {csv: labels.csv}, inputs: {id: {audio: {folder: clips, ending: .wav, seconds: 0.1, rate: 8000}}}, "
        'target: "y"',
        {"labels.csv": "id,y\n" + "".join(f"{k}_{i},{k}\n" for k in ("high", "low") for i in range(12))} | clips(),
        {"shape": (24, 800)},
    ),
    Case(
        "clips of several lengths and rates, some damaged",
        'source: {audio: {path: clips, pattern: "{class}_{number}.wav", seconds: 0.05, rate: 4000, on_error: skip}}',
        {**clips(), "clips/low_99.wav": b"no clip"},
        {"shape": (24, 200), "classes": ("high", "low")},
        is_found=False,
    ),
    Case(
        "texts of an older encoding, the class in the name",
        'source: {text: {path: texts, pattern: "{class}_{number}.txt", encoding: cp1252}}',
        {f"texts/{k}_{i}.txt": f"{k} Käse {i}".encode("cp1252") for k in ("gut", "schlecht") for i in range(12)},
        {"classes": ("gut", "schlecht")},
    ),
]
GROUPS = [
    Group(
        "The shape of a text file",
        "options",
        "Options of the source, as in `source: {csv: {path: FILE, skip_rows: 2}}`.",
        SHAPES,
    ),
    Group(
        "Other kinds of files",
        "source",
        "The source itself: `source: {…}`. The ending of a name does not matter, the content decides.",
        KINDS,
    ),
    Group("Several files", "data", "Keys of `data`.", SEVERAL),
    Group("Numbers", "type", 'The type of a column, as in `inputs: {price: {number: {thousands: ","}}}`.', NUMBERS),
    Group("Dates", "type", "The type of a column; a format is one of Python's `strptime`.", DATES),
    Group("Classes, texts and other columns", "type", "The type of a column.", CLASSES),
    Group("Targets", "target", "The type of the target, as in `target: {price: {number: {missing: drop}}}`.", TARGETS),
    Group("Images, audio clips and texts", "data", "Keys of `data`.", FOLDERS),
]


def data_of(group: Group, case: Case) -> str:
    """The section `data` of a config with what the case says to write."""
    write, inputs = case.write, ""
    if group.where in ("options", "type", "target"):
        options = write if group.where == "options" else 'delimiter: ";"'
        inputs = f', inputs: {{"x": {write}}}' if group.where == "type" else ""
        source = f"source: {{csv: {{path: data.csv, {options}}}}}{inputs}"
    else:
        source = f"source: {{{write}}}" if group.where == "source" else write
    target = write if group.where == "target" else "category"
    name = "column_2" if "column_2" in case.reads else "y"
    has_target = "target" in write or (group.where == "data" and "csv" not in write)
    return f"data: {{{source}{'' if has_target else f', target: {{{name}: {target}}}'}}}\n"


def write_files(case: Case, folder: Path) -> str:
    """Write the files of a case, and return the name of what `init` gets."""
    for name, content in case.files.items():
        made = content() if callable(content) else content
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(made.encode() if isinstance(made, str) else made)
    first = next(iter(case.files))
    return case.given or (first.partition("/")[0] if first.endswith((".png", ".wav", ".txt")) else first)
