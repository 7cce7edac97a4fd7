"""How cost grows: an epoch with its rows, memory with images that are streamed, a start with the runs before it.

python -m benchmarks growth [--plot FILE.svg] [--most-rows 10000000]
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import data
from benchmarks.processes import run, show_table
from benchmarks.startup import prepared, until_first_step

TABLE = """
name: growth
data: {source: {arrays: data.npz}}
model: {layers: [{Dense: {units: 64, activation: relu}}, {Dense: {units: 1, activation: sigmoid}}]}
training: {optimizer: adam, loss: binary_crossentropy, batch_size: 1024, epochs: 3}
"""
PICTURES = """
name: images
data: {source: {images: images}, cache: off}
model: {layers: [Flatten, {Dense: {units: 2, activation: softmax}}]}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, batch_size: 32, epochs: 1}
"""
ROWS = (10_000, 100_000, 1_000_000, 10_000_000)
COUNTS = (1_000, 4_000, 16_000)
EARLIER = (0, 100, 10_000)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks growth", description="How cost grows.")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the three")
    parser.add_argument("--most-rows", type=int, default=ROWS[-1])
    options = parser.parse_args(arguments)
    epochs = {rows: epoch_seconds(rows) for rows in ROWS if rows <= options.most_rows}
    table = {f"{rows:,}": [f"{seconds:.3f}", f"{seconds / rows * 1e6:.2f}"] for rows, seconds in epochs.items()}
    show_table("an epoch of a dense network, the best of three", table, ["rows", "s", "µs a row"])
    memory = {count: streamed_memory(count) for count in COUNTS}
    show_table("images without a cache", {f"{n:,}": [f"{mb:.0f}"] for n, mb in memory.items()}, ["images", "peak MB"])
    starts = {earlier: start_seconds(earlier) for earlier in EARLIER}
    show_table(
        "until the first step, MNIST", {f"{n:,}": [f"{s:.2f}"] for n, s in starts.items()}, ["earlier runs", "s"]
    )
    if options.plot is not None:
        plot(epochs, memory, starts, options.plot)


def epoch_seconds(rows: int) -> float:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arrays = data.table(rows)
        np.savez(folder / "data.npz", x_train=arrays["x_train"], y_train=arrays["y_train"])
        (folder / "config.yaml").write_text(TABLE, encoding="utf-8")
        run([sys.executable, "-m", "dltool", "train", "config.yaml", "--quiet"], folder)
        lines = (folder / "runs/growth/latest/metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return float(min(json.loads(line)["seconds"] for line in lines))


def streamed_memory(count: int) -> float:
    from PIL import Image

    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(count):
            path = folder / "images" / f"class {number % 2}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(generator.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
        (folder / "config.yaml").write_text(PICTURES, encoding="utf-8")
        return run([sys.executable, "-m", "dltool", "train", "config.yaml", "--quiet"], folder).memory


def start_seconds(earlier: int) -> float:
    """The best of three."""
    with tempfile.TemporaryDirectory() as place:
        folder = prepared(Path(place))
        until_first_step(folder)
        runs = folder / "runs" / "mnist"
        for number in range(2, earlier + 2):
            # Their records alone: with all their files they would be tens of gigabytes.
            (runs / f"{number:04}").mkdir()
            for name in ("config.yaml", "resolved.yaml", "run.json", "results.json"):
                shutil.copy(runs / "0001" / name, runs / f"{number:04}")
        return min(until_first_step(folder) for _ in range(3))


def plot(epochs: dict[int, float], memory: dict[int, float], starts: dict[int, float], file: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.6), layout="constrained")
    panels = (
        (epochs, "rows", "seconds an epoch", "log"),
        (memory, "images, streamed", "peak MB", "linear"),
        (starts, "earlier runs", "seconds to the first step", "linear"),
    )
    for axes, (values, across, up, scale) in zip(figure.subplots(1, 3), panels, strict=True):
        axes.plot(list(values), list(values.values()), "o-", color="#3b6ea8")
        axes.set(xlabel=across, ylabel=up, xscale=scale, yscale=scale)
        if scale == "linear":
            axes.set_ylim(0, 1.2 * max(values.values()))
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
