"""Small data of every kind: a config, and new data that are the rows of its test split."""

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet
from tests.data.pictures import class_folders
from tests.wav_files import sound

CONFIG = """\
name: example
data:
{data}
model:
  layers: {layers}
training:
  optimizer: adam
  loss: {loss}
  batch_size: 8
  epochs: 1
"""
WORDS = ("good", "bad", "long", "film", "story", "actor")


@dataclass(frozen=True)
class Kind:
    """`write` leaves the data in a folder; `new` are the files to predict for.

    `raw` gives what a plain Keras model takes for the test rows.
    """

    write: Callable[[Path], None]
    data: str
    layers: str
    new: tuple[str, ...]
    raw: Callable[[Path], Any]
    loss: str = "sparse_categorical_crossentropy"

    @property
    def config(self) -> str:
        return CONFIG.format(data=self.data, layers=self.layers, loss=self.loss)


DENSE = "[{Dense: {units: $classes, activation: softmax}}]"
FLAT = "[Flatten, {Dense: {units: $classes, activation: softmax}}]"


# --- tables ---


def people(rows: int, seed: int) -> list[dict[str, Any]]:
    """Rows with missing values, and with texts that are words of their own."""
    random = np.random.default_rng(seed)
    return [
        {
            "age": "" if row % 7 == 3 else f"{random.normal(40, 10):.3f}",
            "job": ("", "cook", "smith", "nurse")[random.integers(4)],
            "member": ("yes", "no", "")[random.integers(3)],
            "born": f"19{random.integers(10, 99)}-{random.integers(1, 13):02}-0{random.integers(1, 10)}T05:00:00",
            "about": " ".join(random.choice(WORDS, 4)),
            "label": ("low", "middle", "high")[row % 3],
            "x": f"{random.normal():.3f}",
            "y": f"{random.normal():.3f}",
            "tags": ("a", "b", "a,c", "b,c", "")[random.integers(5)],
            "clock": int(1_700_000_000 + random.integers(100)),
        }
        for row in range(rows)
    ]


def write_rows(path: Path, rows: list[dict[str, Any]], without: tuple[str, ...] = ()) -> None:
    kept = [{name: value for name, value in row.items() if name not in without} for row in rows]
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(kept[0]))
            writer.writeheader()
            writer.writerows(kept)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in kept), "utf-8")
    else:
        parquet.write_table(pa.Table.from_pylist(kept), path)


TRAINING, TEST = people(60, 1), people(45, 2)


def tables(suffix: str, target: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        others = {"label", "x", "y", "tags"} - set(target.split())
        write_rows(folder / f"train{suffix}", TRAINING, tuple(others))
        write_rows(folder / f"test{suffix}", TEST, tuple(others))
        write_rows(folder / f"new{suffix}", TEST, ("label", "x", "y", "tags"))

    return write


def table_inputs(folder: Path) -> dict[str, np.ndarray]:
    """As somebody without dltool would make them."""
    number = {"yes": 1.0, "no": 0.0, "": np.nan}
    return {
        "age": np.array([float(row["age"] or "nan") for row in TEST], np.float32),
        "job": np.array([row["job"] for row in TEST], object),
        "member": np.array([number[row["member"]] for row in TEST], np.float32),
        "born": np.array([row["born"] for row in TEST], "datetime64[s]").astype(np.int64),
        "about": np.array([row["about"] for row in TEST], object),
        "clock": np.array([row["clock"] for row in TEST]),
    }


INPUTS = "inputs: {member: boolean, born: date, about: text, job: {category: {embedding: 2}}}"


def table(source: str, suffix: str, target: str, written: str, layers: str = DENSE, loss: str = "") -> Kind:
    data = f"""\
  source: {{{source}: train{suffix}}}
  test: {{{source}: test{suffix}}}
  target: {written}
  {INPUTS}"""
    more = {"loss": loss} if loss else {}
    return Kind(tables(suffix, target), data, layers, (f"new{suffix}",), table_inputs, **more)


# --- windows ---


def series(rows: int, seed: int) -> list[dict[str, Any]]:
    random = np.random.default_rng(seed)
    return [
        {
            "hour": f"2020-01-{1 + row // 24:02}T{row % 24:02}:00:00",
            "wind": ("n", "s", "")[random.integers(3)],
            "load": f"{random.normal():.3f}",
        }
        for row in range(rows)
    ]


def write_series(folder: Path) -> None:
    write_rows(folder / "train.csv", series(60, 1))
    write_rows(folder / "test.csv", series(40, 2))


def window_inputs(folder: Path) -> dict[str, np.ndarray]:
    rows = series(40, 2)
    starts = np.arange(0, 40 - 5 - 2 + 1)[:, None] + np.arange(5)
    return {
        "hour": np.array([row["hour"] for row in rows], "datetime64[s]").astype(np.int64)[starts],
        "wind": np.array([row["wind"] for row in rows], object)[starts],
        "load": np.array([float(row["load"]) for row in rows], np.float32)[starts],
    }


# --- files ---


def write_pictures(folder: Path) -> None:
    for name, content in {**class_folders(3, 8, top="train/"), **class_folders(3, 15, top="test/")}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def picture_inputs(folder: Path) -> np.ndarray:
    from PIL import Image

    paths = [folder / f"test/{label}/{number}.png" for label in "abc" for number in range(15)]
    return np.stack([np.asarray(Image.open(path)) for path in paths])


def write_sounds(folder: Path) -> None:
    random = np.random.default_rng(0)
    for part, each in (("train", 8), ("test", 15)):
        for label in "ab":
            (folder / part / label).mkdir(parents=True)
            for number in range(each):
                content = sound(random.uniform(-0.5, 0.5, 200 + 10 * number))
                (folder / part / label / f"{number}.wav").write_bytes(content)


def sound_inputs(folder: Path) -> np.ndarray:
    paths = [folder / f"test/{label}/{number}.wav" for label in "ab" for number in range(15)]
    found = np.zeros((len(paths), 270), np.float32)
    for row, path in enumerate(paths):
        samples = np.frombuffer(path.read_bytes()[44:], "<i2").astype(np.float32) / 2**15
        found[row, : len(samples)] = samples[:270]
    return found


def texts(seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(1, 9))) for _ in range(20)]


