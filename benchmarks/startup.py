"""How long until something happens: `--help`, `check`, and the first step of a run.

    python -m benchmarks startup [--times 5]

A run is compared with a script that only imports TensorFlow, loads the same data and builds the same model. It
counts as begun when its steps are traced and its run directory is made; then the first state is copied, and it trains.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import data
from benchmarks.cases import CASES, SCRIPTS
from benchmarks.processes import in_turn, run, show_table, spread

BARE = """
import sys
import time
sys.path.insert(0, sys.argv[1])
import numpy as np
from networks import loss, network
with np.load("data.npz") as data:
    arrays = {name: data[name] for name in data.files}
model = network("mnist", arrays["x_train"].shape[1:])
model.compile(optimizer="adam", loss=loss("mnist"), metrics=["accuracy"])
print(time.time())
"""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks startup", description="How long until it begins.")
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = prepared(Path(name))
        dltool = [sys.executable, "-m", "dltool"]
        light = {"--help": [*dltool, "--help"], "check": [*dltool, "check", "config.yaml"]}
        costs = in_turn(light, folder, options.times)
        rows = {kind: [spread([cost.wall for cost in costs[kind]], 2)] for kind in light}
        bare, ours = [], []
        for _ in range(options.times):
            bare.append(until_built(folder))
            ours.append(until_first_step(folder))
        rows |= {"bare script": [spread(bare, 2)], "train, first step": [spread(ours, 2)]}
        show_table(f"start, MNIST's network and shape, {options.times} times each", rows, ["", "s"])


def prepared(folder: Path) -> Path:
    """A folder with a config and its data."""
    np.savez_compressed(folder / "data.npz", allow_pickle=False, **data.mnist(None)[0])
    (folder / "config.yaml").write_text(CASES["mnist"].config(), encoding="utf-8")
    return folder


def until_built(folder: Path) -> float:
    began = time.time()
    return float(run([sys.executable, "-c", BARE, str(SCRIPTS)], folder).output) - began


def until_first_step(folder: Path) -> float:
    """Seconds from the start of the process to the creation of the run directory."""
    few = ["--set", "training.epochs=1", "--quiet"]
    began = time.time()
    run([sys.executable, "-m", "dltool", "train", "config.yaml", *few], folder)
    latest = folder / "runs/mnist/latest"
    return os.stat(latest / "config.yaml").st_mtime - began
