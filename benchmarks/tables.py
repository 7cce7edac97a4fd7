# ruff: noqa: T201 (a program that prints)
"""From a CSV file to the first training step: dltool against pandas and Keras by hand, 1,000,000 rows × 12 columns.

    python -m benchmarks tables [--pairs 5] [--rows 1000000]

Each run is a process of its own: it reads, fills in, scales, makes one-hot vectors, and trains a small network for an
epoch of few large steps. The two take turns, and every other pair is in the other order. Time is that from the start of
the process to the first training step; dltool's run directory is created last of all before it. Peak memory is that of
the whole process; what 1,000 rows take, which is TensorFlow itself, is subtracted.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from benchmarks.processes import run, show_table, spread

NUMBERS, CATEGORIES, WORDS = 7, 4, 8
VALUE_BYTES = 4
CONFIG = """
name: run
data:
  source: {csv: table.csv}
  target: label
  split: {validation: 0.1}
model:
  layers:
    - Dense: {units: 16, activation: relu}
    - Dense: {units: 1, activation: sigmoid}
training: {optimizer: adam, loss: binary_crossentropy, batch_size: 65536, epochs: 1}
"""
BY_HAND = """
import time
import keras
import pandas as pd

table = pd.read_csv("table.csv")
y = (table.pop("label") == "yes").to_numpy("float32")
numbers = table.select_dtypes("number")
numbers = numbers.fillna(numbers.median())
numbers = (numbers - numbers.mean()) / numbers.std()
categories = pd.get_dummies(table.select_dtypes(exclude="number"))
x = pd.concat([numbers, categories], axis=1).to_numpy("float32")
layers = keras.layers
model = keras.Sequential([layers.Dense(16, activation="relu"), layers.Dense(1, activation="sigmoid")])
model.compile("adam", "binary_crossentropy")
first = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: print(time.time()))
model.fit(x, y, batch_size=65536, epochs=1, validation_split=0.1, verbose=0, callbacks=[first])
"""
COMMANDS = {
    "dltool": [sys.executable, "-m", "dltool", "train", "config.yaml", "--quiet"],
    "by hand": [sys.executable, "by_hand.py"],
}


@dataclass(frozen=True)
class Start:
    """Seconds until the first training step, and peak memory in MB of the whole process."""

    seconds: float
    memory: float


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks tables", description="From a CSV file to the first step."
    )
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
        (folder / "by_hand.py").write_text(BY_HAND, encoding="utf-8")
        generate(folder / "table.csv", 1000)
        least = {kind: measured(folder, kind).memory for kind in COMMANDS}
        generate(folder / "table.csv", options.rows)
        starts: dict[str, list[Start]] = {kind: [] for kind in COMMANDS}
        for pair in range(options.pairs):
            for kind in sorted(COMMANDS, reverse=pair % 2 == 0):
                starts[kind].append(measured(folder, kind))
    columns = options.rows * (NUMBERS + CATEGORIES + 1) * VALUE_BYTES / 1e6
    array = options.rows * (NUMBERS + CATEGORIES * WORDS + 1) * VALUE_BYTES / 1e6
    print(
        f"the array of what the network takes, one-hot vectors and all: {array:,.0f} MB; the columns: {columns:,.0f} MB"
    )
    rows = {}
    for kind, found in starts.items():
        seconds = [start.seconds for start in found]
        above = statistics.median(start.memory for start in found) - least[kind]
        rate = f"{options.rows / statistics.median(seconds):,.0f}"
        rows[kind] = [spread(seconds, 2), rate, f"{above:,.0f}", f"{above / array:.2f}", f"{above / columns:.2f}"]
    header = ["", "s to the first step", "rows a second", "MB above 1,000 rows", "× the array", "× the columns"]
    show_table(f"{options.rows:,} rows, {options.pairs} runs each", rows, header)
    pairs = zip(starts["by hand"], starts["dltool"], strict=True)
    print(f"\nmedian of the ratios: {statistics.median(other.seconds / own.seconds for other, own in pairs):.2f}")


def measured(folder: Path, kind: str) -> Start:
    began = time.time()
    cost = run(COMMANDS[kind], folder)
    if kind == "dltool":
        return Start(os.stat(folder / "runs/run/latest/config.yaml").st_mtime - began, cost.memory)
    return Start(float(cost.output) - began, cost.memory)


def generate(path: Path, rows: int) -> None:
    """Numbers, one in twenty of two columns missing; categories; a label that some of them decide."""
    generator = np.random.default_rng(0)
    columns: dict[str, pa.Array] = {}
    numbers = generator.normal(10, 3, (NUMBERS, rows)).round(3)
    for index, values in enumerate(numbers):
        is_missing = generator.random(rows) < 0.05 if index < 2 else None
        columns[f"number_{index}"] = pa.array(values, mask=is_missing)
    words = np.array([f"value {index}" for index in range(WORDS)])
    for index in range(CATEGORIES):
        columns[f"category_{index}"] = pa.array(words[generator.integers(0, WORDS, rows)])
    columns["label"] = pa.array(np.where(numbers[2] + numbers[3] > 20, "yes", "no"))
    csv.write_csv(pa.table(columns), path)
