"""Configs with good data of every kind that is read, and the ways to damage it."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import soundfile
from pyarrow import parquet
from tests import damaged_files as damaged
from tests.bad_configs import changed
from tests.bad_data import ARRAYS, HOURS, PEOPLE, PICTURES, SERIES, SOUNDS, TABLE, TEXTS, WORDS, Files, arrays, tones
from tests.damaged_files import Damage
from tests.data.pictures import encoded, pixels
from tests.wav_files import sound


@dataclass(frozen=True)
class Kind:
    """A config, good files for it, and how one of those whose name ends in `ending` is damaged."""

    text: str
    files: Files
    ending: str
    damage: Damage


def table_kinds() -> dict[str, Kind]:
    text = PEOPLE["people.csv"]
    rows = [line.split(",") for line in text.decode().splitlines()]
    records = "\n".join(f'{{"age": {a}, "job": "{b}", "label": "{c}"}}' for a, b, c in rows[1:]).encode() + b"\n"
    cells, lines = damaged.some_of(damaged.cells), damaged.some_of(damaged.json_lines, damaged.json_lines)

    def table(source: str, name: str, content: bytes, damage: Damage) -> Kind:
        return Kind(changed(("csv: people.csv", f"{source}: {name}"), text=TABLE), {name: content}, name, damage)

    columns = {"age": [int(row[0]) for row in rows[1:]], "job": [row[1] for row in rows[1:]]}
    columns |= {"born": np.arange(30).astype("M8[D]"), "label": [row[2] for row in rows[1:]]}
    stored = {}
    for name, options in {
        "plain": {"compression": "none", "use_dictionary": False},
        "usual": {},
        "checked": {"write_page_checksum": True, "compression": "gzip"},
        "second": {"data_page_version": "2.0", "compression": "zstd", "row_group_size": 7},
    }.items():
        file = io.BytesIO()
        parquet.write_table(pa.table(columns), file, **options)
        stored[f"parquet-{name}"] = table("parquet", "people.parquet", file.getvalue(), damaged.raw)
    series = {"hours.csv": HOURS["hours.csv"]}
    inputs = "inputs: {age: {number: {missing: error}}, job: {category: {unknown: error}}}"
    return stored | {
        "csv": table("csv", "people.csv", text, cells),
        "csv-declared": Kind(changed(("  target", f"  {inputs}\n  target"), text=TABLE), PEOPLE, ".csv", cells),
        "csv-utf-16": Kind(
            changed(("people.csv", "{path: people.csv, encoding: utf-16}"), text=TABLE),
            {"people.csv": text.decode().encode("utf-16")},
            ".csv",
            damaged.raw,
        ),
        "tsv": table("tsv", "people.tsv", text.replace(b",", b"\t"), cells),
        "series": Kind(SERIES, series, ".csv", cells),
        "csv.gz": table(
            "csv",
            "people.csv.gz",
            gzip.compress(text),
            damaged.some_of(damaged.inside_gzip(cells), damaged.deflated_badly),
        ),
        "csv.bz2": table("csv", "people.csv.bz2", bz2.compress(text), damaged.some_of(damaged.inside_bz2(cells))),
        "csv.xz": table("csv", "people.csv.xz", lzma.compress(text), damaged.some_of(damaged.inside_xz(cells))),
        "csv.zst": table("csv", "people.csv.zst", pa.compress(text, "zstd", asbytes=True), damaged.raw),
        "json": table("json_lines", "people.jsonl", records, lines),
        "json.gz": table(
            "json_lines",
            "people.jsonl.gz",
            gzip.compress(records),
            damaged.some_of(damaged.inside_gzip(lines), damaged.deflated_badly),
        ),
        "json.bz2": table(
            "json_lines", "people.jsonl.bz2", bz2.compress(records), damaged.some_of(damaged.inside_bz2(lines))
        ),
        "json.xz": table(
            "json_lines", "people.jsonl.xz", lzma.compress(records), damaged.some_of(damaged.inside_xz(lines))
        ),
    }


def array_kinds() -> dict[str, Kind]:
    x, y = np.arange(120, dtype="f4").reshape(30, 4), np.arange(30) % 3
    packed = io.BytesIO()
    np.savez_compressed(packed, x=x, y=y)
    npy = {name: arrays(**{name: value}) for name, value in (("x", x), ("y", y))}
    pair = {f"{name}.npy": zipfile.ZipFile(io.BytesIO(content)).read(f"{name}.npy") for name, content in npy.items()}
    names = np.array([["cat", "dog", "fox"][label] for label in y])
    npz = damaged.some_of(damaged.inside_zip(damaged.some_of(damaged.npy, damaged.npy)), damaged.zip_fields)
    return {
        "npz": Kind(ARRAYS, {"own.npz": arrays(x=x, y=y)}, ".npz", npz),
        "npz-small": Kind(ARRAYS, {"own.npz": packed.getvalue()}, ".npz", npz),
        "npz-texts": Kind(ARRAYS, {"own.npz": arrays(x=x, y=names)}, ".npz", npz),
        "npy": Kind(
            changed(("own.npz", "{x: x.npy, y: y.npy}"), text=ARRAYS), pair, ".npy", damaged.some_of(damaged.npy)
        ),
    }


def picture_kinds() -> dict[str, Kind]:
    png = damaged.some_of(damaged.png, damaged.png)
    found: dict[str, Kind] = {}
    options: dict[str, Any]
    for ending, options, damage in (
        ("png", {}, png),
        ("jpg", {"kind": "JPEG"}, damaged.raw),
        ("webp", {"kind": "WEBP", "lossless": True}, damaged.raw),
        ("webp", {"kind": "WEBP"}, damaged.raw),
        ("tiff", {"kind": "TIFF", "compression": "tiff_lzw"}, damaged.raw),
        ("tiff", {"kind": "TIFF", "compression": "tiff_adobe_deflate"}, damaged.raw),
        ("tif", {"kind": "TIFF"}, damaged.raw),
        ("gif", {"kind": "GIF"}, damaged.raw),
        ("bmp", {"kind": "BMP"}, damaged.raw),
        ("ppm", {"kind": "PPM"}, damaged.raw),
    ):
        files = {
            f"images/{label}/{number}.{ending}": encoded(
                pixels(9, 8, seed=10 * index + number),
                **{"kind": "PNG", **options},  # type: ignore[arg-type]
            )
            for index, label in enumerate("ab")
            for number in range(6)
        }
        found[f"{ending}{len(found)}"] = Kind(PICTURES, files, f"a/0.{ending}", damage)
    paths = {name.removeprefix("images/"): content for name, content in found["png0"].files.items()}
    off = changed(("  split", "  cache: off\n  split"), text=PICTURES)
    deep = encoded(pixels(9, 8, 1).astype("u2") * 257)
    found["png-16"] = Kind(off, {**found["png0"].files, "images/a/0.png": deep}, "a/0.png", png)
    zip_damage = damaged.some_of(damaged.inside_zip(png), damaged.zip_fields)
    tar_damage = damaged.inside_tar(png)
    return {
        **found,
        "png-off": Kind(off, found["png0"].files, "a/0.png", png),
        "jpg-off": Kind(off, found["jpg1"].files, "a/0.jpg", damaged.raw),
        "zip": Kind(
            changed(("images: images", "images: all.zip"), text=PICTURES),
            {"all.zip": zipped(paths)},
            ".zip",
            zip_damage,
        ),
        **{
            f"tar{ending}": Kind(
                changed(("images: images", f"images: all.tar{ending}"), text=PICTURES),
                {f"all.tar{ending}": tarred(paths, mode)},
                "",
                damaged.some_of(damage),
            )
            for ending, mode, damage in (
                ("", "w", tar_damage),
                (".gz", "w:gz", damaged.some_of(damaged.inside_gzip(tar_damage), damaged.deflated_badly)),
                (".bz2", "w:bz2", damaged.inside_bz2(tar_damage)),
                (".xz", "w:xz", damaged.inside_xz(tar_damage)),
            )
        },
    }


def sound_kinds() -> dict[str, Kind]:
    wave = np.sin(np.arange(900) / 5) / 2
    found = {"wav": Kind(SOUNDS, tones(), "high/0.wav", damaged.raw)}
    for ending, subtype, damage in (
        ("flac", None, damaged.raw),
        ("ogg", "VORBIS", damaged.some_of(damaged.ogg)),
        ("opus", "OPUS", damaged.some_of(damaged.ogg)),
        ("mp3", None, damaged.raw),
    ):
        files = {}
        for label in ("high", "low"):
            for number in range(4):
                file = io.BytesIO()
                kind = "OGG" if ending == "opus" else ending.upper()
                soundfile.write(file, wave * (number + 1) / 5, 8000, format=kind, subtype=subtype)
                files[f"sounds/{label}/{number}.{ending}"] = file.getvalue()
        found[ending] = Kind(SOUNDS, files, f"high/0.{ending}", damage)
    paths = {f"{label}/{number}.wav": sound(wave * number / 9) for label in "ab" for number in range(6)}
    text = changed(("audio: sounds", "audio: {path: all.zip, seconds: 0.1, rate: 11025}"), text=SOUNDS)
    found["wav.zip"] = Kind(
        text, {"all.zip": zipped(paths)}, ".zip", damaged.some_of(damaged.inside_zip(damaged.raw), damaged.zip_fields)
    )
    return found


def text_kinds() -> dict[str, Kind]:
    paths = {name.removeprefix("texts/"): content for name, content in WORDS.items()}
    lines = {f"texts/{name}.txt": b"".join(b"a word %d\n" % number for number in range(8)) for name in ("good", "bad")}
    inside = damaged.some_of(damaged.inside_gzip(damaged.inside_tar(damaged.raw)), damaged.deflated_badly)
    return {
        "text": Kind(TEXTS, WORDS, "good/0.txt", damaged.raw),
        "text-lines": Kind(TEXTS, lines, "good.txt", damaged.raw),
        "text.tar.gz": Kind(
            changed(("text: texts", "text: all.tar.gz"), text=TEXTS),
            {"all.tar.gz": tarred(paths, "w:gz")},
            ".gz",
            inside,
        ),
    }


def zipped(files: Files) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def tarred(files: Files, mode: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def all_kinds() -> dict[str, Kind]:
    return table_kinds() | array_kinds() | picture_kinds() | sound_kinds() | text_kinds()
