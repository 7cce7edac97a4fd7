"""Two workers with a core each against one process with two, on this machine: the seconds of an epoch.

    python -m benchmarks workers [--epochs 4]

The fastest epoch counts, as the first one compiles. Workers on different machines would not share memory and cache."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.processes import run, show_table

CONFIG = """
name: workers
data: {{source: {{arrays: data.npz}}, split: {{validation: 0.05, test: 0.05}}}}
model: {{layers: [{layers}, {{Dense: {{units: $classes, activation: softmax}}}}]}}
training: {{optimizer: adam, loss: sparse_categorical_crossentropy, batch_size: {batch}, epochs: {epochs}}}
"""
CONVOLUTION = "{Conv2D: {filters: 32, kernel_size: 3, activation: relu}}"
CASES = {
    "dense, 9 thousand": ((64,), "{Dense: {units: 118, activation: relu}}", 64, 20_000),
    "dense, 1.3 million": (
        (256,),
        "{Dense: {units: 1000, activation: relu}}, {Dense: {units: 1000, activation: relu}}",
        256,
        10_000,
    ),
    "convolutions, 20 thousand": (
        (28, 28, 1),
        f"{CONVOLUTION}, {CONVOLUTION}, {CONVOLUTION}, GlobalAveragePooling2D",
        256,
        6_000,
    ),
}
"""The shape of an example, the layers, the batch size, and the rows."""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks workers", description="Two workers against one process."
    )
    parser.add_argument("--epochs", type=int, default=4)
    options = parser.parse_args(arguments)
    rows = {}
    for name, (shape, layers, batch, count) in CASES.items():
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            x = np.random.default_rng(0).standard_normal((count, *shape), dtype=np.float32)
            np.savez(folder / "data.npz", x_train=x, y_train=np.arange(count) % 10)
            text = CONFIG.format(layers=layers, batch=batch, epochs=options.epochs)
            (folder / "config.yaml").write_text(text, encoding="utf-8")
            alone = epoch_seconds(folder, "--set", "training.threads=2")
            together = epoch_seconds(folder, "--set", "training.threads=1", "--workers", "2")
            rows[name] = [f"{alone:.2f}", f"{together:.2f}", f"{alone / together:.2f}"]
    show_table("an epoch", rows, ["network, parameters", "one process, s", "two workers, s", "faster by"])


def epoch_seconds(folder: Path, *options: str) -> float:
    run([sys.executable, "-m", "dltool", "train", "config.yaml", "--quiet", *options], folder)
    lines = (folder / "runs/workers/latest/metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return float(min(json.loads(line)["seconds"] for line in lines))
