"""Configs and their data with a mistake in one of them, by what is wrong. Each is complete but for its mistake."""

import io
import stat
import struct
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from tests.bad_configs import changed
from tests.data.hostile_archives import tar_with, zip_entry, zip_with
from tests.data.pictures import class_folders, encoded, pixels
from tests.wav_files import sound

TABLE = """\
data:
  source: {csv: people.csv}
  target: label
  split: {validation: 0.2, test: 0.2}
model:
  layers:
    - Dense: {units: $classes, activation: softmax}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 1}
"""
SERIES = """\
data:
  source: {csv: hours.csv}
  windows: {length: 3, target: level}
  split: {validation: 0.2, test: 0.2}
model: {layers: [Flatten, Dense: 1]}
training: {optimizer: adam, loss: mse, epochs: 1}
"""
PICTURES = """\
data:
  source: {images: images}
  split: {validation: 0.3, test: 0.3}
model:
  layers:
    - Flatten
    - Dense: {units: $classes, activation: softmax}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 1}
"""
SOUNDS = changed(("images: images", "audio: sounds"), text=PICTURES)
TEXTS = changed(
    ("images: images", "text: texts"),
    ("  split:", "  preprocessing: [{TextVectorization: {output_mode: multi_hot}}]\n  split:"),
    ("    - Flatten\n", ""),
    text=PICTURES,
)
ARRAYS = """\
data: {source: {arrays: own.npz}, split: {validation: 0.2, test: 0.2}}
model: {layers: [{Dense: {units: 3, activation: softmax}}]}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, epochs: 1}
"""

Files = Mapping[str, bytes]
JOBS = ("baker", "clerk", "farmer")


def rows(count: int = 30) -> list[str]:
    return [f"{20 + index * 7 % 30},{JOBS[index % 3]},{'yes' if index % 2 else 'no'}" for index in range(count)]


def table(lines: list[str] | None = None, header: str = "age,job,label") -> bytes:
    return "\n".join([header, *(rows() if lines is None else lines), ""]).encode()


def with_row(number: int, line: str, count: int = 30) -> bytes:
    """The table with another line, counted from 1 as editors do."""
    lines = rows(count)
    lines[number - 2] = line
    return table(lines)


PEOPLE = {"people.csv": table()}
HOURS = {"hours.csv": b"hour,level,place\n" + b"".join(b"%d,%d,north\n" % (i * i, i % 7) for i in range(60))}
WORDS = {f"texts/{name}/{number}.txt": b"a word %d" % number for name in ("good", "bad") for number in range(8)}
FOLDERS = class_folders(2, 8, top="images/")


def tones() -> dict[str, bytes]:
    wave = np.sin(np.arange(80) / 5)
    return {f"sounds/{name}/{n}.wav": sound(wave * (n + 1) / 9) for name in ("high", "low") for n in range(8)}


