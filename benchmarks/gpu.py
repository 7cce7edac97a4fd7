# ruff: noqa: T201 (a program that prints)
"""GPU against CPU: epochs of a convolutional network in each precision, and whether the bits are the same again.

    python -m benchmarks gpu [--rows 50000] [--epochs 3]

Without a GPU it says so, and ends with 1. The first epoch, in which TensorFlow chooses kernels, is not counted."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.processes import run, show_table

CONFIG = """
name: gpu
data: {source: {arrays: data.npz}, split: {validation: 0.02, test: 0.02}}
model:
  layers:
    - Conv2D: {filters: 64, kernel_size: 3, padding: same, activation: relu}
    - Conv2D: {filters: 64, kernel_size: 3, padding: same, activation: relu}
    - Conv2D: {filters: 64, kernel_size: 3, padding: same, activation: relu}
    - Conv2D: {filters: 64, kernel_size: 3, padding: same, activation: relu}
    - GlobalAveragePooling2D
    - {Dense: {units: $classes, activation: softmax}}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, batch_size: 256, epochs: EPOCHS}
"""
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
COUNT = "import tensorflow as tf; print(len(tf.config.list_physical_devices('GPU')))"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu", description="A GPU against the CPU.")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args(arguments)
    found = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    if found.stdout.strip() == "0":
        sys.exit("TensorFlow sees no GPU on this machine: nothing was measured")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generator = np.random.default_rng(0)
        x = generator.integers(0, 256, (options.rows, 32, 32, 3), dtype=np.uint8)
        np.savez(folder / "data.npz", x_train=x, y_train=np.arange(options.rows) % 10)
        (folder / "config.yaml").write_text(CONFIG.replace("EPOCHS", str(options.epochs)), encoding="utf-8")
        rows = {f"GPU, {each}": [f"{epoch_seconds(folder, each):.2f}"] for each in PRECISIONS}
        rows["CPU, float32"] = [f"{epoch_seconds(folder, 'float32', CUDA_VISIBLE_DEVICES=''):.2f}"]
        show_table(f"an epoch of {options.rows:,} images", rows, ["device, precision", "s"])
        command = [sys.executable, "-m", "dltool", "reproduce", "runs/gpu/0001"]
        print("\nthe same bits again" if subprocess.run(command, cwd=folder).returncode == 0 else "\nother bits")


def epoch_seconds(folder: Path, precision: str, **own: str) -> float:
    """Return the seconds of the fastest epoch but the first."""
    before = dict(os.environ)
    os.environ.update(own)
    run(
        [sys.executable, "-m", "dltool", "train", "config.yaml", "--quiet", "--set", f"training.precision={precision}"],
        folder,
    )
    os.environ.clear()
    os.environ.update(before)
    lines = (folder / "runs/gpu/latest/metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return float(min(json.loads(line)["seconds"] for line in lines[1:]))
