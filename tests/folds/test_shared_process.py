"""Folds share a process, its imports and its data."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = """
name: flowers
data: {source: iris, preprocessing: [Normalization], split: {validation: 0.15, test: 0.2}}
model: {layers: [Dense: {units: 16, activation: relu}, Dense: {units: $classes, activation: softmax}]}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 40}
"""


def processor_seconds(folder: Path, *options: str) -> float:
    """Return the processor time of one `dltool train`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "dltool", "train", "flowers.yaml", "--quiet", *options]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.slow
def test_five_folds_take_little_more_than_half_the_processor_time_of_five_processes(tmp_path: Path) -> None:
    (tmp_path / "flowers.yaml").write_text(CONFIG)
    alone = processor_seconds(tmp_path)
    folds = processor_seconds(tmp_path, "--folds", "5", "--set", "data.final=none")
    assert folds <= 0.55 * 5 * alone
