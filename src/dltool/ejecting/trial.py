"""The trial of an ejected script: it is run for some epochs, and its losses are compared with those of the run."""

import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dltool.durable_files import write_tree
from dltool.errors import ExpectationMissed

EXACT = 1e-5
"""The largest relative difference of a loss that rounding explains: NumPy and TensorFlow divide differently."""
REWRITTEN = 2e-2
"""That of a run whose steps were computed in cheaper ways (`training.rewrites`)."""


@dataclass(frozen=True)
class Trial:
    """The largest relative difference of a loss over some `epochs`, and of another metric."""

    epochs: int
    loss: float
    metric: float


def tried(files: Mapping[str, bytes], metrics: Sequence[Mapping[str, Any]], epochs: int, limit: float) -> Trial:
    """Run train.py of `files`, a training of so many epochs, in a temporary folder, and compare it with the lines of
    the run's metrics.jsonl.

    Raises ExpectationMissed: the script fails, or disagrees with the run by more than `limit`."""
    with tempfile.TemporaryDirectory(prefix="dltool-eject-") as folder:
        write_tree(Path(folder), files)
        done = subprocess.run(
            [sys.executable, "train.py"],
            cwd=folder,
            env={**environment(), "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ExpectationMissed(f"the script failed: {last[:300]}", "nothing was written; --no-check writes it")
        with (Path(folder) / "history.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
    trial = compared(rows, metrics[:epochs])
    if not trial.loss <= limit or not trial.metric <= max(limit, LOOSE):
        worst = f"the losses of the script differ from those of the run by up to {trial.loss:.2g}"
        if trial.loss <= limit:
            worst = f"the metrics of the script differ from those of the run by up to {trial.metric:.2g}"
        message = f"{worst} (relative) in {trial.epochs} epochs; at most {limit:g} is rounding"
        raise ExpectationMissed(message, "nothing was written; has the data changed since the run?")
    return trial


LOOSE = 0.02
"""The largest difference of metrics: one example that is decided differently changes an accuracy."""


def environment() -> dict[str, str]:
    """Return the environment without what would let the script import this project's sources."""
    return {name: each for name, each in os.environ.items() if name not in ("PYTHONPATH", "TF_ENABLE_ONEDNN_OPTS")}


def compared(rows: Sequence[Mapping[str, str]], lines: Sequence[Mapping[str, Any]]) -> Trial:
    """Return the largest differences between the script's epochs and those of the run."""
    differences = [each for row, line in zip(rows, lines, strict=True) for each in each_difference(row, line)]
    losses = [value for name, value in differences if name.endswith("loss")]
    others = [value for name, value in differences if not name.endswith("loss")]
    return Trial(len(lines), max(losses), max(others, default=0.0))


def each_difference(row: Mapping[str, str], line: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the name and the relative difference of each loss and metric that both have."""
    for name in row.keys() & line.keys() - {"epoch", "learning_rate", "seconds"}:
        try:
            script, run = float(row[name]), float(line[name])
        except (TypeError, ValueError):
            continue
        yield name, 0.0 if script == run else abs(script - run) / max(abs(script), abs(run), 1e-6)


def words(trial: Trial) -> str:
    """Return what the header of the script says of its trial."""
    epochs = "its first epoch" if trial.epochs == 1 else f"its first {trial.epochs} epochs"
    if trial.loss == 0:
        return f"In {epochs} this script has given the same losses as the run, bit by bit."
    return f"In {epochs} this script has given the losses of the run up to a relative difference of {trial.loss:.1e}."