def write_texts(folder: Path) -> None:
    for part, seed in (("train", 0), ("test", 5)):
        (folder / part).mkdir()
        for number, label in enumerate(("neg", "pos")):
            (folder / part / f"{label}.txt").write_text("\n".join(texts(seed + number)) + "\n", "utf-8")
    (folder / "new.txt").write_text("\n".join([*texts(5), *texts(6)]) + "\n", "utf-8")


def text_inputs(folder: Path) -> Any:
    import tensorflow as tf

    return tf.constant([*texts(5), *texts(6)])


def write_arrays(folder: Path) -> None:
    random = np.random.default_rng(0)
    x, y = random.integers(0, 9, (75, 4, 4)).astype(np.uint8), np.arange(75) % 3
    np.savez(folder / "own.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])


def array_inputs(folder: Path) -> np.ndarray:
    with np.load(folder / "own.npz") as file:
        return np.asarray(file["x_test"][..., np.newaxis])


KINDS: Mapping[str, Kind] = {
    "csv": table("csv", ".csv", "label", "label"),
    "json lines": table("json_lines", ".jsonl", "label", "label"),
    "parquet": table("parquet", ".parquet", "label", "label"),
    "numbers": table("csv", ".csv", "x y", "[x, y]", "[{Dense: 2}]", "mse"),
    "windows": Kind(
        write_series,
        """\
  source: {csv: train.csv}
  test: {csv: test.csv}
  windows: {length: 5, horizon: 2, target: load, order: hour}""",
        "[{LSTM: 3}, {Dense: 1}]",
        ("test.csv",),
        window_inputs,
        "mse",
    ),
    "images": Kind(
        write_pictures,
        "  source: {images: train}\n  test: {images: test}\n  preprocessing: [Normalization]",
        "[{Conv2D: {filters: 2, kernel_size: 3}}, Flatten, {Dense: {units: $classes, activation: softmax}}]",
        ("test",),
        picture_inputs,
    ),
    "audio": Kind(
        write_sounds,
        "  source: {audio: train}\n  test: {audio: test}",
        "[{Dense: {units: 1, activation: sigmoid}}]",
        ("test",),
        sound_inputs,
        "binary_crossentropy",
    ),
    "text": Kind(
        write_texts,
        "  source: {text: train}\n  test: {text: test}\n"
        "  preprocessing: [{TextVectorization: {output_sequence_length: 6}}]",
        "[{Embedding: {input_dim: 50, output_dim: 3}}, Flatten, {Dense: {units: 2, activation: softmax}}]",
        ("new.txt",),
        text_inputs,
    ),
    "arrays": Kind(
        write_arrays, "  source: {arrays: own.npz}\n  preprocessing: [Normalization]", FLAT, ("own.npz",), array_inputs
    ),
}
