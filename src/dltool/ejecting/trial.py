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

import tensorflow as tf

from dltool.config.keras.objects import keras_objects_in
from dltool.durable_files import write_tree
from dltool.ejecting.ejected_run import EjectedRun
from dltool.errors import ExpectationMissed
from dltool.text import counted

EXACT = 1e-6
"""The largest relative difference of a loss of a run that a script computes in the same order; none was measured."""
ROUNDED = 2e-4
"""That of a run with numbers in a table, which NumPy scales, and TensorFlow in the run (1e-7 was measured); with
penalties of weights, which a graph adds in another order (9e-5 in 20 layers); with XLA, or on a GPU."""
REWRITTEN = 2e-2
"""That of a run whose steps were computed in cheaper ways (`training.rewrites`), or with mixed precision."""


def limit_of(ejected: EjectedRun) -> float:
    """Return the largest relative difference of a loss that is explained for this run."""
    config, strategy = ejected.config, ejected.record.strategy
    assert strategy is not None
    if strategy.rewrites or config.training.precision.startswith("mixed_"):
        return REWRITTEN
    objects = [each for _, each in keras_objects_in(config.model.layers, ())]
    is_penalized = any(name.endswith("regularizer") for each in objects for name in each.arguments)
    is_rounded = ejected.facts.has_columns or is_penalized or strategy.jit_compile
    return ROUNDED if is_rounded or tf.config.list_physical_devices("GPU") else EXACT


@dataclass(frozen=True)
class ScriptCheck:
    """The largest relative difference of a loss over some `epochs`."""

    epochs: int
    loss: float


def tried(files: Mapping[str, bytes], lines: Sequence[Mapping[str, Any]], limit: float) -> ScriptCheck:
    """Run train.py of `files` in a temporary folder, and compare its epochs with `lines` of the run's metrics.jsonl.

    Raises ExpectationMissed: the script fails, or disagrees with the run by more than `limit`."""
    with tempfile.TemporaryDirectory(prefix="dltool-eject-") as folder:
        write_tree(Path(folder), files)
        # Without what would let the script import this project, or set what it sets itself.
        kept = {name: each for name, each in os.environ.items() if name not in ("PYTHONPATH", "TF_ENABLE_ONEDNN_OPTS")}
        done = subprocess.run([sys.executable, "train.py"], cwd=folder, env=kept, capture_output=True, check=False)
        if done.returncode:
            raise ExpectationMissed("the script of this run fails", "--no-check writes it, to see why")
        with (Path(folder) / "history.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
    if len(rows) != len(lines):
        raise ExpectationMissed(f"the script ends after {counted(len(rows), 'epoch')}, and the run had more", HINT)
    differences = [each for row, line in zip(rows, lines, strict=True) for each in each_difference(row, line)]
    # Losses that are no numbers cannot be compared.
    loss = max((value for name, value in differences if name in LOSSES), default=float("inf"))
    metric = max((value for name, value in differences if name not in LOSSES), default=0.0)
    for what, size, most in (("losses", loss, limit), ("metrics", metric, max(LOOSE, 10 * limit))):
        if not size <= most:
            message = f"the {what} of the script differ from those of the run by up to {size:.2g} (relative)"
            raise ExpectationMissed(f"{message}; at most {most:g} is rounding", HINT)
    return ScriptCheck(len(lines), loss)


HINT = "has the data changed since the run?"
LOSSES = ("loss", "val_loss")
LOOSE = 0.02
"""The largest difference of other metrics: one example that is decided differently changes an accuracy, and Keras's
`fit` counts the last batch like a whole one in the losses of single outputs."""


def each_difference(row: Mapping[str, str], line: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the name and the relative difference of each loss and metric that both have."""
    for name in row.keys() & line.keys() - {"epoch", "learning_rate", "seconds"}:
        try:
            script, run = float(row[name]), float(line[name])
        except (TypeError, ValueError):
            continue
        yield name, 0.0 if script == run else abs(script - run) / max(abs(script), abs(run), 1e-6)


def words(trial: ScriptCheck) -> str:
    """Return what the header of the script says of its trial."""
    epochs = "its first epoch" if trial.epochs == 1 else f"its first {trial.epochs} epochs"
    if trial.loss == 0:
        return f"In {epochs} this script gave the losses of the run, bit by bit."
    return f"In {epochs} this script gave the losses of the run up to a relative difference of {trial.loss:.1e}."
