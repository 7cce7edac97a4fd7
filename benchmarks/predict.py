# ruff: noqa: T201 (a program that prints)
"""Predicting 10,000 images with a loaded model: dltool's own way against `model.predict` of the same saved model.

python -m benchmarks predict [--times 7]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.processes import run as run_command
from benchmarks.processes import show_table, spread
from benchmarks.startup import prepared


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks predict", description="Predicting 10,000 images.")
    parser.add_argument("--times", type=int, default=7)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = prepared(Path(name))
        few = ["--set", "training.epochs=1", "--quiet"]
        run_command([sys.executable, "-m", "dltool", "train", "config.yaml", *few], folder)
        # A process of its own, in which TensorFlow is started with a run's threads.
        code = "from benchmarks.predict import measure; import sys; measure(sys.argv[1], int(sys.argv[2]))"
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, "-c", code, str(folder), str(options.times)]
        subprocess.run(command, check=True, env=environment)


def measure(folder: str, times: int) -> None:
    """Both in one process, in turn, after a first call of each."""
    os.chdir(folder)
    from dltool.experiment.opening import best_model, recorded_data
    from dltool.runs.directory import open_run

    run = open_run(Path("runs/mnist/latest"))
    config, dataset = recorded_data(run)
    built = best_model(run, config, dataset.facts)
    import keras

    from dltool.evaluation.predictor import Inference

    saved = keras.models.load_model("runs/mnist/latest/model.keras")
    inputs = dataset.examples("test").inputs
    (images,) = inputs.values()
    array = np.asarray(images[np.arange(len(images))])
    inference = Inference(built, config)
    ways: dict[str, Callable[[], object]] = {
        "dltool": lambda: inference(inputs),
        "model.predict": lambda: saved.predict(array, verbose=0),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(times + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            seconds[name] += [time.perf_counter() - began] if number else []
    rows = {name: [spread(values, 3)] for name, values in seconds.items()}
    show_table(f"predicting {len(images):,} images, {times} times each", rows, ["", "s"])
    pairs = zip(seconds["model.predict"], seconds["dltool"], strict=True)
    print(f"\nmedian of the ratios: {statistics.median(theirs / ours for theirs, ours in pairs):.2f}")
