# ruff: noqa: T201 (a program that prints)
"""Training on a table in shards: rows a second, peak memory, and the time to the first step, by the number of rows.

    python -m benchmarks shards FOLDER [--rows 100000000] [--files 200] [--group 50000] [--window 64]

Parquet files of 12 numbers and a label are generated below FOLDER and removed at the end: about 50 bytes a row, 5 GB
for 100,000,000. One epoch of a small network is trained as a process of its own, first on a tenth of the files. If
these have more row groups than two windows, memory should not grow with the rows.
"""

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from benchmarks.processes import run, show_table

NUMBERS = 12
CONFIG = """
name: run
data:
  source: {{parquet: table}}
  target: label
  split: {{validation: {share}, test: {share}}}
  shuffle: {{window: {window}}}
model: {{layers: [{{Dense: {{units: 32, activation: relu}}}}, {{Dense: {{units: 1, activation: sigmoid}}}}]}}
training: {{optimizer: adam, loss: binary_crossentropy, batch_size: 4096, epochs: 1}}
"""
HELD_OUT = 20_000
"""Rows of validation and test each, which are in memory."""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks shards", description="Training on a table in shards.")
    parser.add_argument("folder", type=Path, help="a folder on a disk with room for 50 bytes a row")
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--group", type=int, default=50_000, help="rows of a row group (50,000)")
    parser.add_argument("--window", type=int, default=64)
    options = parser.parse_args(arguments)
    folder = options.folder / "dltool-shards"
    rows = {}
    try:
        for part in (10, 1):
            count = options.rows // part
            shutil.rmtree(folder, ignore_errors=True)
            generate(folder / "table", count, max(1, options.files // part), options.group)
            share = min(0.1, HELD_OUT / count)
            (folder / "config.yaml").write_text(CONFIG.format(share=share, window=options.window), encoding="utf-8")
            rows[f"{count:,}"] = measured(folder, count)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    header = [
        "rows",
        "s to the first step",
        "s an epoch",
        "rows a second",
        "s in all",
        "CPU s",
        "peak MB",
        "MB on disk",
    ]
    show_table(f"{options.files} files, groups of {options.group:,} rows, window {options.window}", rows, header)


def generate(folder: Path, rows: int, files: int, group: int) -> None:
    folder.mkdir(parents=True)
    for number in range(files):
        count = rows * (number + 1) // files - rows * number // files
        values = np.random.default_rng(number).normal(10, 3, (NUMBERS, count)).astype(np.float32)
        columns = {f"number_{index}": pa.array(each) for index, each in enumerate(values)}
        columns["label"] = pa.array(np.where(values[2] + values[3] > 20, "yes", "no"))
        # Numbers that are all different gain nothing from a dictionary.
        path = folder / f"part-{number:05}.parquet"
        parquet.write_table(pa.table(columns), path, row_group_size=group, use_dictionary=["label"])


def measured(folder: Path, rows: int) -> list[str]:
    size = sum(path.stat().st_size for path in (folder / "table").iterdir()) / 1e6
    began = time.time()
    cost = run([sys.executable, "-m", "dltool", "train", "config.yaml", "--quiet"], folder)
    found = folder / "runs/run/latest"
    # The run directory is created when the first step is compiled.
    first = os.stat(found / "config.yaml").st_mtime - began
    (line,) = (found / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    seconds = json.loads(line)["seconds"]
    print(f"{rows:,} rows: {seconds:.1f} s an epoch, {cost.memory:,.0f} MB")
    rate = f"{rows / seconds:,.0f}"
    whole = [f"{each:.1f}" for each in (cost.wall, cost.cpu)]
    return [f"{first:.1f}", f"{seconds:.1f}", rate, *whole, f"{cost.memory:,.0f}", f"{size:,.0f}"]
