# ruff: noqa: T201 (a program that prints)
"""Decoding a zip of images: 60,000 JPEG files of 32 × 32, the first start and the second, which reads the cache.

    python -m benchmarks images [--starts 3] [--zip FILE]

Each start is the whole process of `dltool check --data`; the first ones have an empty cache. The generated images are
also decoded by a script, from files in folders, in turn with dltool. `--zip` takes images of yours instead, class
folders or `train` and `test` of them.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.processes import run

PICTURES = 60_000
CONFIG = """
data:
  source: {{images: "{path}"}}
  split: {{validation: 0.1, test: 0.1}}
model: {{layers: [Flatten, {{Dense: {{units: $classes, activation: softmax}}}}]}}
training: {{optimizer: adam, loss: sparse_categorical_crossentropy, epochs: 1}}
"""

SCRIPT = """
import sys
import keras
options = {"image_size": (32, 32), "batch_size": 128, "verbose": False}
for _ in keras.utils.image_dataset_from_directory(sys.argv[1], **options):
    pass
"""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks images", description="Decoding a zip of images.")
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--zip", type=Path)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = options.zip.absolute() if options.zip else generate(folder / "images.zip")
        (folder / "config.yaml").write_text(CONFIG.format(path=path), encoding="utf-8")
        with zipfile.ZipFile(path) as archive:
            images = sum(not entry.is_dir() for entry in archive.infolist())
            if not options.zip:
                archive.extractall(folder / "files")
        found: dict[str, list[float]] = {"first start": [], "second start": []}
        for number in range(options.starts):
            for kind in ("first start", "second start"):
                found[kind].append(start(folder, f"cache {number}"))
            if not options.zip:
                rival = [sys.executable, "-c", SCRIPT, str(folder / "files")]
                found.setdefault("image_dataset_from_directory", []).append(run(rival, folder).wall)
    for kind, seconds in found.items():
        median, best = statistics.median(seconds), min(seconds)
        print(f"{kind}: median {median:.2f} s, best {best:.2f} s; {images / median:,.0f} images a second")
    print("targets: 8,000 images a second on two cores at the first start, and 2 s for the second")


def start(folder: Path, cache: str) -> float:
    begin = time.perf_counter()
    environment = {**os.environ, "DLTOOL_CACHE": str(folder / cache)}
    command = [sys.executable, "-m", "dltool", "check", "config.yaml", "--data"]
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def generate(path: Path) -> Path:
    """Ten classes of blurred noise."""
    generator = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(PICTURES):
            coarse = Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            file = BytesIO()
            coarse.resize((32, 32)).save(file, "JPEG", quality=90)
            archive.writestr(f"{number % 10}/{number}.jpg", file.getvalue())
    return path
