"""Folds share a process, its imports and its data, and leave nothing of their models in it."""

import gc
import resource
import subprocess
import sys
import weakref
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from dltool import machine

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


def traced_step() -> "weakref.ref[tf.Graph]":
    """Return the graph of a compiled step of a model; both are gone."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    data = (np.ones((4, 2), "float32"), np.ones((4, 1), "float32"))
    return weakref.ref(tf.function(lambda: model.train_step(data)).get_concrete_function().graph)


def test_nothing_of_a_trained_model_stays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "is_own_process", lambda: True)
    graph = traced_step()
    gc.collect()
    assert graph() is not None, "TensorFlow keeps it"
    machine.forget_models()
    assert graph() is None
