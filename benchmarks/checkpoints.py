# ruff: noqa: T201 (a program that prints)
"""What checkpoints cost: configs/mnist.yaml on data of MNIST's shape, with a save every 100 steps and without saves.

    python -m benchmarks checkpoints [--pairs 5] [--epochs 2]

Each run is a process of its own; the two kinds take turns, and every other pair is in the other order. Compared is the
time of training as results.json has it: steps, validation, saves and the wait for the last write, but neither the start
nor the data. "Without" still has the two saves that every training has, before its first step and at its end.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.data import mnist

CONFIG = Path(__file__).parents[1] / "configs" / "mnist.yaml"
EVERY = {"with": "100 steps", "without": "100000000 steps"}
LARGEST_RATIO = 1.03


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks checkpoints", description="What checkpoints cost.")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        seconds = measure(Path(folder), options.pairs, options.epochs)
    medians = {kind: statistics.median(values) for kind, values in seconds.items()}
    ratios = [one / other for one, other in zip(seconds["with"], seconds["without"], strict=True)]
    for kind, median in medians.items():
        print(f"{kind:8} median {median:7.2f} s  {min(seconds[kind]):.2f} to {max(seconds[kind]):.2f} s")
    print(f"ratio of the medians {medians['with'] / medians['without']:.3f}")
    print(f"median of the pairs' ratios {statistics.median(ratios):.3f}, {min(ratios):.3f} to {max(ratios):.3f}")
    print(f"target: at most {LARGEST_RATIO}")


def measure(folder: Path, pairs: int, epochs: int) -> dict[str, list[float]]:
    """Seconds of training of each run."""
    data = folder / "mnist.npz"
    arrays = {name: values.reshape(values.shape[:3]) for name, values in mnist(None)[0].items()}
    np.savez(data, allow_pickle=False, **arrays)
    seconds: dict[str, list[float]] = {kind: [] for kind in EVERY}
    for pair in range(pairs):
        for kind in sorted(EVERY, reverse=pair % 2 == 0):
            seconds[kind].append(train(folder, data, kind, epochs))
            print(f"pair {pair + 1}: {kind:8} {seconds[kind][-1]:7.2f} s", flush=True)
    return seconds


def train(folder: Path, data: Path, kind: str, epochs: int) -> float:
    settings = {
        "name": kind,
        "data.source": f"{{mnist: {{path: {data}}}}}",
        "training.epochs": epochs,
        "training.checkpoint": f"{{every: {EVERY[kind]}}}",
    }
    pairs = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "dltool", "train", str(CONFIG), "--runs", str(folder), "--json", *pairs]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    return float(json.loads(done.stdout)["seconds"]["train"])
