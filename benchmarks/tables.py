# ruff: noqa: T201 (a program that prints)
"""From a CSV file to a trained epoch: dltool against pandas and Keras by hand, a table of 1,000,000 rows × 12 columns.

    python -m benchmarks tables [--pairs 5] [--rows 1000000]

Each run is a process of its own, from its start to its end: reading, filling in, scaling and one-hot vectors, a small
network, one epoch of few large steps, validation. The two take turns, and every other pair is in the other order.
dltool writes its run directory and saved model as well. Peak memory is that of the process; what 1,000 rows take, which
is TensorFlow itself, is subtracted.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

NUMBERS, CATEGORIES, WORDS = 7, 4, 8
VALUE_BYTES = 4
CONFIG = """
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
model.fit(x, y, batch_size=65536, epochs=1, validation_split=0.1, verbose=0)
"""
COMMANDS = {
    "dltool": [sys.executable, "-m", "dltool", "train", "config.yaml", "--quiet"],
    "by hand": [sys.executable, "by_hand.py"],
}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="From a CSV file to a trained epoch.")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
        (folder / "by_hand.py").write_text(BY_HAND, encoding="utf-8")
        generate(folder / "table.csv", 1000)
        least = {kind: run(folder, kind)[2] for kind in COMMANDS}
        generate(folder / "table.csv", options.rows)
        runs: dict[str, list[tuple[float, float, int]]] = {kind: [] for kind in COMMANDS}
        for pair in range(options.pairs):
            for kind in sorted(COMMANDS, reverse=pair % 2 == 0):
                runs[kind].append(run(folder, kind))
                print(f"pair {pair + 1}: {kind:8} {runs[kind][-1][0]:6.2f} s", flush=True)
    report(runs, least, options.rows)


def report(runs: dict[str, list[tuple[float, float, int]]], least: dict[str, int], rows: int) -> None:
    seconds = {kind: [wall for wall, _, _ in values] for kind, values in runs.items()}
    columns = rows * (NUMBERS + CATEGORIES + 1) * VALUE_BYTES
    array = rows * (NUMBERS + CATEGORIES * WORDS + 1) * VALUE_BYTES
    print(f"the array of what the network takes, one-hot vectors and all: {array / 1e6:,.0f} MB")
    print(f"the columns: {columns / 1e6:,.0f} MB")
    for kind, values in seconds.items():
        median, best = statistics.median(values), min(values)
        peak = statistics.median(peak for *_, peak in runs[kind])
        processor = statistics.median(busy for _, busy, _ in runs[kind])
        above = peak - least[kind]
        print(f"{kind:8} median {median:.2f} s, best {best:.2f} s: {rows / median:,.0f} rows a second")
        print(f"{'':8} processor {processor:.2f} s")
        print(
            f"{'':8} peak {peak / 1e6:,.0f} MB, {above / 1e6:,.0f} MB above 1,000 rows: "
            f"{above / array:.2f} × the array, {above / columns:.2f} × the columns"
        )
    ratios = [one / other for one, other in zip(seconds["by hand"], seconds["dltool"], strict=True)]
    print(f"median of the pairs' ratios {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")
    print("targets: a ratio of at least 1, and for dltool at most 1.5 × the array")


def run(folder: Path, kind: str) -> tuple[float, float, int]:
    """Seconds of wall and of processor time, and peak bytes, of one process."""
    begin = time.perf_counter()
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(
        COMMANDS[kind], cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(said.decode(errors="replace"))
    seconds = time.perf_counter() - begin
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


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