def huge_picture() -> bytes:
    """A PNG of a few bytes that says it has 10 billion pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def arrays(**values: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, **values)  # type: ignore[arg-type]
    return file.getvalue()


@dataclass(frozen=True)
class Bad:
    """A config, its files by name, and the exit code. `write` makes what cannot be written as bytes."""

    text: str
    files: Files = field(default_factory=dict)
    code: int = 3
    write: "partial[Path] | None" = None


def people(*replacements: tuple[str, str], files: Files = PEOPLE, code: int = 3) -> Bad:
    return Bad(changed(*replacements, text=TABLE), files, code)


def hours(*replacements: tuple[str, str], files: Files = HOURS, code: int = 3) -> Bad:
    return Bad(changed(*replacements, text=SERIES), files, code)


def inputs(value: str, *replacements: tuple[str, str], files: Files = PEOPLE, code: int = 3) -> Bad:
    return people(
        ("  target: label", f"  inputs:\n    {value}\n  target: label"), *replacements, files=files, code=code
    )


def folders(*replacements: tuple[str, str], files: Files | None = None, code: int = 3) -> Bad:
    return Bad(changed(*replacements, text=PICTURES), FOLDERS if files is None else files, code)


def sounds(*replacements: tuple[str, str], files: Files | None = None, code: int = 3) -> Bad:
    return Bad(changed(*replacements, text=SOUNDS), files or tones(), code)


def texts(*replacements: tuple[str, str], files: Files = WORDS, code: int = 3) -> Bad:
    return Bad(changed(*replacements, text=TEXTS), files, code)


def archive(name: str, write: "partial[Path]") -> Bad:
    return Bad(changed(("images: images", f"images: {name}"), text=PICTURES), {}, 3, partial(write, Path(name)))


def own(files: Files, *replacements: tuple[str, str], code: int = 3) -> Bad:
    return Bad(changed(*replacements, text=ARRAYS), files, code)


RANDOM = np.random.default_rng(0)
X, Y = RANDOM.random((30, 4), "float32"), np.arange(30) % 3

BAD_DATA: dict[str, Bad] = {
    # tables
    "missing-file": people(("people.csv", "poeple.csv")),
    "missing-folder-of-the-file": people(("people.csv", "daat/people.csv"), files={"data/people.csv": table()}),
    "directory-for-a-table": people(files={"people.csv/part.png": b"no table"}),
    "header-only": people(files={"people.csv": table([])}),
    "empty-table": people(files={"people.csv": b""}),
    "missing-column": people(("target: label", "target: lable")),
    "two-missing-columns": inputs("agee: number", ("target: label", "target: income")),
    "column-named-twice": people(files={"people.csv": table(header="age,age,label")}),
    "ragged-row": people(files={"people.csv": with_row(17, "36,baker")}),
    "ragged-rows": people(
        files={"people.csv": table([line + ",more" if i in (3, 9) else line for i, line in enumerate(rows())])}
    ),
    "unclosed-quote": people(files={"people.csv": with_row(5, '"36,baker,no')}),
    "not-utf-8": people(files={"people.csv": with_row(9, "36,bäcker,no").decode().encode("latin-1")}),
    "nul-byte": people(files={"people.csv": with_row(9, "36,ba\0ker,no")}),
    "blank-labels": people(
        files={
            "people.csv": table([line.removesuffix("no") if i in (2, 10) else line for i, line in enumerate(rows())])
        }
    ),
    "text-among-numbers": people(files={"people.csv": with_row(9001, "N/A,baker,no", 10_000)}),
    "texts-among-numbers": people(
        files={"people.csv": with_row(9001, "N/A,baker,no", 10_000).replace(b"\n45,", b"\nunknown,")}
    ),
    "text-in-a-declared-number": inputs("age: number", files={"people.csv": with_row(9001, "N/A,baker,no", 10_000)}),
    "missing-where-none-may-be": inputs(
        "age: {number: {missing: error}}", files={"people.csv": with_row(12, ",clerk,no")}
    ),
    "date-in-another-form": inputs(
        "age: date", files={"people.csv": table([f"{i + 1:02}.03.2020,x{i % 3},{'ab'[i % 2]}" for i in range(30)])}
    ),
    "unseen-category": inputs(
        "job: {category: {unknown: error}}",
        ("validation: 0.2, test: 0.2", "order: age, test: 0.2"),
        files={"people.csv": with_row(31, "99,smith,no")},
    ),
    "one-example-of-a-class": people(files={"people.csv": with_row(8, "36,baker,maybe")}),
    "one-class": people(files={"people.csv": table([f"{line.rpartition(',')[0]},yes" for line in rows()])}),
    "no-column-left": people(files={"people.csv": table([f"1,a,{'ab'[i % 2]}" for i in range(30)])}),
    "target-of-dates": people(files={"people.csv": table([f"{i},a,2020-01-{i % 28 + 1:02}" for i in range(30)])}),
    "group-that-no-column-is": people(("test: 0.2}", "test: 0.2, group: jbo}")),
    "group-of-one": people(
        ("test: 0.2}", "test: 0.2, group: job}"),
        files={"people.csv": table([f"{i},baker,{'ab'[i % 2]}" for i in range(30)])},
    ),
    "several-labels-without-a-second": people(
        ("target: label", "target: {label: {multi_label: '|'}}"),
        ("sparse_categorical", "binary"),
        ("softmax", "sigmoid"),
        files={"people.csv": table([f"{i * 7 % 30},a,same" for i in range(30)])},
    ),
    "order-that-no-column-is": people(("test: 0.2}", "test: 0.2, order: agee}")),
    "part-that-is-none": people(("{validation: 0.2, test: 0.2}", "{column: job}")),
    "part-column-that-no-column-is": people(("{validation: 0.2, test: 0.2}", "{column: part}")),
    "test-without-a-column": people(
        ("  split", "  test: {csv: other.csv}\n  split"),
        ("validation: 0.2, test: 0.2", "validation: 0.2"),
        files={**PEOPLE, "other.csv": table(header="years,job,label")},
    ),
    "test-of-another-kind": people(
        ("  split", "  test: {csv: other.csv}\n  split"),
        ("validation: 0.2, test: 0.2", "validation: 0.2"),
        files={**PEOPLE, "other.csv": with_row(4, "many,clerk,no")},
    ),
    "test-without-the-target": people(
        ("  split", "  test: {csv: other.csv}\n  split"),
        ("validation: 0.2, test: 0.2", "validation: 0.2"),
        files={**PEOPLE, "other.csv": table(header="age,job,answer")},
    ),
    "class-of-the-test-alone": people(
        ("  split", "  test: {csv: other.csv}\n  split"),
        ("validation: 0.2, test: 0.2", "validation: 0.2"),
        files={**PEOPLE, "other.csv": with_row(4, "36,clerk,perhaps")},
    ),
    "number-target-of-text": people(
        ("target: label", "target: {label: number}"),
        ("sparse_categorical_crossentropy", "mse"),
        ("units: $classes, activation: softmax", "units: 1"),
        (", metrics: [accuracy]", ""),
    ),
    "several-targets-of-text": people(
        ("target: label", "target: [age, label]"),
        ("sparse_categorical_crossentropy", "mse"),
        ("units: $classes", "units: 2"),
        (", metrics: [accuracy]", ""),
    ),
    "image-paths-that-are-none": inputs("job: {image: {size: [4, 4]}}"),
    "audio-paths-that-are-none": inputs("job: {audio: {seconds: 1}}"),
    "json-lines-broken": people(
        ("csv: people.csv", "json_lines: people.jsonl"),
        files={"people.jsonl": b'{"age": 1, "label": "a"}\n{"age": 2, "label": "b"\n' * 9},
    ),
    "parquet-that-is-none": people(
        ("csv: people.csv", "parquet: people.parquet"), files={"people.parquet": b"age,label\n1,2\n"}
    ),
    "gz-that-is-none": people(("people.csv", "people.csv.gz"), files={"people.csv.gz": b"\x1e\x8b" + table()}),
    "wrong-delimiter": people(files={"people.csv": table().replace(b",", b";")}),
    "names-of-another-number": people(("csv: people.csv", "csv: {path: people.csv, names: [age, label]}")),
    # time series
    "windows-longer-than-the-series": hours(("length: 3", "length: 100")),
    "windows-of-an-unknown-column": hours(("target: level", "target: levle")),
    "windows-with-an-unknown-key": hours(("target: level", "target: level, key: plaec")),
    "windows-with-an-unknown-order": hours(("target: level", "target: level, order: huor")),
    "windows-out-of-order": hours(
        ("target: level", "target: level, order: hour"),
        files={"hours.csv": HOURS["hours.csv"].replace(b"\n0,", b"\n,")},
    ),
    # folders and archives
    "missing-folder": folders(("images: images", "images: pictuers")),
    "folder-without-files": folders(files={"images/cat/notes.md": b"", "images/dog/notes.md": b""}),
    "folder-without-classes": folders(
        files={"images/1.png": encoded(pixels(4, 5)), "images/2.png": encoded(pixels(4, 5))}
    ),
    "file-for-a-folder": folders(files={"images": b"no archive"}),
    "corrupt-images": folders(
        files={**FOLDERS, "images/a/3.png": b"\x89PNG nothing", "images/b/7.png": FOLDERS["images/b/7.png"][:60]}
    ),
    "image-bomb": folders(files={**FOLDERS, "images/a/3.png": huge_picture()}),
    "images-of-several-sizes": folders(files={**FOLDERS, "images/b/5.png": encoded(pixels(6, 6))}),
    "one-image-of-a-class": folders(files={**FOLDERS, "images/c/1.png": encoded(pixels(4, 5, seed=77))}),
    "zip-out-of-its-folder": archive("p.zip", partial(zip_with, entry=zip_entry("cat/../../evil.jpg"))),
    "zip-with-an-absolute-path": archive("p.zip", partial(zip_with, entry=zip_entry("/etc/evil.jpg"))),
    "zip-with-a-link": archive("p.zip", partial(zip_with, entry=zip_entry("cat/evil.jpg", stat.S_IFLNK))),
    "tar-out-of-its-folder": archive("p.tar", partial(tar_with, name="../evil.jpg", kind=tarfile.REGTYPE)),
    "tar-with-an-absolute-path": archive("p.tar", partial(tar_with, name="/etc/evil.jpg", kind=tarfile.REGTYPE)),
    "tar-with-a-link": archive(
        "p.tar", partial(tar_with, name="cat/evil.jpg", kind=tarfile.SYMTYPE, target="/etc/passwd")
    ),
    "tar-with-a-hard-link": archive(
        "p.tar", partial(tar_with, name="cat/evil.jpg", kind=tarfile.LNKTYPE, target="/etc/passwd")
    ),
    "tar-with-a-device": archive("p.tar", partial(tar_with, name="cat/evil.jpg", kind=tarfile.CHRTYPE)),
    "tar-with-a-pipe": archive("p.tar", partial(tar_with, name="cat/evil.jpg", kind=tarfile.FIFOTYPE)),
    "sound-that-is-none": sounds(files={**tones(), "sounds/low/2.wav": b"ID3 an mp3 by another name"}),
    "sound-cut-off": sounds(files={**tones(), "sounds/low/2.wav": sound(np.zeros(80))[:30]}),
    "text-not-utf-8": texts(files={**WORDS, "texts/bad/3.txt": "größe".encode("latin-1")}),
    "texts-empty": texts(files={"texts/good/1.txt": b"", "texts/bad/1.txt": b""}),
    "pattern-that-nothing-fits": folders(("images: images", 'images: {path: images, pattern: "{class}_{number}.png"}')),
    "test-folder-of-another-class": folders(
        ("  split", "  test: {images: others}\n  split"),
        (", test: 0.3", ""),
        files={**FOLDERS, "others/z/1.png": encoded(pixels(4, 5, seed=9))},
    ),
    "split-of-a-folder-by-an-unknown-field": folders(
        ("test: 0.3", "test: 0.3, group: scene"),
        ("images: images", 'images: {path: images, pattern: "{class}/{number}.png"}'),
    ),
    # arrays
    "pickled-npz": own({"own.npz": arrays(x=np.array([{}, []], dtype=object), y=[0, 1])}),
    "nan-features": own({"own.npz": arrays(x=np.where(X > 0.9, np.nan, X), y=Y)}),
    "infinite-features": own({"own.npz": arrays(x=np.where(X > 0.9, np.inf, X), y=Y)}),
    "label-7-of-3-classes": own(
        {"own.npz": arrays(x_train=X, y_train=Y, x_test=X[:5], y_test=[0, 1, 2, 7, 7])}, (", test: 0.2", "")
    ),
    "fewer-labels-than-rows": own({"own.npz": arrays(x=X, y=Y[:20])}),
    "arrays-cut-off": own({"own.npz": arrays(x=X, y=Y)[:200]}),
    "arrays-without-labels": own({"own.npz": arrays(x=X)}),
}

MULTI_LABEL_TABLE = {
    "people.csv": table([f"{i},baker,{['a,b', 'b', 'c'][i % 3]}".replace("a,b", '"a,b"') for i in range(30)])
}

BAD_DATA_CONFIGS: dict[str, Bad] = {
    "unknown-column-type": inputs("age: nubmer", code=2),
    "unknown-column-type-in-a-mapping": inputs("age: {nubmer: {missing: mean}}", code=2),
    "unknown-column-option": inputs("age: {number: {misisng: mean}}", code=2),
    "wrong-column-option": inputs("age: {number: {missing: medain}}", code=2),
    "wrong-scale": inputs("age: {number: {scale: standart}}", code=2),
    "short-form-of-a-wrong-option": inputs("age: {number: medain}", code=2),
    "column-type-that-is-a-number": inputs("age: 3", code=2),
    "column-type-null": inputs("age:", code=2),
    "two-column-types": inputs("age: {number: {}, category: {}}", code=2),
    "image-column-without-size": inputs("job: image", code=2),
    "image-size-of-one-number": inputs("job: {image: {size: 64}}", code=2),
    "audio-column-without-seconds": inputs("job: audio", code=2),
    "inputs-as-a-list": people(("  target: label", "  inputs: [age, job]\n  target: label"), code=2),
    "embedding-zero": inputs("job: {category: {embedding: 0}}", code=2),
    "unknown-date-part": inputs("age: {date: {parts: [year, week]}}", code=2),
    "no-target": people(("  target: label\n", ""), code=2),
    "target-that-is-a-number": people(("target: label", "target: 3"), code=2),
    "target-of-an-unknown-type": people(("target: label", "target: {label: categry}"), code=2),
    "target-with-an-unknown-option": people(("target: label", "target: {label: {category: {stripp: .}}}"), code=2),
    "two-targets-without-outputs": people(("target: label", "target: {label: category, age: number}"), code=2),
    "target-empty-list": people(("target: label", "target: []"), code=2),
    "unknown-table-option": people(("csv: people.csv", "csv: {path: people.csv, delimeter: ;}"), code=2),
    "table-without-a-path": people(("csv: people.csv", "csv: {delimiter: ;}"), code=2),
    "table-alone": people(("{csv: people.csv}", "csv"), code=2),
    "same-delimiter-and-quote": people(("csv: people.csv", "csv: {path: people.csv, delimiter: '\"'}"), code=2),
    "unknown-encoding": people(("csv: people.csv", "csv: {path: people.csv, encoding: utf-9}"), code=2),
    "names-twice": people(("csv: people.csv", "csv: {path: people.csv, names: [a, a, b]}"), code=2),
    "missing-as-one-text": people(("csv: people.csv", "csv: {path: people.csv, missing: '?'}"), code=2),
    "split-rules-together": people(("test: 0.2}", "test: 0.2, group: job, order: age}"), code=2),
    "split-column-with-fractions": people(("test: 0.2}", "test: 0.2, column: job}"), code=2),
    "order-with-stratify": people(("test: 0.2}", "test: 0.2, order: age, stratify: true}"), code=2),
    "group-of-a-builtin-set": Bad(
        changed(
            ("csv: people.csv", "digits: "),
            ("  target: label\n", ""),
            ("test: 0.2}", "test: 0.2, group: age}"),
            text=TABLE,
        ),
        code=3,
    ),
    "target-of-a-builtin-set": Bad(
        changed(("{csv: people.csv}", "iris"), ("target: label", "target: categry"), text=TABLE), code=2
    ),
    "inputs-of-a-builtin-set": Bad(
        changed(("{csv: people.csv}", "iris"), ("target: label", "inputs: {age: number}"), text=TABLE), code=2
    ),
    "windows-without-a-table": Bad(changed(("{csv: hours.csv}", "iris"), text=SERIES), code=2),
    "windows-without-a-length": hours(("length: 3, ", ""), code=2),
    "windows-of-length-zero": hours(("length: 3", "length: 0"), code=2),
    "windows-without-a-target": hours((", target: level", ""), code=2),
    "windows-with-a-group": hours(("test: 0.2}", "test: 0.2, group: place}"), code=2),
    "windows-with-stratify": hours(("test: 0.2}", "test: 0.2, stratify: true}"), code=2),
    "windows-with-another-target": hours(("  split", "  target: place\n  split"), code=2),
    "windows-with-an-unknown-option": hours(("length: 3", "lenght: 3"), code=2),
    "windows-of-texts": hours(("  split", "  inputs: {place: text}\n  split"), code=2),
    "cache-many": folders(("  split", "  cache: many\n  split"), code=2),
    "cache-of-an-unknown-unit": folders(("  split", "  cache: 4 gigs\n  split"), code=2),
    "pattern-without-class": folders(
        ("images: images", 'images: {path: images, pattern: "{kind}/{number}.png"}'), code=2
    ),
    "pattern-with-half-a-brace": folders(
        ("images: images", 'images: {path: images, pattern: "{class/{number}.png"}'), code=2
    ),
    "channels-of-two": folders(("images: images", "images: {path: images, channels: 2}"), code=2),
    "size-of-zero": folders(("images: images", "images: {path: images, size: [0, 4]}"), code=2),
    "rate-of-zero": sounds(("audio: sounds", "audio: {path: sounds, rate: 0}"), code=2),
    "folder-with-a-target-column": folders(("  split", "  target: label\n  split"), code=2),
    "folder-tested-by-a-table": folders(("  split", "  test: {csv: people.csv}\n  split"), (", test: 0.3", ""), code=2),
    "builtin-set-tested-by-a-table": Bad(
        changed(
            ("{csv: people.csv}", "iris"),
            ("  target: label", "  test: {csv: people.csv}"),
            (", test: 0.2", ""),
            text=TABLE,
        ),
        code=2,
    ),
    "table-tested-by-a-folder": people(("  split", "  test: {images: images}\n  split"), (", test: 0.2", ""), code=2),
    "giant-embedding": inputs("job: {category: {embedding: 1000000000000}}", code=2),
    "preprocessing-with-columns": people(("  split", "  preprocessing: [Normalization]\n  split"), code=2),
    "augmentation-with-columns": people(("  split", "  augmentation: [{GaussianNoise: 0.1}]\n  split"), code=2),
    "from-naming-nothing": people(("activation: softmax}", "activation: softmax, from: agee}"), code=2),
    "from-a-later-layer": people(
        (
            "    - Dense: {units: $classes",
            "    - Dense: {units: 4, from: last}\n    - Dense: {name: last, units: $classes",
        ),
        code=2,
    ),
    "from-the-target": people(("activation: softmax}", "activation: softmax, from: label}"), code=2),
    "from-an-ignored-column": people(
        ("activation: softmax}", "activation: softmax, from: id}"),
        files={"people.csv": table([f"{i},{line}" for i, line in enumerate(rows())], "id,age,job,label")},
        code=2,
    ),
    "from-that-is-a-number": people(("activation: softmax}", "activation: softmax, from: 3}"), code=2),
    "layer-that-nothing-takes": people(
        (
            "    - Dense: {units: $classes",
            "    - Dense: {units: 4, from: age}\n    - Dense: {from: job, units: $classes",
        ),
        code=2,
    ),
    "layers-of-one-name": people(
        (
            "    - Dense: {units: $classes",
            "    - Dense: {units: 4, name: one}\n    - Dense: {name: one, units: $classes",
        ),
        code=2,
    ),
    "add-of-one": people(("    - Dense: {units: $classes", "    - Add\n    - Dense: {units: $classes"), code=2),
    "add-of-two-shapes": people(
        (
            "    - Dense: {units: $classes",
            "    - Dense: {units: 3, from: age, name: a}\n    - Add: {from: [a, job]}\n    - Dense: {units: $classes",
        ),
        code=2,
    ),
    "text-with-length-beside-others": inputs("job: {text: {length: 4}}", code=2),
    "image-beside-others": inputs(
        "job: {image: {size: [4, 4]}}",
        files={
            "people.csv": table([f"{i},{i % 5}.png,{'ab'[i % 2]}" for i in range(30)]),
            **{f"{i}.png": encoded(pixels(4, 4, seed=i)) for i in range(5)},
        },
        code=2,
    ),
    "image-alone-with-dense": inputs(
        "{age: ignore, job: {image: {size: [4, 4]}}}",
        files={
            "people.csv": table([f"{i},{i % 5}.png,{'ab'[i % 2]}" for i in range(30)]),
            **{f"{i}.png": encoded(pixels(4, 4, seed=i)) for i in range(5)},
        },
        code=2,
    ),
    "class-loss-for-several-labels": people(
        ("target: label", "target: {label: multi_label}"), files=MULTI_LABEL_TABLE, code=2
    ),
    "one-output-for-several-labels": people(
        ("target: label", "target: {label: multi_label}"),
        ("$classes, activation: softmax", "1, activation: sigmoid"),
        ("sparse_categorical", "binary"),
        files=MULTI_LABEL_TABLE,
        code=2,
    ),
    "softmax-for-several-labels": people(
        ("target: label", "target: {label: multi_label}"),
        ("sparse_categorical", "binary"),
        files=MULTI_LABEL_TABLE,
        code=2,
    ),
    "image-size-of-three-numbers": inputs("job: {image: {size: [64, 64, 3]}}", code=2),
    "delimiter-empty": people(("csv: people.csv", "csv: {path: people.csv, delimiter: ''}"), code=2),
    "quote-of-two-characters": people(("csv: people.csv", "csv: {path: people.csv, quote: '##'}"), code=2),
    "misspelt-path": people(("csv: people.csv", "csv: {paht: people.csv}"), code=2),
    "class-loss-for-numbers": people(
        ("target: label", "target: age"),
        ("units: $classes, activation: softmax", "units: 1, activation: sigmoid"),
        code=2,
    ),
    "class-weights-of-numbers": people(
        ("target: label", "target: age"),
        ("units: $classes, activation: softmax", "units: 1"),
        ("sparse_categorical_crossentropy, metrics: [accuracy]", "mse, class_weights: balanced"),
        code=2,
    ),
    "classes-of-numbers": people(("target: label", "target: age"), ("sparse_categorical_crossentropy", "mse"), code=2),
    "input-shape-of-columns": people(("units: $classes", "units: $input_shape"), code=2),
    "input-that-is-the-target": inputs("label: category", code=2),
    "text-layer-on-words": texts(("  preprocessing: [{TextVectorization: {output_mode: multi_hot}}]\n", ""), code=2),
    "windows-with-dense-alone": hours(("Flatten, ", ""), code=2),
}
